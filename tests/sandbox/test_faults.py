"""The README's control API: faults do what it says."""

import asyncio
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import httpx
import pytest

from tests.sandbox.browser import assert_oauth_error, post_token
from tests.sandbox.conftest import (
    BARE,
    CANCEL,
    CHUNK,
    CREATOR_INFO,
    INBOX_INIT,
    PHOTO_INIT,
    REVOKE,
    STATUS,
    TOKEN,
    USER_INFO,
    VIDEO_INIT,
    VIDEO_LIST,
    Creator,
    Json,
    MakeCreator,
    Media,
    assert_error,
    control,
    data_of,
    file_source,
    pull_source,
)
from tests.sandbox.media_origin import MediaOrigin
from tiktok_sandbox.client import Sandbox

LOST = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)
EVERYWHERE = {
    "access_token_invalid": 401,
    "scope_not_authorized": 401,
    "rate_limit_exceeded": 429,
    "internal_error": 500,
}
CODES = {
    CREATOR_INFO: {
        **EVERYWHERE,
        "spam_risk_too_many_posts": 200,
        "spam_risk_user_banned_from_posting": 200,
        "reached_active_user_cap": 200,
    },
    VIDEO_INIT: {
        **EVERYWHERE,
        "invalid_params": 400,
        "spam_risk_too_many_posts": 403,
        "spam_risk_user_banned_from_posting": 403,
        "reached_active_user_cap": 403,
        "unaudited_client_can_only_post_to_private_accounts": 403,
        "url_ownership_unverified": 403,
        "privacy_level_option_mismatch": 403,
    },
    INBOX_INIT: {
        **EVERYWHERE,
        "invalid_params": 400,
        "spam_risk_user_banned_from_posting": 403,
        "spam_risk_too_many_pending_share": 403,
        "url_ownership_unverified": 403,
    },
    PHOTO_INIT: {
        **EVERYWHERE,
        "invalid_params": 400,
        "app_version_check_failed": 400,
        "spam_risk_too_many_posts": 403,
        "spam_risk_user_banned_from_posting": 403,
        "spam_risk_too_many_pending_share": 403,
        "reached_active_user_cap": 403,
        "unaudited_client_can_only_post_to_private_accounts": 403,
        "url_ownership_unverified": 403,
        "privacy_level_option_mismatch": 403,
    },
    STATUS: {
        **EVERYWHERE,
        "invalid_publish_id": 400,
        "token_not_authorized_for_specified_publish_id": 400,
    },
    CANCEL: {
        **EVERYWHERE,
        "invalid_publish_id": 400,
        "token_not_authorized_for_specified_publish_id": 400,
        "publish_not_cancellable": 400,
        "url_ownership_unverified": 403,
    },
    USER_INFO: {"scope_permission_missed": 400, "invalid_file_upload": 400, "invalid_params": 400},
}

OAUTH_ERRORS = {
    "access_denied": 400,
    "invalid_client": 401,
    "invalid_grant": 400,
    "invalid_request": 400,
    "invalid_scope": 400,
    "unauthorized_client": 400,
    "unsupported_grant_type": 400,
    "unsupported_response_type": 400,
    "server_error": 500,
    "temporarily_unavailable": 503,
}


def call(creator: Creator, path: str = CREATOR_INFO) -> httpx.Response:
    method = "GET" if path == USER_INFO else "POST"
    body: Json | None = None if method == "GET" else {}
    return creator.http.request(method, path, json=body, params={"fields": "open_id"})


def log(sandbox: Sandbox, path: str = "") -> list[Json]:
    return list(sandbox.requests(path))


# Actions


@pytest.mark.parametrize(
    ("path", "code", "status"),
    [
        pytest.param(path, code, status, id=f"{path.removeprefix('/v2/').strip('/')}-{code}")
        for path, codes in CODES.items()
        for code, status in codes.items()
    ],
)
def test_an_error_has_its_documented_status(creator: Creator, path: str, code: str, status: int) -> None:
    creator.sandbox.add_fault({"type": "error", "code": code}, path=path)
    response = call(creator, path)
    assert_error(response, status, code)
    assert ("data" in response.json()) == (path != CANCEL)


