"""What a person must hear at once. It is logged, but Airflow's commands drop all that is logged."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)

# Of the whole process: the store works in threads of its own, which the context of a command does not reach.
_listeners: list[Callable[[str], None]] = []


@contextmanager
def heard_by(listener: Callable[[str], None]) -> Iterator[None]:
    """Let somebody hear the warnings of this block, instead of the log."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def warn(text: str) -> None:
    """Tell a person something that cannot wait. Never a secret."""
    for listener in _listeners or [log.warning]:
        listener(text)
