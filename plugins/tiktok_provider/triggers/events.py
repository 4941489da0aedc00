"""When a trigger may fire its event."""

import asyncio
import time

# Seconds. Airflow fails a try whose trigger fires before the scheduler has noticed that the task has left its worker.
SHORTEST_DEFERRAL = 5.0


async def hold_event(begun: float) -> None:
    """Hold an event until the deferral has lasted long enough.

    :param begun: when the trigger began to run, in monotonic seconds.
    """
    await asyncio.sleep(begun + SHORTEST_DEFERRAL - time.monotonic())
