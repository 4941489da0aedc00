"""Fact sheet section 2: the envelope, the bearer token, scopes and malformed bodies, on every endpoint."""

from dataclasses import dataclass

import httpx
import pytest

from tests.sandbox.conftest import (
    BARE,
    CANCEL,
    CREATOR_INFO,
    INBOX_INIT,
    NOWHERE,
    PHOTO_INIT,
    STATUS,
    TOKEN,
    USER_INFO,
    VIDEO_INIT,
    VIDEO_LIST,
    VIDEO_QUERY,
    Creator,
    Json,
    MakeCreator,
    assert_error,
    control,
    file_source,
)
from tiktok_sandbox.client import Sandbox

ALL_SCOPES = (
    "user.info.basic",
    "user.info.profile",
    "user.info.stats",
    "video.list",
    "video.upload",
    "video.publish",
)


@dataclass(frozen=True)
class Call:
    """A valid call of one endpoint, and the scopes of which it needs one."""

    name: str
    path: str
    scopes: tuple[str, ...]
    body: Json | None = None
    method: str = "POST"

    def send(self, client: httpx.Client, base_url: str = "", **headers: str) -> httpx.Response:
        return client.request(self.method, base_url + self.path, json=self.body, headers=headers)


def photo_body(mode: str) -> Json:
    url = f"{NOWHERE}/a.jpg"
    images = {"source": "PULL_FROM_URL", "photo_images": [url], "photo_cover_index": 0}
    info = {"privacy_level": "SELF_ONLY"} if mode == "DIRECT_POST" else {}
    return {"media_type": "PHOTO", "post_mode": mode, "post_info": info, "source_info": images}


UNKNOWN_ID = {"publish_id": "v_pub_file~v2-1.7000000000000000000"}
FIRST_FIELDS = "?fields=open_id"
CALLS = [
    Call("creator_info", CREATOR_INFO, ("video.publish",), {}),
    Call(
        "video_init",
        VIDEO_INIT,
        ("video.publish",),
        {"post_info": {"privacy_level": "SELF_ONLY"}, "source_info": file_source(1000)},
    ),
    Call("inbox_init", INBOX_INIT, ("video.upload",), {"source_info": file_source(1000)}),
    Call("photo_direct", PHOTO_INIT, ("video.publish",), photo_body("DIRECT_POST")),
    Call("photo_draft", PHOTO_INIT, ("video.upload",), photo_body("MEDIA_UPLOAD")),
    Call("status", STATUS, ("video.upload", "video.publish"), UNKNOWN_ID),
    Call("cancel", CANCEL, ("video.upload", "video.publish"), UNKNOWN_ID),
    Call("user_info", USER_INFO + FIRST_FIELDS, ("user.info.basic",), method="GET"),
    Call("video_list", VIDEO_LIST + "?fields=id", ("video.list",), {}),
    Call("video_query", VIDEO_QUERY + "?fields=id", ("video.list",), {"filters": {"video_ids": ["7"]}}),
]
every_call = pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
# Status and cancel need a publish id that exists to succeed; they have tests of their own.
SUCCEEDING = [call for call in CALLS if call.body is not UNKNOWN_ID]
WITH_BODY = [call for call in CALLS if call.body]


@pytest.mark.parametrize("call", SUCCEEDING, ids=lambda call: call.name)
def test_a_success_has_data_and_an_ok_error_with_an_empty_message(creator: Creator, call: Call) -> None:
    response = call.send(creator.http)
    assert response.status_code == 200
    body = response.json()
    assert set(body) == {"data", "error"}
    assert isinstance(body["data"], dict)
    assert (body["error"]["code"], body["error"]["message"]) == ("ok", "")


@every_call
def test_the_log_id_is_in_body_header_and_request_log_and_never_twice(creator: Creator, call: Call) -> None:
    responses = [call.send(creator.http) for _ in range(2)]
    log_ids = [response.json()["error"]["log_id"] for response in responses]
    assert log_ids == [response.headers["x-tt-logid"] for response in responses]
    assert log_ids == [entry["log_id"] for entry in creator.sandbox.requests()]
    assert len(set(log_ids)) == 2
    assert "logid" not in responses[0].json()["error"]


def test_status_answers_in_the_envelope(creator: Creator) -> None:
    made = creator.init_video(file_source(1000)).json()["data"]
    body = creator.status(made["publish_id"]).json()
    assert set(body) == {"data", "error"}
    assert (body["error"]["code"], body["error"]["message"]) == ("ok", "")


def test_cancel_answers_with_error_alone(creator: Creator) -> None:
    creator.sandbox.set_switches(cancel_file_upload="accepted")
    made = creator.init_video(file_source(1000)).json()["data"]
    answers = [creator.cancel(made["publish_id"]).json() for _ in range(2)]
    assert [set(answer) for answer in answers] == [{"error"}, {"error"}]
    assert [answer["error"]["code"] for answer in answers] == ["ok", "publish_not_cancellable"]


BAD_AUTHORIZATION = {
    "absent": None,
    "empty": "",
    "without_scheme": "{access_token}",
    "basic": "Basic {access_token}",
    "empty_bearer": "Bearer",
    "unknown": "Bearer act.nobody-knows-this-one",
    "refresh_token": "Bearer {refresh_token}",
    "client_secret": "Bearer {client_secret}",
}


@every_call
@pytest.mark.parametrize("value", BAD_AUTHORIZATION.values(), ids=BAD_AUTHORIZATION.keys())
def test_a_call_without_a_valid_bearer_token_is_refused(
    creator: Creator, call: Call, value: str | None
) -> None:
    headers = {} if value is None else {"Authorization": value.format_map(vars(creator)).strip()}
    assert_error(call.send(BARE, creator.sandbox.url, **headers), 401, "access_token_invalid")


