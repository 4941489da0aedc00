"""What the store says when the database is locked, full or away, and whom that concerns."""

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from airflow import settings
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from tests.unit.database.posts.posting import KEY, wish
from tests.unit.databases import DATABASES, Mia
from tiktok_provider.database import session as sessions
from tiktok_provider.database.accounts.connections import read_stored_account
from tiktok_provider.database.posts import transitions
from tiktok_provider.database.posts.service import PostService
from tiktok_provider.database.services import Services
from tiktok_provider.exceptions import ConnectionUnreadableError
from tiktok_provider.store.clock import utc_now
from tiktok_provider.store.errors import StoreBusyError, StoreLockedError
from tiktok_provider.store.posts import Claimed
from tiktok_provider.store.requests import ClaimPost, GetPost
from tiktok_provider.web.locked_accounts import REFUSE_FOR, LockedAccounts

on_postgres = [
    pytest.mark.skipif("postgresql" not in DATABASES, reason="SQLite locks the whole database"),
    pytest.mark.parametrize("migrated_database", ["postgresql"], indirect=True),
]


@contextmanager
def locked_posts(url: str, post_key: str) -> Iterator[None]:
    """Hold the row of a post in a transaction of another session."""
    engine = create_engine(url)
    try:
        with engine.begin() as holder:
            holder.execute(
                text("SELECT id FROM tiktok_post WHERE post_key = :key FOR UPDATE"), {"key": post_key}
            )
            yield
    finally:
        engine.dispose()


class TestLocks:
    """On PostgreSQL."""

    pytestmark = on_postgres

    def test_a_locked_row_is_given_up_and_other_rows_are_served(
        self, mia: Mia, migrated_database: str
    ) -> None:
        assert mia
        store = PostService()
        asyncio.run(store.claim("mia", KEY, wish()))
        with locked_posts(migrated_database, KEY):
            with pytest.raises(StoreLockedError):
                asyncio.run(store.claim("mia", KEY, wish(2)))
            assert asyncio.run(store.claim("mia", "another", wish())).record.generation == 1
        assert asyncio.run(store.claim("mia", KEY, wish(2))).record.generation == 2

    def test_a_transaction_that_stands_still_is_ended_by_the_database(self, database: str) -> None:
        assert database
        with sessions.transaction() as session:
            limits = {
                name: session.scalar(text(f"SHOW {name}"))
                for name in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
            }
        assert limits == {
            "lock_timeout": "500ms",
            "statement_timeout": "10s",
            "idle_in_transaction_session_timeout": "30s",
        }
        with settings.get_engine().connect() as connection:
            assert connection.scalar(text("SHOW lock_timeout")) == "0", (
                "Airflow's own transactions are its own"
            )


def test_the_callers_of_an_account_that_is_locked_are_refused_for_a_moment() -> None:
    time = [100.0]
    locked = LockedAccounts(clock=lambda: time[0])
    with pytest.raises(StoreLockedError, match="row"), locked.watch("mia"):
        raise StoreLockedError("its row")
    with pytest.raises(StoreLockedError, match="a moment ago"), locked.watch("mia"):
        raise AssertionError("not to be done")
    with locked.watch("noah"):
        pass
    time[0] += REFUSE_FOR
    with locked.watch("mia"):
        pass


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Let each statement of the store fail in its driver."""

    def fail(*_: Any) -> None:
        raise OperationalError("INSERT", {}, error)

    monkeypatch.setattr("tiktok_provider.database.clock.begin", fail)


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (sqlite3.OperationalError("database or disk is full"), StoreBusyError, "disk .* is full"),
        (
            Exception('could not extend file "base/1": No space left on device'),
            StoreBusyError,
            "disk .* is full",
        ),
        (sqlite3.OperationalError("database is locked"), StoreBusyError, "is locked"),
        (sqlite3.OperationalError("database table is locked: tiktok_post"), StoreBusyError, "is locked"),
        (sqlite3.OperationalError("disk I/O error"), StoreBusyError, "is away"),
        (sqlite3.OperationalError("unable to open database file"), StoreBusyError, "is away"),
        (Exception("canceling statement due to lock timeout"), StoreLockedError, "row .* is locked"),
        (Exception("canceling statement due to statement timeout"), StoreLockedError, "row .* is locked"),
        (Exception("deadlock detected"), StoreLockedError, "row .* is locked"),
        (Exception("(1205, 'Lock wait timeout exceeded')"), StoreLockedError, "row .* is locked"),
        (Exception("server closed the connection unexpectedly"), StoreBusyError, "is away"),
    ],
    ids=str,
)
def test_the_database_is_said_to_be_what_it_is(
    database: str, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type[StoreBusyError], said: str
) -> None:
    assert database
    failing(monkeypatch, error)
    with pytest.raises(StoreBusyError, match=said) as busy, sessions.transaction():
        pass
    assert type(busy.value) is kind


def test_a_connection_cannot_be_called_undefined_while_the_database_is_away(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert database
    with pytest.raises(ConnectionUnreadableError, match="not defined"):
        read_stored_account("nobody", utc_now())
    failing(monkeypatch, Exception("server closed the connection unexpectedly"))
    with pytest.raises(StoreBusyError, match="is away"):
        read_stored_account("nobody", utc_now())


@pytest.mark.parametrize("migrated_database", ["sqlite"], indirect=True)
def test_a_question_does_not_queue_behind_a_write_that_waits_for_its_lock(
    mia: Mia, migrated_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert mia
    services = Services()
    asyncio.run(services.answer("mia", ClaimPost(KEY, wish())))
    writes, claim = threading.Event(), transitions.claim

    def claim_later(*arguments: Any) -> Claimed:
        writes.set()
        return claim(*arguments)

    monkeypatch.setattr(transitions, "claim", claim_later)
    engine = create_engine(migrated_database)
    with engine.connect() as holder:
        holder.execute(text("BEGIN IMMEDIATE"))

        async def ask_while_a_write_waits() -> bool:
            write = asyncio.create_task(services.answer("mia", ClaimPost(KEY, wish(2))))
            await asyncio.to_thread(writes.wait)
            record = await services.answer("mia", GetPost(KEY))
            waited = not write.done()
            holder.rollback()
            await write
            return waited and record is not None

        assert asyncio.run(ask_while_a_write_waits())
    engine.dispose()
