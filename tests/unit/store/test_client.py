"""The client of the store over real HTTP, synchronous and asynchronous."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from tests.unit.databases import Mia
from tests.unit.store.scripted import CONN_ID, SECRET, STATE, ScriptedAccounts, audited, define
from tiktok_provider.api.drivers import MAX_TRIES
from tiktok_provider.database.in_process import AsyncInProcessStore, InProcessStore
from tiktok_provider.database.services import Services
from tiktok_provider.exceptions import (
    Actor,
    ConnectionSettingsError,
    ConnectionUnreadableError,
    Retry,
    TikTokError,
    UnreachableError,
)
from tiktok_provider.publishing.outage import is_outage
from tiktok_provider.store.client import AsyncHttpStore, AsyncStore, HttpStore
from tiktok_provider.store.errors import (
    AccountDeadError,
    AccountNotConnectedError,
    StoreBusyError,
    StoreNotReadyError,
    StoreVersionError,
)
from tiktok_provider.store.serialization import StoreAnswerError
from tiktok_provider.store.signing import RequestNotAuthenticatedError
from tiktok_provider.store.token_sets import Busy, TokenState
from tiktok_provider.web import store_auth as guard
from tiktok_provider.web.application import build_application


@dataclass
class Asker:
    """Asks the store in one of the two ways, without pauses between tries."""

    kind: str

    def look(self, conn_id: str = CONN_ID, secret: str = "") -> TokenState:
        state: TokenState = self._ask(conn_id, secret, lambda store: store.look())
        return state

    def refresh(self, seen_generation: int, secret: str = "") -> TokenState | Busy:
        outcome: TokenState | Busy = self._ask(CONN_ID, secret, lambda store: store.refresh(seen_generation))
        return outcome

    def _ask(self, conn_id: str, secret: str, question: Callable[[Any], Any]) -> Any:
        if self.kind == "async":
            return asyncio.run(self._ask_async(conn_id, secret, question))
        with HttpStore(conn_id, secret, sleep=lambda seconds: None) as store:  # noqa: ARG005
            return question(store)

    async def _ask_async(
        self, conn_id: str, secret: str, question: Callable[[AsyncStore], Awaitable[Any]]
    ) -> Any:
        async def sleep(seconds: float) -> None:  # noqa: ARG001
            return None

        async with AsyncHttpStore(conn_id, secret, sleep=sleep) as store:
            return await question(store)


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serve an app on a free port; gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def accounts() -> ScriptedAccounts:
    return ScriptedAccounts()


@pytest.fixture
def api_server(
    accounts: ScriptedAccounts,
    database: str,  # noqa: ARG001
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[str]:
    """Where Airflow's API server would be; the configuration names it."""
    define(monkeypatch, CONN_ID, password=SECRET)
    outer = FastAPI()
    outer.mount("/tiktok", build_application(Services(accounts=accounts)))
    with served(outer) as address:
        monkeypatch.setenv("AIRFLOW__TIKTOK__STORE_URL", address)
        yield address


@pytest.fixture(params=["sync", "async"])
def asker(request: pytest.FixtureRequest) -> Asker:
    return Asker(request.param)


@pytest.mark.usefixtures("api_server")
def test_looking_and_refreshing_give_what_the_store_says(asker: Asker, accounts: ScriptedAccounts) -> None:
    assert asker.look() == STATE
    assert asker.look().encrypted_access_token == "fake-encrypted-token"
    assert asker.refresh(3) == STATE
    accounts.script = [Busy(retry_in=2.5)]
    assert asker.refresh(4) == Busy(retry_in=2.5)
    assert accounts.asked == [(CONN_ID, None), (CONN_ID, None), (CONN_ID, 3), (CONN_ID, 4)]


