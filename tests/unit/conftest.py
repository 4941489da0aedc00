"""A creator in the sandbox, connected to Airflow, and a task that can run without Airflow's processes."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import httpx
import pytest
from airflow._shared.secrets_masker.secrets_masker import reset_secrets_masker as forget_in_core
from airflow.models import Connection
from airflow.models.log import Log
from airflow.sdk import Context
from airflow.sdk._shared.secrets_masker.secrets_masker import reset_secrets_masker as forget_in_sdk
from airflow.utils.db import initdb
from sqlalchemy import delete

from tests.unit.databases import airflow_on, database, expired, mia, migrated_database  # noqa: F401
from tiktok_provider.database.session import transaction
from tiktok_provider.database.tables import Base
from tiktok_provider.hooks.store_access import open_store
from tiktok_provider.hooks.tiktok import TikTokHook
from tiktok_provider.publishing.post_key import origin_of, post_key_of
from tiktok_provider.security.masking import TOKEN_MASKS
from tiktok_provider.store.posts import PostRecord
from tiktok_provider.store.rate_limits import PER_MINUTE, Endpoint
from tiktok_provider.store.requests import GetPost, TakeCalls
from tiktok_sandbox.client import Account, App, Sandbox
from tiktok_sandbox.clips import make_clip

CONN_ID = "tiktok_default"


@dataclass
class Creator:
    """A creator of the sandbox and the Connection that Airflow has of it."""

    sandbox: Sandbox
    monkeypatch: pytest.MonkeyPatch
    app: App
    account: Account
    connection: dict[str, Any]

    @property
    def open_id(self) -> str:
        """TikTok's id of the creator."""
        return self.account.open_id

    def connect(self, **changes: Any) -> None:
        """Define the Connection anew; ``extra`` is merged, None takes a field away."""
        extra = {**self.connection["extra"], **changes.pop("extra", {})}
        self.connection = {**self.connection, **changes, "extra": extra}
        self.monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps(self.connection))

    def new_token(self) -> None:
        """Put another access token into the Connection, as a person would."""
        tokens = self.sandbox.issue_tokens(self.app, self.account)
        self.connect(extra={"access_token": tokens.access_token, "refresh_token": tokens.refresh_token})

    def take_access_away(self) -> None:
        """Revoke the app's access at TikTok."""
        form = {
            "client_key": self.app.client_key,
            "client_secret": self.app.client_secret,
            "token": self.connection["extra"]["access_token"],
        }
        httpx.post(f"{self.sandbox.url}/v2/oauth/revoke/", data=form).raise_for_status()

    def calls(self, path: str = "/v2/") -> list[str]:
        """Return the paths that were called at TikTok, in order."""
        return [call["path"] for call in self.sandbox.requests() if call["path"].startswith(path)]


@dataclass
class Task:
    """What a running task has: who it is, and an XCom to push to."""

    xcom: dict[str, Any] = field(default_factory=dict)
    dag_id: str = "spring"
    run_id: str = "manual__1"
    task_id: str = "publish"
    map_index: int = -1
    try_number: int = 1
    id: str = field(default_factory=lambda: str(uuid4()))
    logical_date: datetime | None = datetime(2026, 11, 20, tzinfo=UTC)
    run_type: str = "manual"
    run_after: datetime = datetime(2026, 11, 20, tzinfo=UTC)

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcom[key] = value

    def get_first_reschedule_date(self, context: Any) -> None:
        """Nothing reschedules here."""

    def next_try(self) -> "Task":
        """Return the same task instance in its next try, as after a failure or a clear."""
        return replace(self, try_number=self.try_number + 1, id=str(uuid4()), xcom={})

    @property
    def context(self) -> Context:
        run = SimpleNamespace(
            partition_key=None,
            logical_date=self.logical_date,
            run_id=self.run_id,
            run_type=self.run_type,
            run_after=self.run_after,
        )
        return cast(Context, {"ti": self, "dag_run": run})

    @property
    def record(self) -> PostRecord | None:
        """What is on record of this task's post under its default key."""
        key = post_key_of(None, origin_of(self.context))
        with open_store(CONN_ID) as store:
            return store.run(GetPost(key))


def use_up(endpoint: Endpoint, leave: int = 0) -> None:
    """Make all calls that the account has in this minute, as another task, but some."""
    with open_store(CONN_ID) as store:
        store.run(TakeCalls(endpoint, "another task", count=PER_MINUTE[endpoint] - leave))


@pytest.fixture(autouse=True)
def no_secret_of_another_test() -> Iterator[None]:
    """Airflow's maskers forget nothing, and get slower with each secret: none stays for the next test."""
    yield
    forget_in_core()
    forget_in_sdk()
    # The sandbox gives the accounts of every test the same tokens.
    TOKEN_MASKS._tokens.clear()


@pytest.fixture(scope="session")
def airflow_database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a migrated metadata database on SQLite."""
    with airflow_on(f"sqlite:///{tmp_path_factory.mktemp('metadata')}/airflow.db") as url:
        initdb()
        return url


@pytest.fixture
def store(airflow_database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The token store, in this process and empty; Connections come from the environment and the database."""
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
    with airflow_on(airflow_database):
        yield
        with transaction() as session:
            for table in Base.metadata.sorted_tables:
                session.execute(delete(table))
            session.execute(delete(Connection))
            session.execute(delete(Log))


@pytest.fixture
def creator(tiktok_sandbox: Sandbox, store: None, monkeypatch: pytest.MonkeyPatch) -> Creator:  # noqa: ARG001
    """A creator with all scopes; nothing takes time."""
    tiktok_sandbox.set_switches(processing_seconds=0, moderation_seconds=0)
    app = tiktok_sandbox.create_app()
    account = tiktok_sandbox.create_account(username="mia", nickname="Mia of Milan")
    tokens = tiktok_sandbox.issue_tokens(app, account)
    monkeypatch.setenv("AIRFLOW__TIKTOK__ALLOWED_HOSTS", tiktok_sandbox.url)
    extra = {
        "access_token": tokens.access_token,
        "refresh_token": tokens.refresh_token,
        "scope": tokens.scope,
        "access_expires_at": tokens.access_expires_at,
        "refresh_expires_at": tokens.refresh_expires_at,
        "open_id": tokens.open_id,
        "authorize_url": f"{tiktok_sandbox.url}/v2/auth/authorize/",
        "username": "mia",
    }
    connection = {
        "conn_type": "tiktok",
        "login": app.client_key,
        "password": app.client_secret,
        "host": tiktok_sandbox.url,
        "extra": extra,
    }
    found = Creator(tiktok_sandbox, monkeypatch, app, account, connection)
    found.connect()
    return found


@pytest.fixture
def hook(creator: Creator) -> Iterator[TikTokHook]:  # noqa: ARG001  (it defines the Connection)
    """A hook of the creator's Connection."""
    with TikTokHook(CONN_ID) as opened:
        yield opened


@pytest.fixture
def task() -> Task:
    """A task instance; use the same one for the next try."""
    return Task()


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vertical video of one second that TikTok takes."""
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", seconds=1)


@pytest.fixture(scope="session")
def large_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of 65 MB, which makes two chunks."""
    return make_clip(tmp_path_factory.mktemp("clips") / "large.mp4", seconds=1, pad_to_bytes=65_000_000)
