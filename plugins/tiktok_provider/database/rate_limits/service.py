"""The rate limits and caps: what TikTok allows per account, shared by all processes."""

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from sqlalchemy.orm import Session

from tiktok_provider.database.accounts.connections import is_defined
from tiktok_provider.database.clock import database_now
from tiktok_provider.database.rate_limits import transitions
from tiktok_provider.database.session import change
from tiktok_provider.database.threads import in_read_thread, in_thread
from tiktok_provider.store.errors import unknown_account
from tiktok_provider.store.rate_limits import Cap, Closure, Endpoint, Granted, Wait
from tiktok_provider.store.requests import TakeCalls

T = TypeVar("T")


class RateLimitService:
    """Grants the calls that TikTok allows each account.

    Several of them, in several processes and event loops, can work on one database. All methods raise
    ``StoreBusyError`` and ``StoreNotReadyError`` as ``AccountService`` does; nothing was changed then.

    :param clock: returns the time, in UTC; by default the database's.
    """

    def __init__(self, *, clock: Callable[[], datetime] = database_now) -> None:
        self._clock = clock

    async def take(self, conn_id: str, wanted: TakeCalls) -> Granted | Wait:
        """Return calls that may be made now, or when to ask again.

        A caller that asks for one call and has to wait keeps its place among those that wait, until 120 s after the
        time that it was given. After a lost answer the repetition takes one more call; ``end`` ends both. With
        ``leave``, or with ``count`` above 1, a caller has no place. Calls count as ended after 60 s at the latest.
        """
        return await self._change(lambda session: transitions.take(session, conn_id, wanted, self._clock()))

    async def end(self, conn_id: str, endpoint: Endpoint, holder: str) -> None:
        """Note that all calls of a holder have ended: they count for a window from now on."""
        await self._change(lambda session: transitions.end(session, conn_id, endpoint, holder, self._clock()))

    async def close(self, conn_id: str, cap: Cap, retry_in: float | None = None) -> Wait:
        """Note that TikTok named a cap, and return until when it closes the account.

        :param retry_in: seconds; by default until our oldest post of the last 24 hours no longer counts, and an hour
            if there is none.
        """
        return await self._change(
            lambda session: transitions.close(session, conn_id, cap, retry_in, self._clock())
        )

    async def pause(self, conn_id: str, endpoint: Endpoint, seconds: float) -> None:
        """Grant no call to an endpoint for so many seconds, after an answer 429."""
        await self._change(
            lambda session: transitions.pause(session, conn_id, endpoint, seconds, self._clock())
        )

    async def closures(self, conn_id: str | None = None) -> tuple[Closure, ...]:
        """Return what closes accounts now, each first of those that end first.

        :param conn_id: of one account only.
        """
        return await in_read_thread(
            change, lambda session: transitions.closures(session, conn_id, self._clock())
        )

    async def reopen(self, conn_id: str, *, actor: str) -> tuple[Closure, ...]:
        """End all that closes an account, and return it; the audit log says who. TikTok may close it again.

        :raises ConnectionSettingsError: there is no account of this id.
        """
        ended = await self._change(lambda session: transitions.reopen(session, conn_id, actor, self._clock()))
        if not ended and not await in_thread(is_defined, conn_id):
            raise unknown_account(conn_id)
        return ended

    async def _change(self, step: Callable[[Session], T]) -> T:
        return await in_thread(change, step)