@pytest.mark.parametrize("lenient", [False, True], ids=["usual_status", "status_200"])
@pytest.mark.parametrize(("error", "status"), OAUTH_ERRORS.items())
def test_an_oauth_error_is_flat_and_nothing_is_processed(
    sandbox: Sandbox, creator: Creator, error: str, status: int, lenient: bool
) -> None:
    sandbox.set_switches(oauth_error_status=200 if lenient else 400)
    sandbox.add_fault({"type": "error", "code": error}, path=TOKEN)
    grant = {"grant_type": "refresh_token", "refresh_token": creator.refresh_token}
    assert_oauth_error(post_token(creator, **grant), error, 200 if lenient else status)
    assert post_token(creator, **grant).status_code == 200


@pytest.mark.parametrize("path", [REVOKE, "/v2/oauth/get_qrcode/", "/v2/oauth/check_qrcode/"])
def test_every_oauth_endpoint_has_the_flat_error(sandbox: Sandbox, path: str) -> None:
    sandbox.add_fault({"type": "error", "code": "temporarily_unavailable"}, path=path)
    assert_oauth_error(BARE.post(sandbox.url + path, data={}), "temporarily_unavailable", 503)


def test_a_status_500_without_body_is_a_server_error_at_the_token_endpoint(
    sandbox: Sandbox, creator: Creator
) -> None:
    sandbox.add_fault({"type": "status", "status": 500}, path=TOKEN)
    assert_oauth_error(post_token(creator), "server_error", 500)


def test_an_error_means_that_nothing_is_processed(sandbox: Sandbox, creator: Creator) -> None:
    sandbox.add_fault({"type": "error", "code": "internal_error"}, path=VIDEO_INIT)
    assert_error(creator.init_video(file_source(1000)), 500, "internal_error")
    assert control(sandbox, "GET", "/sandbox/publishes") == []


@pytest.mark.parametrize("status", [418, 429, 500, 502, 503, 504])
def test_a_status_is_answered_with_body_and_headers_and_nothing_is_processed(
    sandbox: Sandbox, creator: Creator, status: int
) -> None:
    action = {"type": "status", "status": status, "body": "<h1>gateway</h1>", "headers": {"Retry-After": "7"}}
    sandbox.add_fault(action, path=VIDEO_INIT)
    response = creator.init_video(file_source(1000))
    assert (response.status_code, response.text) == (status, "<h1>gateway</h1>")
    assert response.headers["retry-after"] == "7"
    assert control(sandbox, "GET", "/sandbox/publishes") == []


@pytest.mark.parametrize(("status", "code"), [(500, "internal_error"), (429, "rate_limit_exceeded")])
def test_a_status_without_body_is_answered_as_tiktok_would(
    sandbox: Sandbox, creator: Creator, status: int, code: str
) -> None:
    sandbox.add_fault({"type": "status", "status": status}, path=CREATOR_INFO)
    assert_error(call(creator), status, code)


@pytest.mark.parametrize("status", [502, 503, 504])
@pytest.mark.parametrize("path", [path for path in CODES if path != USER_INFO])
def test_a_gateways_status_comes_without_a_code(
    sandbox: Sandbox, creator: Creator, path: str, status: int
) -> None:
    sandbox.add_fault({"type": "status", "status": status}, path=path)
    response = call(creator, path)
    assert (response.status_code, response.content) == (status, b"")
    assert control(sandbox, "GET", "/sandbox/publishes") == []


def test_a_failing_chunk_is_not_stored(sandbox: Sandbox, creator: Creator, clip: Media) -> None:
    made = data_of(creator.init_video(clip.source()))
    sandbox.add_fault({"type": "status", "status": 502}, path="/upload")
    put = [creator.put(made["upload_url"], clip.data, 0, clip.size).status_code for _ in range(2)]
    assert put == [502, 201]
    assert len(creator.record(made["publish_id"])["chunks"]) in {1, 2}


