"""Tell a person on a terminal, or in a log, which step is under way, how far it is and how it ended."""

import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.status import Status

# A log file is not read while it grows: a line every so many seconds will do.
QUIET_SECONDS = 2.0


class StepError(Exception):
    """A step did not succeed.

    :param step: its name.
    :param reason: what went wrong, for a person.
    :param log: the file that tells more.
    """

    def __init__(self, step: str, reason: str, log: Path) -> None:
        super().__init__(f"{step}: {reason}")
        self.step, self.reason, self.log = step, reason, log


class Narrator:
    """Shows steps: a spinner with changing words on a terminal, plain lines elsewhere.

    :param console: where to.
    :param log: file for the tracebacks of failed steps.
    """

    def __init__(self, console: Console, log: Path) -> None:
        self._console = console
        self._log = log
        self._status: Status | None = None
        self._step = ""
        self._detail = ""
        self._told = 0.0

    @contextmanager
    def step(self, name: str, log: Path | None = None) -> Iterator[None]:
        """Announce the step, and turn its failure into a `StepError` that names `log` or our own."""
        started = time.monotonic()
        self._step, self._detail, self._told = name, "", -QUIET_SECONDS
        try:
            with self._spinner(name):
                yield
        except StepError:
            raise
        except Exception as error:
            with self._log.open("a") as file:
                file.write(f"{name}\n{''.join(traceback.format_exception(error))}\n")
            raise StepError(name, str(error) or type(error).__name__, log or self._log) from error
        self.say(f"{name}: done in {time.monotonic() - started:.1f} s")

    def update(self, detail: str) -> None:
        """Say how far the present step is; may be called often."""
        now = time.monotonic()
        if self._status:
            self._status.update(escape(f"{self._step}: {detail}"))
        elif detail != self._detail and now - self._told >= QUIET_SECONDS:
            self.say(f"  {detail}")
            self._detail, self._told = detail, now

    def say(self, words: str) -> None:
        """Print a line as it is."""
        self._console.print(words, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def _spinner(self, name: str) -> Iterator[None]:
        if not self._console.is_terminal:
            self.say(f"{name} ...")
            yield
            return
        with self._console.status(escape(name)) as self._status:
            try:
                yield
            finally:
                self._status = None
