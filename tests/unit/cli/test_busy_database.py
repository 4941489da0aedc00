"""A database that is away for a moment while TikTok's answer is in hand: the set is kept, and the person is told."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from airflow import settings
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from tests.unit.cli.conftest import Person, Terminal, stored
from tests.unit.conftest import CONN_ID, Creator
from tiktok_provider.database.accounts import service as accounts

WARNING = "Do not end this process"
ALWAYS = 1000

Away = Callable[[str, int], None]


@pytest.fixture
def away(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> Iterator[Away]:  # noqa: ARG001
    """Let statements that contain a text find the database locked, so many times; waiting takes no time."""
    monkeypatch.setattr(accounts, "_LONGEST_PAUSE", 0.0)
    engine = settings.get_engine()
    left: dict[str, int] = {}

    def lock(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        for part, times in left.items():
            if times and part in statement:
                left[part] = times - 1
                raise OperationalError(statement, {}, Exception("database is locked"))

    event.listen(engine, "before_cursor_execute", lock)
    yield left.__setitem__
    event.remove(engine, "before_cursor_execute", lock)


@pytest.mark.parametrize("statement", ["INSERT INTO connection", "INSERT INTO tiktok_account"])
def test_a_new_consent_is_kept_once_the_database_is_back(
    terminal: Terminal, person: Person, new: list[str], away: Away, statement: str
) -> None:
    away(statement, 2)
    done = terminal.run(*new)
    assert (done.code, done.rows[0]["username"], len(person.pages)) == (0, "mia", 1)
    assert None not in (stored("tiktok_mia"), stored("tiktok_mia.tokens"))
    assert done.said.count(WARNING) == 2


def test_a_consent_is_kept_too_if_the_connection_cannot_be_read_for_a_moment(
    terminal: Terminal, person: Person, new: list[str], away: Away, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = terminal.run(*new).rows[0]["generation"]
    follow = person.redirect

    def locked_meanwhile(page: str) -> str:
        away("FROM connection", 2)
        return follow(page)

    monkeypatch.setattr(person, "redirect", locked_meanwhile)
    again = terminal.run("connect", "tiktok_mia")
    assert (again.code, again.rows[0]["generation"]) == (0, first + 1)


def test_a_database_that_stays_away_leaves_no_connection_without_tokens(
    terminal: Terminal, person: Person, new: list[str], away: Away, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "PATIENCE_TO_WRITE", 0.0)
    away("INSERT INTO tiktok_account", ALWAYS)
    done = terminal.run(*new)
    assert (done.code, "is locked" in done.said, len(person.pages)) == (1, True, 1)
    assert (stored("tiktok_mia"), stored("tiktok_mia.tokens")) == (None, None)


def test_a_refresh_that_waits_for_the_database_says_what_would_be_lost(
    creator: Creator, terminal: Terminal, away: Away
) -> None:
    terminal.run("refresh", CONN_ID)
    away("UPDATE connection", 3)
    done = terminal.run("refresh", CONN_ID)
    assert (done.code, done.rows[0]["generation"], done.said.count(WARNING)) == (0, 3, 3)
    assert creator.open_id


def test_the_doctor_says_so_too_where_it_refreshes(creator: Creator, terminal: Terminal, away: Away) -> None:
    terminal.run("refresh", CONN_ID)
    creator.sandbox.add_fault("revoke_token", path="/v2/post/publish/creator_info/query/")
    away("UPDATE connection", 1)
    done = terminal.run("doctor", CONN_ID)
    assert next(row["result"] for row in done.rows if row["check"] == "token works") == "ok"
    assert done.said.count(WARNING) == 1