@pytest.mark.usefixtures("api_server")
def test_any_connection_id_finds_its_way(
    asker: Asker, accounts: ScriptedAccounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    conn_id = "team/a#1:(x)"
    define(monkeypatch, conn_id, password=SECRET)
    assert asker.look(conn_id) == STATE
    assert accounts.asked == [(conn_id, None)]


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (AccountDeadError("Mia must connect again."), 1),
        (AccountNotConnectedError("There are no tokens."), 1),
        (ConnectionUnreadableError("It is not defined."), 1),
        (ConnectionSettingsError("It lacks its Client key."), 1),
        (StoreNotReadyError("Run airflow db migrate."), MAX_TRIES),
        (StoreBusyError("The database is locked."), MAX_TRIES),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.usefixtures("api_server")
def test_errors_of_the_store_arrive_in_their_own_class(
    asker: Asker, accounts: ScriptedAccounts, error: TikTokError, tries: int
) -> None:
    accounts.script = [error] * tries
    with pytest.raises(type(error), match=str(error)) as arrived:
        asker.refresh(3)
    assert type(arrived.value) is type(error)
    assert len(accounts.asked) == tries, "only what passes by itself is repeated"


@pytest.mark.usefixtures("api_server")
def test_what_the_api_server_says_of_its_own_settings_is_not_taken_for_the_readers(
    asker: Asker, accounts: ScriptedAccounts
) -> None:
    accounts.script = [ConnectionSettingsError("The host is not allowed.\nAdd it.")]
    with pytest.raises(ConnectionSettingsError, match=r"(?s)not allowed\..*API server says so"):
        asker.refresh(3)


@pytest.mark.usefixtures("api_server")
def test_versions_that_do_not_fit_are_a_sentence_and_pass_with_the_upgrade(
    asker: Asker, accounts: ScriptedAccounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tiktok_provider.store.client.PROTOCOL", "2")
    with pytest.raises(StoreVersionError, match="one version of the provider everywhere") as refused:
        asker.refresh(3)
    assert is_outage(refused.value)
    assert accounts.asked == []
    monkeypatch.setattr("tiktok_provider.store.client.PROTOCOL", "1")
    assert asker.refresh(3) == STATE


@pytest.mark.usefixtures("api_server")
def test_a_fault_at_tiktok_keeps_its_advice_and_is_not_repeated(
    asker: Asker, accounts: ScriptedAccounts
) -> None:
    accounts.script = [UnreachableError("TikTok gave no answer.", maybe_processed=True)]
    with pytest.raises(StoreAnswerError, match=r"TikTok gave no answer\.") as arrived:
        asker.refresh(3)
    assert (arrived.value.actor, arrived.value.retry) == (Actor.PLATFORM, Retry.BACKOFF)
    assert len(accounts.asked) == 1


@pytest.mark.usefixtures("api_server")
def test_a_locked_database_is_asked_again_with_a_new_token(asker: Asker, accounts: ScriptedAccounts) -> None:
    accounts.script = [StoreBusyError("locked"), StoreBusyError("locked"), STATE]
    assert asker.refresh(3) == STATE
    assert len(accounts.asked) == 3
    assert audited() == []


@pytest.mark.usefixtures("api_server")
def test_after_a_refusal_the_connection_is_read_again(asker: Asker, accounts: ScriptedAccounts) -> None:
    assert asker.refresh(3, secret="fake-secret-before-the-rotation") == STATE
    assert accounts.asked == [(CONN_ID, 3)]
    assert [entry["reason"] for entry in audited()] == ["signature"]


@pytest.mark.usefixtures("api_server")
def test_a_refusal_with_the_secret_of_today_is_final(asker: Asker, accounts: ScriptedAccounts) -> None:
    accounts.script = [RequestNotAuthenticatedError("Set the clocks of both machines.")]
    with pytest.raises(RequestNotAuthenticatedError, match="Set the clocks"):
        asker.look()
    assert len(accounts.asked) == 1


@pytest.mark.usefixtures("api_server")
def test_a_connection_that_the_api_server_cannot_see_says_where_to_define_it(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    define(monkeypatch, "worker_only", password=SECRET)
    monkeypatch.setattr(guard, "_find", lambda _conn_id: None)
    with pytest.raises(
        RequestNotAuthenticatedError, match=r"API server finds no connection.*AIRFLOW_CONN_WORKER_ONLY"
    ):
        asker.look("worker_only")


@pytest.mark.usefixtures("api_server")
def test_a_connection_that_the_worker_cannot_see_is_named(asker: Asker) -> None:
    with pytest.raises(ConnectionUnreadableError, match=r"(?s)'nobody' is not defined.*Admin > Connections"):
        asker.look("nobody")


def test_a_connection_without_a_client_secret_is_named(asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    define(monkeypatch, CONN_ID, password="")
    with pytest.raises(ConnectionSettingsError, match="lacks its Client secret"):
        asker.look()


def test_an_api_server_under_a_prefix_works(
    asker: Asker,
    accounts: ScriptedAccounts,
    database: str,  # noqa: ARG001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    define(monkeypatch, CONN_ID, password=SECRET)
    outer = FastAPI()
    outer.mount("/tiktok-airflow/tiktok", build_application(Services(accounts=accounts)))
    with served(outer) as address:
        monkeypatch.setenv("AIRFLOW__TIKTOK__STORE_URL", f"{address}/tiktok-airflow/")
        assert asker.look() == STATE


@pytest.mark.parametrize("status", [404, 405])
def test_a_server_without_the_plugin_says_what_to_set(
    asker: Asker, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    app = FastAPI()
    if status == 405:
        # So does Airflow's own catch-all route.
        app.get("/{path:path}")(lambda path: HTMLResponse(path))
    with served(app) as address:
        monkeypatch.setenv("AIRFLOW__TIKTOK__STORE_URL", address)
        with pytest.raises(StoreAnswerError) as failure:
            asker.look(secret=SECRET)
    assert f"HTTP {status}" in str(failure.value)
    for hint in ("'core'", "the plugin", "[tiktok] store_url"):
        assert hint in str(failure.value)


@pytest.mark.parametrize(
    ("status", "document"), [(200, "<html>"), (200, "{}"), (202, "{}"), (500, "<html>"), (418, "[]")]
)
def test_an_answer_that_is_not_the_stores_is_named(
    asker: Asker, monkeypatch: pytest.MonkeyPatch, status: int, document: str
) -> None:
    app = FastAPI()
    app.post("/{path:path}")(lambda path: HTMLResponse(document, status))  # noqa: ARG005
    with served(app) as address:
        monkeypatch.setenv("AIRFLOW__TIKTOK__STORE_URL", address)
        with pytest.raises(StoreAnswerError, match="answer is"):
            asker.look(secret=SECRET)


def test_an_api_server_that_is_away_is_named_with_its_options(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    monkeypatch.setenv("AIRFLOW__TIKTOK__STORE_URL", address)
    with pytest.raises(UnreachableError) as failure:
        asker.look(secret=SECRET)
    assert address in str(failure.value)
    assert "[tiktok] store_url" in str(failure.value)
    assert not failure.value.maybe_processed


def test_in_process_the_store_says_the_same_as_over_http(
    asker: Asker, mia: Mia, monkeypatch: pytest.MonkeyPatch
) -> None:
    outer = FastAPI()
    outer.mount("/tiktok", build_application(Services()))

    async def ask_in_process() -> tuple[TokenState, TokenState | Busy]:
        async with AsyncInProcessStore("mia") as store:
            return await store.look(), await store.refresh(0)

    with served(outer) as address:
        monkeypatch.setenv("AIRFLOW__TIKTOK__STORE_URL", address)
        state = asker.look("mia")
    with InProcessStore("mia") as store:
        assert (store.look(), store.refresh(0)) == (state, state)
    assert asyncio.run(ask_in_process()) == (state, state)
    assert state.generation == 1
    assert mia.refreshes() == 0
