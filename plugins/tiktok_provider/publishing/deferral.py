"""A try that cannot go on now says when the next one can, so that no worker waits."""

from datetime import datetime


class DeferTask(Exception):  # noqa: N818  (it is no error)
    """Not an error: the task is to leave its worker and to be started again.

    :param seconds: from now.
    :param reason: a clause for the task's log.
    """

    def __init__(self, seconds: float, reason: str) -> None:
        self.seconds = max(seconds, 0.0)
        self.reason = reason
        super().__init__(f"{reason}, for {self.seconds:.0f} s")


def shown(moment: datetime | None) -> str:
    """Return a time for people."""
    return moment.strftime("%Y-%m-%d %H:%M UTC") if moment else "an unknown time"
