"""How often a poller may ask: its part of the account's budget, which the store shares out among all processes."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from tiktok_provider.exceptions import TikTokError
from tiktok_provider.store.client import AsyncStore
from tiktok_provider.store.rate_limits import PER_MINUTE, WINDOW, Endpoint, Granted, Wait
from tiktok_provider.store.requests import PauseCalls, TakeCalls

log = logging.getLogger(__name__)

# Calls are taken in advance, so that not each of them costs a call to the store.
MOST_AT_ONCE = 5
# Seconds in which they must be made, a little less than the store is told.
WITHIN, MARGIN = 15.0, 1.0
# Calls of a minute that the workers can always have.
LEAVE = 3
# A few posts are asked for as they wish. With many the calls are spread evenly, as far apart as the budget lasts: the
# store gives a call that was taken in advance away again after the time in which it could be made, 5 s and a window.
BURST = 10
PACE = (WINDOW + WITHIN + 5.0) / (PER_MINUTE[Endpoint.STATUS] - LEAVE)
# While the store is away: calls of a minute, for others may be asking as cautiously.
ALONE = 10
# Seconds until a store that is away is asked again, and that it has for its answer.
AWAY, PATIENCE = 30.0, 10.0


class Budget(Protocol):
    """The account's 30 status calls a minute, shared with all other processes."""

    async def take(self, count: int) -> Granted | Wait:
        """Take up to so many calls."""

    async def hold_back(self, seconds: float) -> None:
        """Let nobody call for so long."""


class Allowance:
    """What one poller may do of it.

    :param now: returns the time in seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._calls = 0
        self._valid_until = 0.0
        self._not_before = 0.0
        self._away_until = 0.0
        self._made: deque[float] = deque()

    async def take(self, budget: Budget, wanted: int) -> float:
        """Take one call, which must follow at once; return 0, or the seconds after which to try again.

        :param wanted: calls that are to be expected within the next seconds, this one included.
        """
        now = self._now()
        if (pause := self._pause(now)) > 0:
            return pause
        if not self._calls or now >= self._valid_until:
            await self._ask(budget, min(max(wanted, 1), MOST_AT_ONCE))
        return self._use(self._now())

    async def hold_back(self, budget: Budget, seconds: float) -> None:
        """Let nobody call for this account; the store tells the other processes."""
        self._calls, self._not_before = 0, self._now() + seconds
        await self._in_time(budget.hold_back(seconds))

    def give_back(self) -> None:
        """Return a call that was not made."""
        self._calls += 1
        self._made.pop()

    def _pause(self, now: float) -> float:
        while self._made and now - self._made[0] >= WINDOW:
            self._made.popleft()
        paced = self._made[-1] + PACE if len(self._made) >= BURST else 0.0
        return max(self._not_before, paced) - now

    async def _ask(self, budget: Budget, count: int) -> None:
        asked_at, self._calls = self._now(), 0
        if asked_at < self._away_until:
            return
        answer = await self._in_time(budget.take(count))
        if isinstance(answer, Granted):
            self._calls, self._valid_until = answer.count, asked_at + WITHIN - MARGIN
        elif isinstance(answer, Wait):
            self._not_before = self._now() + answer.retry_in

    async def _in_time(self, answer: Awaitable[Granted | Wait | None]) -> Granted | Wait | None:
        """Wait for the store, but not for long; None if it is away."""
        try:
            return await asyncio.wait_for(answer, PATIENCE)
        except (TikTokError, TimeoutError) as error:
            self._away_until = self._now() + AWAY
            log.warning(
                "The store cannot share out the budget now, so there are at most %d polls a minute: %s",
                ALONE,
                error or f"no answer within {PATIENCE:.0f} s",
            )
            return None

    def _use(self, now: float) -> float:
        """Use a call that was granted; while the store is away, one of the few that are made without it."""
        if self._calls:
            self._calls -= 1
        elif now < self._not_before:
            return self._not_before - now
        elif len(self._made) >= ALONE:
            return self._made[0] + WINDOW - now
        self._made.append(now)
        return 0.0


class StoreBudget:
    """The budget as the store keeps it.

    :param holder: who takes the calls, the same for all of a poller's life.
    """

    def __init__(self, store: AsyncStore, holder: str) -> None:
        self._store = store
        self._holder = holder

    async def take(self, count: int) -> Granted | Wait:
        """See ``Budget.take``."""
        return await self._store.run(
            TakeCalls(Endpoint.STATUS, self._holder, count=count, leave=LEAVE, within=WITHIN)
        )

    async def hold_back(self, seconds: float) -> None:
        """See ``Budget.hold_back``."""
        await self._store.run(PauseCalls(Endpoint.STATUS, seconds))
