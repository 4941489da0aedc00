"""The client secrets that callers must know: looked up rarely, so that strangers cannot hold up others."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from tiktok_provider.database.threads import in_known_lookup_thread, in_lookup_thread
from tiktok_provider.store.errors import StoreBusyError
from tiktok_provider.store.signing import RequestNotAuthenticatedError

# Seconds for which a secret serves callers that know it, and until it is looked up again for one that does not: it
# may have been rotated.
KEEP, LOOK_AGAIN = 30.0, 2.0
# Look-ups for strangers that may wait for a slow secrets backend; the next ones are told to come later.
MOST_WAITING = 100
MOST_KEPT = 10_000


@dataclass(slots=True)
class _Found:
    """A secret as it was looked up.

    :param known: whether a caller has shown that it knows the secret.
    """

    secret: str
    at: float
    known: bool = False


class ClientSecrets:
    """Checks requests by the secret of their connection. For one event loop.

    :param look_up: returns the secret; blocks, with a slow secrets backend for long.
    :param clock: monotonic seconds.
    """

    def __init__(self, look_up: Callable[[str], str], clock: Callable[[], float] = time.monotonic) -> None:
        self._look_up = look_up
        self._clock = clock
        self._found: dict[str, _Found] = {}
        self._under_way: dict[str, asyncio.Task[_Found]] = {}
        self._strangers = 0

    async def check(self, conn_id: str, check: Callable[[str], None]) -> None:
        """Check a request by the secret on hand, else by one that is looked up.

        :param check: raises ``RequestNotAuthenticatedError`` for a secret that the caller does not know.
        :raises StoreBusyError: too many strangers wait for a look-up.
        """
        found = self._found.get(conn_id)
        age = self._clock() - found.at if found else KEEP
        if found and age < (KEEP if found.known else LOOK_AGAIN):
            try:
                check(found.secret)
            except RequestNotAuthenticatedError:
                if age < LOOK_AGAIN:
                    raise
            else:
                found.known = True
                return
        found = await self._looked_up(conn_id, known=found is not None and found.known)
        check(found.secret)
        found.known = True

    async def _looked_up(self, conn_id: str, *, known: bool) -> _Found:
        """Look a secret up, once for all that ask meanwhile."""
        task = self._under_way.get(conn_id)
        if task is None:
            if not known and self._strangers >= MOST_WAITING:
                raise StoreBusyError("Too many requests of unknown callers wait for a secrets backend.")
            self._strangers += not known
            task = asyncio.create_task(self._work(conn_id, known=known))
            self._under_way[conn_id] = task
            task.add_done_callback(lambda _: self._end(conn_id, known=known))
        return await asyncio.shield(task)

    def _end(self, conn_id: str, *, known: bool) -> None:
        del self._under_way[conn_id]
        self._strangers -= not known

    async def _work(self, conn_id: str, *, known: bool) -> _Found:
        in_thread = in_known_lookup_thread if known else in_lookup_thread
        secret = await in_thread(self._look_up, conn_id)
        self._found.pop(conn_id, None)
        while len(self._found) >= MOST_KEPT:
            # The one that was looked up first.
            del self._found[next(iter(self._found))]
        found = self._found[conn_id] = _Found(secret, self._clock(), known=False)
        return found
