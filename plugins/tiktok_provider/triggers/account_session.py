"""One account as all triggers of an event loop use it: one HTTP client, one token, one call to TikTok at a time.

It is opened by the first trigger that asks, closed with the last one, and keeps nothing that a restart of the
triggerer would lose.
"""

import asyncio
import logging
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Generator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar
from weakref import WeakKeyDictionary

from tiktok_provider.api.calls import Answer, Call, Request
from tiktok_provider.api.posting import PostStatus, cancel, fetch_status
from tiktok_provider.api.videos import VideoPage, list_videos
from tiktok_provider.exceptions import (
    ApiError,
    RateLimitedError,
    ServiceError,
    TikTokError,
    UnexpectedAnswerError,
    UnreachableError,
)
from tiktok_provider.hooks.tiktok import AsyncSession, TikTokHook
from tiktok_provider.metrics import RATE_LIMITED, count
from tiktok_provider.publishing.waiting.late_ids import news_of
from tiktok_provider.publishing.waiting.polling import MINUTE_WINDOW, passes
from tiktok_provider.store.errors import StoreUnreachableError
from tiktok_provider.store.posts import PostOutcome, PostRecord
from tiktok_provider.store.rate_limits import LONGEST_HOLD, ClosedBy, Closure, Endpoint
from tiktok_provider.store.requests import (
    GetClosures,
    GetPost,
    GetUnfinishedDrafts,
    IsTryOver,
    RecordOutcome,
    StoreRequest,
)
from tiktok_provider.triggers.breaker import Breaker
from tiktok_provider.triggers.rate_limit import PATIENCE, StatusCalls

log = logging.getLogger(__name__)
T = TypeVar("T")

# Seconds. While the store or the Connection cannot be reached, an account tries so seldom.
SHORTEST_OUTAGE, LONGEST_OUTAGE = 5.0, 15.0
# Seconds over which the accounts spread their calls after a host was down.
SPREAD = 10.0
# Seconds for which an answer about what closes the account is good for all triggers.
SHARED_FOR = 60.0
# Seconds from one question about the drafts that fill an inbox to the next.
DRAFTS_EVERY = 300.0
HOST_FAILURES = (UnreachableError, UnexpectedAnswerError, ServiceError)


