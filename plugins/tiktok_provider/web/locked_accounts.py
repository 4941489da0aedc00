"""Accounts whose rows another transaction has locked: their callers are refused at once for a moment."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tiktok_provider.store.errors import StoreLockedError

# Seconds for which an account's callers are refused after one of them has waited for its row in vain. Without this,
# many callers of one account, which repeat, would take all time of the thread in which all accounts are served.
REFUSE_FOR = 2.0


class LockedAccounts:
    """Remembers which accounts were locked lately.

    :param clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    @contextmanager
    def watch(self, conn_id: str) -> Iterator[None]:
        """Do something for an account, unless it is known to be locked.

        :raises StoreLockedError: it is locked, or was a moment ago.
        """
        now = self._clock()
        self._until = {locked: until for locked, until in self._until.items() if until > now}
        if conn_id in self._until:
            raise StoreLockedError("The account's rows were locked by another transaction a moment ago.")
        try:
            yield
        except StoreLockedError:
            self._until[conn_id] = self._clock() + REFUSE_FOR
            raise
