"""Fact sheet sections 5.3 and 5.4: videos that TikTok pulls, who owns their URLs, and cancelling."""

import pytest

from tests.sandbox.conftest import (
    CANCEL,
    INBOX_INIT,
    NOWHERE,
    VIDEO_INIT,
    Creator,
    Json,
    MakeCreator,
    Media,
    assert_error,
    data_of,
    file_source,
    pull_source,
)
from tests.sandbox.media_origin import MediaOrigin
from tiktok_sandbox.client import Sandbox

HOUR = 3600
REFUSALS = {(400, "invalid_params"), (403, "url_ownership_unverified")}
both_inits = pytest.mark.parametrize("path", [VIDEO_INIT, INBOX_INIT], ids=["direct", "inbox"])


def pull_body(url: str) -> Json:
    return {"post_info": {"privacy_level": "PUBLIC_TO_EVERYONE"}, "source_info": pull_source(url)}


def pull(creator: Creator, url: str) -> str:
    return str(data_of(creator.init_video(pull_source(url)))["publish_id"])


def failed_pull(creator: Creator, url: str) -> object:
    done = creator.wait_for(pull(creator, url))
    assert done["status"] == "FAILED"
    return done["fail_reason"]


# Which URLs

BAD_URLS = {
    "http": "http://a.test/a.mp4",
    "ftp": "ftp://a.test/a.mp4",
    "ipv4": "https://198.51.100.7/a.mp4",
    "ipv6": "https://[2001:db8::7]/a.mp4",
    "no_scheme": "a.test/a.mp4",
    "no_host": "https:///a.mp4",
    "path_of_a_file": "/var/media/a.mp4",
}


@both_inits
@pytest.mark.parametrize("url", BAD_URLS.values(), ids=BAD_URLS.keys())
def test_a_url_must_be_https_with_a_domain(make_creator: MakeCreator, path: str, url: str) -> None:
    creator = make_creator(app={"url_prefixes": ["a.test", "198.51.100.7"]})
    response = creator.post_json(path, pull_body(url))
    assert (response.status_code, response.json()["error"]["code"]) in REFUSALS


OWNERSHIP = [
    pytest.param([], "https://a.test/a.mp4", False, id="nothing_verified"),
    pytest.param(["a.test"], "https://a.test/a.mp4", True, id="domain"),
    pytest.param(["a.test"], "https://a.test/deep/er/a.mp4", True, id="any_path_of_a_domain"),
    pytest.param(["a.test"], "https://A.TEST/a.mp4", True, id="domain_in_capitals"),
    pytest.param(["a.test"], "https://cdn.a.test/a.mp4", True, id="subdomain"),
    pytest.param(["a.test"], "https://x.cdn.a.test/a.mp4", True, id="subdomain_of_a_subdomain"),
    pytest.param(["a.test"], "https://a.test/a.mp4?sig=x&until=9", True, id="signed_url"),
    pytest.param(["cdn.a.test"], "https://a.test/a.mp4", False, id="parent_domain"),
    pytest.param(["cdn.a.test"], "https://img.a.test/a.mp4", False, id="sibling_domain"),
    pytest.param(["a.test"], "https://bada.test/a.mp4", False, id="domain_that_ends_alike"),
    pytest.param(["a.test"], "https://a.test.evil.test/a.mp4", False, id="domain_that_starts_alike"),
    pytest.param(["a.test"], "https://evil.test/a.test/a.mp4", False, id="domain_in_the_path"),
    pytest.param(["a.test"], "https://a.test@evil.test/a.mp4", False, id="domain_as_user_name"),
    pytest.param(["https://a.test/v/"], "https://a.test/v/a.mp4", True, id="prefix"),
    pytest.param(["https://a.test/v/"], "https://a.test/v/w/a.mp4?x=1", True, id="deeper_than_the_prefix"),
    pytest.param(["https://a.test/v/"], "https://a.test/a.mp4", False, id="above_the_prefix"),
    pytest.param(["https://a.test/v/"], "https://a.test/videos/a.mp4", False, id="path_that_starts_alike"),
    pytest.param(["https://a.test/v/"], "https://cdn.a.test/v/a.mp4", False, id="prefix_on_a_subdomain"),
    pytest.param(["b.test", "a.test"], "https://a.test/a.mp4", True, id="second_of_two_properties"),
]


