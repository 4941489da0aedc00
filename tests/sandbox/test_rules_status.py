"""Fact sheet sections 7 and 8: the states of a publish, post ids, and the checks of the media."""

import pathlib
import re
from fractions import Fraction

import av
import pytest

from tests.sandbox.conftest import (
    CHUNK,
    STATUS,
    Creator,
    Json,
    MakeCreator,
    Media,
    assert_error,
    control,
    data_of,
    file_source,
)
from tiktok_sandbox.client import Sandbox
from tiktok_sandbox.clips import make_clip

UNKNOWN = "v_pub_file~v2-1.7000000000000000000"


def status(creator: Creator, publish_id: str) -> Json:
    return data_of(creator.status(publish_id))


def finish_draft(creator: Creator, publish_id: str, **fields: object) -> None:
    control(creator.sandbox, "POST", f"/sandbox/publishes/{publish_id}/finish-draft", fields)


# Who may ask for what


@pytest.mark.parametrize("publish_id", [UNKNOWN, "nonsense", ""])
def test_an_unknown_publish_id_is_refused(creator: Creator, publish_id: str) -> None:
    assert_error(creator.status(publish_id), 400, {"invalid_publish_id"} if publish_id else INVALID)


INVALID = {"invalid_publish_id", "invalid_params"}


@pytest.mark.parametrize("body", [{}, {"publish_id": None}, {"publish_id": 7}, {"publish_id": ["a"]}])
def test_a_body_without_a_publish_id_is_refused(creator: Creator, body: Json) -> None:
    assert_error(creator.post_json(STATUS, body), 400, INVALID)


def test_another_creator_may_not_ask(make_creator: MakeCreator, creator: Creator) -> None:
    made = data_of(creator.init_video(file_source(1000)))
    response = make_creator(app_of=creator).status(made["publish_id"])
    assert_error(response, 400, "token_not_authorized_for_specified_publish_id")


def test_another_app_may_not_ask_either(make_creator: MakeCreator, creator: Creator) -> None:
    made = data_of(creator.init_video(file_source(1000)))
    response = make_creator(account_of=creator).status(made["publish_id"])
    codes = {"token_not_authorized_for_specified_publish_id", "invalid_publish_id"}
    assert_error(response, 400, codes)


@pytest.mark.parametrize("scope", ["video.upload", "video.publish"])
def test_either_posting_scope_may_ask(make_creator: MakeCreator, creator: Creator, scope: str) -> None:
    made = data_of(creator.init_video(file_source(1000)))
    asking = make_creator(app_of=creator, account_of=creator, scope=scope)
    assert status(asking, made["publish_id"])["status"] == "PROCESSING_UPLOAD"


@pytest.mark.parametrize("retention", [None, 1000])
def test_an_old_publish_id_is_forgotten_as_the_switch_says(
    creator: Creator, clip: Media, retention: int | None
) -> None:
    creator.sandbox.set_switches(publish_id_retention_seconds=retention)
    publish_id = creator.publish(clip)
    creator.sandbox.advance(1001)
    if retention is None:
        assert status(creator, publish_id)["status"] == "PUBLISH_COMPLETE"
    else:
        assert_error(creator.status(publish_id), 400, "invalid_publish_id")


# States


def test_a_direct_post_is_processed_then_complete_then_public(creator: Creator, clip: Media) -> None:
    sandbox = creator.sandbox
    sandbox.set_switches(processing_seconds=60, moderation_seconds=120)
    publish_id = creator.send_video(clip)
    assert status(creator, publish_id)["status"] == "PROCESSING_UPLOAD"
    sandbox.advance(58)
    assert status(creator, publish_id)["status"] == "PROCESSING_UPLOAD"
    sandbox.advance(2)
    done = creator.wait_for(publish_id)
    assert (done["status"], done.get("publicaly_available_post_id") or []) == ("PUBLISH_COMPLETE", [])
    sandbox.advance(130)
    (post_id,) = status(creator, publish_id)["publicaly_available_post_id"]
    assert creator.feed_entry(publish_id)["post_id"] == str(post_id)


