"""A try that cannot go on now says when the next one can, so that no worker waits."""

from datetime import datetime, timedelta

from tiktok_provider.store.clock import utc_now
from tiktok_provider.store.rate_limits import ClosedBy


class DeferTask(Exception):  # noqa: N818  (it is no error)
    """Not an error: the task is to leave its worker and to be started again.

    :param seconds: from now.
    :param reason: a clause for the task's log.
    :param cap: what has closed the account, if that is the reason: a person may reopen it before the time is over.
    """

    def __init__(self, seconds: float, reason: str, *, cap: ClosedBy | None = None) -> None:
        self.seconds = max(seconds, 0.0)
        self.reason = reason
        self.cap = cap
        super().__init__(self.sentence(utc_now()))

    def sentence(self, now: datetime) -> str:
        """Return what the task's log says: first until when, for that is all that some readers see of it."""
        return f"Until {moment_in(self.seconds, now)}: {self.reason}."


def waiting_sentence(publish_id: str, seconds: float) -> str:
    """Return what the log says of a task that leaves its worker to wait for TikTok."""
    return f"Until {moment_in(seconds, utc_now())} at the latest: waiting for TikTok, {publish_id}."


def moment_in(seconds: float, now: datetime) -> str:
    """Return a moment for people, with the time until then: ``20:45 UTC (23 h 42 min)``."""
    moment = now + timedelta(seconds=seconds)
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 2:
        return f"{moment:%H:%M:%S} UTC ({round(seconds)} s)"
    hours, minutes = divmod(minutes + (rest >= 30), 60)
    length = f"{hours} h {minutes} min" if hours else f"{minutes} min"
    return f"{moment:%H:%M} UTC ({length})"
