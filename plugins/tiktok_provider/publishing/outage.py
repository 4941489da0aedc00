"""Outages of TikTok, the network or the API server: a task waits for their end away from its worker."""

import random
from collections.abc import Callable
from datetime import datetime

from airflow.sdk.configuration import conf

from tiktok_provider.exceptions import (
    RateLimitedError,
    Retry,
    ServiceError,
    TikTokError,
    UnexpectedAnswerError,
    UnreachableError,
)
from tiktok_provider.publishing.deferral import DeferTask
from tiktok_provider.store.clock import utc_now
from tiktok_provider.store.errors import StoreBusyError, StoreVersionError
from tiktok_provider.store.serialization import StoreAnswerError

# Seconds from one try to the next: as long as the outage has lasted by then.
SHORTEST_PAUSE, LONGEST_PAUSE = 30.0, 300.0
DEFAULT_PATIENCE = 7200

_OUTAGES = (
    RateLimitedError,
    ServiceError,
    StoreAnswerError,
    StoreBusyError,
    StoreVersionError,
    UnexpectedAnswerError,
    UnreachableError,
)


class Outage:
    """How long a task has met nothing but faults that pass.

    :param since: when the first of them was, in ISO format; None: there is no outage.
    :param now: gives the time, in UTC.
    """

    def __init__(self, since: str | None = None, now: Callable[[], datetime] = utc_now) -> None:
        self.since = since
        self._now = now

    def pause(self, error: TikTokError) -> DeferTask:
        """Return how long a task waits before it tries again.

        :raises TikTokError: the error itself, if it is no fault that passes, or the outage has lasted for longer
            than ``[tiktok] outage_patience``: then the try fails.
        """
        now = self._now()
        begun = datetime.fromisoformat(self.since) if self.since else now
        lasted = (now - begun).total_seconds()
        left = conf.getint("tiktok", "outage_patience", fallback=DEFAULT_PATIENCE) - lasted
        if not is_outage(error) or left <= 0:
            raise error
        self.since = begun.isoformat()
        grown = min(max(lasted, SHORTEST_PAUSE), LONGEST_PAUSE) * random.uniform(1.0, 1.1)
        # However long TikTok wants to be left alone, the last try is at the end of the patience.
        seconds = min(max(grown, error.retry_after or 0.0), max(left, SHORTEST_PAUSE))
        said = str(error).splitlines()[0]
        return DeferTask(seconds, f"there is an outage since {begun:%H:%M} UTC ({said})")

    def end(self) -> None:
        """Note that something has worked."""
        self.since = None


def is_outage(error: TikTokError) -> bool:
    """Whether it passes with TikTok, the network or the API server, and not with anything that a person mends."""
    return isinstance(error, _OUTAGES) and error.retry in (Retry.BACKOFF, Retry.NEXT_MINUTE)
