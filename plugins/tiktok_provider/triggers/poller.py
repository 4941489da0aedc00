"""One poller for all posts of an account that are awaited in this event loop.

Triggers register what they wait for and await its outcome. The poller has one HTTP client, one token and one part of
the account's budget for all of them. It begins with the first trigger, ends with the last, and keeps nothing that a
restart of the triggerer would lose.
"""

import asyncio
import logging
import random
import time
from collections import defaultdict
from collections.abc import Generator
from contextlib import AsyncExitStack, suppress
from contextvars import Context, copy_context
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from itertools import count
from typing import TypeVar
from uuid import uuid4
from weakref import WeakKeyDictionary

from tiktok_provider.api.calls import Answer, Call, Request
from tiktok_provider.api.posting import PostStatus, fetch_status
from tiktok_provider.exceptions import (
    ApiError,
    RateLimitedError,
    ServiceError,
    TikTokError,
    UnexpectedAnswerError,
    UnreachableError,
)
from tiktok_provider.hooks.tiktok import AsyncSession, TikTokHook
from tiktok_provider.publishing.waiting.polling import (
    MINUTE_WINDOW,
    SHORTEST_PAUSE,
    Outcome,
    PollAgain,
    Watch,
    at_deadline,
    given_up_in,
    next_pause,
    on_error,
    on_status,
    passes,
    polls_until,
)
from tiktok_provider.publishing.waiting.worker_poller import with_jitter
from tiktok_provider.store.errors import StoreUnreachableError
from tiktok_provider.store.rate_limits import LONGEST_HOLD
from tiktok_provider.triggers.breaker import Breaker
from tiktok_provider.triggers.rate_limit import WITHIN, Allowance, StoreBudget

log = logging.getLogger(__name__)
T = TypeVar("T")

# After a restart many watches begin together: each takes its first look at a random moment of so many seconds.
FIRST_LOOKS = 15.0
# While the store or the Connection cannot be reached, an account tries so seldom.
SHORTEST_OUTAGE, LONGEST_OUTAGE = 5.0, 15.0
# After a host was down, the pollers come back within so many seconds.
SPREAD = 10.0
HOST_FAILURES = (UnreachableError, UnexpectedAnswerError, ServiceError)


class Clock:
    """The time, and waiting."""

    def now(self) -> float:
        """Return the seconds since the epoch."""
        return time.time()

    async def wait(self, changed: asyncio.Event, seconds: float) -> None:
        """Wait until something has changed, at most so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await changed.wait()


CLOCK = Clock()


@dataclass(eq=False, slots=True)
class Waiting:
    """A trigger that waits.

    :param context: the trigger's own, so that what is said of its post lands in its task's log.
    :param last: TikTok's last answer, if there was one.
    :param asked_again: whether it was refused since, and is asked for once more with the Connection read anew.
    """

    watch: Watch
    outcome: asyncio.Future[Outcome]
    context: Context = field(default_factory=copy_context)
    last: PostStatus | None = None
    asked_again: bool = False

    def say(self, level: int, message: str, *arguments: object) -> None:
        """Write into the log of the trigger's task."""
        self.context.run(log.log, level, message, *arguments)


