"""What the database itself refuses, and what the audit log records."""

import json
from datetime import UTC, datetime

import pytest
from airflow.models.log import Log
from sqlalchemy import select
from sqlalchemy.orm import Session

from tiktok_provider.database.session import audit, change, transaction
from tiktok_provider.database.tables import AccountRecord, NonceRecord
from tiktok_provider.store.errors import ConflictError

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)

pytestmark = pytest.mark.usefixtures("database")


def test_a_nonce_is_taken_once() -> None:
    with transaction() as session:
        session.add(NonceRecord(nonce="n1", seen_at=NOW))
    with pytest.raises(ConflictError), transaction() as session:
        session.add(NonceRecord(nonce="n1", seen_at=NOW))


def overtaken_change() -> None:
    """Change a row that another transaction has changed since it was read."""
    with transaction() as slow:
        seen = slow.get_one(AccountRecord, "mia")
        with transaction() as fast:
            fast.get_one(AccountRecord, "mia").lease_holder = "fast"
        seen.lease_holder = "slow"


def test_of_two_changes_of_one_version_the_second_is_refused() -> None:
    with transaction() as session:
        session.add(AccountRecord(conn_id="mia"))
    with pytest.raises(ConflictError):
        overtaken_change()
    with transaction() as session:
        assert session.get_one(AccountRecord, "mia").lease_holder == "fast"


def test_a_refused_change_is_decided_again() -> None:
    with transaction() as session:
        session.add(AccountRecord(conn_id="mia", generation=1))
    rivals = iter(range(3))

    def grow(session: Session) -> int:
        account = session.get_one(AccountRecord, "mia")
        if next(rivals, None) is not None:
            with transaction() as rival:
                rival.get_one(AccountRecord, "mia").generation += 10
        account.generation += 1
        return account.generation

    assert change(grow) == 32


def test_a_change_that_always_loses_gives_up() -> None:
    tries = []

    def lose(session: Session) -> None:
        tries.append(session)
        raise ConflictError("always")

    with pytest.raises(ConflictError):
        change(lose)
    assert len(tries) == 10


def test_an_error_of_the_database_repeats_no_parameter() -> None:
    def insert(session: Session) -> None:
        session.add(AccountRecord(conn_id="mia", scope="planted-secret"))

    change(insert)
    with pytest.raises(ConflictError) as caught:
        change(insert)
    assert "planted-secret" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_the_audit_log_records_who_did_what() -> None:
    with transaction() as session:
        audit(session, "tiktok_connect", actor="anna", conn_id="mia", generation=3, detail=None)
    with transaction() as session:
        entry = session.scalars(select(Log)).one()
        assert (entry.event, entry.owner) == ("tiktok_connect", "anna")
        assert json.loads(entry.extra or "") == {"conn_id": "mia", "generation": 3}
