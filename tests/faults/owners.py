"""Which process is at the other end of a connection on this machine."""

from dataclasses import dataclass

import psutil  # type: ignore[import-untyped]

Address = tuple[str, int]


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
    for connection in psutil.net_connections("tcp4"):
        if (connection.laddr, connection.raddr) == (client, server) and connection.pid:
            try:
                process = psutil.Process(connection.pid)
                return Owner((process.pid, *(parent.pid for parent in process.parents())))
            except psutil.NoSuchProcess:
                break
    return Owner(())
