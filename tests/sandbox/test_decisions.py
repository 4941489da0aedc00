"""The README's decisions and switches for what the public record leaves open."""

from collections.abc import Callable

import httpx
import pytest

from tests.sandbox.browser import (
    LOCAL,
    PKCE,
    WEB,
    ask,
    assert_oauth_error,
    assert_page_names,
    exchange,
    get_code,
    post_token,
)
from tests.sandbox.conftest import (
    BARE,
    CREATOR_INFO,
    INBOX_INIT,
    NOWHERE,
    PHOTO_INIT,
    REVOKE,
    USER_INFO,
    VIDEO_INIT,
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
from tiktok_sandbox.client import Sandbox

FAIL_REASONS = [
    "file_format_check_failed",
    "duration_check_failed",
    "frame_rate_check_failed",
    "picture_size_check_failed",
    "internal",
    "video_pull_failed",
    "photo_pull_failed",
    "publish_cancelled",
    "auth_removed",
    "spam_risk_too_many_posts",
    "spam_risk_user_banned_from_posting",
    "spam_risk_text",
    "spam_risk",
]


def fail(creator: Creator, publish_id: str, **body: str) -> object:
    return control(creator.sandbox, "POST", f"/sandbox/publishes/{publish_id}/fail", body)


# Failures of TikTok's own


@pytest.mark.parametrize("reason", FAIL_REASONS)
def test_a_publish_under_way_can_fail_for_every_documented_reason(
    creator: Creator, clip: Media, reason: str
) -> None:
    creator.sandbox.set_switches(processing_seconds=60)
    publish_id = creator.send_video(clip)
    fail(creator, publish_id, reason=reason)
    done = data_of(creator.status(publish_id))
    assert (done["status"], done["fail_reason"]) == ("FAILED", reason)
    creator.sandbox.advance(600)
    assert creator.sandbox.feed() == []


def test_a_failure_without_a_reason_is_internal(creator: Creator) -> None:
    made = data_of(creator.init_video(file_source(1000)))
    fail(creator, made["publish_id"])
    assert data_of(creator.status(made["publish_id"]))["fail_reason"] == "internal"


def test_what_is_out_cannot_fail_any_more(creator: Creator, clip: Media) -> None:
    publish_id = creator.publish(clip)
    url = f"{creator.sandbox.url}/sandbox/publishes/{publish_id}/fail"
    assert BARE.post(url, json={}).status_code in range(400, 500)
    assert data_of(creator.status(publish_id))["status"] == "PUBLISH_COMPLETE"


# Pulls


@pytest.mark.parametrize("path", [VIDEO_INIT, INBOX_INIT, PHOTO_INIT])
@pytest.mark.parametrize("url", ["http://127.0.0.1:1/a", "http://localhost:1/a", "https://127.0.0.1:1/a"])
@pytest.mark.parametrize("allowed", [True, False], ids=["allowed", "not_allowed"])
def test_this_machines_addresses_are_pulled_from_as_the_switch_says(
    sandbox: Sandbox, creator: Creator, allowed: bool, url: str, path: str
) -> None:
    sandbox.set_switches(allow_local_pulls=allowed)
    calls: dict[str, Callable[[], httpx.Response]] = {
        VIDEO_INIT: lambda: creator.init_video(pull_source(url)),
        INBOX_INIT: lambda: creator.init_inbox(pull_source(url)),
        PHOTO_INIT: lambda: creator.init_photos([url]),
    }
    response = calls[path]()
    if allowed:
        assert data_of(response)
    else:
        assert_error(response, 403, "url_ownership_unverified")


@pytest.mark.parametrize(
    "url",
    [
        "http://a.test/v/a.mp4",
        "https://198.51.100.7/v/a.mp4",
        "https://a.test/v/../a.mp4",
        "https://a.test/v/%2e%2e/a.mp4",
    ],
)
def test_http_addresses_and_dots_are_not_verified_property(make_creator: MakeCreator, url: str) -> None:
    creator = make_creator(app={"url_prefixes": ["https://a.test/v/"]})
    assert_error(creator.init_video(pull_source(url)), 403, "url_ownership_unverified")


def test_what_is_no_address_at_all_is_a_bad_parameter(creator: Creator) -> None:
    assert_error(creator.init_video(pull_source("a.mp4")), 400, "invalid_params")


# OAuth


@pytest.mark.parametrize(("age", "alive"), [(49, True), (51, False)])
def test_a_code_lives_as_long_as_the_switch_says(make_creator: MakeCreator, age: int, alive: bool) -> None:
    web = make_creator(app={"redirect_uris": [WEB]})
    web.sandbox.set_switches(code_lifetime_seconds=50)
    code = get_code(web)
    web.sandbox.advance(age)
    response = exchange(web, code)
    if alive:
        assert response.status_code == 200
    else:
        assert_oauth_error(response, "invalid_grant")


@pytest.mark.parametrize(("switch", "body"), [("json", b"{}"), ("empty", b"")])
def test_a_revocation_is_answered_as_the_switch_says(creator: Creator, switch: str, body: bytes) -> None:
    creator.sandbox.set_switches(revoke_body=switch)
    form = {
        "client_key": creator.client_key,
        "client_secret": creator.client_secret,
        "token": creator.access_token,
    }
    response = BARE.post(creator.sandbox.url + REVOKE, data=form)
    assert (response.status_code, response.content) == (200, body)


@pytest.mark.parametrize("platform", ["web", "desktop"])
@pytest.mark.parametrize("challenge", ["short", PKCE["code_challenge"].upper()], ids=["short", "upper_case"])
def test_a_wrong_challenge_shows_the_error_page(
    make_creator: MakeCreator, platform: str, challenge: str
) -> None:
    uri = WEB if platform == "web" else LOCAL
    creator = make_creator(app={"platform": platform, "redirect_uris": [uri]})
    params = {**PKCE, "code_challenge": challenge, "redirect_uri": uri}
    assert_page_names(ask(creator, **params), "code_challenge")


# Fields


PHOTOS: Json = {
    "media_type": "PHOTO",
    "post_mode": "DIRECT_POST",
    "post_info": {"privacy_level": "SELF_ONLY"},
    "source_info": {
        "source": "PULL_FROM_URL",
        "photo_images": [f"{NOWHERE}/a.jpg"],
        "photo_cover_index": 0,
    },
}
UNKNOWN_FIELDS: dict[str, tuple[str, Json]] = {
    "video": (VIDEO_INIT, {"source_info": file_source(1000), "colour": 1}),
    "post_info": (
        VIDEO_INIT,
        {"post_info": {"privacy_level": "SELF_ONLY", "colour": 1}, "source_info": file_source(1000)},
    ),
    "inbox": (INBOX_INIT, {"source_info": file_source(1000), "colour": 1}),
    "source_info": (INBOX_INIT, {"source_info": {**file_source(1000), "colour": 1}}),
    "photo": (PHOTO_INIT, {**PHOTOS, "colour": 1}),
    "photo_post_info": (PHOTO_INIT, {**PHOTOS, "post_info": {**PHOTOS["post_info"], "colour": 1}}),
    "photo_duet": (PHOTO_INIT, {**PHOTOS, "post_info": {**PHOTOS["post_info"], "disable_duet": True}}),
    "photo_stitch": (PHOTO_INIT, {**PHOTOS, "post_info": {**PHOTOS["post_info"], "disable_stitch": True}}),
    "photo_source_info": (PHOTO_INIT, {**PHOTOS, "source_info": {**PHOTOS["source_info"], "colour": 1}}),
}


@pytest.mark.parametrize("switch", ["refused", "ignored"])
@pytest.mark.parametrize(("path", "body"), UNKNOWN_FIELDS.values(), ids=UNKNOWN_FIELDS.keys())
def test_an_unknown_field_is_treated_as_the_switch_says(
    creator: Creator, path: str, body: Json, switch: str
) -> None:
    creator.sandbox.set_switches(unknown_fields=switch)
    full = {"post_info": {"privacy_level": "SELF_ONLY"}, **body} if path == VIDEO_INIT else body
    response = creator.post_json(path, full)
    if switch == "ignored":
        assert data_of(response)
    else:
        assert_error(response, 400, "invalid_params")


def test_a_cover_in_source_info_passes_without_effect(creator: Creator) -> None:
    assert data_of(creator.init_video({**file_source(1000), "video_cover_timestamp_ms": 5}))


@pytest.mark.parametrize("level", ["FOLLOWER_OF_CREATOR", "EVERYONE"])
def test_a_level_outside_the_options_is_a_mismatch(creator: Creator, level: str) -> None:
    response = creator.init_video(file_source(1000), privacy_level=level)
    assert_error(response, 403, "privacy_level_option_mismatch")


def test_branded_content_for_oneself_alone_is_a_bad_parameter(creator: Creator) -> None:
    response = creator.init_video(file_source(1000), privacy_level="SELF_ONLY", brand_content_toggle=True)
    assert_error(response, 400, "invalid_params")


@pytest.mark.parametrize("app", [{"audited": False}, {"sandbox": True}], ids=["unaudited", "sandbox"])
def test_the_audit_is_looked_at_before_the_options(make_creator: MakeCreator, app: Json) -> None:
    creator = make_creator(app=app)
    response = creator.init_video(file_source(1000), privacy_level="FOLLOWER_OF_CREATOR")
    assert_error(response, 403, "unaudited_client_can_only_post_to_private_accounts")


# Limits and caps


def test_calls_refused_for_their_rate_do_not_count(creator: Creator) -> None:
    for _ in range(20):
        assert data_of(creator.post_json(CREATOR_INFO))
    creator.sandbox.advance(30)
    for _ in range(20):
        assert creator.post_json(CREATOR_INFO).status_code == 429
    creator.sandbox.advance(31)
    for _ in range(20):
        assert data_of(creator.post_json(CREATOR_INFO))


def test_calls_refused_for_their_content_do_count(creator: Creator) -> None:
    for _ in range(6):
        assert_error(creator.init_video({}), 400, "invalid_params")
    assert_error(creator.init_video(file_source(1000)), 429, "rate_limit_exceeded")


def test_cancel_and_the_token_endpoint_have_no_limit(creator: Creator) -> None:
    for _ in range(50):
        assert_error(creator.cancel("v_pub_url~v2.7000000000000000000"), 400, "invalid_publish_id")
        assert post_token(creator, grant_type="client_credentials").status_code == 200


Release = Callable[[Creator, str], object]


def expire(creator: Creator, publish_id: str) -> object:
    return control(creator.sandbox, "POST", f"/sandbox/upload-urls/{publish_id}/expire")


@pytest.mark.parametrize("release", [fail, expire])
def test_a_direct_post_holds_its_place_from_init_until_it_fails_or_expires(
    make_creator: MakeCreator, release: Release
) -> None:
    creator = make_creator(account={"daily_post_cap": 1})
    made = data_of(creator.init_video(file_source(1000)))
    assert_error(creator.init_video(file_source(1000)), 403, "spam_risk_too_many_posts")
    release(creator, made["publish_id"])
    assert data_of(creator.init_video(file_source(1000)))


def test_an_unused_upload_fails_as_internal(creator: Creator) -> None:
    creator.sandbox.set_switches(unused_upload="failed")
    made = data_of(creator.init_video(file_source(1000)))
    creator.sandbox.advance(3700)
    assert data_of(creator.status(made["publish_id"]))["fail_reason"] == "internal"


# The control API


def test_a_draft_that_was_posted_twice_is_two_rows(creator: Creator, clip: Media) -> None:
    publish_id = creator.send_draft(clip)
    creator.wait_for(publish_id)
    assert [post["post_id"] for post in creator.sandbox.feed()] == [None]
    for _ in range(2):
        control(creator.sandbox, "POST", f"/sandbox/publishes/{publish_id}/finish-draft", {})
        creator.sandbox.advance(10)
    rows = creator.sandbox.feed()
    assert {row["publish_id"] for row in rows} == {publish_id}
    assert len({row["post_id"] for row in rows}) == 2


def test_a_deleted_post_stays_in_the_feed_as_deleted(creator: Creator, clip: Media) -> None:
    publish_id = creator.publish(clip)
    post_id = creator.wait_for_post(publish_id)
    assert creator.feed_entry(publish_id)["deleted"] is False
    control(creator.sandbox, "POST", f"/sandbox/posts/{post_id}", {"deleted": True})
    assert creator.feed_entry(publish_id)["deleted"] is True


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PATCH", "/sandbox/accounts/nobody", {"private": True}, 404),
        ("POST", "/sandbox/publishes/none/finish-draft", {}, 404),
        ("POST", "/sandbox/posts/7", {"deleted": True}, 404),
        ("POST", "/sandbox/upload-urls/none/expire", {}, 404),
        ("POST", "/sandbox/accounts", {"colour": "red"}, 400),
        ("POST", "/sandbox/accounts", {"private": "perhaps"}, 400),
        ("POST", "/sandbox/apps", {"platform": "fridge"}, 400),
        ("PATCH", "/sandbox/switches", {"put_progress": "sideways"}, 400),
        ("POST", "/sandbox/clock", {"advance": "a while"}, 400),
    ],
)
def test_a_bad_control_call_says_what_is_wrong(
    sandbox: Sandbox, method: str, path: str, body: Json, status: int
) -> None:
    response = BARE.request(method, sandbox.url + path, json=body)
    assert response.status_code == status
    assert set(response.json()) == {"error"}
    assert response.json()["error"]


def test_an_account_has_one_open_id_for_each_app(make_creator: MakeCreator) -> None:
    one = make_creator()
    two = make_creator(account_of=one)
    accounts = [control(one.sandbox, "GET", f"/sandbox/accounts/{creator.open_id}") for creator in (one, two)]
    assert accounts[0] == accounts[1]
    assert accounts[0]["open_ids"] == {one.client_key: one.open_id, two.client_key: two.open_id}
    assert one.http.get(USER_INFO, params={"fields": "open_id"}).json()["data"]["user"] == {
        "open_id": one.open_id
    }
