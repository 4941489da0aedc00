"""The calls of one account to one endpoint that count now, and the callers that wait for the next ones.

A sliding-window log: a call counts until a window after its end, and no more calls count at once than the limit
allows, as it is at each call. A caller that gets none is given a time to ask again, and keeps its place among those
that wait.

A time that is later than any that could be written now is the trace of a clock that was ahead for a moment. It is
brought back when it is read, or it would close the account until it comes.
"""

import random
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tiktok_provider.store.rate_limits import LONG_PAUSE, SHORT_WAIT, SHORTEST_LEAVE, WINDOW, Granted, Wait
from tiktok_provider.store.requests import TakeCalls

# A call whose end is not reported has ended after so many seconds, longer than any of our timeouts, whatever its
# holder has promised.
LONGEST_CALL = 60.0
# What is added to a holder's own promise.
SLACK = 5.0
# How late tasks that have left their worker ask again: what is assumed at first and believed at most, and how much
# the last one counts. They are called back as much earlier, for a call that is free and not made is lost for all.
FIRST_LATENESS, MAX_LATENESS, WEIGHT = 3.0, 30.0, 0.25
# They are called back so many seconds earlier besides, and up to so many more, or all would start at the same moment.
EARLY, JITTER = 1.0, 1.0
# For so many seconds after a caller should have asked again, a free call is kept for it.
KEEP_CALL = 2.0
# A caller that is not back even then lets others go first, and loses its place so many seconds after that time.
KEEP_PLACE = 120.0
_SHORTEST_WAIT, _SHORTEST_POLL_WAIT = 0.05, 1.0
_DAY = timedelta(hours=24)
_WINDOW = timedelta(seconds=WINDOW)


@dataclass(slots=True)
class LoggedCall:
    """One call.

    :param counts_until: from then on another call may be made, at the latest.
    :param holder: who makes it; None once it has ended.
    :param draft: whether it is the init of a draft.
    """

    counts_until: datetime
    holder: str | None
    draft: bool = False


@dataclass(slots=True)
class WaitingCaller:
    """A caller that has to wait.

    :param back_at: when it is to ask again.
    :param was_away: whether it leaves its worker until then.
    """

    back_at: datetime
    holder: str
    was_away: bool


def jitter() -> float:
    """Return a share of ``JITTER``, from 0 to 1."""
    return random.random()