class AccountSession:
    """What the triggers of one account and event loop share. Get it from ``account_session``.

    :param loop: what all accounts of the loop share.
    """

    def __init__(self, tiktok_conn_id: str, loop: "_Loop") -> None:
        self._hook = TikTokHook(tiktok_conn_id)
        self._loop = loop
        self._calls = StatusCalls(_now)
        # First in, first out: the trigger that holds it waits for the rate limit and makes its call.
        self._turn = asyncio.Lock()
        self._queued = 0
        self._not_before = 0.0
        self._session: AsyncSession | None = None
        self._stack = AsyncExitStack()
        self._closures: tuple[Closure, ...] = ()
        self._closures_valid_until = 0.0
        self._drafts_asked_until = 0.0
        self.users = 0

    async def fetch_status(self, publish_id: str) -> PostStatus:
        """Ask TikTok where a post stands, as soon as the account may call.

        What TikTok or the store refuses is asked once more with the Connection read again: it may have been mended
        since, or have gone over to another account.

        :raises TikTokError: what the call raises, or the store.
        """
        self._queued += 1
        try:
            async with self._turn:
                return await self._ask_until_believed(publish_id)
        finally:
            self._queued -= 1

    async def fetch_record(self, post_key: str) -> PostRecord | None:
        """Ask the store what is on record of a post; None if there is nothing, or the store does not answer."""
        return await self._ask_store(GetPost(post_key), f"for post key {post_key!r}")

    async def record_outcome(self, post_key: str, outcome: PostOutcome) -> PostRecord | None:
        """Record how a post has ended, and return its record; None if the store does not answer."""
        return await self._ask_store(RecordOutcome(post_key, outcome), f"to record post key {post_key!r}")

    async def _ask_store(self, request: StoreRequest[T], what: str) -> T | None:
        try:
            async with self._turn, asyncio.timeout(PATIENCE):
                session = await self._open_session()
                return await session.store.run(request)
        except (TikTokError, TimeoutError) as error:
            said = error or f"no answer within {PATIENCE:.0f} s"
            log.warning("The store could not be asked %s: %s", what, said)
            return None

    async def is_try_over(self, post_key: str, try_id: str) -> bool:
        """Ask the store whether a person has ended a try; False if the store does not answer."""
        request = IsTryOver(post_key, try_id)
        over = await self._ask_store(request, f"whether post key {post_key!r} is still waited for")
        return over is True

    async def cancel(self, publish_id: str) -> None:
        """Ask TikTok to stop a pull. Best effort: it may be too far along.

        :raises TikTokError: what the call raises, or the store.
        """
        async with self._turn:
            session = await self._open_session()
            await session.run(cancel(publish_id))

    async def list_videos(self, cursor: int | None = None) -> VideoPage:
        """Read one page of the account's public videos, newest first. It has a rate limit of its own, 600 a minute.

        :param cursor: of the page before.
        :raises ConnectionSettingsError: the account has not granted ``video.list``.
        :raises TikTokError: what the call raises, or the store.
        """
        async with self._turn:
            session = await self._open_session()
            # The token is at hand, so this asks nobody.
            session.hook.require_scope("video.list")
            return await session.run(list_videos(cursor=cursor))

    async def finish_drafts(self) -> None:
        """Ask TikTok what became of the drafts in the creator's inbox, and record it.

        All triggers of the account together ask every five minutes.
        """
        if _now() < self._drafts_asked_until:
            return
        self._drafts_asked_until = _now() + DRAFTS_EVERY
        drafts = await self._ask_store(GetUnfinishedDrafts(), "for the drafts in the inbox")
        for draft in drafts or ():
            try:
                outcome = news_of(draft, await self.fetch_status(str(draft.publish_id)))
            except TikTokError as error:
                log.info("The draft %r could not be asked for: %s", draft.post_key, error)
                continue
            if outcome:
                await self.record_outcome(draft.post_key, outcome)

    async def is_closed_by(self, cap: ClosedBy) -> bool:
        """Ask the store whether a cap or a pause closes the account; True if the store does not answer.

        All triggers of the account share an answer for a minute.
        """
        try:
            async with self._turn, asyncio.timeout(PATIENCE):
                if _now() >= self._closures_valid_until:
                    session = await self._open_session()
                    self._closures = await session.store.run(GetClosures())
                    self._closures_valid_until = _now() + SHARED_FOR
        except (TikTokError, TimeoutError) as error:
            said = error or f"no answer within {PATIENCE:.0f} s"
            log.warning("The store could not be asked whether the account is closed: %s", said)
            return True
        return any(found.by == cap for found in self._closures)

    async def close(self) -> None:
        """Close the clients. The next call reads the Connection again."""
        self._session = None
        await self._stack.aclose()

    async def _ask_until_believed(self, publish_id: str) -> PostStatus:
        while True:
            connection_is_new = self._session is None
            try:
                return await self._ask(await self._session_for_call(), publish_id)
            except TikTokError as error:
                if passes(error):
                    raise
                await self.close()
                if connection_is_new:
                    raise
                log.warning("Reading Connection %r again: %s", self._hook.tiktok_conn_id, error)

    async def _session_for_call(self) -> AsyncSession:
        """Return the open session when a call may be made, which must follow at once."""
        while True:
            await asyncio.sleep(self._not_before - _now())
            session = await self._open_session()
            # While the store answers, another account's poll may have found the host down, or have gone as its probe.
            pause = (
                self._pause_of_host(session.host)
                or await self._calls.pause(session.store, self._queued)
                or self._pause_of_host(session.host)
            )
            if not pause:
                self._calls.use()
                return session
            await asyncio.sleep(pause)

    async def _open_session(self) -> AsyncSession:
        """Return the session, opened if need be, with a token at hand."""
        try:
            if self._session is None:
                self._session = await self._stack.enter_async_context(self._hook.async_session())
            await self._session.get_token()
        except TikTokError as error:
            if passes(error):
                self._not_before = _now() + random.uniform(SHORTEST_OUTAGE, LONGEST_OUTAGE)
            raise
        return self._session

    def _pause_of_host(self, host: str) -> float:
        pause = self._loop.breakers[host].pause(_now())
        return pause + random.uniform(0.0, SPREAD) if pause else 0.0

    async def _ask(self, session: AsyncSession, publish_id: str) -> PostStatus:
        breaker = self._loop.breakers[session.host]
        probe = breaker.begin(_now())
        try:
            status = await session.run(_once(fetch_status(publish_id)), self._calls.use)
        except StoreUnreachableError:
            # Our own store, asked for a newer token after a 401: it says nothing of the host.
            raise
        except HOST_FAILURES as error:
            among = len(self._loop.accounts)
            if breaker.failed(_now(), self._hook.tiktok_conn_id, accounts=among, probe=probe):
                pause = breaker.pause(_now())
                log.warning("%s seems to be down: no polls there for %.0f s. %s", session.host, pause, error)
            raise
        except ApiError as error:
            breaker.answered()
            if isinstance(error, RateLimitedError):
                count(RATE_LIMITED, detail=Endpoint.STATUS, in_triggerer=True)
                seconds = min((error.retry_after or MINUTE_WINDOW) * random.uniform(1.0, 1.2), LONGEST_HOLD)
                await self._calls.pause_account(session.store, seconds)
            raise
        breaker.answered()
        return status


def _now() -> float:
    return asyncio.get_running_loop().time()


def _once(call: Call[T]) -> Generator[Request, Answer, T]:
    """Send a call's one request a single time: each try counts for the rate limit, and triggers repeat by their own
    rules.
    """
    answer = yield replace(next(call), repeatable=False)
    try:
        call.send(answer)
    except StopIteration as done:
        value: T = done.value
        return value
    raise RuntimeError("A call of more than one request cannot be sent once")


@dataclass(slots=True)
class _Loop:
    """What one event loop has; a process may have several over its life.

    :param breakers: one for each host, shared by all accounts.
    """

    accounts: dict[str, AccountSession] = field(default_factory=dict)
    breakers: defaultdict[str, Breaker] = field(default_factory=lambda: defaultdict(Breaker))


_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Loop] = WeakKeyDictionary()


@asynccontextmanager
async def account_session(tiktok_conn_id: str) -> AsyncIterator[AccountSession]:
    """Share the account's session with the other triggers of this event loop; the last one to leave closes it."""
    here = _loops.setdefault(asyncio.get_running_loop(), _Loop())
    account = here.accounts.get(tiktok_conn_id)
    if account is None:
        account = here.accounts[tiktok_conn_id] = AccountSession(tiktok_conn_id, here)
    account.users += 1
    try:
        yield account
    finally:
        account.users -= 1
        if not account.users:
            del here.accounts[tiktok_conn_id]
            await account.close()
