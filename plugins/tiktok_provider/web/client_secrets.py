"""The client secrets that callers must know: looked up rarely, so that strangers cannot hold up others."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from tiktok_provider.database.threads import in_known_lookup_thread, in_lookup_thread
from tiktok_provider.store.errors import StoreBusyError
from tiktok_provider.store.signing import RequestNotAuthenticatedError

# Seconds for which a secret that was looked up serves the callers that know it.
KEEP = 30.0
# Look-ups for strangers that may wait for a slow secrets backend; the next ones get a 503.
MOST_WAITING = 100
MOST_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class _Known:
    """A secret that a caller has shown to know.

    :param until: from then on it is looked up again.
    """

    secret: str
    until: float


class ClientSecrets:
    """Checks requests by the secret of their connection. For one event loop.

    :param look_up: returns the secret; blocks, with a slow secrets backend for long.
    :param clock: monotonic seconds.
    """

    def __init__(self, look_up: Callable[[str], str], clock: Callable[[], float] = time.monotonic) -> None:
        self._look_up = look_up
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._under_way: dict[str, asyncio.Task[str]] = {}
        self._strangers = 0

    async def check(self, conn_id: str, check: Callable[[str], None]) -> None:
        """Check a request by the secret on hand, else by one that is looked up: it may have been rotated.

        :param check: raises ``RequestNotAuthenticatedError`` for a secret that the caller does not know.
        :raises StoreBusyError: too many strangers wait for a look-up.
        """
        known = self._known.get(conn_id)
        is_stranger = known is None
        if known and self._clock() < known.until:
            try:
                check(known.secret)
            except RequestNotAuthenticatedError:
                is_stranger = True
            else:
                return
        secret = await self._looked_up(conn_id, is_stranger=is_stranger)
        check(secret)
        self._keep(conn_id, secret)

    async def _looked_up(self, conn_id: str, *, is_stranger: bool) -> str:
        """Look a secret up, once for all that ask meanwhile."""
        task = self._under_way.get(conn_id)
        if task is None:
            if is_stranger and self._strangers >= MOST_WAITING:
                raise StoreBusyError("Too many requests of unknown callers wait for a secrets backend.")
            in_thread = in_lookup_thread if is_stranger else in_known_lookup_thread
            self._strangers += is_stranger
            task = asyncio.create_task(in_thread(self._look_up, conn_id))
            self._under_way[conn_id] = task
            task.add_done_callback(lambda _: self._end(conn_id, is_stranger=is_stranger))
        return await asyncio.shield(task)

    def _end(self, conn_id: str, *, is_stranger: bool) -> None:
        del self._under_way[conn_id]
        self._strangers -= is_stranger

    def _keep(self, conn_id: str, secret: str) -> None:
        self._known.pop(conn_id, None)
        while len(self._known) >= MOST_KEPT:
            # The one that was looked up first.
            del self._known[next(iter(self._known))]
        self._known[conn_id] = _Known(secret, self._clock() + KEEP)