def test_a_draft_ends_in_the_inbox_until_the_creator_posts_it(creator: Creator, clip: Media) -> None:
    publish_id = creator.send_draft(clip)
    assert creator.wait_for(publish_id)["status"] == "SEND_TO_USER_INBOX"
    creator.sandbox.advance(3600)
    assert status(creator, publish_id)["status"] == "SEND_TO_USER_INBOX"
    finish_draft(creator, publish_id)
    assert creator.wait_for(publish_id, "PUBLISH_COMPLETE")


def test_one_draft_may_become_several_posts(creator: Creator, clip: Media) -> None:
    publish_id = creator.send_draft(clip)
    creator.wait_for(publish_id)
    for _ in range(2):
        finish_draft(creator, publish_id)
        creator.sandbox.advance(10)
    ids = status(creator, publish_id)["publicaly_available_post_id"]
    assert len(set(ids)) == 2


def test_a_draft_posted_for_oneself_alone_gets_no_id(creator: Creator, clip: Media) -> None:
    publish_id = creator.send_draft(clip)
    creator.wait_for(publish_id)
    finish_draft(creator, publish_id, privacy_level="SELF_ONLY")
    creator.sandbox.advance(600)
    assert creator.wait_for(publish_id, "PUBLISH_COMPLETE").get("publicaly_available_post_id", []) == []


def test_a_complete_upload_stays_in_processing_with_the_switch(creator: Creator, clip: Media) -> None:
    creator.sandbox.set_switches(stuck_processing=True)
    publish_id = creator.send_video(clip)
    creator.sandbox.advance(30 * 60)
    assert status(creator, publish_id)["status"].startswith("PROCESSING_")


def test_only_a_failure_has_a_reason(creator: Creator, clip: Media) -> None:
    publish_id = creator.send_video(clip)
    assert not status(creator, publish_id).get("fail_reason")
    assert not creator.wait_for(publish_id).get("fail_reason")


def test_a_creator_who_removes_the_app_ends_what_is_under_way(
    make_creator: MakeCreator, creator: Creator, clip: Media
) -> None:
    bystanders = [make_creator(app_of=creator), make_creator(account_of=creator)]
    creator.sandbox.set_switches(processing_seconds=60)
    publish_id = creator.send_video(clip)
    others = [bystander.send_video(clip) for bystander in bystanders]
    body = {"client_key": creator.client_key}
    control(creator.sandbox, "POST", f"/sandbox/accounts/{creator.open_id}/revoke", body)
    again = make_creator(app_of=creator, account_of=creator)
    done = again.wait_for(publish_id)
    assert (done["status"], done["fail_reason"]) == ("FAILED", "auth_removed")
    for bystander, other in zip(bystanders, others, strict=True):
        assert bystander.wait_for(other)["status"] == "PUBLISH_COMPLETE"
    assert [post["publish_id"] for post in creator.sandbox.feed()] == others


def test_a_creator_who_is_banned_meanwhile_ends_what_is_under_way(creator: Creator, clip: Media) -> None:
    creator.sandbox.set_switches(processing_seconds=60)
    publish_id = creator.send_video(clip)
    creator.sandbox.update_account(creator.open_id, banned=True)
    done = creator.wait_for(publish_id)
    assert (done["status"], done["fail_reason"]) == ("FAILED", "spam_risk_user_banned_from_posting")


# Post ids


def test_a_post_id_is_a_raw_integer_here_and_a_string_on_the_control_api(
    creator: Creator, clip: Media
) -> None:
    publish_id = creator.publish(clip)
    creator.wait_for_post(publish_id)
    raw = creator.status(publish_id).text
    (post_id,) = re.findall(r'"publicaly_available_post_id":\s*\[\s*(\d{19})\s*\]', raw)
    assert int(post_id) > 2**53
    assert creator.feed_entry(publish_id)["post_id"] == post_id


