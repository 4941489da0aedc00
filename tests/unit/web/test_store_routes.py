"""Posts and budgets through the store's routes, as workers and triggers reach them."""

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
from tiktok_provider.database.services import Stores
from tiktok_provider.database.session import transaction
from tiktok_provider.store.client import AsyncHttpStore, HttpStore, Store
from tiktok_provider.store.errors import AccountChangedError, PostStateError, PostTakenError
from tiktok_provider.store.posts import (
    Claimed,
    Doubt,
    Fail,
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
    ROUTES,
    Operation,
    adapter,
    claim_post,
    close_account,
    end_calls,
    hold_back,
    look,
    look_post,
    settle_post,
    take_calls,
    write_post,
)
from tiktok_provider.store.serialization import decode, encode_error
from tiktok_provider.store.signing import Proof, SignedRequest
from tiktok_provider.web.application import build_application

T = TypeVar("T")

TAKE = f"/store/accounts/{CONN_ID}/budgets/take"


@pytest.fixture
def address(creator: Creator, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:  # noqa: ARG001
    """An API server with the plugin, which the configuration names."""
    outer = FastAPI()
    outer.mount("/tiktok", build_application(Stores()))
    with served(outer) as address:
        monkeypatch.setenv("AIRFLOW__TIKTOK__STORE_URL", address)
        yield address


@pytest.fixture
def remote(address: str) -> Iterator[Store]:  # noqa: ARG001
    with HttpStore(CONN_ID, sleep=lambda seconds: None) as opened:  # noqa: ARG005
        yield opened


def claimed(remote: Store) -> Claimed:
    return remote.run(claim_post(CONN_ID, KEY, wish()))


def test_a_post_goes_its_way_over_http_and_is_the_same_in_process(remote: Store) -> None:
    assert remote.run(look_post(CONN_ID, KEY)) is None
    assert claimed(remote).verdict is Verdict.YOURS
    begun = replace(start(), url_expires_at=datetime(2030, 1, 31, 12, 0, 0, 500, tzinfo=UTC))
    steps: list[PostStep] = [
        *(intend(), begun, Progress(sent_bytes=5), Renew()),
        *(Progress(sent_bytes=9, finishing=True), Release()),
    ]
    for step in steps:
        record = remote.run(write_post(CONN_ID, KEY, 1, step))
    assert (record.state, record.sent_bytes, record.content) == (PostState.FINISHING, 9, CONTENT)
    assert record.url_expires_at == begun.url_expires_at
    settlement = replace(out("v_pub~1", "75"), status={"status": "PUBLISH_COMPLETE", "n": 1, "ids": ["75"]})
    record = remote.run(settle_post(CONN_ID, KEY, settlement))
    assert (record.post_ids, record.status) == (("75",), settlement.status)
    with InProcessStore(CONN_ID) as near:
        assert near.run(look_post(CONN_ID, KEY)) == record == remote.run(look_post(CONN_ID, KEY))


@pytest.mark.parametrize("step", [Fail(reason="refused", log_id="l"), Doubt(reason="lost")])
def test_what_ends_an_attempt_travels_too(remote: Store, step: PostStep) -> None:
    claimed(remote)
    remote.run(write_post(CONN_ID, KEY, 1, intend()))
    assert remote.run(write_post(CONN_ID, KEY, 1, step)).fail_reason in ("refused", "lost")


def test_budgets_are_shared_over_http(remote: Store) -> None:
    def take() -> Granted | Wait:
        return remote.run(take_calls(CONN_ID, Endpoint.INIT, "task"))

    assert remote.run(
        take_calls(CONN_ID, Endpoint.STATUS, "poller", count=9, leave=3, within=15.0)
    ) == Granted(count=9)
    assert [take() for _ in range(6)] == [Granted()] * 6
    remote.run(end_calls(CONN_ID, Endpoint.INIT, "task"))
    minute = take()
    assert isinstance(minute, Wait)
    assert (minute.cap, 30 < minute.retry_in < 61) == (None, True)
    remote.run(hold_back(CONN_ID, Endpoint.INIT, 600))
    held = take()
    assert isinstance(held, Wait)
    assert held.retry_in > 500
    closed = remote.run(close_account(CONN_ID, Cap.POSTS))
    refused = take()
    assert isinstance(refused, Wait)
    assert (refused.cap, refused.until) == (Cap.POSTS, closed.until)


def test_an_event_loop_reaches_the_same_routes(address: str) -> None:  # noqa: ARG001
    async def ask() -> tuple[Claimed, PostRecord | None]:
        async with AsyncHttpStore(CONN_ID) as store:
            claimed = await store.run(claim_post(CONN_ID, KEY, wish()))
            return claimed, await store.run(look_post(CONN_ID, KEY))

    claimed, record = asyncio.run(ask())
    assert claimed.record == record


def test_a_refusal_arrives_in_its_own_class_and_is_not_repeated(remote: Store) -> None:
    claimed(remote)
    with pytest.raises(PostStateError, match="'start' is possible only from intended"):
        remote.run(write_post(CONN_ID, KEY, 1, start()))
    with pytest.raises(PostTakenError, match="must stop"):
        remote.run(write_post(CONN_ID, KEY, 7, intend()))


def test_another_account_arrives_in_its_own_class() -> None:
    status, document = encode_error(AccountChangedError("@mia is not @anna"))
    with pytest.raises(AccountChangedError, match="@mia is not @anna"):
        decode(Answer(status, {}, json.dumps(document).encode()), adapter(Claimed))


def test_the_sealed_url_is_told_to_no_log(remote: Store) -> None:
    claimed(remote)
    remote.run(write_post(CONN_ID, KEY, 1, intend()))
    record = remote.run(write_post(CONN_ID, KEY, 1, replace(start(), sealed_upload_url="planted-seal")))
    assert record.sealed_upload_url == "planted-seal"
    assert "planted-seal" not in repr(record) + repr(start())
    with transaction() as session:
        assert not [row for row in session.scalars(select(Log)) if "planted-seal" in str(row.extra)]


def signed(address: str, route: str, body: dict[str, Any]) -> Callable[[], httpx.Response]:
    """Return what sends one and the same proof each time."""
    secret = json.loads(os.environ[f"AIRFLOW_CONN_{CONN_ID.upper()}"])["password"]
    content = json.dumps(body).encode()
    proof = Proof.make(secret, SignedRequest("POST", CONN_ID, route, (), content), datetime.now(UTC))
    url = f"{address}/tiktok{route}"
    return lambda: httpx.post(url, content=content, headers=proof.headers(), trust_env=False)


@pytest.mark.parametrize("route", [route.name for route in ROUTES if route.writes])
def test_no_write_can_be_replayed(address: str, route: str) -> None:
    send = signed(address, f"/store/accounts/{CONN_ID}/{route}", {})
    assert send().json()["error"] != "proof_refused"
    assert send().json()["error"] == "proof_refused"


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
    assert f"'budgets/take' is wrong in: {field}" in answer.json()["message"]


@pytest.mark.parametrize("key", ["", "k" * 251, "a\x00b"])
def test_a_post_key_that_cannot_be_stored_is_refused(address: str, key: str) -> None:
    answer = signed(address, f"/store/accounts/{CONN_ID}/posts/find", {"post_key": key})()
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_only_looking_needs_no_nonce() -> None:
    assert [route.name for route in ROUTES if not route.writes] == ["look", "posts/find"]


def test_no_route_ends_like_another_one() -> None:
    names = [route.name for route in ROUTES]
    assert [(a, b) for a in names for b in names if a != b and a.endswith(f"/{b}")] == []


@pytest.mark.parametrize(
    "operation",
    [
        look("c"),
        look_post("c", KEY),
        claim_post("c", KEY, wish()),
        *(write_post("c", KEY, 1, step) for step in (intend(), start(), Progress(sent_bytes=1), Renew())),
        *(write_post("c", KEY, 1, step) for step in (Release(), Fail(reason="r"), Doubt(reason="r"))),
        settle_post("c", KEY, out("p", "75")),
        take_calls("c", Endpoint.STATUS, "h", 5, 3, 15.0, draft=True),
    ],
    ids=lambda operation: operation.route.name,
)
def test_what_is_said_arrives_as_it_was_said(operation: Operation[Any]) -> None:
    kind = adapter(operation.route.said)
    arrived = kind.validate_json(json.dumps(kind.dump_python(operation.said, mode="json")))
    assert arrived == operation.said
    for name in (field.name for field in fields(arrived)):
        assert type(getattr(arrived, name)) is type(getattr(operation.said, name))