@both_inits
@pytest.mark.parametrize(("properties", "url", "owned"), OWNERSHIP)
def test_a_url_must_lie_in_a_verified_property(
    make_creator: MakeCreator, path: str, properties: list[str], url: str, owned: bool
) -> None:
    response = make_creator(app={"url_prefixes": properties}).post_json(path, pull_body(url))
    if owned:
        assert set(data_of(response)) == {"publish_id"}
    else:
        assert_error(response, 403, "url_ownership_unverified")


@both_inits
def test_the_property_of_another_app_does_not_count(make_creator: MakeCreator, path: str) -> None:
    make_creator(app={"url_prefixes": ["a.test"]})
    response = make_creator(app={"url_prefixes": ["b.test"]}).post_json(path, pull_body("https://a.test/v"))
    assert_error(response, 403, "url_ownership_unverified")


# What a pull does


def test_a_pulled_video_is_posted_byte_by_byte(creator: Creator, origin: MediaOrigin, clip: Media) -> None:
    publish_id = pull(creator, origin.serve("/a.mp4", clip.data))
    assert creator.wait_for(publish_id)["status"] == "PUBLISH_COMPLETE"
    entry = creator.feed_entry(publish_id)
    assert (entry["sha256"], entry["size"], entry["source"]) == (clip.sha256, clip.size, "PULL_FROM_URL")


def test_a_signed_url_is_asked_for_with_its_query(creator: Creator, origin: MediaOrigin, clip: Media) -> None:
    publish_id = pull(creator, origin.serve("/a.mp4?sig=x%2Fy&n=1", clip.data))
    assert creator.wait_for(publish_id)["status"] == "PUBLISH_COMPLETE"
    assert origin.seen == ["/a.mp4?sig=x%2Fy&n=1"]


def test_a_pulled_draft_goes_to_the_inbox(creator: Creator, origin: MediaOrigin, clip: Media) -> None:
    made = data_of(creator.init_inbox(pull_source(origin.serve("/a.mp4", clip.data))))
    assert creator.wait_for(made["publish_id"])["status"] == "SEND_TO_USER_INBOX"


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(creator: Creator, origin: MediaOrigin, clip: Media, status: int) -> None:
    target = origin.serve("/b.mp4", clip.data)
    url = origin.serve("/a.mp4", status=status, location=target)
    assert failed_pull(creator, url) == "video_pull_failed"
    assert "/b.mp4" not in origin.seen


@pytest.mark.parametrize("status", [304, 401, 403, 404, 410, 500, 503])
def test_another_answer_than_the_file_fails_the_pull(
    creator: Creator, origin: MediaOrigin, status: int
) -> None:
    assert failed_pull(creator, origin.serve("/a.mp4", status=status)) == "video_pull_failed"


def test_a_server_that_does_not_answer_fails_the_pull(creator: Creator) -> None:
    assert failed_pull(creator, f"{NOWHERE}/a.mp4") == "video_pull_failed"


def test_a_host_that_does_not_exist_fails_the_pull(make_creator: MakeCreator) -> None:
    assert (
        failed_pull(make_creator(app={"url_prefixes": ["a.test"]}), "https://a.test/v") == "video_pull_failed"
    )


def test_a_file_that_is_cut_short_fails_the_pull(creator: Creator, origin: MediaOrigin, clip: Media) -> None:
    headers = {"Content-Length": str(clip.size), "Connection": "close"}
    origin.answers["/a.mp4"] = (200, headers, clip.data[:1000])
    assert failed_pull(creator, origin.url + "/a.mp4") == "video_pull_failed"


def test_a_pull_that_takes_an_hour_fails(
    sandbox: Sandbox, creator: Creator, origin: MediaOrigin, clip: Media
) -> None:
    sandbox.set_switches(pull_bytes_per_second=1)
    assert clip.size > HOUR
    publish_id = pull(creator, origin.serve("/a.mp4", clip.data))
    sandbox.advance(HOUR - 1)
    assert data_of(creator.status(publish_id))["status"] == "PROCESSING_DOWNLOAD"
    sandbox.advance(2)
    done = creator.wait_for(publish_id)
    assert (done["status"], done["fail_reason"]) == ("FAILED", "video_pull_failed")


