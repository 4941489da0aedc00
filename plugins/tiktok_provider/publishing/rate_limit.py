"""TikTok's limits per account, as a try that is about to call TikTok meets them."""

import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from tiktok_provider.exceptions import (
    AccountClosedError,
    CapReachedError,
    RateLimitedError,
    TikTokError,
)
from tiktok_provider.publishing.deferral import DeferTask, shown
from tiktok_provider.store.client import Store
from tiktok_provider.store.rate_limits import (
    LONGEST_HOLD,
    SHORT_WAIT,
    SHORTEST_LEAVE,
    WINDOW,
    Cap,
    Endpoint,
    Wait,
)
from tiktok_provider.store.requests import CloseAccount, EndCalls, PauseCalls, TakeCalls

log = logging.getLogger(__name__)

OnCap = Literal["wait", "fail"]
# As many as the way back to a worker can take; then the worker is for others.
_SHORT_WAITS = 20
# When to ask again about a cap whose end the store could not be asked for.
_CAP_UNTOLD = 600.0

CAP_OF_CODE = {
    "spam_risk_too_many_posts": Cap.POSTS,
    "spam_risk_too_many_pending_share": Cap.DRAFTS,
    "reached_active_user_cap": Cap.ACTIVE_USERS,
}
WHOSE_CAP = {
    Cap.POSTS: "the creator's cap of API posts in 24 hours, counted by TikTok over all apps",
    Cap.DRAFTS: "the cap of drafts that wait in the creator's inbox",
    Cap.ACTIVE_USERS: "the TikTok app's own cap of posting users in 24 hours",
}


class RateLimiter:
    """Takes the calls that a try makes out of the account's budget.

    :param holder: who takes them, the same for all tries of a task instance, so that it keeps its place in the line.
    :param on_cap: ``wait``: come back when a cap of 24 hours ends; ``fail``: raise.
    :param draft: whether the calls are about a draft.
    :param sleep: waits, in seconds.
    """

    def __init__(
        self,
        store: Store,
        holder: str,
        *,
        on_cap: OnCap = "wait",
        draft: bool = False,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self._store = store
        self._holder = holder
        self._on_cap = on_cap
        self._draft = draft
        self._sleep = sleep or time.sleep

    def take(self, endpoint: Endpoint) -> None:
        """Take one call, which must follow at once.

        :raises DeferTask: there is none now.
        :raises AccountClosedError: a cap of 24 hours is reached, and ``on_cap`` is ``fail``.
        """
        for _ in range(_SHORT_WAITS):
            taking = TakeCalls(endpoint, self._holder, draft=self._draft)
            answer = self._store.run(taking)
            if not isinstance(answer, Wait):
                return
            if answer.cap is not None or answer.retry_in > SHORT_WAIT:
                self._refuse(endpoint, answer)
            self._sleep(answer.retry_in)
        raise DeferTask(SHORTEST_LEAVE, f"the account's budget of {endpoint} calls is used up")

    def end(self, endpoint: Endpoint) -> None:
        """Tell that the call has ended; a store that is away will find it out by itself, a minute later."""
        try:
            self._store.run(EndCalls(endpoint, self._holder))
        except TikTokError as error:
            log.warning("The store could not be told that a call has ended: %s", error)

    @contextmanager
    def call(self, endpoint: Endpoint) -> Iterator[None]:
        """Take one call, and end it with the block; a 429 or a cap inside holds all tasks of the account back.

        :raises DeferTask: there is none now, or TikTok says so.
        """
        self.take(endpoint)
        try:
            yield
        except RateLimitedError as error:
            raise self.held_back(endpoint, error) from error
        except CapReachedError as error:
            self.cap_reached(error.code)
            raise
        finally:
            self.end(endpoint)

    def held_back(self, endpoint: Endpoint, error: RateLimitedError) -> DeferTask:
        """Hold the account's tasks back as TikTok asks, and return when to come back."""
        seconds = error.retry_after or WINDOW
        seconds = min(seconds + random.uniform(0.0, 0.1 * seconds), LONGEST_HOLD)
        try:
            self._store.run(PauseCalls(endpoint, seconds))
        except TikTokError as fault:
            log.warning("The store could not be told to hold back the account's other tasks: %s", fault)
        return DeferTask(seconds, f"TikTok says that {endpoint} was called too often")

    def cap_reached(self, code: str) -> None:
        """Close the account as TikTok's answer asks.

        :param code: TikTok's error code or fail reason, one of ``CAP_OF_CODE``.
        :raises DeferTask: when the cap ends, unless ``on_cap`` is ``fail``.
        """
        cap = CAP_OF_CODE[code]
        try:
            closed = self._store.run(CloseAccount(cap))
        except TikTokError as fault:
            log.warning("The store could not be told of a cap: %s", fault)
            closed = Wait(retry_in=_CAP_UNTOLD, cap=cap)
        if self._on_cap == "wait":
            raise DeferTask(closed.retry_in, f"{WHOSE_CAP[cap]} is reached, until {shown(closed.until)}")

    def _refuse(self, endpoint: Endpoint, answer: Wait) -> None:
        if answer.cap is None:
            raise DeferTask(answer.retry_in, f"the account's budget of {endpoint} calls is used up")
        whose, until = WHOSE_CAP[answer.cap], shown(answer.until)
        if self._on_cap == "fail":
            raise AccountClosedError(f"Nothing was sent: {whose} is reached, until {until}.")
        raise DeferTask(answer.retry_in, f"{whose} is reached, until {until}")