@dataclass(slots=True)
class CallLog:
    """The log as it is now.

    :param limit: calls within a window.
    :param waiting: the first to be served first.
    :param paused_until: no call before then, after a 429.
    :param lateness: seconds after which tasks that were away mostly ask again, learnt.
    """

    now: datetime
    limit: int
    calls: list[LoggedCall]
    waiting: list[WaitingCaller]
    paused_until: datetime | None
    lateness: float

    def __post_init__(self) -> None:
        """Forget what is over, and bring back what a clock that was ahead has written."""
        now = self.now
        self.paused_until = self.paused_until and min(self.paused_until, now + _DAY)
        self.calls = [
            replace(call, counts_until=min(call.counts_until, now + _longest(call)))
            for call in self.calls
            if call.counts_until > now
        ]
        latest = self._latest_return()
        self.waiting = [
            replace(caller, back_at=min(caller.back_at, latest))
            for caller in self.waiting
            if caller.back_at + timedelta(seconds=KEEP_PLACE) >= now
        ]

    def take(self, wanted: TakeCalls) -> Granted | Wait:
        """Log as many calls as may be made now, or return when to ask again."""
        place = self._place_of(wanted.holder)
        self._learn(self.waiting[place : place + 1])
        expected = sum(self._is_expected(caller) for caller in self.waiting[:place])
        count = min(wanted.count, self._free() - expected - wanted.leave)
        if count < 1:
            return self._wait(wanted, place)
        self.waiting = [caller for caller in self.waiting if caller.holder != wanted.holder]
        longest = LONGEST_CALL if wanted.within is None else min(wanted.within + SLACK, LONGEST_CALL)
        until = self.now + timedelta(seconds=longest) + _WINDOW
        self.calls += [LoggedCall(until, wanted.holder, wanted.draft) for _ in range(count)]
        return Granted(count=count)

    def drafts_under_way(self, holder: str) -> int:
        """Return how many others may just be asking TikTok to begin a draft, which is on record only afterwards."""
        return len({call.holder for call in self.calls if call.draft and call.holder not in (None, holder)})

    def end(self, holder: str) -> None:
        """Let the calls of a holder count for a window from now; those that have ended before stay as they are."""
        self.calls = [
            LoggedCall(self.now + _WINDOW, None) if call.holder == holder else call for call in self.calls
        ]

    def pause(self, seconds: float) -> None:
        """Grant no call for so many seconds; a longer pause stays."""
        until = self.now + timedelta(seconds=seconds)
        self.paused_until = max(until, self.paused_until or until)

    def _free(self) -> int:
        is_paused = self.paused_until is not None and self.paused_until > self.now
        return 0 if is_paused else self.limit - len(self.calls)

    def _place_of(self, holder: str) -> int:
        """Return how many callers wait before this one."""
        holders = [caller.holder for caller in self.waiting]
        return holders.index(holder) if holder in holders else len(holders)

    def _is_expected(self, caller: WaitingCaller) -> bool:
        """Whether a call is kept for it; the others keep their place only."""
        late = KEEP_CALL + (self.lateness if caller.was_away else 0.0)
        return self.now <= caller.back_at + timedelta(seconds=late)

    def _learn(self, callers: list[WaitingCaller]) -> None:
        """Learn how late a task is that was away."""
        for caller in callers:
            if caller.was_away:
                late = min(max((self.now - caller.back_at).total_seconds(), 0.0), MAX_LATENESS)
                self.lateness += WEIGHT * (late - self.lateness)

    def _wait(self, wanted: TakeCalls, place: int) -> Wait:
        """Return when to ask again. Pollers get no place: they ask again anyway."""
        remaining = (self._free_at(place + wanted.leave) - self.now).total_seconds()
        if wanted.count > 1 or wanted.leave:
            return Wait(retry_in=max(remaining, _SHORTEST_POLL_WAIT) + JITTER * jitter())
        seconds, paused_until = self._call_back_in(remaining), self._long_pause_until()
        back_at = self.now + timedelta(seconds=seconds)
        caller = WaitingCaller(back_at, wanted.holder, was_away=seconds > SHORT_WAIT)
        self.waiting[place : place + 1] = [caller]
        return Wait(retry_in=seconds, until=paused_until)

    def _long_pause_until(self) -> datetime | None:
        """Return the end of a pause that is so long that a person may want to end it."""
        until = self.paused_until
        return until if until and until > self.now + timedelta(seconds=LONG_PAUSE) else None

    def _free_at(self, place: int) -> datetime:
        """Return when a caller with so many before it can call, if each call is followed by one a window later."""
        begin = max(self.now, self.paused_until or self.now)
        # Most calls are short: one that is under way mostly counts for a window from now.
        latest = self.now + _WINDOW
        taken = sorted(max(begin, min(call.counts_until, latest)) for call in self.calls)[-self.limit :]
        free_at = [begin] * (self.limit - len(taken)) + taken
        rounds, number = divmod(place, self.limit)
        return free_at[number] + rounds * _WINDOW

    def _call_back_in(self, remaining: float) -> float:
        """Return when a caller asks again whose call is free in so many seconds."""
        away = remaining - self.lateness - EARLY - JITTER * jitter()
        if away >= SHORTEST_LEAVE:
            return away
        return min(max(remaining, _SHORTEST_WAIT), SHORT_WAIT)

    def _latest_return(self) -> datetime:
        """Return when the last waiting caller is back if all calls have just been taken."""
        begin = max(self.now, self.paused_until or self.now)
        rounds = 1 + len(self.waiting) // self.limit
        return begin + timedelta(seconds=LONGEST_CALL) + rounds * _WINDOW


def _longest(call: LoggedCall) -> timedelta:
    return timedelta(seconds=WINDOW if call.holder is None else LONGEST_CALL + WINDOW)
