"""The sandbox's time: the real clock plus an offset, which can be frozen and moved forward."""

import time


class Clock:
    """Seconds since the epoch. While frozen, time moves by `advance` alone."""

    def __init__(self) -> None:
        self._offset = 0.0
        self._frozen_at: float | None = None

    @property
    def frozen(self) -> bool:
        return self._frozen_at is not None

    def now(self) -> float:
        return time.time() + self._offset if self._frozen_at is None else self._frozen_at

    def advance(self, seconds: float) -> None:
        """Move forward by `seconds` (0 or more). Time never runs backwards: tokens and windows rely on it."""
        if seconds < 0:
            raise ValueError("The clock cannot be turned back")
        self._offset += seconds
        if self._frozen_at is not None:
            self._frozen_at += seconds

    def freeze(self) -> None:
        self._frozen_at = self.now()

    def unfreeze(self) -> None:
        """Let time run on from where it stood."""
        if self._frozen_at is not None:
            self._offset = self._frozen_at - time.time()
            self._frozen_at = None