@pytest.mark.parametrize("level", ["SELF_ONLY", "MUTUAL_FOLLOW_FRIENDS"])
def test_a_post_that_is_not_public_gets_no_id(creator: Creator, clip: Media, level: str) -> None:
    publish_id = creator.publish(clip, privacy_level=level)
    creator.sandbox.advance(3600)
    assert status(creator, publish_id).get("publicaly_available_post_id", []) == []


@pytest.mark.parametrize("shape", ["list", "empty", "absent", "scalar"])
def test_the_post_id_has_the_shape_that_the_switch_says(creator: Creator, clip: Media, shape: str) -> None:
    creator.sandbox.set_switches(post_id_shape=shape)
    publish_id = creator.publish(clip)
    creator.sandbox.advance(600)
    data = status(creator, publish_id)
    post_id = int(creator.feed_entry(publish_id)["post_id"])
    expected = {"list": [post_id], "empty": [], "absent": None, "scalar": post_id}[shape]
    assert data.get("publicaly_available_post_id") == expected
    assert ("publicaly_available_post_id" in data) == (shape != "absent")


def test_a_post_that_the_creator_makes_public_later_gets_an_id(creator: Creator, clip: Media) -> None:
    publish_id = creator.publish(clip)
    post_id = creator.wait_for_post(publish_id)
    for level, listed in (("SELF_ONLY", []), ("PUBLIC_TO_EVERYONE", [post_id])):
        control(creator.sandbox, "POST", f"/sandbox/posts/{post_id}", {"privacy_level": level})
        creator.sandbox.advance(600)
        assert status(creator, publish_id).get("publicaly_available_post_id", []) == listed


# Progress


@pytest.mark.parametrize(
    ("switch", "expected"),
    [
        ("exact", [0, CHUNK, 2 * CHUNK + 123]),
        ("last_index", [0, CHUNK - 1, 2 * CHUNK + 122]),
        ("lags", [0, 0, 2 * CHUNK + 123]),
        ("absent", [None] * 3),
    ],
)
def test_the_progress_is_as_the_switch_says(
    creator: Creator, two_chunks: Media, switch: str, expected: list[int | None]
) -> None:
    creator.sandbox.set_switches(status_progress=switch)
    made = data_of(creator.init_video(two_chunks.source(CHUNK)))
    seen = [status(creator, made["publish_id"]).get("uploaded_bytes")]
    for first, part in two_chunks.chunks(CHUNK):
        creator.put(made["upload_url"], part, first, two_chunks.size)
        seen.append(status(creator, made["publish_id"]).get("uploaded_bytes"))
    # Before the first byte the field may be missing as well.
    assert [seen[0] or 0, *seen[1:]] == [0, *expected[1:]]
    assert "downloaded_bytes" not in status(creator, made["publish_id"])


# The checks of the media, which come after the 201


def outcome(creator: Creator, media: Media) -> tuple[str, str | None]:
    done = creator.wait_for(creator.send_video(media))
    return done["status"], done.get("fail_reason")


def clip_of(path: pathlib.Path, **properties: object) -> Media:
    usual: Json = {"seconds": 0.4, "width": 360, "height": 360, "fps": 25, "audio": False}
    return Media(make_clip(path, **{**usual, **properties}).read_bytes())


GOOD = {
    "mp4_h264": ("a.mp4", {}),
    "mov_h264": ("a.mov", {}),
    "mp4_h265": ("a.mp4", {"codec": "libx265"}),
    "webm_vp8": ("a.webm", {"codec": "libvpx"}),
    "webm_vp9": ("a.webm", {"codec": "libvpx-vp9"}),
    "23_fps": ("a.mp4", {"fps": 23}),
    "23.976_fps": ("a.mp4", {"fps": Fraction(24000, 1001)}),
    "60_fps": ("a.mp4", {"fps": 60}),
    "4096_wide": ("a.mp4", {"width": 4096, "fps": 23, "seconds": 0.1}),
    "4096_high": ("a.mp4", {"height": 4096, "fps": 23, "seconds": 0.1}),
}


@pytest.mark.parametrize(("name", "properties"), GOOD.values(), ids=GOOD.keys())
def test_media_within_all_limits_is_posted(
    creator: Creator, tmp_path: pathlib.Path, name: str, properties: Json
) -> None:
    assert outcome(creator, clip_of(tmp_path / name, **properties)) == ("PUBLISH_COMPLETE", None)


