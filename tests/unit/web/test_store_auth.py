"""Which requests the store's routes accept, and what is audited of the others."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from airflow import settings
from airflow.models import Connection
from airflow.models.crypto import get_fernet
from airflow.secrets.metastore import MetastoreBackend
from cryptography.fernet import Fernet
from fastapi import FastAPI
from sqlalchemy import event, select
from sqlalchemy.exc import OperationalError

from tests.unit.store.scripted import CONN_ID, SECRET, STATE, ScriptedAccounts, audited, define
from tiktok_provider.database.services import Services
from tiktok_provider.database.session import transaction
from tiktok_provider.database.tables import NonceRecord
from tiktok_provider.store.signing import HEADER, SignedRequest
from tiktok_provider.store.token_sets import Busy
from tiktok_provider.web import store_auth as guard
from tiktok_provider.web.application import build_application
from tiktok_provider.web.store_auth import AUDITED_PER_MINUTE, LONGEST_BODY, Allowance

BODY = b'{"seen_generation": 3}'
REFRESH, LOOK = f"/store/accounts/{CONN_ID}/tokens/refresh", f"/store/accounts/{CONN_ID}/tokens/get"


@dataclass
class Face:
    """The store's routes, mounted as Airflow mounts them."""

    accounts: ScriptedAccounts
    app: FastAPI

    def post(
        self,
        route: str = REFRESH,
        *,
        body: bytes = BODY,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Send a request; without ``headers`` with a token of its own."""
        sent = headers if headers is not None else signed(route=route, body=body)
        return asyncio.run(self._post(route, body, sent, params))

    async def _post(
        self, route: str, body: bytes, headers: Mapping[str, str], params: Mapping[str, str] | None
    ) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://airflow") as client:
            return await client.post(f"/tiktok{route}", content=body, headers=headers, params=params)


@pytest.fixture
def accounts() -> ScriptedAccounts:
    return ScriptedAccounts()


@pytest.fixture
def face(accounts: ScriptedAccounts, database: str, monkeypatch: pytest.MonkeyPatch) -> Face:  # noqa: ARG001
    define(monkeypatch, CONN_ID, password=SECRET)
    outer = FastAPI()
    outer.mount("/tiktok", build_application(Services(accounts=accounts)))
    return Face(accounts, outer)


def signed(
    secret: str = SECRET,
    *,
    conn_id: str = CONN_ID,
    route: str = REFRESH,
    query: tuple[tuple[str, str], ...] = (),
    body: bytes = BODY,
    age: float = 0,
) -> dict[str, str]:
    request = SignedRequest("POST", conn_id, route, query, body)
    return request.sign(secret, datetime.now(UTC) - timedelta(seconds=age))


def test_a_request_with_a_valid_token_is_answered(face: Face) -> None:
    answer = face.post()
    assert (answer.status_code, answer.json()["generation"]) == (200, 4)
    assert face.post(LOOK).json()["encrypted_access_token"] == "fake-encrypted-token"
    assert face.accounts.asked == [(CONN_ID, 3), (CONN_ID, None)]
    assert audited() == []


def test_a_refresh_that_is_under_way_says_when_to_come_back(face: Face) -> None:
    face.accounts.script = [Busy(retry_in=2.5)]
    answer = face.post()
    assert (answer.status_code, answer.json()) == (202, {"retry_in": 2.5})


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        pytest.param(lambda: {HEADER: signed()[HEADER][:-43] + "0" * 43}, "signature", id="bad signature"),
        pytest.param(lambda: {HEADER: "Bearer nonsense"}, "malformed", id="no token at all"),
        pytest.param(lambda: signed(age=330), "clock", id="old token"),
        pytest.param(lambda: signed(age=-330), "clock", id="token of the future"),
        pytest.param(lambda: signed("fake-secret-of-another-app"), "signature", id="secret of another app"),
        pytest.param(lambda: signed(conn_id="tiktok_other"), "another request", id="another connection id"),
        pytest.param(lambda: signed(body=b'{"seen_generation": 9}'), "another request", id="changed body"),
        pytest.param(lambda: signed(route=LOOK), "another request", id="changed route"),
        pytest.param(lambda: signed(query=(("a", "1"),)), "another request", id="changed query"),
    ],
)
def test_a_request_that_is_not_authenticated_is_refused_and_audited(
    face: Face, headers: Callable[[], dict[str, str]], reason: str
) -> None:
    answer = face.post(headers=headers())
    assert (answer.status_code, answer.json()["error"]) == (401, "not_authenticated")
    assert face.accounts.asked == []
    [entry] = audited()
    assert (entry["conn_id"], entry["reason"]) == (CONN_ID, reason)
    assert SECRET not in str(entry) + answer.text


def test_a_replayed_write_is_refused_and_audited(face: Face) -> None:
    headers = signed()
    assert face.post(headers=headers).status_code == 200
    again = face.post(headers=headers)
    assert (again.status_code, again.json()["error"]) == (401, "not_authenticated")
    assert face.accounts.asked == [(CONN_ID, 3)]
    assert [entry["reason"] for entry in audited()] == ["replay"]


def test_a_query_is_covered(face: Face) -> None:
    headers = signed(query=(("a", "1"), ("b", "2")))
    assert face.post(headers=headers, params={"b": "2", "a": "1"}).status_code == 200
    assert face.post(headers=signed(), params={"a": "1"}).status_code == 401


def test_without_a_token_nothing_is_read_or_written(face: Face) -> None:
    answer = face.post(headers={})
    assert (answer.status_code, answer.json()["error"]) == (401, "not_authenticated")
    assert audited() == []


def test_a_rotated_client_secret_counts_at_once(face: Face, monkeypatch: pytest.MonkeyPatch) -> None:
    define(monkeypatch, CONN_ID, password="fake-new-secret")
    assert face.post().status_code == 401
    assert face.post(headers=signed("fake-new-secret")).status_code == 200


def test_a_connection_in_the_metadata_database_is_found(face: Face) -> None:
    with transaction() as session:
        session.add(Connection(conn_id="tiktok_stored", conn_type="tiktok", password="fake-stored-secret"))
    route = "/store/accounts/tiktok_stored/tokens/get"
    headers = signed("fake-stored-secret", conn_id="tiktok_stored", route=route)
    assert face.post(route, headers=headers).status_code == 200


@pytest.mark.parametrize("fields", [None, {"conn_type": "postgres", "password": SECRET}])
def test_a_connection_that_is_no_tiktok_account_here_is_refused_like_a_wrong_signature(
    face: Face, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any] | None
) -> None:
    wrong = face.post(headers=signed("fake-secret-of-another-app"))
    if fields:
        define(monkeypatch, "elsewhere", **fields)
    route = "/store/accounts/elsewhere/tokens/refresh"
    answer = face.post(route, headers=signed(conn_id="elsewhere", route=route))
    assert (answer.status_code, answer.json()["error"]) == (401, "not_authenticated")
    for part in ("no connection of type 'tiktok'", "another client secret", "AIRFLOW_CONN_ELSEWHERE"):
        assert part in answer.json()["message"]
    assert answer.text == wrong.text.replace(CONN_ID, "elsewhere").replace(CONN_ID.upper(), "ELSEWHERE")
    assert [(entry["conn_id"], entry["reason"]) for entry in audited()] == [
        *((CONN_ID, "signature"), ("elsewhere", "signature"))
    ]


@pytest.mark.parametrize(
    "headers", [lambda: signed(age=330), lambda: signed(age=-330), lambda: {HEADER: "Bearer nonsense"}]
)
def test_what_can_be_refused_without_the_secret_is_refused_before_it_is_looked_up(
    face: Face, monkeypatch: pytest.MonkeyPatch, headers: Callable[[], dict[str, str]]
) -> None:
    looked_up: list[str] = []
    monkeypatch.setattr(guard, "_find", looked_up.append)
    assert face.post(headers=headers()).status_code == 401
    assert looked_up == []


def test_a_slow_lookup_for_a_stranger_does_not_hold_up_others(
    face: Face, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on, find = threading.Event(), threading.Event(), guard._find

    def slow(conn_id: str) -> Connection | None:
        if conn_id == "slow":
            begun.set()
            go_on.wait(120)
        return find(conn_id)

    async def meet() -> list[int]:
        route = "/store/accounts/slow/tokens/get"
        stranger = asyncio.create_task(face._post(route, BODY, signed(conn_id="slow", route=route), None))
        await asyncio.to_thread(begun.wait, 60)
        answer = await asyncio.wait_for(face._post(REFRESH, BODY, signed(), None), 60)
        assert not stranger.done()
        go_on.set()
        return [answer.status_code, (await stranger).status_code]

    monkeypatch.setattr(guard, "_find", slow)
    assert asyncio.run(meet()) == [200, 401]


def test_a_connection_without_a_secret_authenticates_no_request(
    face: Face, monkeypatch: pytest.MonkeyPatch
) -> None:
    define(monkeypatch, CONN_ID, password="")
    answer = face.post(headers=signed(""))
    # A stranger must not learn what is there. The server's log says it.
    assert (answer.status_code, answer.json()["error"]) == (401, "not_authenticated")


def keep_in_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """Define the Connection there instead of in the environment."""
    monkeypatch.delenv("AIRFLOW_CONN_TIKTOK_DEFAULT")
    with transaction() as session:
        session.add(Connection(CONN_ID, conn_type="tiktok", login="fake-key", password=SECRET))


def away(*_: object) -> None:
    raise OperationalError("SELECT", None, Exception("could not connect to server"))


def test_a_database_that_is_away_is_no_wrong_secret(face: Face, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_in_the_database(monkeypatch)
    engine = settings.get_engine()
    event.listen(engine, "before_cursor_execute", away)
    try:
        # More than are written to the audit log in a minute.
        answers = {face.post().status_code for _ in range(AUDITED_PER_MINUTE + 10)}
    finally:
        event.remove(engine, "before_cursor_execute", away)
    assert answers == {503}
    assert audited() == []


def test_a_database_that_is_away_for_one_question_is_asked_again(
    face: Face, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_in_the_database(monkeypatch)
    ask, failures = MetastoreBackend.get_connection, iter([away])

    def get_connection(*arguments: Any, **options: Any) -> Any:
        next(failures, lambda: None)()
        return ask(*arguments, **options)

    monkeypatch.setattr(MetastoreBackend, "get_connection", get_connection)
    assert face.post().status_code == 200


def test_a_connection_that_was_encrypted_with_another_key_authenticates_no_request(
    face: Face, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_in_the_database(monkeypatch)
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", Fernet.generate_key().decode())
    get_fernet.cache_clear()
    status = face.post().status_code
    get_fernet.cache_clear()
    assert status == 401


@pytest.mark.parametrize(
    "body", [b"", b"nonsense", b"[]", b"{}", b'{"seen_generation": -1}', b"x" * (LONGEST_BODY + 1)]
)
def test_a_malformed_body_is_named(face: Face, body: bytes) -> None:
    answer = face.post(body=body)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert face.accounts.asked == []


def test_old_nonces_go_when_new_ones_come(face: Face) -> None:
    now = datetime.now(UTC)
    with transaction() as session:
        session.add(NonceRecord(nonce="1" * 32, seen_at=now - timedelta(minutes=11)))
        session.add(NonceRecord(nonce="2" * 32, seen_at=now - timedelta(minutes=9)))
    assert face.post().status_code == 200
    with transaction() as session:
        nonces = set(session.scalars(select(NonceRecord.nonce)))
    assert len(nonces) == 2
    assert "1" * 32 not in nonces


def test_a_bug_is_named_by_its_kind_alone(face: Face) -> None:
    face.accounts.script = [replace(STATE, generation=object())]  # type: ignore[arg-type]
    answer = face.post()
    assert (answer.status_code, answer.json()["error"]) == (500, "internal_error")


def test_strangers_cannot_fill_the_audit_log() -> None:
    now = [0.0]
    allowance = Allowance(2, clock=lambda: now[0])
    assert [allowance.take() for _ in range(4)] == [True, True, False, False]
    now[0] = 60.0
    assert allowance.take()


@pytest.mark.parametrize(
    "conn_id", ["%1b%5b31mred", "a%00b", "a%0db", "tiktok default", "t" * 251, "a%e2%80%ae"]
)
@pytest.mark.parametrize("headers", [{}, None], ids=["of a stranger", "signed"])
def test_an_id_that_no_connection_can_have_is_refused_before_anything_is_looked_up_or_logged(
    face: Face,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    conn_id: str,
    headers: dict[str, str] | None,
) -> None:
    looked_up: list[str] = []
    monkeypatch.setattr(guard, "_client_secret", looked_up.append)
    answer = face.post(f"/store/accounts/{conn_id}/tokens/get", body=b"{}", headers=headers)
    assert (answer.status_code, "connection id" in answer.json()["message"]) == (400, True)
    assert looked_up == []
    ours = [record for record in caplog.records if record.name.startswith("tiktok_provider")]
    assert ours == []
    assert audited() == []
