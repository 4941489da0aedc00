"""One real Airflow for the whole session, connected to a sandbox over HTTP."""

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from airflow_client import FinishedRun
from local_airflow import LocalAirflow
from own_database import own_postgres_database
from tests.integration.alone import connection_fields
from tests.unit.databases import DATABASES, POSTGRES
from tiktok_sandbox.client import Account, App, Sandbox
from tiktok_sandbox.server import running_sandbox

CHECKOUT = Path(__file__).resolve().parents[2]
DAG_FOLDERS = [CHECKOUT / "dags", Path(__file__).parent / "dags"]

# What an account has used of its rate limits is on record here.
RATE_LIMIT_TABLES = ("tiktok_rate_limit", "tiktok_account_closure")

RunDag = Callable[..., FinishedRun]
Connect = Callable[..., Account]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let what starts an Airflow of its own run before the shared one is there: two are much for two cores."""
    items.sort(key=lambda item: "airflow" in getattr(item, "fixturenames", ()) and not _has_its_own(item))


def _has_its_own(item: pytest.Item) -> bool:
    return "events_airflow" in getattr(item, "fixturenames", ()) or any(
        f"[{database}]" in item.name for database in DATABASES[:-1]
    )


@pytest.fixture(scope="session")
def sandbox_server() -> Iterator[Sandbox]:
    """Serve the sandbox of the whole session; its address is in Airflow's configuration."""
    with running_sandbox(port=0) as server, Sandbox(server.url) as client:
        yield client


@pytest.fixture
def sandbox(sandbox_server: Sandbox) -> Sandbox:
    """The sandbox without apps, accounts, posts or faults, all switches at default."""
    # Airflow goes on from test to test, so ids must not come twice.
    sandbox_server.reset(seed=secrets.randbits(31))
    return sandbox_server


@contextmanager
def real_airflow(
    home: Path,
    sandbox: Sandbox,
    database: str,
    *,
    scheduled: bool = False,
    dags: Sequence[Path] = DAG_FOLDERS,
) -> Iterator[LocalAirflow]:
    """A real Airflow, by default with the DAGs of dags/ and tests/integration/dags/.

    :param database: of ``DATABASES``.
    :param scheduled: whether DAGs run by their schedules, too, and not only when they are triggered.
    """
    config = {
        "scheduler": {"use_job_schedule": str(scheduled)},
        "tiktok": {"allowed_hosts": sandbox.url},
        # Everything is logged, so that a secret in a log would be seen.
        "logging": {"logging_level": "DEBUG", "namespace_levels": "httpx=DEBUG httpcore=DEBUG"},
    }
    folders = [folder for folder in dags if folder.is_dir()]
    with ExitStack() as cleanup:
        if database == "postgresql":
            url = cleanup.enter_context(own_postgres_database(os.environ[POSTGRES]))
            config["database"] = {"sql_alchemy_conn": url}
        yield cleanup.enter_context(LocalAirflow(home, folders, config, port=0))


@pytest.fixture(scope="session")
def airflow(sandbox_server: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAirflow]:
    """A real Airflow, on PostgreSQL where there is a server: on SQLite its own parts lock each other out at times."""
    with real_airflow(tmp_path_factory.mktemp("airflow"), sandbox_server, DATABASES[-1]) as airflow:
        yield airflow


def forget_calls(airflow: LocalAirflow, connection_id: str) -> None:
    """Give an account all calls of its rate limits back: the sandbox has been reset, and knows of no earlier call."""
    # The URL says how long to wait for a lock: in full, as the transaction begins with a write and not with a read.
    engine = create_engine(airflow.env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    with engine.begin() as database:
        for table in RATE_LIMIT_TABLES:
            database.execute(
                text(f"DELETE FROM {table} WHERE conn_id = :conn_id"), {"conn_id": connection_id}
            )
    engine.dispose()


@pytest.fixture
def connect(airflow: LocalAirflow, sandbox: Sandbox) -> Connect:
    """Return a function that makes a creator, and an Airflow connection that acts for it."""

    def connect(
        connection_id: str = "tiktok_default",
        *,
        app: App | None = None,
        scope: str | None = None,
        expires_in: int | None = None,
        **account_fields: object,
    ) -> Account:
        """Return the creator.

        :param connection_id: the connection to create or replace.
        :param app: the sandbox's app to use. Default: a new audited one.
        :param scope: comma-separated. Default: all that the app may ask for.
        :param expires_in: seconds that the access token lives, may be negative. Default: TikTok's.
        :param account_fields: of the sandbox's account, for example ``username``.
        """
        app = app or sandbox.create_app()
        forget_calls(airflow, connection_id)
        account = sandbox.create_account(**account_fields)
        wishes = {"scope": scope, "expires_in": expires_in}
        tokens = sandbox.issue_tokens(
            app, account, **{name: value for name, value in wishes.items() if value is not None}
        )
        airflow.put_connection(connection_id, **connection_fields(sandbox, app, account, tokens))
        return account

    return connect


@pytest.fixture
def run_dag(airflow: LocalAirflow) -> RunDag:
    """Return a function that runs a DAG to its end: `run_dag(dag_id, conf, timeout=120)`."""

    def run_dag(dag_id: str, conf: dict[str, object] | None = None, timeout: float = 120) -> FinishedRun:
        airflow.wait_for_dag(dag_id)
        return airflow.run(dag_id, conf, timeout)

    return run_dag