def test_a_slow_pull_says_how_far_it_is(
    sandbox: Sandbox, creator: Creator, origin: MediaOrigin, clip: Media
) -> None:
    sandbox.set_switches(pull_bytes_per_second=clip.size // 100)
    publish_id = pull(creator, origin.serve("/a.mp4", clip.data))
    sandbox.advance(50)
    status = creator.wait_for(
        publish_id, "PROCESSING_DOWNLOAD", until=lambda data: data["downloaded_bytes"] > clip.size // 3
    )
    assert status["downloaded_bytes"] < clip.size
    assert "uploaded_bytes" not in status
    done = creator.wait_for(publish_id)
    assert done["status"] == "PUBLISH_COMPLETE"


def test_pulled_bytes_that_are_no_video_fail_the_check(creator: Creator, origin: MediaOrigin) -> None:
    assert failed_pull(creator, origin.serve("/a.mp4", b"<html></html>")) == "file_format_check_failed"


# Cancel


@pytest.fixture
def slow(sandbox: Sandbox, creator: Creator, origin: MediaOrigin, clip: Media) -> str:
    """The publish id of a pull that has just begun and takes a while."""
    sandbox.set_switches(pull_bytes_per_second=clip.size // 1000)
    return pull(creator, origin.serve("/a.mp4", clip.data))


def test_a_pull_under_way_can_be_cancelled(sandbox: Sandbox, creator: Creator, slow: str) -> None:
    sandbox.advance(10)
    response = creator.cancel(slow)
    assert (response.status_code, response.json()["error"]["code"]) == (200, "ok")
    status = data_of(creator.status(slow))
    assert (status["status"], status["fail_reason"]) == ("FAILED", "publish_cancelled")
    sandbox.advance(HOUR)
    assert data_of(creator.status(slow))["status"] == "FAILED"
    assert sandbox.feed() == []


def test_a_cancelled_publish_cannot_be_cancelled_again(creator: Creator, slow: str) -> None:
    creator.cancel(slow)
    assert_error(creator.cancel(slow), 400, "publish_not_cancellable")


@pytest.mark.parametrize("state", ["processing", "complete"])
def test_a_pull_that_is_past_the_download_is_not_cancellable(
    sandbox: Sandbox, creator: Creator, origin: MediaOrigin, clip: Media, state: str
) -> None:
    sandbox.set_switches(processing_seconds=600)
    publish_id = pull(creator, origin.serve("/a.mp4", clip.data))
    creator.wait_for(
        publish_id, "PROCESSING_DOWNLOAD", until=lambda data: data["downloaded_bytes"] == clip.size
    )
    if state == "complete":
        sandbox.advance(600)
        creator.wait_for(publish_id)
    assert_error(creator.cancel(publish_id), 400, "publish_not_cancellable")


def test_a_failed_pull_is_not_cancellable(creator: Creator, origin: MediaOrigin) -> None:
    publish_id = pull(creator, origin.url + "/missing.mp4")
    creator.wait_for(publish_id, "FAILED")
    assert_error(creator.cancel(publish_id), 400, "publish_not_cancellable")


def test_a_file_upload_is_not_cancellable_by_default(creator: Creator) -> None:
    made = data_of(creator.init_video(file_source(1000)))
    assert_error(creator.cancel(made["publish_id"]), 400, "publish_not_cancellable")


def test_a_file_upload_is_cancellable_with_the_switch(creator: Creator, clip: Media) -> None:
    creator.sandbox.set_switches(cancel_file_upload="accepted")
    made = data_of(creator.init_video(clip.source()))
    assert creator.cancel(made["publish_id"]).json()["error"]["code"] == "ok"
    assert data_of(creator.status(made["publish_id"]))["fail_reason"] == "publish_cancelled"
    assert creator.put(made["upload_url"], clip.data, 0, clip.size).status_code in {403, 404}


def test_an_unknown_publish_id_cannot_be_cancelled(creator: Creator) -> None:
    assert_error(creator.cancel("v_pub_url~v2.7000000000000000000"), 400, "invalid_publish_id")


@pytest.mark.parametrize("body", [{}, {"publish_id": ""}, {"publish_id": 7}, {"publish_id": None}])
def test_cancel_needs_a_publish_id(creator: Creator, body: Json) -> None:
    assert_error(creator.post_json(CANCEL, body), 400, {"invalid_publish_id", "invalid_params"})


def test_another_creator_cannot_cancel(make_creator: MakeCreator, creator: Creator, slow: str) -> None:
    code = "token_not_authorized_for_specified_publish_id"
    assert_error(make_creator(app_of=creator).cancel(slow), 400, code)
    assert data_of(creator.status(slow))["status"] == "PROCESSING_DOWNLOAD"
