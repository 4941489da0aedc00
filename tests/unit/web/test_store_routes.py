"""Posts and rate limits through the store's routes, as workers and triggers reach them."""

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import httpx
import pytest
from airflow.models.log import Log
from fastapi import FastAPI
from sqlalchemy import select

from tests.unit.conftest import CONN_ID, Creator
from tests.unit.database.posts.posting import CONTENT, KEY, intend, out, start, wish
from tests.unit.store.test_client import served
from tiktok_provider.api.calls import Answer
from tiktok_provider.database.in_process import InProcessStore
from tiktok_provider.database.posts.service import PostService
from tiktok_provider.database.services import HANDLERS, Services
from tiktok_provider.database.session import transaction
from tiktok_provider.store.client import AsyncHttpStore, HttpStore, Store
from tiktok_provider.store.errors import (
    AccountChangedError,
    PostStateError,
    PostTakenError,
    StoreBusyError,
    StoreLockedError,
)
from tiktok_provider.store.posts import (
    Claimed,
    MarkFailed,
    MarkUncertain,
    PostRecord,
    PostState,
    PostStep,
    Progress,
    Release,
    Renew,
    Verdict,
)
from tiktok_provider.store.rate_limits import Cap, Endpoint, Granted, Wait
from tiktok_provider.store.requests import (
    ClaimPost,
    CloseAccount,
    EndCalls,
    GetPost,
    GetTokens,
    PauseCalls,
    RecordOutcome,
    StoreRequest,
    TakeCalls,
    WritePost,
    adapter,
)
from tiktok_provider.store.serialization import decode, encode_error
from tiktok_provider.store.signing import SignedRequest
from tiktok_provider.web.application import build_application

T = TypeVar("T")

READING = [
    *("tokens/get", "posts/get", "posts/without-id", "posts/try-over", "posts/unfinished-drafts"),
    "rate-limits/closures",
]
TAKE = f"/store/accounts/{CONN_ID}/rate-limits/take"


@pytest.fixture
def address(creator: Creator, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:  # noqa: ARG001
    """An API server with the plugin, which the configuration names."""
    outer = FastAPI()
    outer.mount("/tiktok", build_application(Services()))
    with served(outer) as address:
        monkeypatch.setenv("AIRFLOW__TIKTOK__STORE_URL", address)
        yield address


@pytest.fixture
def remote(address: str) -> Iterator[Store]:  # noqa: ARG001
    with HttpStore(CONN_ID, sleep=lambda seconds: None) as opened:  # noqa: ARG005
        yield opened


def claimed(remote: Store) -> Claimed:
    return remote.run(ClaimPost(KEY, wish()))


def test_a_post_goes_its_way_over_http_and_is_the_same_in_process(remote: Store) -> None:
    assert remote.run(GetPost(KEY)) is None
    assert claimed(remote).verdict is Verdict.YOURS
    begun = replace(start(), url_expires_at=datetime(2030, 1, 31, 12, 0, 0, 500, tzinfo=UTC))
    steps: list[PostStep] = [
        *(intend(), begun, Progress(sent_bytes=5), Renew()),
        *(Progress(sent_bytes=9, finishing=True), Release()),
    ]
    for step in steps:
        record = remote.run(WritePost(KEY, 1, step))
    assert (record.state, record.sent_bytes, record.content) == (PostState.FINISHING, 9, CONTENT)
    assert record.url_expires_at == begun.url_expires_at
    post_outcome = replace(out("v_pub~1", "75"), status={"status": "PUBLISH_COMPLETE", "n": 1, "ids": ["75"]})
    record = remote.run(RecordOutcome(KEY, post_outcome))
    assert (record.post_ids, record.status) == (("75",), post_outcome.status)
    with InProcessStore(CONN_ID) as near:
        assert near.run(GetPost(KEY)) == record == remote.run(GetPost(KEY))


@pytest.mark.parametrize("step", [MarkFailed(reason="refused", log_id="l"), MarkUncertain(reason="lost")])
def test_what_ends_an_attempt_travels_too(remote: Store, step: PostStep) -> None:
    claimed(remote)
    remote.run(WritePost(KEY, 1, intend()))
    assert remote.run(WritePost(KEY, 1, step)).fail_reason in ("refused", "lost")


def test_rate_limits_are_shared_over_http(remote: Store) -> None:
    def take() -> Granted | Wait:
        return remote.run(TakeCalls(Endpoint.INIT, "task"))

    assert remote.run(TakeCalls(Endpoint.STATUS, "poller", count=9, leave=3, within=15.0)) == Granted(count=9)
    assert [take() for _ in range(6)] == [Granted()] * 6
    remote.run(EndCalls(Endpoint.INIT, "task"))
    minute = take()
    assert isinstance(minute, Wait)
    assert (minute.cap, 30 < minute.retry_in < 61) == (None, True)
    remote.run(PauseCalls(Endpoint.INIT, 600))
    held = take()
    assert isinstance(held, Wait)
    assert held.retry_in > 500
    closed = remote.run(CloseAccount(Cap.POSTS))
    refused = take()
    assert isinstance(refused, Wait)
    assert (refused.cap, refused.until) == (Cap.POSTS, closed.until)


def test_an_event_loop_reaches_the_same_routes(address: str) -> None:  # noqa: ARG001
    async def ask() -> tuple[Claimed, PostRecord | None]:
        async with AsyncHttpStore(CONN_ID) as store:
            claimed = await store.run(ClaimPost(KEY, wish()))
            return claimed, await store.run(GetPost(KEY))

    claimed, record = asyncio.run(ask())
    assert claimed.record == record


def test_a_refusal_arrives_in_its_own_class_and_is_not_repeated(remote: Store) -> None:
    claimed(remote)
    with pytest.raises(PostStateError, match="'start' is possible only from intended"):
        remote.run(WritePost(KEY, 1, start()))
    with pytest.raises(PostTakenError, match="must stop"):
        remote.run(WritePost(KEY, 7, intend()))


def test_another_account_arrives_in_its_own_class() -> None:
    status, document = encode_error(AccountChangedError("@mia is not @anna"))
    with pytest.raises(AccountChangedError, match="@mia is not @anna"):
        decode(Answer(status, {}, json.dumps(document).encode()), adapter(Claimed))


def test_the_sealed_url_is_told_to_no_log(remote: Store) -> None:
    claimed(remote)
    remote.run(WritePost(KEY, 1, intend()))
    record = remote.run(WritePost(KEY, 1, replace(start(), encrypted_upload_url="planted-encrypt")))
    assert record.encrypted_upload_url == "planted-encrypt"
    assert "planted-encrypt" not in repr(record) + repr(start())
    with transaction() as session:
        assert not [row for row in session.scalars(select(Log)) if "planted-encrypt" in str(row.extra)]


def signed(address: str, route: str, body: dict[str, Any]) -> Callable[[], httpx.Response]:
    """Return what sends one and the same token each time."""
    secret = json.loads(os.environ[f"AIRFLOW_CONN_{CONN_ID.upper()}"])["password"]
    content = json.dumps(body).encode()
    headers = SignedRequest("POST", CONN_ID, route, (), content).sign(secret, datetime.now(UTC))
    url = f"{address}/tiktok{route}"
    return lambda: httpx.post(url, content=content, headers=headers, trust_env=False)


@pytest.mark.parametrize("route", [kind.route for kind in HANDLERS if kind.writes])
def test_no_write_can_be_replayed(address: str, route: str) -> None:
    send = signed(address, f"/store/accounts/{CONN_ID}/{route}", {})
    assert send().json()["error"] != "not_authenticated"
    assert send().json()["error"] == "not_authenticated"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"endpoint": "init"}, "holder"),
        ({"endpoint": "nonsense", "holder": "h"}, "endpoint"),
        ({"endpoint": "init", "holder": "h", "count": 0}, "count"),
        ({"endpoint": "init", "holder": "h", "within": -1}, "within"),
        ({"endpoint": "init", "holder": ""}, "holder"),
    ],
)
def test_a_body_that_is_wrong_is_named_by_its_field(address: str, body: dict[str, Any], field: str) -> None:
    answer = signed(address, TAKE, body)()
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert f"'rate-limits/take' is wrong in: {field}" in answer.json()["message"]


