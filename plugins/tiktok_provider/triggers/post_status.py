"""The trigger that waits for a post; the account's poller does the asking."""

import time
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from tiktok_provider.publishing.waiting.polling import WaitFor, Watch
from tiktok_provider.triggers.events import hold_event
from tiktok_provider.triggers.poller import outcome_of

# Airflow's own timeout of the deferral is only a net below the trigger's deadline.
DEFERRAL_MARGIN = timedelta(minutes=10)


class TikTokPostStatusTrigger(BaseTrigger):
    """Waits until a post has what is waited for, then fires one event.

    It keeps nothing that a restart of the triggerer would lose: another triggerer goes on with the same deadline.

    :param tiktok_conn_id: a Connection of type ``tiktok``.
    :param publish_id: TikTok's id of the attempt.
    :param wait_for: see ``publishing.polling.Watch``.
    :param started_at: seconds since the epoch; polls are frequent at first and rare later.
    :param deadline: seconds since the epoch.
    :param size: bytes of the uploaded file; None if it is not known.
    """

    def __init__(
        self,
        tiktok_conn_id: str,
        publish_id: str,
        wait_for: WaitFor,
        started_at: float,
        deadline: float,
        size: int | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.tiktok_conn_id = tiktok_conn_id
        self.watch = Watch(publish_id, wait_for, started_at, deadline, size)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments, all plain values."""
        path = "tiktok_provider.triggers.post_status.TikTokPostStatusTrigger"
        return path, {"tiktok_conn_id": self.tiktok_conn_id, **asdict(self.watch)}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait until the end; the event's payload is ``Outcome.to_event()``."""
        begun = time.monotonic()
        outcome = await outcome_of(self.tiktok_conn_id, self.watch)
        await hold_event(begun)
        yield TriggerEvent(outcome.to_event())


def deferral(tiktok_conn_id: str, watch: Watch) -> dict[str, Any]:
    """Return the arguments of ``defer`` that make a task wait for a post and go on in ``execute_complete``."""
    return {
        "trigger": TikTokPostStatusTrigger(tiktok_conn_id=tiktok_conn_id, **asdict(watch)),
        "method_name": "execute_complete",
        "timeout": timedelta(seconds=max(watch.deadline - time.time(), 0.0)) + DEFERRAL_MARGIN,
    }
