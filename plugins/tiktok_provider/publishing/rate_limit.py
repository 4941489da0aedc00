"""TikTok's limits per account, as a try that is about to call TikTok meets them."""

import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Literal, NoReturn

from tiktok_provider.exceptions import (
    AccountClosedError,
    CapReachedError,
    RateLimitedError,
    TikTokError,
)
from tiktok_provider.metrics import RATE_LIMITED, count
from tiktok_provider.publishing.deferral import DeferTask, moment_in
from tiktok_provider.store.client import Store
from tiktok_provider.store.clock import utc_now
from tiktok_provider.store.rate_limits import (
    LONG_PAUSE,
    LONGEST_HOLD,
    PER_MINUTE,
    SHORT_WAIT,
    SHORTEST_LEAVE,
    WHOSE_CAP,
    WINDOW,
    Cap,
    Endpoint,
    PendingDraft,
    Wait,
)
from tiktok_provider.store.requests import CloseAccount, EndCalls, PauseCalls, TakeCalls

log = logging.getLogger(__name__)

OnCap = Literal["wait", "fail"]
# Together about as long as it takes to leave a worker and to start again; then the worker is for other tasks.
_SHORT_WAITS = 20
# When to ask again about a cap whose end the store could not be asked for.
_CAP_WITHOUT_STORE = 600.0

CAP_OF_CODE = {
    "spam_risk_too_many_posts": Cap.POSTS,
    "spam_risk_too_many_pending_share": Cap.DRAFTS,
    "reached_active_user_cap": Cap.ACTIVE_USERS,
}


class RateLimiter:
    """Takes each call of a try from the account's rate limits.

    :param holder: names the task instance in all its tries, so that it keeps its place among those that wait.
    :param on_cap: ``wait``: defer until the cap ends; ``fail``: raise.
    :param draft: whether the calls are about a draft.
    :param finish_drafts: asks TikTok what became of the drafts that fill the inbox, and returns whether one waits no
        more; asked once.
    :param sleep: waits, in seconds.
    """

    def __init__(
        self,
        store: Store,
        holder: str,
        *,
        on_cap: OnCap = "wait",
        draft: bool = False,
        finish_drafts: Callable[[], bool] | None = None,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self._store = store
        self._holder = holder
        self._on_cap = on_cap
        self._draft = draft
        self._finish_drafts = finish_drafts
        self._sleep = sleep or time.sleep

    def take(self, endpoint: Endpoint) -> None:
        """Take one call, which must follow at once.

        :raises DeferTask: there is none now.
        :raises AccountClosedError: a cap is reached, and ``on_cap`` is ``fail``.
        """
        for _ in range(_SHORT_WAITS):
            answer = self._store.run(TakeCalls(endpoint, self._holder, draft=self._draft))
            if not isinstance(answer, Wait):
                return
            if answer.cap is Cap.DRAFTS and self._has_room_after_all():
                continue
            if answer.cap is not None or answer.retry_in > SHORT_WAIT:
                self._defer(endpoint, answer)
            self._sleep(answer.retry_in)
        raise DeferTask(SHORTEST_LEAVE, _used_up(endpoint))

    def end(self, endpoint: Endpoint) -> None:
        """Report that the call has ended; without the report the store assumes it a minute later."""
        try:
            self._store.run(EndCalls(endpoint, self._holder))
        except TikTokError as error:
            log.warning("The end of a call could not be reported to the store: %s", error)

    @contextmanager
    def call(self, endpoint: Endpoint) -> Iterator[Callable[[], None]]:
        """Take one call, and end it with the block; a 429 or a cap inside pauses all tasks of the account.

        :returns: what takes another one, for a request that is sent once more.
        :raises DeferTask: there is none now, or TikTok says so.
        """
        self.take(endpoint)
        try:
            yield partial(self.take, endpoint)
        except RateLimitedError as error:
            raise self._pause(endpoint, error) from error
        except CapReachedError as error:
            self.cap_reached(error.code)
            raise
        finally:
            self.end(endpoint)

    def _has_room_after_all(self) -> bool:
        """Ask once: nobody tells when a creator has posted a draft."""
        finish, self._finish_drafts = self._finish_drafts, None
        return finish is not None and finish()

    def _pause(self, endpoint: Endpoint, error: RateLimitedError) -> DeferTask:
        """Pause the account's calls for as long as TikTok asks, and return how this task waits for it."""
        count(RATE_LIMITED, detail=endpoint)
        seconds = error.retry_after or WINDOW
        seconds = min(seconds + random.uniform(0.0, 0.1 * seconds), LONGEST_HOLD)
        try:
            self._store.run(PauseCalls(endpoint, seconds))
        except TikTokError as fault:
            log.warning("The pause of the account's calls could not be reported to the store: %s", fault)
        closing = endpoint if seconds > LONG_PAUSE else None
        return DeferTask(seconds, f"TikTok wants fewer {endpoint} calls", cap=closing)

    def cap_reached(self, code: str) -> None:
        """Report a cap that TikTok's answer names; the store closes the account until it ends.

        :param code: TikTok's error code or fail reason, one of ``CAP_OF_CODE``.
        :raises DeferTask: when the cap ends, unless ``on_cap`` is ``fail``.
        """
        cap = CAP_OF_CODE[code]
        try:
            closed = self._store.run(CloseAccount(cap))
        except TikTokError as fault:
            log.warning("A cap could not be reported to the store: %s", fault)
            closed = Wait(retry_in=_CAP_WITHOUT_STORE, cap=cap)
        if self._on_cap == "wait":
            raise DeferTask(closed.retry_in, f"{WHOSE_CAP[cap]} is reached", cap=cap)

    def _defer(self, endpoint: Endpoint, answer: Wait) -> NoReturn:
        if answer.cap is None:
            raise DeferTask(answer.retry_in, _used_up(endpoint), cap=endpoint if answer.until else None)
        whose = WHOSE_CAP[answer.cap]
        what_to_do = _finish_drafts(answer.pending, self._store.conn_id)
        if self._on_cap == "fail":
            raise AccountClosedError(
                f"The account is closed until {moment_in(answer.retry_in, utc_now())}. Nothing was sent.\n"
                f"{whose[0].upper()}{whose[1:]} is reached. If TikTok has reopened the account since:"
                f" airflow tiktok reopen {self._store.conn_id}{what_to_do}"
            )
        raise DeferTask(answer.retry_in, f"{whose} is reached{what_to_do}", cap=answer.cap)


def _finish_drafts(pending: Sequence[PendingDraft], conn_id: str) -> str:
    """Return what a person can do about an inbox that is full; empty if it is not."""
    if not pending:
        return ""
    drafts = "\n  ".join(map(str, pending))
    return (
        "\nWaiting alone frees no place: the creator posts or discards a draft in the TikTok app, under Inbox. TikTok"
        f" tells nobody of those that were discarded; then: airflow tiktok reopen {conn_id}\nThese wait:\n  {drafts}"
    )


def _used_up(endpoint: Endpoint) -> str:
    return f"the account's {PER_MINUTE[endpoint]} {endpoint} calls of a minute are used up"
