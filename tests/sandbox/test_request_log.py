"""The README's control API: the log of requests, the seed and the reset."""

import time

import httpx
import pytest

from tests.sandbox.conftest import (
    BARE,
    CREATOR_INFO,
    TOKEN,
    USER_INFO,
    VIDEO_INIT,
    Creator,
    Json,
    Media,
    assert_error,
    control,
    data_of,
    file_source,
    pull_source,
)
from tiktok_sandbox.client import Sandbox


def call(creator: Creator, path: str = CREATOR_INFO) -> httpx.Response:
    method = "GET" if path == USER_INFO else "POST"
    return creator.http.request(method, path, params={"fields": "open_id"})


def log(sandbox: Sandbox, path: str = "") -> list[Json]:
    return list(sandbox.requests(path))


def test_the_log_has_one_entry_for_each_call(sandbox: Sandbox, creator: Creator, clip: Media) -> None:
    publish_id = creator.send_video(clip)
    creator.status(publish_id)
    assert_error(creator.init_video({}), 400, "invalid_params")
    entries = log(sandbox)
    assert [(e["method"], e["status"], e["code"]) for e in entries] == [
        ("POST", 200, "ok"),
        ("PUT", 201, entries[1]["code"]),
        ("POST", 200, "ok"),
        ("POST", 400, "invalid_params"),
    ]
    assert [e["publish_id"] for e in entries] == [publish_id] * 3 + [None]
    assert {e["open_id"] for e in entries if e["method"] == "POST"} == {creator.open_id}
    assert all(e["time"] == pytest.approx(sandbox.now(), abs=1) for e in entries)


def test_the_log_names_the_fault_and_can_be_filtered_and_emptied(sandbox: Sandbox, creator: Creator) -> None:
    sandbox.add_fault({"type": "error", "code": "internal_error"}, path=USER_INFO)
    for path in (USER_INFO, CREATOR_INFO):
        call(creator, path)
    (faulty,) = log(sandbox, USER_INFO)
    (clean,) = log(sandbox, "/v2/post/")
    assert faulty["fault"]
    assert not clean["fault"]
    control(sandbox, "DELETE", "/sandbox/requests")
    assert log(sandbox) == []


def test_the_log_never_has_a_token_or_secret(sandbox: Sandbox, creator: Creator, clip: Media) -> None:
    made = data_of(creator.init_video(clip.source()))
    creator.upload(made["upload_url"], clip)
    creator.init_video(pull_source("https://localhost:1/a.mp4?sig=signed-secret"))
    form = {"client_key": creator.client_key, "client_secret": creator.client_secret}
    refreshed = BARE.post(
        sandbox.url + TOKEN,
        data={**form, "grant_type": "refresh_token", "refresh_token": creator.refresh_token},
    ).json()
    BARE.post(sandbox.url + "/v2/oauth/revoke/", data={**form, "token": refreshed["access_token"]})
    BARE.get(f"{sandbox.url}{USER_INFO}?fields=open_id&access_token={creator.access_token}")
    upload_token = httpx.URL(made["upload_url"]).params["upload_token"]
    secrets = [
        creator.access_token,
        creator.refresh_token,
        creator.client_secret,
        refreshed["access_token"],
        refreshed["refresh_token"],
        upload_token,
        "signed-secret",
    ]
    text = BARE.get(sandbox.url + "/sandbox/requests").text
    assert len(log(sandbox)) == 6
    assert [secret for secret in secrets if secret in text] == []


# The feed

FEED_FIELDS = {
    "publish_id",
    "post_id",
    "open_id",
    "username",
    "kind",
    "mode",
    "source",
    "title",
    "description",
    "privacy_level",
    "size",
    "sha256",
    "photo_sha256s",
    "status",
    "created_at",
    "posted_at",
    "public_at",
    "media_url",
    "page_url",
}


