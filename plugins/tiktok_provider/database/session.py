"""The store's tables in Airflow's metadata database: their migrations, and short transactions on them."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from airflow.models.log import Log
from airflow.utils.db_manager import BaseDBManager
from airflow.utils.session import create_session
from sqlalchemy import inspect
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import StaleDataError

from tiktok_provider.database import clock
from tiktok_provider.database.tables import Base
from tiktok_provider.store.errors import ConflictError, StoreBusyError, StoreLockedError, tables_missing

T = TypeVar("T")

_MIGRATIONS = Path(__file__).parent / "migrations"
# What SQLite, PostgreSQL and MySQL say of a disk that is full, and of rows that another transaction has locked.
_FULL = re.compile(r"disk is full|No space left|DiskFull|table .* is full", re.IGNORECASE)
_SQLITE_LOCKED = re.compile(r"database (table )?is locked", re.IGNORECASE)
_LOCKED = re.compile(r"lock timeout|statement timeout|deadlock|Lock wait timeout", re.IGNORECASE)
# A change fails only when another one succeeds, and leases make simultaneous changes rare.
_MAX_TRIES = 10


class TikTokDBManager(BaseDBManager):
    """Lets ``airflow db migrate`` create and upgrade the store's tables."""

    metadata = Base.metadata
    version_table_name = "alembic_version_tiktok"
    migration_dir = _MIGRATIONS.as_posix()
    alembic_file = (_MIGRATIONS / "alembic.ini").as_posix()
    supports_table_dropping = True

    def downgrade(
        self, to_revision: str, from_revision: str | None = None, show_sql_only: bool = False
    ) -> None:
        """Undo migrations, for ``airflow db-manager downgrade``.

        :param to_revision: ``base`` drops the tables, and all records with them.
        :param from_revision: for ``show_sql_only``, which prints the statements instead of running them.
        """
        from alembic import command

        config = self.get_alembic_config()  # type: ignore[no-untyped-call]
        revision = f"{from_revision}:{to_revision}" if from_revision else to_revision
        command.downgrade(config, revision=revision, sql=show_sql_only)


# Airflow's base class is untyped.
_MANAGER: type[BaseDBManager] = TikTokDBManager


@contextmanager
def transaction() -> Iterator[Session]:
    """Open a transaction; it ends with the block. No network call may happen within.

    It waits half a second at most for what another transaction has locked, on PostgreSQL; on SQLite and MySQL as
    long as Airflow's configuration says.

    :raises StoreNotReadyError: the tables are missing or of another version.
    :raises ConflictError: another process changed or inserted the same row first.
    :raises StoreLockedError: another transaction has locked for too long what this one needs.
    :raises StoreBusyError: the database is locked, full or away.
    """
    try:
        with create_session(scoped=False) as session:
            clock.begin(session)
            yield session
    except StaleDataError:
        raise ConflictError("Another process changed the account at the same time.") from None
    except (DBAPIError, PoolTimeoutError) as error:
        raise _translated(error) from None


def change(step: Callable[[Session], T]) -> T:
    """Run a step in a transaction, again from the start each time that another process was faster.

    :param step: reads, decides and writes; it must not act on anything but the session.
    :raises StoreBusyError: other processes were faster ten times, or the database is away.
    """
    for tries_left in reversed(range(_MAX_TRIES)):
        try:
            with transaction() as session:
                return step(session)
        except ConflictError:
            if not tries_left:
                raise
    raise AssertionError("unreachable")


def audit(session: Session, event: str, *, actor: str, **facts: str | int | None) -> None:
    """Add an entry to Airflow's audit log, in the same transaction as the change that it reports.

    :param event: ``tiktok_...``, at most 60 characters.
    :param actor: who did it.
    :param facts: never a secret.
    """
    extra = json.dumps({name: value for name, value in facts.items() if value is not None})
    session.add(Log(event=event, owner=actor, owner_display_name=actor, extra=extra))


def _translated(error: DBAPIError | PoolTimeoutError) -> Exception:
    """Return the error that a failure of the database means; the database's own text repeats parameters."""
    if isinstance(error, IntegrityError):
        return ConflictError("Another process inserted the same row at the same time.")
    if not _migrated():
        return tables_missing()
    if isinstance(error, OperationalError | PoolTimeoutError):
        return _busy(error)
    error.hide_parameters = True
    return error


def _busy(error: OperationalError | PoolTimeoutError) -> StoreBusyError:
    said = str(error.orig) if isinstance(error, OperationalError) else ""
    if _FULL.search(said):
        return StoreBusyError("The disk of Airflow's metadata database is full.")
    if _SQLITE_LOCKED.search(said):
        # SQLite locks the whole database, whichever account it is about.
        return StoreBusyError("Airflow's metadata database is locked.")
    if _LOCKED.search(said):
        return StoreLockedError("A row of Airflow's metadata database is locked by another transaction.")
    return StoreBusyError(f"Airflow's metadata database is away ({type(error).__name__}).")


def _migrated() -> bool:
    """Whether all tables are there, in the version of this package; True if the database cannot tell."""
    try:
        with create_session(scoped=False) as session:
            manager: BaseDBManager = _MANAGER(session)
            inspector = inspect(session.get_bind())
            tables = Base.metadata.tables.values()
            return manager.check_migration() and all(
                inspector.has_table(table.name, schema=table.schema) for table in tables
            )
    except SQLAlchemyError:
        return True
