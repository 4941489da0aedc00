"""The hook as workers and triggerers have it, with the store in another process: here in another thread."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from airflow.models import Connection
from airflow.sdk import BaseHook
from fastapi import FastAPI

from tests.unit.conftest import CONN_ID, Creator
from tests.unit.store.test_client import served
from tiktok_provider.api.accounts import creator_info
from tiktok_provider.database.services import Services
from tiktok_provider.exceptions import ConnectionUnreadableError
from tiktok_provider.hooks.tiktok import TikTokHook
from tiktok_provider.store.client import HttpStore
from tiktok_provider.store.token_sets import TokenState
from tiktok_provider.web.application import build_application

CREATOR_INFO = "/v2/post/publish/creator_info/query/"


@pytest.fixture(autouse=True)
def api_server(creator: Creator, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:  # noqa: ARG001
    """An API server with the plugin, which the configuration names; this process has no store."""
    outer = FastAPI()
    outer.mount("/tiktok", build_application(Services()))
    monkeypatch.setattr("tiktok_provider.hooks.store_access.store_is_in_process", lambda: False)
    with served(outer) as address:
        monkeypatch.setenv("AIRFLOW__TIKTOK__STORE_URL", address)
        yield


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The connections that hook and client have read, in order."""
    found: list[str] = []
    get_connection = BaseHook.get_connection

    def counted(_: type[BaseHook], conn_id: str) -> Any:
        found.append(conn_id)
        return get_connection(conn_id)

    monkeypatch.setattr(BaseHook, "get_connection", classmethod(counted))
    return found


async def ask() -> str:
    async with TikTokHook(CONN_ID).async_session() as session:
        await session.run(creator_info())
        return (await session.run(creator_info())).creator_username


def test_a_worker_reads_the_users_connection_once_and_no_other(creator: Creator, read: list[str]) -> None:
    creator.connect(extra={"access_expires_at": "2020-01-31T12:00:00"})
    with TikTokHook(CONN_ID) as hook:
        assert isinstance(hook.store, HttpStore)
        assert hook.creator_info().creator_username == "mia"
        creator.sandbox.add_fault("revoke_token", path=CREATOR_INFO)
        assert hook.creator_info().creator_username == "mia"
    assert read == [CONN_ID]
    assert len(creator.calls("/v2/oauth/token/")) == 2


def test_a_triggerer_reads_the_users_connection_once_and_no_other(creator: Creator, read: list[str]) -> None:
    creator.connect(extra={"access_expires_at": "2020-01-31T12:00:00"})
    assert asyncio.run(ask()) == "mia"
    assert read == [CONN_ID]


def test_a_client_secret_that_changes_while_a_task_runs_is_read_again(
    creator: Creator, read: list[str]
) -> None:
    with TikTokHook(CONN_ID) as hook:
        assert hook.account.client_secret
        creator.connect(password="fake-secret-after-the-rotation")
        assert hook.creator_info().creator_username == "mia"
    # Once for the request that was not authenticated, and once for the token, which the new secret has encrypted.
    assert read == [CONN_ID] * 3


def rotate_between(creator: Creator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Change the client secret after a request was authenticated, before the token is encrypted."""
    look = Services().accounts.look

    async def later(_: object, conn_id: str) -> TokenState:
        creator.connect(password="fake-secret-after-the-rotation")
        return await look(conn_id)

    monkeypatch.setattr("tiktok_provider.database.accounts.service.AccountService.look", later)


def test_a_client_secret_that_changes_during_a_request_is_read_again(
    creator: Creator, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rotate_between(creator, monkeypatch)
    with TikTokHook(CONN_ID) as hook:
        assert hook.creator_info().creator_username == "mia"
    assert read == [CONN_ID] * 2


def test_on_an_event_loop_a_changed_client_secret_is_read_again(
    creator: Creator, monkeypatch: pytest.MonkeyPatch
) -> None:
    rotate_between(creator, monkeypatch)
    assert asyncio.run(ask()) == "mia"


def test_two_places_with_different_client_secrets_are_named_and_nothing_is_sent(
    creator: Creator, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = Connection.get_connection_from_secrets

    def elsewhere(conn_id: str) -> Connection:
        connection: Connection = find(conn_id)
        connection.password = "fake-secret-of-the-api-server"
        return connection

    # Where the store reads it, but not where requests are authenticated.
    monkeypatch.setattr("tiktok_provider.database.accounts.connections._find", elsewhere)
    with TikTokHook(CONN_ID) as hook, pytest.raises(ConnectionUnreadableError, match="another client secret"):
        hook.creator_info()
    assert creator.calls() == []