def test_the_feed_has_all_fields_of_a_post_oldest_first(
    sandbox: Sandbox, creator: Creator, clip: Media
) -> None:
    publishes = [creator.publish(clip, title=f"clip {number}") for number in range(3)]
    entries = sandbox.feed()
    assert [entry["publish_id"] for entry in entries] == publishes
    assert FEED_FIELDS - set(entries[0]) == set()
    assert entries[0]["created_at"] <= entries[0]["posted_at"] <= sandbox.now()
    assert (entries[0]["open_id"], entries[0]["username"]) == (creator.open_id, creator.username)


def test_a_post_has_a_page(sandbox: Sandbox, creator: Creator, clip: Media) -> None:
    publish_id = creator.publish(clip, title="look here")
    post_id = creator.wait_for_post(publish_id)
    page = BARE.get(httpx.URL(sandbox.url).join(creator.feed_entry(publish_id)["page_url"]))
    assert page.status_code == 200
    assert "look here" in page.text
    for path in ("/", f"/@{creator.username}", f"/@{creator.username}/video/{post_id}"):
        assert "look here" in BARE.get(sandbox.url + path).text


# The clock


def test_a_frozen_clock_moves_by_advance_alone(sandbox: Sandbox) -> None:
    begun = sandbox.now()
    time.sleep(0.02)
    assert sandbox.now() == begun
    sandbox.advance(60)
    sandbox.freeze()
    assert sandbox.now() == pytest.approx(begun + 60, abs=0.001)
    assert control(sandbox, "GET", "/sandbox/clock") == {"now": sandbox.now(), "frozen": True}


@pytest.mark.wall_clock
def test_a_clock_that_runs_again_goes_on_from_where_it_stood(sandbox: Sandbox) -> None:
    sandbox.advance(3600)
    stood = sandbox.now()
    sandbox.unfreeze()
    time.sleep(0.02)
    assert 0.02 <= sandbox.now() - stood < 10
    sandbox.advance(60)
    assert 60 <= sandbox.now() - stood < 70


# The seed


def history(sandbox: Sandbox, seed: int | None) -> list[object]:
    """The same calls on a fresh sandbox; returns all that its dice decide."""
    control(sandbox, "POST", "/sandbox/reset", {} if seed is None else {"seed": seed})
    app, account = sandbox.create_app(), sandbox.create_account()
    tokens = sandbox.issue_tokens(app, account)
    headers = {"Authorization": f"Bearer {tokens.access_token}"}
    error = {"type": "error", "code": "internal_error"}
    sandbox.add_fault(error, path=CREATOR_INFO, times=None, probability=0.5)
    answers = [BARE.post(sandbox.url + CREATOR_INFO, headers=headers).status_code for _ in range(20)]
    post = {"post_info": {"privacy_level": "SELF_ONLY"}, "source_info": file_source(1000)}
    made = BARE.post(sandbox.url + VIDEO_INIT, headers=headers, json=post).json()["data"]
    return [
        account.open_id,
        account.username,
        app.client_key,
        tokens.access_token,
        made["publish_id"],
        answers,
    ]


def test_one_seed_gives_one_history(sandbox: Sandbox) -> None:
    one, again, other = (history(sandbox, seed) for seed in (7, 7, 8))
    assert one == again
    assert one[-1] != other[-1]
    assert set(one[-1] if isinstance(one[-1], list) else []) == {200, 500}


def test_a_reset_forgets_everything(sandbox: Sandbox, creator: Creator, clip: Media) -> None:
    creator.publish(clip)
    sandbox.set_switches(put_progress="count")
    sandbox.add_fault({"type": "lost_answer"}, times=None)
    sandbox.reset()
    assert (sandbox.feed(), log(sandbox), sandbox.faults()) == ([], [], [])
    for path in ("/sandbox/apps", "/sandbox/accounts", "/sandbox/publishes"):
        assert control(sandbox, "GET", path) == []
    assert control(sandbox, "GET", "/sandbox/switches")["put_progress"] == "last_index"
    assert_error(call(creator), 401, "access_token_invalid")