class AccountPoller:
    """Polls for all triggers of one account and event loop.

    :param breakers: one for each host, shared by all pollers of the loop.
    """

    def __init__(self, tiktok_conn_id: str, breakers: defaultdict[str, Breaker], clock: Clock) -> None:
        self._hook = TikTokHook(tiktok_conn_id)
        self._breakers = breakers
        self._clock = clock
        self._allowance = Allowance(clock.now)
        self._holder = f"poller-{uuid4().hex}"
        self._waiting: set[Waiting] = set()
        self._due: list[tuple[float, int, Waiting]] = []
        self._order = count()
        self._changed = asyncio.Event()
        self._not_before = 0.0
        self._session: AsyncSession | None = None
        self._stack = AsyncExitStack()
        self._task: asyncio.Task[None] | None = None

    @property
    def is_alive(self) -> bool:
        """Whether somebody waits, so that another one may join."""
        return bool(self._waiting)

    async def outcome_of(self, watch: Watch) -> Outcome:
        """Wait until the waiting for a post is over; cancelling it takes no other trigger along.

        :raises Exception: what has broken the poller, for all who wait.
        """
        waiting = Waiting(watch, asyncio.get_running_loop().create_future())
        self._waiting.add(waiting)
        now = self._clock.now()
        self._schedule(waiting, now + random.uniform(0.0, min(next_pause(watch, now), FIRST_LOOKS)))
        if self._task is None:
            # Not in the context of the first trigger, whose log it would write into.
            self._task = asyncio.create_task(self._run(), name="tiktok-poller", context=Context())
        try:
            return await waiting.outcome
        finally:
            self._leave(waiting)

    def _leave(self, waiting: Waiting) -> None:
        if waiting not in self._waiting:
            return
        self._waiting.remove(waiting)
        if not self._waiting and self._task and not self._task.cancelling():
            self._task.cancel()

    def _schedule(self, waiting: Waiting, due: float) -> None:
        heappush(self._due, (due, next(self._order), waiting))
        self._changed.set()

    async def _run(self) -> None:
        try:
            async with self._stack:
                while self._due:
                    pause = await self._step()
                    if pause > 0:
                        await self._clock.wait(self._changed, pause)
                        self._changed.clear()
                # Whoever comes while the client is being closed gets a new poller.
                self._waiting.clear()
        except BaseException as error:
            self._end_all(error)
            if not isinstance(error, Exception):
                raise
            log.exception("The poller of %s broke", self._hook.tiktok_conn_id)

    def _end_all(self, error: BaseException) -> None:
        """Let nobody wait for a poller that is gone."""
        for waiting in self._waiting:
            if isinstance(error, asyncio.CancelledError):
                waiting.outcome.cancel()
            elif not waiting.outcome.done():
                waiting.outcome.set_exception(error)
        self._waiting.clear()

    async def _step(self) -> float:
        """Make the poll that is due; return how long to wait instead if there is none, or it may not be made."""
        due, _, waiting = self._due[0]
        if waiting.outcome.done():
            heappop(self._due)
            return 0.0
        now = self._clock.now()
        if due > now:
            return due - now
        heappop(self._due)
        if self._not_before <= now and await self._poll(waiting):
            return 0.0
        return self._put_off(waiting, due)

    def _put_off(self, waiting: Waiting, due: float) -> float:
        """Keep the place in the line, and end the waiting of whose last poll has been put off for too long.

        :returns: how long to wait.
        """
        now = self._clock.now()
        heappush(self._due, (due, next(self._order), waiting))
        for late in [late for late in self._waiting if given_up_in(late.watch, now) <= 0]:
            self._proceed(late, at_deadline(late.watch, late.last))
        if not self._waiting:
            return 0.0
        return min(self._not_before - now, *(given_up_in(one.watch, now) for one in self._waiting))

    async def _poll(self, waiting: Waiting) -> bool:
        """Ask, and act on the answer; return whether that was allowed."""
        is_new = self._session is None
        try:
            session = await self._usable_session()
            if (pause := await self._pause_before_call(session, waiting.watch)) > 0:
                self._not_before = self._clock.now() + pause
                return False
            waiting.last = await self._ask(session, waiting.watch.publish_id)
        except TikTokError as error:
            waiting.say(logging.WARNING, "Could not ask for %s: %s", waiting.watch.publish_id, error)
            step = on_error(waiting.watch, error, self._clock.now(), waiting.last)
            if isinstance(step, Outcome) and not passes(error) and not (is_new or waiting.asked_again):
                # The Connection may have been mended since it was read, or have gone over to another account.
                step, waiting.asked_again = PollAgain(SHORTEST_PAUSE), True
            self._proceed(waiting, step)
            await self._close_if_refused(error)
        else:
            waiting.asked_again = False
            waiting.say(logging.INFO, "%s is %s", waiting.watch.publish_id, waiting.last.status)
            self._proceed(waiting, on_status(waiting.watch, waiting.last, self._clock.now()))
        return True

    def _proceed(self, waiting: Waiting, step: PollAgain | Outcome) -> None:
        if waiting.outcome.done():
            return
        if isinstance(step, PollAgain):
            self._schedule(waiting, self._clock.now() + with_jitter(step.pause))
        else:
            self._waiting.remove(waiting)
            waiting.outcome.set_result(step)

    async def _usable_session(self) -> AsyncSession:
        """Return the session, opened if need be, with a token at hand."""
        try:
            if self._session is None:
                self._session = await self._stack.enter_async_context(self._hook.async_session())
            await self._session.get_token()
        except TikTokError as error:
            if passes(error):
                self._not_before = self._clock.now() + random.uniform(SHORTEST_OUTAGE, LONGEST_OUTAGE)
            raise
        return self._session

    async def _close_if_refused(self, error: TikTokError) -> None:
        """Read the Connection anew before the next poll."""
        if not passes(error):
            self._session = None
            await self._stack.aclose()

    async def _pause_before_call(self, session: AsyncSession, watch: Watch) -> float:
        """Return 0 if one call may be made now, else the seconds after which to try again."""
        pause = self._breakers[session.host].pause(self._clock.now())
        if pause > 0:
            return pause + random.uniform(0.0, SPREAD)
        pause = await self._allowance.take(self._budget(session), self._expected_polls(watch))
        if pause == 0 and self._breakers[session.host].pause(self._clock.now()) > 0:
            # Another account's poll has found the host down, or has gone as its probe, meanwhile.
            self._allowance.give_back()
            return random.uniform(0.0, SPREAD)
        return pause

    def _budget(self, session: AsyncSession) -> StoreBudget:
        return StoreBudget(session.store, self._holder)

    def _expected_polls(self, first: Watch) -> int:
        """Return how many polls there will be within the next seconds, beginning with one that is due now."""
        now = self._clock.now()
        end = now + WITHIN
        others = sum(polls_until(waiting.watch, due, end) for due, _, waiting in self._due)
        return polls_until(first, now, end) + others

    async def _ask(self, session: AsyncSession, publish_id: str) -> PostStatus:
        breaker = self._breakers[session.host]
        probe = breaker.begin(self._clock.now())
        try:
            status = await session.run(_once(fetch_status(publish_id)))
        except StoreUnreachableError:
            # Our own store, asked for a newer token after a 401: it tells nothing of the host.
            raise
        except HOST_FAILURES as error:
            if breaker.failed(self._clock.now(), probe=probe):
                pause = breaker.pause(self._clock.now())
                log.warning("%s seems to be down: no polls there for %.0f s. %s", session.host, pause, error)
            raise
        except ApiError as error:
            breaker.answered()
            if isinstance(error, RateLimitedError):
                await self._hold_back(session, error)
            raise
        breaker.answered()
        return status

    async def _hold_back(self, session: AsyncSession, error: RateLimitedError) -> None:
        """Let nobody ask for this account as long as TikTok wants."""
        seconds = min((error.retry_after or MINUTE_WINDOW) * random.uniform(1.0, 1.2), LONGEST_HOLD)
        await self._allowance.hold_back(self._budget(session), seconds)


