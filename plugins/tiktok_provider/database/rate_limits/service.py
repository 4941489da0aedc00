"""The budgets: what TikTok allows per account, shared by all processes."""

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from sqlalchemy.orm import Session

from tiktok_provider.database.rate_limits import transitions as changes
from tiktok_provider.database.rate_limits.transitions import Taking
from tiktok_provider.database.session import change
from tiktok_provider.database.threads import in_thread
from tiktok_provider.store.clock import utc_now
from tiktok_provider.store.rate_limits import Cap, Endpoint, Granted, Wait

T = TypeVar("T")


class BudgetStore:
    """Shares out the calls that TikTok allows each account.

    Several of them, in several processes and event loops, can work on one database. All methods raise
    ``StoreBusyError`` and ``StoreNotReadyError`` as ``AccountStore`` does; nothing was changed then.

    :param clock: tells the time, in UTC.
    """

    def __init__(self, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._clock = clock

    async def take(
        self,
        conn_id: str,
        endpoint: Endpoint,
        holder: str,
        *,
        count: int = 1,
        leave: int = 0,
        within: float | None = None,
        draft: bool = False,
    ) -> Granted | Wait:
        """Take the right to call now, or be told when to ask again.

        Who asks for one call and is told to wait has a place in the line until 120 s after the time that was told.
        After a lost answer the repetition takes one more; ``end`` gives both back.

        :param holder: who takes; the same each time that it asks, so that it keeps its place.
        :param count: calls, at least 1; fewer may be granted.
        :param leave: take only what is above so many free calls. With it, or with ``count`` above 1, nobody queues.
        :param within: seconds within which all the calls will have ended; by default, and at most, 60, and ``end``
            tells the end.
        :param draft: whether an init is for a draft; the caps of 24 hours differ.
        """
        taking = Taking(
            endpoint=endpoint, holder=holder, count=count, leave=leave, within=within, draft=draft
        )
        return await self._change(lambda session: changes.take(session, conn_id, taking, self._clock()))

    async def end(self, conn_id: str, endpoint: Endpoint, holder: str) -> None:
        """Tell that all calls of a holder have ended: from now on their slots count as used for a minute."""
        await self._change(lambda session: changes.end(session, conn_id, endpoint, holder, self._clock()))

    async def close(self, conn_id: str, cap: Cap, retry_in: float | None = None) -> Wait:
        """Note that TikTok named a cap of hours, and tell until when it closes the account.

        :param retry_in: seconds; by default until our oldest post of the last 24 hours no longer counts, and an hour
            if there is none.
        """
        return await self._change(
            lambda session: changes.close(session, conn_id, cap, retry_in, self._clock())
        )

    async def hold_back(self, conn_id: str, endpoint: Endpoint, seconds: float) -> None:
        """Let nobody call an endpoint for so many seconds, after an answer 429."""
        await self._change(
            lambda session: changes.hold_back(session, conn_id, endpoint, seconds, self._clock())
        )

    async def _change(self, step: Callable[[Session], T]) -> T:
        return await in_thread(change, step)
