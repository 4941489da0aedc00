"""What TikTok would refuse, said so that the reader can mend it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Violation:
    """One thing that TikTok would refuse.

    :param field: what was looked at, e.g. ``video codec``.
    :param value: what was found, with its unit.
    :param limit: what is allowed.
    :param advice: what to do about it.
    """

    field: str
    value: str
    limit: str
    advice: str

    def __str__(self) -> str:
        return f"{self.field} is {self.value}, allowed: {self.limit}\n  ({self.advice})"