@pytest.mark.parametrize("key", ["", "k" * 251, "a\x00b"])
def test_a_post_key_that_cannot_be_stored_is_refused(address: str, key: str) -> None:
    answer = signed(address, f"/store/accounts/{CONN_ID}/posts/get", {"post_key": key})()
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_only_looking_needs_no_nonce() -> None:
    assert [kind.route for kind in HANDLERS if not kind.writes] == READING


def test_no_route_ends_like_another_one() -> None:
    names = [kind.route for kind in HANDLERS]
    assert [(a, b) for a in names for b in names if a != b and a.endswith(f"/{b}")] == []


@pytest.mark.parametrize(
    "asked",
    [
        GetTokens(),
        GetPost(KEY),
        ClaimPost(KEY, wish()),
        *(WritePost(KEY, 1, step) for step in (intend(), start(), Progress(sent_bytes=1), Renew())),
        *(WritePost(KEY, 1, step) for step in (Release(), MarkFailed(reason="r"), MarkUncertain(reason="r"))),
        RecordOutcome(KEY, out("p", "75")),
        TakeCalls(Endpoint.STATUS, "h", 5, 3, 15.0, draft=True),
    ],
    ids=lambda asked: str(asked.route),
)
def test_what_is_said_arrives_as_it_was_said(asked: StoreRequest[Any]) -> None:
    kind = asked.body()
    arrived = kind.validate_json(json.dumps(kind.dump_python(asked, mode="json")))
    assert arrived == asked
    for name in (field.name for field in fields(arrived)):
        assert type(getattr(arrived, name)) is type(getattr(asked, name))


def test_a_locked_account_is_asked_for_once_and_then_refused_without_the_database(
    remote: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def locked(*arguments: object) -> Claimed:
        asked.append(arguments)
        raise StoreLockedError("The row is locked.")

    monkeypatch.setattr(PostService, "claim", locked)
    with pytest.raises(StoreBusyError):
        remote.run(ClaimPost(KEY, wish()))
    with pytest.raises(StoreBusyError, match="a moment ago"):
        remote.run(GetPost(KEY))
    assert len(asked) == 1
