"""How often the triggers of an account may poll: the store shares TikTok's rate limit out among all processes."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import uuid4

from tiktok_provider.exceptions import TikTokError
from tiktok_provider.store.client import AsyncStore
from tiktok_provider.store.rate_limits import PER_MINUTE, WINDOW, Endpoint, Granted, Wait
from tiktok_provider.store.requests import PauseCalls, TakeCalls

log = logging.getLogger(__name__)
T = TypeVar("T")

# Calls are taken in advance, so that not each of them costs a request to the store.
MOST_AT_ONCE = 5
# Seconds in which they must be made, a little less than is said to the store.
WITHIN, MARGIN = 15.0, 1.0
# Calls of a minute that the workers can always have.
LEAVE = 3
# A few posts are polled whenever they are due. With many the calls are spread evenly, as far apart as the rate limit
# asks: a call that was taken in advance counts from the end of the time in which it could be made, 5 s and a window.
BURST = 10
PACE = (WINDOW + WITHIN + 5.0) / (PER_MINUTE[Endpoint.STATUS] - LEAVE)
# While the store is away: calls of a minute, for other processes may be polling as cautiously.
ALONE = 10
# Seconds until a store that is away is asked again, and that it has for its answer.
AWAY, PATIENCE = 30.0, 10.0


class StatusCalls:
    """The status calls that the triggers of one account in one event loop may make.

    :param now: returns the time in seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._holder = f"triggers-{uuid4().hex}"
        self._left = 0
        self._valid_until = 0.0
        self._not_before = 0.0
        self._away_until = 0.0
        self._made: deque[float] = deque()

    async def pause(self, store: AsyncStore, queued: int = 1) -> float:
        """Return 0 if a call may be made now, else the seconds after which to ask again.

        The call must follow at once, and is counted by ``use``.

        :param queued: how many triggers want to call now, this one included.
        """
        if (pause := self._pause_between()) > 0:
            return pause
        if self._left <= 0 or self._now() >= self._valid_until:
            await self._take(store, min(max(queued, self._expected()), MOST_AT_ONCE))
        return 0.0 if self._left > 0 else self._pause_without()

    def use(self) -> None:
        """Count a call that is made now. One that the store has not given is owed to it."""
        self._left -= 1
        self._made.append(self._now())

    async def pause_account(self, store: AsyncStore, seconds: float) -> None:
        """Make no call for this account; the store says so to the other processes."""
        self._left, self._not_before = 0, self._now() + seconds
        await self._in_time(store.run(PauseCalls(Endpoint.STATUS, seconds)))

    def _pause_between(self) -> float:
        now = self._now()
        while self._made and now - self._made[0] >= WINDOW:
            self._made.popleft()
        paced = self._made[-1] + PACE if len(self._made) >= BURST else 0.0
        return max(self._not_before, paced) - now

    def _expected(self) -> int:
        """Return how many calls the next seconds will see: this one, and as many as the last seconds saw."""
        now = self._now()
        return 1 + sum(now - made < WITHIN for made in self._made)

    async def _take(self, store: AsyncStore, count: int) -> None:
        asked_at, owed = self._now(), max(-self._left, 0)
        self._left = 0
        if asked_at < self._away_until:
            return
        taking = TakeCalls(Endpoint.STATUS, self._holder, count=count + owed, leave=LEAVE, within=WITHIN)
        answer = await self._in_time(store.run(taking))
        if isinstance(answer, Granted):
            self._left, self._valid_until = answer.count - owed, asked_at + WITHIN - MARGIN
            self._not_before = self._now() + (MARGIN if self._left <= 0 else 0.0)
        elif isinstance(answer, Wait):
            self._not_before = self._now() + answer.retry_in

    async def _in_time(self, answer: Awaitable[T]) -> T | None:
        """Wait for the store, but not for long; None if it is away."""
        try:
            return await asyncio.wait_for(answer, PATIENCE)
        except (TikTokError, TimeoutError) as error:
            self._away_until = self._now() + AWAY
            log.warning(
                "The store cannot share out the rate limit now, so there are at most %d polls a minute: %s",
                ALONE,
                error or f"no answer within {PATIENCE:.0f} s",
            )
            return None

    def _pause_without(self) -> float:
        """Return the pause after which a call may be made that the store has not given."""
        now = self._now()
        if now < self._not_before or len(self._made) < ALONE:
            return max(self._not_before - now, 0.0)
        return max(self._made[0] + WINDOW - now, 0.0)