@every_call
def test_an_expired_token_is_refused(make_creator: MakeCreator, call: Call) -> None:
    creator = make_creator(expires_in=60)
    creator.sandbox.advance(61)
    assert_error(call.send(creator.http), 401, "access_token_invalid")


@every_call
def test_a_token_issued_as_expired_is_refused(make_creator: MakeCreator, call: Call) -> None:
    assert_error(call.send(make_creator(expires_in=-1).http), 401, "access_token_invalid")


@every_call
def test_a_token_lives_until_its_last_second(make_creator: MakeCreator, call: Call) -> None:
    creator = make_creator(expires_in=60)
    creator.sandbox.advance(59)
    assert call.send(creator.http).status_code != 401


@every_call
def test_a_token_of_an_app_that_the_creator_removed_is_refused(creator: Creator, call: Call) -> None:
    body = {"client_key": creator.client_key}
    control(creator.sandbox, "POST", f"/sandbox/accounts/{creator.open_id}/revoke", body)
    assert_error(call.send(creator.http), 401, "access_token_invalid")


@every_call
def test_a_client_token_is_useless_here(creator: Creator, call: Call) -> None:
    form = {
        "client_key": creator.client_key,
        "client_secret": creator.client_secret,
        "grant_type": "client_credentials",
    }
    token = BARE.post(creator.sandbox.url + TOKEN, data=form).json()["access_token"]
    response = call.send(BARE, creator.sandbox.url, Authorization=f"Bearer {token}")
    assert_error(response, 401, {"access_token_invalid", "scope_not_authorized"})


@every_call
def test_a_token_without_the_scope_is_refused(
    sandbox: Sandbox, make_creator: MakeCreator, call: Call
) -> None:
    # Else user.info.basic comes with every token.
    sandbox.set_switches(default_scope_granted=False)
    others = [scope for scope in ALL_SCOPES if scope not in call.scopes]
    creator = make_creator(scope=",".join(others))
    assert_error(call.send(creator.http), 401, "scope_not_authorized")


@pytest.mark.parametrize(
    ("call", "scope"),
    [pytest.param(call, scope, id=f"{call.name}-{scope}") for call in CALLS for scope in call.scopes],
)
def test_one_of_the_named_scopes_is_enough(make_creator: MakeCreator, call: Call, scope: str) -> None:
    response = call.send(make_creator(scope=scope).http)
    assert response.json()["error"]["code"] in {"ok", "invalid_publish_id"}


def test_photos_need_a_posting_scope_before_their_body_is_looked_at(make_creator: MakeCreator) -> None:
    assert_error(make_creator(scope="video.list").post_json(PHOTO_INIT, {}), 401, "scope_not_authorized")


@every_call
def test_an_old_token_does_not_gain_a_scope_that_is_granted_later(
    sandbox: Sandbox, make_creator: MakeCreator, call: Call
) -> None:
    sandbox.set_switches(default_scope_granted=False)
    others = [scope for scope in ALL_SCOPES if scope not in call.scopes]
    old = make_creator(scope=",".join(others))
    new = make_creator(app_of=old, account_of=old, scope=",".join(ALL_SCOPES))
    assert_error(call.send(old.http), 401, "scope_not_authorized")
    assert call.send(new.http).status_code != 401


MALFORMED = {
    "cut_short": b'{"source_info": ',
    "a_list": b"[]",
    "a_string": b'"publish_id"',
    "not_utf8": b'{"publish_id": "\xff"}',
    "utf16": '{"publish_id": "a"}'.encode("utf-16"),
    "half_a_surrogate_pair": b'{"publish_id": "\\ud800"}',
    "no_number": b'{"publish_id": NaN}',
    "too_deep": b"[" * 50_000,
}


@pytest.mark.parametrize("call", WITH_BODY, ids=lambda call: call.name)
@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_body_is_refused(creator: Creator, call: Call, body: bytes) -> None:
    response = creator.http.post(call.path, content=body, headers={"Content-Type": "application/json"})
    # For status and cancel no page names a code for this; the generic page has invalid_params.
    codes = {"invalid_params", *(["invalid_publish_id"] if call.body is UNKNOWN_ID else [])}
    assert_error(response, 400, codes)
    assert [entry["status"] for entry in creator.sandbox.requests()] == [400]


@pytest.mark.parametrize("call", WITH_BODY, ids=lambda call: call.name)
def test_an_empty_body_is_refused_where_fields_are_required(creator: Creator, call: Call) -> None:
    codes = {"invalid_params", *(["invalid_publish_id"] if call.body is UNKNOWN_ID else [])}
    assert_error(creator.http.post(call.path), 400, codes)


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=UTF-8"])
@pytest.mark.parametrize("call", SUCCEEDING, ids=lambda call: call.name)
def test_both_content_types_of_the_examples_are_accepted(
    creator: Creator, call: Call, content_type: str
) -> None:
    response = call.send(creator.http, **{"Content-Type": content_type})
    assert response.json()["error"]["code"] == "ok"


@pytest.mark.parametrize("spelling", ["invalid_params", "invalid_param"])
@pytest.mark.parametrize("path", [VIDEO_INIT, INBOX_INIT, PHOTO_INIT])
def test_the_code_for_bad_parameters_is_spelt_as_the_switch_says(
    sandbox: Sandbox, creator: Creator, path: str, spelling: str
) -> None:
    sandbox.set_switches(params_code=spelling)
    assert_error(creator.post_json(path, {"source_info": {}}), 400, spelling)
