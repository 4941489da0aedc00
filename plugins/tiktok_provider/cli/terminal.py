"""How commands print: data to standard output, all else to standard error.

What they print may be TikTok's words, or a stranger's, so nothing leaves here that steers a terminal. JSON and YAML
escape it themselves.
"""

import functools
import os
import sys
from argparse import Namespace
from asyncio import run
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from airflow.cli.simple_table import AirflowConsole
from airflow.utils.cli import action_cli, suppress_logs_and_warning
from airflow.utils.providers_configuration_loader import providers_configuration_loaded
from rich.markup import escape

from tiktok_provider.database.accounts.service import report_warning
from tiktok_provider.exceptions import TikTokError
from tiktok_provider.plain_text import one_line, plain_text

T = TypeVar("T")
Command = Callable[[Namespace], None]


def command(*, check_db: bool = True) -> Callable[[Command], Command]:
    """Make a function a command of Airflow's: written to the audit log, quiet, with errors as sentences.

    :param check_db: refuse to start if Airflow's database is not migrated.
    """

    def decorate(function: Command) -> Command:
        @functools.wraps(function)
        def explained(args: Namespace) -> None:
            # As in Airflow's own commands: Connections are read from the database too.
            os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
            warnings = report_warning.set(report)
            try:
                function(args)
            except TikTokError as error:
                raise SystemExit(plain_text(str(error))) from None
            finally:
                report_warning.reset(warnings)

        quiet = suppress_logs_and_warning(providers_configuration_loaded(explained))
        decorated: Command = action_cli(check_db=check_db)(quiet)
        return decorated

    return decorate


def report(text: str) -> None:
    """Print a sentence for the person at the terminal."""
    sys.stderr.write(f"{plain_text(text)}\n")
    sys.stderr.flush()


def print_rows(rows: Sequence[Mapping[str, object]], output: str) -> None:
    """Print data.

    :param output: ``table``, ``plain`` for people; ``json``, ``yaml`` for programs, in which numbers, booleans and
        what is not known keep their types.
    """
    console = AirflowConsole()
    if output in ("json", "yaml"):
        printing = console.print_as_json if output == "json" else console.print_as_yaml
        data: Any = [{name: _plain(value) for name, value in row.items()} for row in rows]
        printing(data)
    else:
        console.print_as([_shown(row, output) for row in rows], output)


def finish(work: Coroutine[Any, Any, T]) -> T:
    """Run work to its end even if Ctrl-C is pressed meanwhile: what TikTok answers must not be lost."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(copy_context().run, run, work).result()


def _shown(row: Mapping[str, object], output: str) -> dict[str, object]:
    texts = {name: _text(_plain(value)) for name, value in row.items()}
    if output == "table":
        # Rich would take "[tiktok]" for markup.
        return {name: escape(plain_text(text)) for name, text in texts.items()}
    # One line for each row, so that programs can count them.
    return {name: one_line(text) for name, text in texts.items()}


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, StrEnum):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _text(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "" if value is None else str(value)
