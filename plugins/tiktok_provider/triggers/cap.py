"""The trigger that waits until a 24-hour cap or a long pause ends, or a person reopens the account."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from tiktok_provider.publishing.waiting.worker_poller import with_jitter
from tiktok_provider.store.rate_limits import Cap, closed_by
from tiktok_provider.triggers.account_session import account_session
from tiktok_provider.triggers.events import hold_event

# Seconds from one question to the next, whether the account is still closed.
LOOK_EVERY = 120.0


class TikTokCapTrigger(BaseTrigger):
    """Fires when a cap's window ends, or minutes after ``airflow tiktok reopen`` has reopened the account.

    :param tiktok_conn_id: a Connection of type ``tiktok``.
    :param cap: what has closed the account, a ``Cap``, or an ``Endpoint`` of which TikTok wants fewer calls.
    :param until: seconds since the epoch.
    """

    def __init__(self, tiktok_conn_id: str, cap: str, until: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.tiktok_conn_id = tiktok_conn_id
        self.cap = closed_by(cap)
        self.until = until

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments, all plain values."""
        path = "tiktok_provider.triggers.cap.TikTokCapTrigger"
        return path, {
            "tiktok_conn_id": self.tiktok_conn_id,
            "cap": self.cap.value,
            "until": self.until,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait; the event says nothing, for the task looks for itself."""
        begun = time.monotonic()
        async with account_session(self.tiktok_conn_id) as account:
            while (left := self.until - time.time()) > 0:
                await asyncio.sleep(min(left, with_jitter(LOOK_EVERY)))
                if self.cap is Cap.DRAFTS:
                    await account.finish_drafts()
                if time.time() < self.until and not await account.is_closed_by(self.cap):
                    break
        await hold_event(begun)
        yield TriggerEvent(None)
