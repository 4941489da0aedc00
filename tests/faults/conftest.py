"""The databases and Mia of the store's tests; and tables, which are printed at the end of a run."""

from collections.abc import Callable, Sequence

import pytest

from tests.unit.databases import database, expired, mia, migrated_database

__all__ = ["database", "expired", "mia", "migrated_database"]

Row = Sequence[object]
_TABLES = pytest.StashKey[dict[str, list[Row]]]()


@pytest.fixture
def note(pytestconfig: pytest.Config) -> Callable[..., None]:
    """Return a function that adds a row to a table: `note(title, *cells)`."""

    def note(title: str, *cells: object) -> None:
        pytestconfig.stash.setdefault(_TABLES, {}).setdefault(title, []).append(cells)

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the tables in Markdown."""
    for title, rows in config.stash.get(_TABLES, {}).items():
        terminalreporter.section(title)
        for row in rows:
            terminalreporter.write_line("| " + " | ".join(map(str, row)) + " |")