BAD = {
    "matroska": ("a.mkv", {}, "file_format_check_failed"),
    "avi": ("a.avi", {}, "file_format_check_failed"),
    "mpeg4_part_2": ("a.mp4", {"codec": "mpeg4"}, "file_format_check_failed"),
    "22_fps": ("a.mp4", {"fps": 22}, "frame_rate_check_failed"),
    "61_fps": ("a.mp4", {"fps": 61}, "frame_rate_check_failed"),
    "358_wide": ("a.mp4", {"width": 358}, "picture_size_check_failed"),
    "358_high": ("a.mp4", {"height": 358}, "picture_size_check_failed"),
    "4098_wide": ("a.mp4", {"width": 4098, "seconds": 0.1}, "picture_size_check_failed"),
    "4098_high": ("a.mp4", {"height": 4098, "seconds": 0.1}, "picture_size_check_failed"),
}


@pytest.mark.parametrize(("name", "properties", "reason"), BAD.values(), ids=BAD.keys())
def test_media_outside_a_limit_fails_after_the_upload(
    creator: Creator, tmp_path: pathlib.Path, name: str, properties: Json, reason: str
) -> None:
    assert outcome(creator, clip_of(tmp_path / name, **properties)) == ("FAILED", reason)
    assert creator.sandbox.feed() == []


@pytest.mark.parametrize("data", [b"not a video", bytes(5000)], ids=["text", "zeros"])
def test_bytes_that_are_no_video_fail(creator: Creator, data: bytes) -> None:
    assert outcome(creator, Media(data)) == ("FAILED", "file_format_check_failed")


@pytest.mark.parametrize(("seconds", "passes"), [(2.0, True), (2.2, False)])
def test_a_video_is_no_longer_than_the_creator_may_post(
    make_creator: MakeCreator, tmp_path: pathlib.Path, seconds: float, passes: bool
) -> None:
    creator = make_creator(account={"max_video_post_duration_sec": 2})
    expected = ("PUBLISH_COMPLETE", None) if passes else ("FAILED", "duration_check_failed")
    assert outcome(creator, clip_of(tmp_path / "a.mp4", seconds=seconds)) == expected


def long_clip(path: pathlib.Path, seconds: int) -> Media:
    """One picture again and again, which takes no encoding."""
    short = make_clip(path.with_name("short.mp4"), seconds=0.1, width=360, height=360, fps=24, audio=False)
    with av.open(str(short)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        picture = next(source.demux(source.streams.video[0]))
        assert picture.time_base
        step = int(1 / 24 / picture.time_base)
        for number in range(seconds * 24):
            packet = av.Packet(bytes(picture))
            packet.stream, packet.time_base, packet.is_keyframe = stream, picture.time_base, True
            packet.pts = packet.dts = number * step
            packet.duration = step
            target.mux(packet)
    return Media(path.read_bytes())


@pytest.mark.parametrize(("seconds", "reason"), [(599, None), (601, "duration_check_failed")])
def test_a_video_is_never_longer_than_ten_minutes(
    make_creator: MakeCreator, tmp_path: pathlib.Path, seconds: int, reason: str | None
) -> None:
    creator = make_creator(account={"max_video_post_duration_sec": 3600})
    assert outcome(creator, long_clip(tmp_path / "long.mp4", seconds))[1] == reason


def test_a_failure_is_final(creator: Creator) -> None:
    publish_id = creator.send_video(Media(b"not a video"))
    creator.wait_for(publish_id, "FAILED")
    creator.sandbox.advance(3600)
    assert status(creator, publish_id)["status"] == "FAILED"


def test_a_bad_draft_never_reaches_the_inbox(creator: Creator, sandbox: Sandbox) -> None:
    done = creator.wait_for(creator.send_draft(Media(b"not a video")))
    assert (done["status"], done["fail_reason"]) == ("FAILED", "file_format_check_failed")
    assert sandbox.feed() == []
