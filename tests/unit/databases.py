"""Airflow's real metadata database, on SQLite and, where TIKTOK_TEST_POSTGRES_URL is set, on PostgreSQL;
and Mia, a creator of the sandbox."""

import asyncio
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from airflow import settings
from airflow.models import Connection
from airflow.models.crypto import get_fernet
from airflow.models.log import Log
from airflow.utils.db import initdb
from cryptography.fernet import Fernet
from sqlalchemy import delete, select

from own_database import own_postgres_database
from tiktok_provider.database.accounts.service import AccountService
from tiktok_provider.database.session import transaction
from tiktok_provider.database.tables import Base
from tiktok_sandbox.client import Account, App, Sandbox, Tokens

POSTGRES = "TIKTOK_TEST_POSTGRES_URL"


DATABASES = ["sqlite", *(["postgresql"] if os.environ.get(POSTGRES) else [])]


@pytest.fixture(scope="session", params=DATABASES)
def migrated_database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The URL of a database that Airflow made and now uses, in this process; about two seconds."""
    if request.param == "sqlite":
        with airflow_on(f"sqlite:///{tmp_path_factory.mktemp('metadata')}/airflow.db") as url:
            initdb()
            yield url
    else:
        with own_postgres_database(os.environ[POSTGRES]) as new, airflow_on(new) as url:
            initdb()
            yield url


@pytest.fixture
def database(migrated_database: str) -> Iterator[str]:
    """The same, without accounts, nonces, connections and log entries."""
    yield migrated_database
    with transaction() as session:
        for table in Base.metadata.sorted_tables:
            session.execute(delete(table))
        session.execute(delete(Connection))
        session.execute(delete(Log))


@contextmanager
def airflow_on(url: str) -> Iterator[str]:
    """Let Airflow use another metadata database for a while."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", url)
        patch.setenv("AIRFLOW__CORE__FERNET_KEY", Fernet.generate_key().decode())
        configure()
        yield url
    configure()


def configure() -> None:
    """Let Airflow read its configuration anew."""
    get_fernet.cache_clear()
    settings.dispose_orm(do_log=False)
    settings.configure_vars()
    settings.configure_orm()


@dataclass
class Clock:
    """The sandbox's time, which stands still unless it is advanced."""

    sandbox: Sandbox
    now: datetime

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **passed: float) -> None:
        """Let so many ``days``, ``minutes`` or ``seconds`` go by, here and in the sandbox."""
        step = timedelta(**passed)
        self.sandbox.advance(step.total_seconds())
        self.now += step


@dataclass
class Mia:
    """A creator of the sandbox and the Connection ``mia`` in the environment, with initial tokens."""

    sandbox: Sandbox
    app: App
    account: Account
    clock: Clock
    monkeypatch: pytest.MonkeyPatch

    def issue(self, **fields: float) -> Tokens:
        """Return new tokens, as the consent page would give it."""
        return self.sandbox.issue_tokens(self.app, self.account, **fields)

    def define(self, initial_tokens: Tokens | None, **changes: object) -> None:
        """Define the user's Connection, with initial tokens or none."""
        self.monkeypatch.setenv("AIRFLOW_CONN_MIA", json.dumps({**self.fields(initial_tokens), **changes}))

    def fields(self, initial_tokens: Tokens | None) -> dict[str, object]:
        """What the user's Connection says."""
        extra = {} if initial_tokens is None else {name: getattr(initial_tokens, name) for name in SET_FIELDS}
        return {
            "conn_type": "tiktok",
            "login": self.app.client_key,
            "password": self.app.client_secret,
            "host": self.sandbox.url,
            "extra": {**extra, "username": "mia"},
        }

    def store(self, **options: Any) -> AccountService:
        """Return a new store, as another process would have it; no time passes in its pauses."""
        return AccountService(**{"clock": self.clock, "sleep": no_time, **options})

    def refreshes(self) -> int:
        """How often TikTok's token endpoint was called."""
        return len(self.sandbox.requests("/v2/oauth/token/"))

    def kept(self) -> dict[str, Any]:
        """The tokens in the second Connection, decrypted; empty if there are none."""
        with transaction() as session:
            row = session.scalar(select(Connection).where(Connection.conn_id == "mia.tokens"))
            return dict(row.extra_dejson) if row else {}

    def works(self) -> bool:
        """Whether TikTok takes the access token that is kept."""
        header = {"Authorization": f"Bearer {self.kept()['access_token']}"}
        url = f"{self.sandbox.url}/v2/user/info/?fields=open_id"
        return httpx.get(url, headers=header, trust_env=False).status_code == 200

    def audit_log(self) -> list[tuple[str, dict[str, Any]]]:
        """Event and facts of all entries, oldest first."""
        with transaction() as session:
            return [
                (row.event, json.loads(row.extra or "{}"))
                for row in session.scalars(select(Log).order_by(Log.id))
            ]


async def no_time(seconds: float) -> None:
    """Pass no time."""


SET_FIELDS = ("access_token", "refresh_token", "access_expires_at", "refresh_expires_at", "open_id", "scope")


@pytest.fixture
def mia(database: str, tiktok_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Mia:  # noqa: ARG001
    """Mia with an access token for 24 hours and a refresh token for a year; the clock stands still."""
    tiktok_sandbox.freeze()
    monkeypatch.setenv("AIRFLOW__TIKTOK__ALLOWED_HOSTS", tiktok_sandbox.url)
    clock = Clock(tiktok_sandbox, datetime.fromtimestamp(tiktok_sandbox.now(), UTC))
    app, account = tiktok_sandbox.create_app(), tiktok_sandbox.create_account(username="mia")
    found = Mia(tiktok_sandbox, app, account, clock, monkeypatch)
    found.define(found.issue())
    return found


@pytest.fixture
def expired(mia: Mia) -> Mia:
    """Mia, known to the store, with an access token that ended a second ago."""
    asyncio.run(mia.store().look("mia"))
    mia.clock.advance(days=1, seconds=1)
    return mia
