"""What can happen to whoever makes a call."""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress

from tests.faults.owners import Owner
from tests.faults.proxy import Blow, Cell, HangUpError

# Longer than the lease of 60 s.
STOPPED_SECONDS = 66.0


async def kill(owner: Owner) -> None:
    """End the process that calls."""
    os.kill(owner.pid, signal.SIGKILL)
    raise HangUpError


async def kill_with_supervisor(owner: Owner) -> None:
    """End the process that calls, and before it the supervisor that would report it."""
    os.kill(owner.parent, signal.SIGKILL)
    os.kill(owner.pid, signal.SIGKILL)
    raise HangUpError


async def drop(owner: Owner) -> None:  # noqa: ARG001  (all blows are called alike)
    """Close the connection."""
    raise HangUpError


async def stop(owner: Owner) -> None:
    """Let the process that calls stand still until its lease has ended, then go on; its call waits meanwhile."""
    await _stop(owner.pid)


async def stop_with_supervisor(owner: Owner) -> None:
    """The same with its supervisor, so that Airflow gives it up and starts another try meanwhile."""
    await _stop(owner.parent, owner.pid)


def stop_while_another_comes(cell: Cell) -> Blow:
    """Return the same, while another task wants to publish the same post."""

    async def blow(owner: Owner) -> None:
        cell.followed = True
        await _stop(owner.pid)

    return blow


async def _stop(*pids: int) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(STOPPED_SECONDS)
    for pid in reversed(pids):
        # Airflow may have ended it for good.
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def kill_component(end: Callable[[str], object], name: str) -> Blow:
    """Return a blow that ends a component of Airflow; the call gets no answer.

    :param end: ends the component of this name.
    """

    async def blow(owner: Owner) -> None:  # noqa: ARG001
        await asyncio.to_thread(end, name)
        raise HangUpError

    return blow
