"""The doctor's visit to a triggerer."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from tiktok_provider.doctor.run import examine_process
from tiktok_provider.triggers.events import hold_event


class TikTokDoctorTrigger(BaseTrigger):
    """Examines the triggerer that runs it, then fires one event with all findings.

    :param tiktok_conn_id: a Connection of type ``tiktok``.
    """

    def __init__(self, tiktok_conn_id: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.tiktok_conn_id = tiktok_conn_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments."""
        return "tiktok_provider.triggers.doctor.TikTokDoctorTrigger", {"tiktok_conn_id": self.tiktok_conn_id}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Examine in a thread: the checks block, and other triggers share the loop."""
        begun = time.monotonic()
        findings = await asyncio.to_thread(examine_process, self.tiktok_conn_id)
        await hold_event(begun)
        yield TriggerEvent([asdict(finding) for finding in findings])