def _once(call: Call[T]) -> Generator[Request, Answer, T]:
    """Send a call's one request a single time: each try costs budget, and the poller repeats by its own rules."""
    answer = yield replace(next(call), repeatable=False)
    try:
        call.send(answer)
    except StopIteration as done:
        value: T = done.value
        return value
    raise RuntimeError("A call of more than one request cannot be sent once")


@dataclass(slots=True)
class _Loop:
    """What one event loop has; a process may have several over its life."""

    pollers: dict[str, AccountPoller] = field(default_factory=dict)
    breakers: defaultdict[str, Breaker] = field(default_factory=lambda: defaultdict(Breaker))


_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Loop] = WeakKeyDictionary()


async def outcome_of(tiktok_conn_id: str, watch: Watch) -> Outcome:
    """Wait with the account's poller until the waiting for a post is over.

    :raises Exception: what has broken the poller; the next trigger gets a new one.
    """
    here = _loops.setdefault(asyncio.get_running_loop(), _Loop())
    poller = here.pollers.get(tiktok_conn_id)
    if poller is None or not poller.is_alive:
        poller = here.pollers[tiktok_conn_id] = AccountPoller(tiktok_conn_id, here.breakers, CLOCK)
    try:
        return await poller.outcome_of(watch)
    finally:
        if not poller.is_alive and here.pollers.get(tiktok_conn_id) is poller:
            del here.pollers[tiktok_conn_id]
