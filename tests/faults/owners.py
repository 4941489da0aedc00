"""Which process is at the other end of a connection on this machine."""

from contextlib import suppress
from dataclasses import dataclass

import psutil  # type: ignore[import-untyped]

Address = tuple[str, int]
_LOOKS = 3


@dataclass(frozen=True)
class Owner:
    """A process, by its id and those of its ancestors, nearest first; empty if it has gone already."""

    pids: tuple[int, ...]

    @property
    def pid(self) -> int:
        """Its own id."""
        return self.pids[0]

    @property
    def parent(self) -> int:
        """Its parent's id: of a task, the supervisor."""
        return self.pids[1]


def owner_of(client: Address, server: Address) -> Owner:
    """Return the process whose socket connects these addresses; one port may serve several connections."""
    # The table of sockets is read while it changes, so that a line may be missing once.
    for _ in range(_LOOKS):
        for connection in psutil.net_connections("tcp4"):
            if (connection.laddr, connection.raddr) == (client, server) and connection.pid:
                with suppress(psutil.NoSuchProcess):
                    process = psutil.Process(connection.pid)
                    return Owner((process.pid, *(parent.pid for parent in process.parents())))
    return Owner(())
