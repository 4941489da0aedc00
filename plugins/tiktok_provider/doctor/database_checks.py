"""Checks where Airflow's database is at hand: on the command line and in ``dag.test()``, not in workers."""

from collections.abc import Sequence

from airflow.jobs.job import Job, JobState
from airflow.models.crypto import get_fernet
from airflow.sdk.exceptions import AirflowException
from airflow.utils.db_manager import BaseDBManager
from sqlalchemy import select

from tiktok_provider.database.accounts.connections import undecryptable_conn_ids
from tiktok_provider.database.clock import database_now
from tiktok_provider.database.session import TikTokDBManager, transaction
from tiktok_provider.database.tables import Base
from tiktok_provider.doctor.checks import Check, CheckWarningError
from tiktok_provider.exceptions import ConnectionSettingsError
from tiktok_provider.store.clock import utc_now
from tiktok_provider.store.errors import StoreBusyError, StoreNotReadyError, tables_missing

# What is sent to TikTok bears no time; but a request to the store is refused if its time is too far off.
MOST_SECONDS_APART = 5.0


class TriggererDownError(ConnectionSettingsError):
    """No triggerer is running."""


def tables(_: None) -> str:
    """Are the store's tables there, in the version of this package?"""
    with transaction() as session:
        manager: BaseDBManager = TikTokDBManager(session)  # type: ignore[no-untyped-call]
        if not manager.check_migration():
            raise tables_missing()
        for table in Base.metadata.sorted_tables:
            session.execute(select(table).limit(1))
    return "The store's tables are there."


def fernet_key(_: None) -> str:
    """Will tokens be encrypted, and does the key open what is there?"""
    try:
        is_encrypted = get_fernet().is_encrypted
    except AirflowException:
        raise ConnectionSettingsError(
            "[core] fernet_key is no Fernet key: set the one that the other components have."
        ) from None
    if not is_encrypted:
        raise ConnectionSettingsError(
            "[core] fernet_key is empty, so tokens would be stored unencrypted.\n"
            "Set one, the same for every component."
        )
    if undecryptable := _undecryptable():
        raise CheckWarningError(
            f"Another Fernet key has encrypted connections.\nThey are {', '.join(undecryptable)}: add that key to"
            " [core] fernet_key of every"
            " component, behind a comma, or delete these connections and connect the accounts again."
        )
    return "Connections are encrypted."


def _undecryptable() -> Sequence[str]:
    try:
        with transaction() as session:
            return undecryptable_conn_ids(session)
    except (StoreBusyError, StoreNotReadyError):
        # The check of the tables reports it.
        return ()


def triggerer(_: None) -> str:
    """Is a triggerer alive? Posts wait there."""
    with transaction() as session:
        running = session.scalars(
            select(Job).where(Job.job_type == "TriggererJob", Job.state == JobState.RUNNING)
        )
        alive = sorted(str(job.hostname) for job in running if job.is_alive())
    if not alive:
        raise TriggererDownError(
            "No triggerer is alive, so posts would wait without end.\nStart one: airflow triggerer"
        )
    return f"Alive on {', '.join(alive)}."


def clocks(_: None) -> str:
    """Does this machine's clock agree with the database's, by which leases and rate limits are judged?"""
    with transaction():
        ahead = (utc_now() - database_now()).total_seconds()
    if abs(ahead) > MOST_SECONDS_APART:
        raise CheckWarningError(
            f"This machine's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the database's.\n"
            "Let NTP set the clocks of all machines on which Airflow runs."
        )
    return "This machine's clock agrees with the database's."


CLOCKS = Check("clocks", clocks, needs=("tables",))
TABLES = Check("tables", tables)
FERNET_KEY = Check("Fernet key", fernet_key)
TRIGGERER = Check("triggerer", triggerer)