def test_a_delay_waits_and_goes_on(
    sandbox: Sandbox, creator: Creator, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("tiktok_sandbox.middleware.asyncio", SimpleNamespace(sleep=sleep))
    sandbox.add_fault({"type": "delay", "seconds": 0.2}, path=CREATOR_INFO)
    assert data_of(call(creator))
    assert pauses == [0.2]


@pytest.fixture
def go_on(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Ends the delays of the sandbox, which last until then."""
    over = threading.Event()

    async def until_over(seconds: float) -> None:  # noqa: ARG001
        await asyncio.to_thread(over.wait, 60)

    monkeypatch.setattr("tiktok_sandbox.middleware.asyncio", SimpleNamespace(sleep=until_over))
    yield over
    over.set()


def test_a_delayed_call_does_not_hold_up_others(
    sandbox: Sandbox, creator: Creator, go_on: threading.Event
) -> None:
    sandbox.add_fault({"type": "delay", "seconds": 3.0}, path=VIDEO_INIT)
    delayed = threading.Thread(target=creator.init_video, args=(file_source(1000),))
    delayed.start()
    while not sandbox.requests(VIDEO_INIT):
        time.sleep(0.01)
    assert data_of(call(creator))
    assert delayed.is_alive()
    go_on.set()
    delayed.join()


def test_a_call_that_was_delayed_over_a_reset_does_nothing(
    sandbox: Sandbox, creator: Creator, make_creator: MakeCreator, go_on: threading.Event
) -> None:
    sandbox.add_fault({"type": "delay", "seconds": 0.5}, path=VIDEO_INIT)
    answers = []

    def ask() -> None:
        with pytest.raises(LOST) as lost:
            creator.init_video(file_source(1000))
        answers.append(lost.type)

    delayed = threading.Thread(target=ask)
    delayed.start()
    while not sandbox.requests(VIDEO_INIT):
        time.sleep(0.01)
    sandbox.reset()
    make_creator()
    go_on.set()
    delayed.join()
    assert answers
    assert control(sandbox, "GET", "/sandbox/publishes") == []


def test_a_lost_answer_means_a_processed_call(sandbox: Sandbox, creator: Creator) -> None:
    sandbox.add_fault({"type": "lost_answer"}, path=VIDEO_INIT)
    with pytest.raises(LOST):
        creator.init_video(file_source(1000))
    (publish,) = control(sandbox, "GET", "/sandbox/publishes")
    assert data_of(creator.status(publish["publish_id"]))["status"] == "PROCESSING_UPLOAD"
    (entry,) = log(sandbox, VIDEO_INIT)
    assert entry["status"] is None


def test_a_wrong_answer_comes_after_a_processed_call(sandbox: Sandbox, creator: Creator) -> None:
    sandbox.add_fault("wrong_answer", path=VIDEO_INIT, status=409, body="<html>conflict</html>")
    response = creator.init_video(file_source(1000))
    assert (response.status_code, response.text) == (409, "<html>conflict</html>")
    assert len(sandbox.publishes()) == 1


def test_a_lost_answer_to_the_last_chunk_means_a_post(
    sandbox: Sandbox, creator: Creator, clip: Media
) -> None:
    made = data_of(creator.init_video(clip.source()))
    sandbox.add_fault({"type": "lost_answer"}, path="/upload")
    with pytest.raises(LOST):
        creator.put(made["upload_url"], clip.data, 0, clip.size)
    assert creator.wait_for(made["publish_id"])["status"] == "PUBLISH_COMPLETE"
    assert [post["sha256"] for post in sandbox.feed()] == [clip.sha256]


def test_a_lost_answer_to_a_refresh_means_a_rotated_token(sandbox: Sandbox, creator: Creator) -> None:
    form = {
        "client_key": creator.client_key,
        "client_secret": creator.client_secret,
        "grant_type": "refresh_token",
        "refresh_token": creator.refresh_token,
    }
    sandbox.add_fault({"type": "lost_answer"}, path=TOKEN)
    with pytest.raises(LOST):
        BARE.post(sandbox.url + TOKEN, data=form)
    assert BARE.post(sandbox.url + TOKEN, data=form).json()["error"] == "invalid_grant"


def test_a_lost_answer_to_a_pull_means_a_post_that_nobody_has_the_id_of(
    sandbox: Sandbox, creator: Creator, origin: MediaOrigin, clip: Media
) -> None:
    sandbox.add_fault({"type": "lost_answer"}, path=VIDEO_INIT)
    with pytest.raises(LOST):
        creator.init_video(pull_source(origin.serve("/a.mp4", clip.data)))
    (publish,) = control(sandbox, "GET", "/sandbox/publishes")
    assert creator.wait_for(publish["publish_id"])["status"] == "PUBLISH_COMPLETE"
    assert [post["sha256"] for post in sandbox.feed()] == [clip.sha256]


def test_a_cut_init_is_not_processed(sandbox: Sandbox, creator: Creator) -> None:
    sandbox.add_fault({"type": "cut", "after_bytes": 10}, path=VIDEO_INIT)
    with pytest.raises(LOST):
        creator.init_video(file_source(1000))
    assert control(sandbox, "GET", "/sandbox/publishes") == []


@pytest.mark.parametrize("after_bytes", [0, 1, 1_000_000, CHUNK - 1])
def test_a_cut_chunk_does_not_count(
    sandbox: Sandbox, creator: Creator, two_chunks: Media, after_bytes: int
) -> None:
    made = data_of(creator.init_video(two_chunks.source(CHUNK)))
    sandbox.add_fault({"type": "cut", "after_bytes": after_bytes}, path="/upload")
    first, part = two_chunks.chunks(CHUNK)[0]
    with pytest.raises(LOST):
        creator.put(made["upload_url"], part, first, two_chunks.size)
    assert not data_of(creator.status(made["publish_id"])).get("uploaded_bytes")
    creator.upload(made["upload_url"], two_chunks, CHUNK)
    creator.wait_for(made["publish_id"])
    assert creator.feed_entry(made["publish_id"])["sha256"] == two_chunks.sha256


def test_a_cut_after_the_last_byte_leaves_a_whole_chunk(
    sandbox: Sandbox, creator: Creator, clip: Media
) -> None:
    made = data_of(creator.init_video(clip.source()))
    sandbox.add_fault({"type": "cut", "after_bytes": clip.size}, path="/upload")
    with pytest.raises(LOST):
        creator.put(made["upload_url"], clip.data, 0, clip.size)
    assert creator.wait_for(made["publish_id"])["status"] == "PUBLISH_COMPLETE"


def test_an_upload_url_expires_in_the_middle(sandbox: Sandbox, creator: Creator, two_chunks: Media) -> None:
    made = data_of(creator.init_video(two_chunks.source(CHUNK)))
    sandbox.add_fault({"type": "expire_upload_url"}, path="/upload", skip=1)
    answers = [
        creator.put(made["upload_url"], part, first, two_chunks.size).status_code
        for first, part in two_chunks.chunks(CHUNK) * 2
    ]
    assert answers == [206, 403, 403, 403]


def test_a_token_is_revoked_at_the_time_of_a_call(sandbox: Sandbox, creator: Creator) -> None:
    sandbox.add_fault({"type": "revoke_token"}, path=CREATOR_INFO, skip=1)
    assert data_of(call(creator))
    assert_error(call(creator), 401, "access_token_invalid")
    assert_error(call(creator, VIDEO_LIST), 401, "access_token_invalid")


# Which calls, and how often


def test_a_fault_meets_only_the_calls_that_match(
    sandbox: Sandbox, make_creator: MakeCreator, creator: Creator
) -> None:
    other = make_creator(app_of=creator)
    error = {"type": "error", "code": "internal_error"}
    sandbox.add_fault(error, method="POST", path="/v2/post/", open_id=creator.open_id, times=None)
    assert [
        call(who, path).status_code for who in (creator, other) for path in (CREATOR_INFO, USER_INFO)
    ] == [
        500,
        200,
        200,
        200,
    ]


def test_a_fault_matches_a_publish_id(sandbox: Sandbox, creator: Creator, clip: Media) -> None:
    one, two = (data_of(creator.init_video(clip.source())) for _ in range(2))
    sandbox.add_fault({"type": "status", "status": 503}, publish_id=one["publish_id"], times=None)
    assert [creator.status(made["publish_id"]).status_code for made in (one, two)] == [503, 200]
    puts = [creator.put(made["upload_url"], clip.data, 0, clip.size).status_code for made in (one, two)]
    assert puts == [503, 201]


def test_a_refresh_belongs_to_the_account_of_its_token(
    sandbox: Sandbox, make_creator: MakeCreator, creator: Creator
) -> None:
    other = make_creator(app_of=creator)
    sandbox.add_fault({"type": "status", "status": 503}, path=TOKEN, open_id=creator.open_id)
    grants = [{"grant_type": "refresh_token", "refresh_token": who.refresh_token} for who in (other, creator)]
    grants.append({"grant_type": "refresh_token", "refresh_token": "rft.nobody-knows-this-one"})
    assert [post_token(creator, **grant).status_code for grant in grants] == [200, 503, 400]


def test_a_revocation_belongs_to_the_account_of_its_token(
    sandbox: Sandbox, make_creator: MakeCreator, creator: Creator
) -> None:
    other = make_creator(app_of=creator)
    sandbox.add_fault({"type": "status", "status": 503}, path=REVOKE, open_id=creator.open_id)
    app = {"client_key": creator.client_key, "client_secret": creator.client_secret}
    tokens = [who.access_token for who in (other, creator)]
    answers = [BARE.post(sandbox.url + REVOKE, data={**app, "token": token}) for token in tokens]
    assert [answer.status_code for answer in answers] == [200, 503]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        pytest.param({}, [500, 200, 200, 200], id="once_by_default"),
        pytest.param({"times": 2}, [500, 500, 200, 200], id="twice"),
        pytest.param({"times": None}, [500, 500, 500, 500], id="for_ever"),
        pytest.param({"skip": 1}, [200, 500, 200, 200], id="after_one"),
        pytest.param({"skip": 2, "times": None}, [200, 200, 500, 500], id="for_ever_after_two"),
        pytest.param({"probability": 0.0, "times": None}, [200] * 4, id="never"),
        pytest.param({"probability": 1.0, "times": None}, [500] * 4, id="always"),
    ],
)
def test_a_fault_fires_as_often_as_it_says(
    sandbox: Sandbox, creator: Creator, rule: Json, expected: list[int]
) -> None:
    body = {"match": {"path": CREATOR_INFO}, "action": {"type": "error", "code": "internal_error"}, **rule}
    control(sandbox, "POST", "/sandbox/faults", body)
    assert [call(creator).status_code for _ in range(4)] == expected
    (listed,) = control(sandbox, "GET", "/sandbox/faults")
    assert expected.count(500) in listed.values()


def test_faults_are_removed(sandbox: Sandbox, creator: Creator) -> None:
    sandbox.add_fault({"type": "error", "code": "internal_error"}, times=None)
    sandbox.clear_faults()
    assert sandbox.faults() == []
    assert data_of(call(creator))


BAD_FAULTS: list[Json] = [
    {"action": {"type": "explode"}},
    {"action": {}},
    {},
    {"action": {"type": "error"}},
    {"action": {"type": "lost_answer"}, "match": {"colour": "red"}},
    {"action": {"type": "lost_answer"}, "probability": 2},
    {"action": {"type": "status", "status": 99}},
    {"action": {"type": "cut", "after_bytes": -1}},
]


@pytest.mark.parametrize("body", BAD_FAULTS, ids=str)
def test_a_fault_that_makes_no_sense_is_refused(sandbox: Sandbox, body: Json) -> None:
    assert BARE.post(sandbox.url + "/sandbox/faults", json=body).status_code in range(400, 500)


def test_an_unknown_switch_or_value_is_refused(sandbox: Sandbox) -> None:
    for body in ({"colour": "red"}, {"put_progress": "sideways"}, {"rate_limits": "maybe"}):
        assert BARE.patch(sandbox.url + "/sandbox/switches", json=body).status_code in range(400, 500)
