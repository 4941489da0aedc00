"""The store's tables: how they come to be, and what happens where they are missing."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from airflow import settings
from airflow.providers_manager import ProvidersManager
from airflow.utils.db_manager import BaseDBManager, RunDBManager
from airflow.utils.session import create_session
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, create_engine, inspect, text
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import Session
from sqlalchemy.schema import CreateTable

from tiktok_provider.database.session import TikTokDBManager, transaction
from tiktok_provider.database.tables import AccountRecord, Base, NonceRecord
from tiktok_provider.store.errors import StoreBusyError, StoreNotReadyError

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
Migrate = Callable[..., None]


@pytest.fixture
def empty_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """A database without a table, which Airflow uses for the length of a test."""
    url = f"sqlite:///{tmp_path}/empty.db"
    engine = create_engine(url)
    monkeypatch.setattr(settings, "SQL_ALCHEMY_CONN", url)
    monkeypatch.setattr(settings, "engine", engine)
    monkeypatch.setattr(settings, "NonScopedSession", lambda: Session(engine))
    yield engine
    engine.dispose()


def manager(session: Session) -> BaseDBManager:
    untyped: type[BaseDBManager] = TikTokDBManager
    return untyped(session)


def differences(engine: Engine) -> list[object]:
    """What alembic would write into a new revision."""
    ours = {table.name for table in Base.metadata.tables.values()}
    options = {
        "include_name": lambda name, kind, _: kind != "table" or name in ours,
        "compare_type": True,
        "compare_server_default": True,
    }
    with engine.connect() as connection:
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata))


def test_airflow_finds_the_manager_in_the_provider_info() -> None:
    assert "tiktok_provider.database.session.TikTokDBManager" in ProvidersManager().db_managers


def test_airflow_accepts_the_manager() -> None:
    RunDBManager._validate(TikTokDBManager)  # type: ignore[arg-type]  # Airflow's annotation lacks type[]


def test_airflow_db_migrate_makes_the_tables(database: str) -> None:  # noqa: ARG001
    with create_session(scoped=False) as session:
        assert manager(session).check_migration()
    assert differences(settings.get_engine()) == []


def test_the_migrations_make_what_the_models_say(empty_engine: Engine) -> None:
    with Session(empty_engine) as session:
        manager(session).upgradedb(use_migration_files=True)
    assert differences(empty_engine) == []


def test_an_upgrade_keeps_the_accounts(empty_engine: Engine) -> None:
    with Session(empty_engine) as session:
        manager(session).upgradedb()
    with transaction() as session:
        session.add(AccountRecord(conn_id="mia", generation=7, open_id="o1", refresh_expires_at=NOW))
    with Session(empty_engine) as session:
        manager(session).upgradedb()
    with transaction() as session:
        session.add(NonceRecord(nonce="n1", seen_at=NOW))
        account = session.get_one(AccountRecord, "mia")
        assert (account.generation, account.open_id, account.refresh_expires_at) == (7, "o1", NOW)


def test_missing_tables_are_reported_with_the_command_that_makes_them(empty_engine: Engine) -> None:  # noqa: ARG001
    with pytest.raises(StoreNotReadyError, match="airflow db migrate"), transaction() as session:
        session.get(AccountRecord, "mia")


def test_an_older_version_of_the_tables_is_reported_the_same_way(empty_engine: Engine) -> None:
    with Session(empty_engine) as session:
        manager(session).upgradedb()
    with empty_engine.begin() as connection:
        connection.execute(text("DROP TABLE tiktok_nonce"))
        connection.execute(text("UPDATE alembic_version_tiktok SET version_num = '0000'"))
    with pytest.raises(StoreNotReadyError, match="airflow db migrate"), transaction() as session:
        session.get(NonceRecord, "n1")


def test_a_locked_database_is_busy_and_not_missing(
    empty_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Session(empty_engine) as session:
        manager(session).upgradedb()
    impatient = create_engine(empty_engine.url, connect_args={"timeout": 0})
    monkeypatch.setattr(settings, "NonScopedSession", lambda: Session(impatient))
    with empty_engine.connect() as holder:
        holder.execute(text("BEGIN EXCLUSIVE"))
        with pytest.raises(StoreBusyError, match="locked"), transaction() as session:
            session.add(NonceRecord(nonce="n1", seen_at=NOW))
    impatient.dispose()


def test_a_downgrade_drops_our_tables_and_an_upgrade_makes_them_again(empty_engine: Engine) -> None:
    with empty_engine.begin() as connection:
        connection.execute(text("CREATE TABLE slot_pool (id INTEGER)"))
    with Session(empty_engine) as session:
        manager(session).upgradedb(use_migration_files=True)
    with Session(empty_engine) as session:
        manager(session).downgrade(to_revision="base")
    assert set(inspect(empty_engine).get_table_names()) == {"slot_pool", "alembic_version_tiktok"}
    with Session(empty_engine) as session:
        manager(session).upgradedb(use_migration_files=True)
    assert differences(empty_engine) == []


def test_the_tables_can_be_dropped_with_airflows_own(empty_engine: Engine) -> None:
    with Session(empty_engine) as session:
        manager(session).upgradedb()
    with Session(empty_engine) as session, empty_engine.begin() as connection:
        manager(session).drop_tables(connection)
    assert inspect(empty_engine).get_table_names() == []


@pytest.mark.parametrize("table", Base.metadata.sorted_tables, ids=str)
def test_mysql_understands_the_tables(table: object) -> None:
    statement = str(CreateTable(table).compile(dialect=mysql.dialect()))  # type: ignore[arg-type]
    assert "TIMESTAMP(6)" in statement


IDENTITIES = {
    "tiktok_account": {"conn_id", "open_id"},
    "tiktok_nonce": {"nonce"},
    "tiktok_post": {
        "conn_id",
        "post_key",
        "task",
        "try_id",
        "open_id",
        "fingerprint",
        "location",
        "publish_id",
    },
    "tiktok_attempt": {"intent_id", "publish_id"},
    "tiktok_rate_limit": {"conn_id"},
    "tiktok_account_closure": {"conn_id"},
}


@pytest.mark.parametrize("name", IDENTITIES)
def test_on_mysql_what_a_thing_is_known_by_differs_by_case_too(name: str) -> None:
    [table] = [table for table in Base.metadata.sorted_tables if table.name == name]
    lines = str(CreateTable(table).compile(dialect=mysql.dialect())).splitlines()
    binary = {line.split()[0] for line in lines if "COLLATE utf8mb4_bin" in line}
    assert binary == IDENTITIES[name]
