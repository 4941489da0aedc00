"""Fact sheet sections 4.1, 4.2 and 5.1: what the two video inits accept, and the plan of the chunks."""

import re

import httpx
import pytest

from tests.sandbox.conftest import (
    INBOX_INIT,
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
from tiktok_sandbox.client import Sandbox

MIB = 1_048_576
BAD_COUNT = "The total chunk count is invalid"
BAD_CHUNK = "The chunk size is invalid"
both_inits = pytest.mark.parametrize("path", [VIDEO_INIT, INBOX_INIT], ids=["direct", "inbox"])


def init(creator: Creator, path: str, source: Json) -> httpx.Response:
    return creator.init_video(source) if path == VIDEO_INIT else creator.init_inbox(source)


def post_with(creator: Creator, source: object, post_info: object) -> httpx.Response:
    return creator.post_json(VIDEO_INIT, {"post_info": post_info, "source_info": source})


# The post


def test_a_direct_post_needs_a_privacy_level(creator: Creator) -> None:
    assert_error(creator.init_video(file_source(1000), privacy_level=...), 400, "invalid_params")


@pytest.mark.parametrize("value", ["", "public_to_everyone", "EVERYONE"])
def test_an_unknown_privacy_level_is_refused(creator: Creator, value: str) -> None:
    response = creator.init_video(file_source(1000), privacy_level=value)
    expected = (response.status_code, response.json()["error"]["code"])
    assert expected in {(400, "invalid_params"), (403, "privacy_level_option_mismatch")}


@pytest.mark.parametrize(
    ("account", "level"),
    [
        pytest.param({}, "FOLLOWER_OF_CREATOR", id="followers_of_a_public_account"),
        pytest.param({"private": True}, "PUBLIC_TO_EVERYONE", id="everyone_of_a_private_account"),
        pytest.param({"hidden_privacy_levels": ["SELF_ONLY"]}, "SELF_ONLY", id="a_hidden_level"),
    ],
)
def test_a_level_that_creator_info_does_not_offer_is_refused(
    make_creator: MakeCreator, account: Json, level: str
) -> None:
    response = make_creator(account=account).init_video(file_source(1000), privacy_level=level)
    assert_error(response, 403, "privacy_level_option_mismatch")


@pytest.mark.parametrize("private", [False, True], ids=["public", "private"])
def test_every_offered_level_is_accepted(make_creator: MakeCreator, private: bool) -> None:
    creator = make_creator(account={"private": private})
    first = "FOLLOWER_OF_CREATOR" if private else "PUBLIC_TO_EVERYONE"
    for level in (first, "MUTUAL_FOLLOW_FRIENDS", "SELF_ONLY"):
        assert data_of(creator.init_video(file_source(1000), privacy_level=level))


@pytest.mark.parametrize(
    ("title", "accepted"),
    [
        pytest.param("x" * 2200, True, id="2200_letters"),
        pytest.param("x" * 2201, False, id="2201_letters"),
        pytest.param("é" * 2200, True, id="2200_two_byte_letters"),
        pytest.param("😀" * 1100, True, id="1100_emoji"),
        pytest.param("😀" * 1100 + "x", False, id="1100_emoji_and_a_letter"),
        pytest.param("", True, id="empty"),
        pytest.param(..., True, id="absent"),
    ],
)
def test_a_title_has_at_most_2200_utf16_units(creator: Creator, title: object, accepted: bool) -> None:
    response = creator.init_video(file_source(1000), title=title)
    if accepted:
        assert data_of(response)
    else:
        assert_error(response, 400, "invalid_params")


WRONG_TYPES = [
    ("privacy_level", 1),
    ("title", 7),
    ("title", ["a"]),
    ("disable_duet", "yes"),
    ("disable_stitch", 1),
    ("disable_comment", "false"),
    ("video_cover_timestamp_ms", "1000"),
    ("brand_content_toggle", "true"),
    ("brand_organic_toggle", 0),
    ("is_aigc", "no"),
]


@pytest.mark.parametrize(
    ("field", "value"), WRONG_TYPES, ids=[f"{name}={value}" for name, value in WRONG_TYPES]
)
def test_a_field_of_the_wrong_type_is_refused(creator: Creator, field: str, value: object) -> None:
    assert_error(creator.init_video(file_source(1000), **{field: value}), 400, "invalid_params")


@pytest.mark.parametrize("post_info", [None, "title", []], ids=["null", "string", "list"])
def test_a_post_info_that_is_no_object_is_refused(creator: Creator, post_info: object) -> None:
    assert_error(post_with(creator, file_source(1000), post_info), 400, "invalid_params")


FLAGS = {
    "disable_duet": True,
    "disable_stitch": False,
    "disable_comment": True,
    "brand_content_toggle": False,
    "brand_organic_toggle": True,
    "is_aigc": True,
}


def test_the_feed_has_what_was_asked_for(creator: Creator, clip: Media) -> None:
    publish_id = creator.publish(clip, title="Hi #cats @mia 😀", **FLAGS)
    entry = creator.feed_entry(publish_id)
    assert {name: entry[name] for name in FLAGS} == FLAGS
    assert (entry["title"], entry["privacy_level"]) == ("Hi #cats @mia 😀", "PUBLIC_TO_EVERYONE")
    assert (entry["kind"], entry["mode"], entry["source"]) == ("video", "direct", "FILE_UPLOAD")


@pytest.mark.parametrize("name", ["comment", "duet", "stitch"])
def test_an_interaction_that_the_account_forbids_is_forced_off(
    make_creator: MakeCreator, clip: Media, name: str
) -> None:
    creator = make_creator(account={f"{name}_disabled": True})
    wishes = {f"disable_{other}": False for other in ("comment", "duet", "stitch")}
    entry = creator.feed_entry(creator.publish(clip, **wishes))
    assert {wish: entry[wish] for wish in wishes} == {**wishes, f"disable_{name}": True}


@pytest.mark.parametrize(("private", "off"), [(True, True), (False, False)])
def test_a_private_account_has_comments_but_neither_duet_nor_stitch(
    make_creator: MakeCreator, clip: Media, private: bool, off: bool
) -> None:
    creator = make_creator(account={"private": private})
    entry = creator.feed_entry(creator.publish(clip, privacy_level="SELF_ONLY"))
    assert (entry["disable_comment"], entry["disable_duet"], entry["disable_stitch"]) == (False, off, off)


@pytest.mark.parametrize("value", [-1, 0, 250, 3_600_000])
def test_a_cover_timestamp_outside_the_video_means_the_first_frame(
    creator: Creator, clip: Media, value: int
) -> None:
    assert creator.publish(clip, video_cover_timestamp_ms=value)


@pytest.mark.parametrize(
    ("value", "accepted"),
    [(2**31 - 1, True), (2**31, False), (-(2**31), True), (-(2**31) - 1, False), (10**30, False)],
)
def test_a_cover_timestamp_is_an_int32(creator: Creator, value: int, accepted: bool) -> None:
    response = creator.init_video(file_source(1000), video_cover_timestamp_ms=value)
    if accepted:
        assert data_of(response)
    else:
        assert_error(response, 400, "invalid_params", "video_cover_timestamp_ms")


def test_branded_content_for_oneself_alone_is_refused_by_default(creator: Creator) -> None:
    response = creator.init_video(file_source(1000), privacy_level="SELF_ONLY", brand_content_toggle=True)
    assert response.status_code in {400, 403}
    assert response.json()["error"]["code"] in {"invalid_params", "privacy_level_option_mismatch"}


def test_branded_content_for_oneself_alone_passes_with_the_switch(creator: Creator) -> None:
    creator.sandbox.set_switches(branded_self_only="accepted")
    assert data_of(
        creator.init_video(file_source(1000), privacy_level="SELF_ONLY", brand_content_toggle=True)
    )


@pytest.mark.parametrize("level", ["PUBLIC_TO_EVERYONE", "MUTUAL_FOLLOW_FRIENDS"])
def test_branded_content_for_others_is_accepted(creator: Creator, level: str) -> None:
    assert data_of(creator.init_video(file_source(1000), privacy_level=level, brand_content_toggle=True))


def test_ones_own_brand_may_be_for_oneself_alone(creator: Creator) -> None:
    assert data_of(
        creator.init_video(file_source(1000), privacy_level="SELF_ONLY", brand_organic_toggle=True)
    )


@both_inits
def test_a_banned_creator_cannot_post(make_creator: MakeCreator, path: str) -> None:
    creator = make_creator(account={"banned": True})
    assert_error(init(creator, path, file_source(1000)), 403, "spam_risk_user_banned_from_posting")


# The source

BAD_SOURCES = {
    "no_source": {"video_size": 1000, "chunk_size": 1000, "total_chunk_count": 1},
    "unknown_source": {**file_source(1000), "source": "CARRIER_PIGEON"},
    "lower_case_source": {**file_source(1000), "source": "file_upload"},
    "pull_without_url": {"source": "PULL_FROM_URL"},
    "pull_with_empty_url": {"source": "PULL_FROM_URL", "video_url": ""},
    "pull_with_a_number": {"source": "PULL_FROM_URL", "video_url": 5},
    **{
        f"no_{field}": {name: value for name, value in file_source(1000).items() if name != field}
        for field in ("video_size", "chunk_size", "total_chunk_count")
    },
    **{
        f"{field}={value}": {**file_source(1000), field: value}
        for field in ("video_size", "chunk_size", "total_chunk_count")
        for value in (0, -1, "1000", 1.5, None, True)
    },
}


@both_inits
@pytest.mark.parametrize("source", BAD_SOURCES.values(), ids=BAD_SOURCES.keys())
def test_a_bad_source_is_refused(creator: Creator, path: str, source: Json) -> None:
    # One chunk of one byte in a plan for one byte would be valid; True must not pass as 1.
    assert_error(init(creator, path, source), 400, "invalid_params")


@both_inits
@pytest.mark.parametrize("source", [None, "FILE_UPLOAD", []], ids=["null", "string", "list"])
def test_a_source_info_that_is_no_object_is_refused(creator: Creator, path: str, source: object) -> None:
    body = {"post_info": {"privacy_level": "SELF_ONLY"}, "source_info": source}
    assert_error(creator.post_json(path, body), 400, "invalid_params")


# The plan of the chunks, in the strict reading of MB and GB

PLANS = [
    pytest.param(1, 1, 1, None, id="one_byte"),
    pytest.param(4_194_304, 4_194_304, 1, None, id="documented_4_MiB_example"),
    pytest.param(50_000_123, 10_000_000, 5, None, id="documented_chunks_example"),
    pytest.param(64_000_000, 64_000_000, 1, None, id="largest_single_chunk"),
    pytest.param(64_000_001, 32_000_000, 2, None, id="just_above_one_chunk"),
    pytest.param(66_259_900, 33_129_950, 2, None, id="66_MB_in_halves"),
    pytest.param(121_000_000, 60_500_000, 2, None, id="121_MB_in_halves"),
    pytest.param(158_008_374, 64_000_000, 2, None, id="last_chunk_of_94_MB"),
    pytest.param(3_999_999_999, 64_000_000, 62, None, id="just_below_4_GB"),
    pytest.param(20 * MIB, 5 * MIB, 4, None, id="chunks_of_5_MiB"),
    pytest.param(5_100_000, 5_100_000, 1, None, id="single_between_5_MB_and_5_MiB"),
    pytest.param(50_000_123, 10_000_000, 6, BAD_COUNT, id="count_rounded_up"),
    pytest.param(50_000_123, 10_000_000, 4, BAD_COUNT, id="count_too_low"),
    pytest.param(8_000_000, 10_000_000, 1, BAD_COUNT, id="chunk_larger_than_the_video"),
    pytest.param(8_000_000, 10_000_000, 0, BAD_COUNT, id="chunk_larger_than_the_video_count_0"),
    pytest.param(158_008_374, 158_008_374, 1, BAD_CHUNK, id="158_MB_in_one_chunk"),
    pytest.param(64_000_001, 64_000_001, 1, BAD_CHUNK, id="single_above_64_MB"),
    pytest.param(200_000_000, 64_000_001, 3, BAD_CHUNK, id="chunk_above_64_MB"),
    pytest.param(66_000_000, 64_000_000, 1, BAD_CHUNK, id="one_chunk_smaller_than_the_video"),
    pytest.param(15_000_000, 10_000_000, 1, BAD_CHUNK, id="fixed_chunk_below_twice_its_size"),
    pytest.param(20_000_000, 4_999_999, 4, BAD_CHUNK, id="chunk_below_5_MB"),
    pytest.param(20_400_000, 5_100_000, 4, BAD_CHUNK, id="chunk_below_5_MiB"),
    pytest.param(4_000_000, 2_000_000, 2, BAD_CHUNK, id="small_video_in_two_chunks"),
    pytest.param(4_000_000_001, 64_000_000, 62, "", id="above_4_GB"),
    pytest.param(5_000_000_000, 64_000_000, 78, "", id="5_GB"),
]


@both_inits
@pytest.mark.parametrize(("size", "chunk", "count", "message"), PLANS)
def test_a_plan_of_chunks_is_checked_at_init(
    creator: Creator, path: str, size: int, chunk: int, count: int, message: str | None
) -> None:
    response = init(creator, path, file_source(size, chunk, count))
    if message is None:
        assert data_of(response)["upload_url"]
    else:
        assert_error(response, 400, "invalid_params", message)


UNITS = [
    pytest.param(20_400_000, 5_100_000, {"decimal"}, id="chunk_between_5_MB_and_5_MiB"),
    pytest.param(20 * MIB, 5 * MIB, {"strict", "decimal", "binary"}, id="chunk_of_5_MiB"),
    pytest.param(20_000_000, 5_000_000, {"decimal"}, id="chunk_of_5_MB"),
    pytest.param(64 * MIB, 64 * MIB, {"binary"}, id="single_of_64_MiB"),
    pytest.param(64 * MIB + 1, 64 * MIB + 1, set(), id="single_above_64_MiB"),
    pytest.param(200 * MIB, 64 * MIB, {"binary"}, id="chunk_of_64_MiB"),
    pytest.param(4_000_000_000, 40_000_000, {"strict", "decimal", "binary"}, id="4_GB"),
    pytest.param(4_000_000_001, 40_000_000, {"binary"}, id="above_4_GB"),
    pytest.param(4096 * MIB, 32 * MIB, {"binary"}, id="4_GiB"),
    pytest.param(4096 * MIB + 1, 32 * MIB, set(), id="above_4_GiB"),
]


@pytest.mark.parametrize("units", ["strict", "decimal", "binary"])
@pytest.mark.parametrize(("size", "chunk", "accepting"), UNITS)
def test_megabytes_are_read_as_the_switch_says(
    creator: Creator, size: int, chunk: int, accepting: set[str], units: str
) -> None:
    creator.sandbox.set_switches(size_units=units)
    response = creator.init_video(file_source(size, chunk))
    if units in accepting:
        assert data_of(response)
    else:
        assert_error(response, 400, "invalid_params")


def test_one_chunk_below_the_video_size_passes_with_the_lax_switch(creator: Creator) -> None:
    creator.sandbox.set_switches(single_chunk_rule="lax")
    assert data_of(creator.init_video(file_source(66_000_000, 64_000_000)))
    assert_error(creator.init_video(file_source(66_000_000, 64_000_000, 2)), 400, "invalid_params", BAD_COUNT)


# The answer

SHAPES = [
    pytest.param(VIDEO_INIT, file_source(1000), r"v_pub_file~v2-1\.\d+", id="direct_file"),
    pytest.param(VIDEO_INIT, pull_source(), r"v_pub_url~v2\.\d+", id="direct_url"),
    pytest.param(INBOX_INIT, file_source(1000), r"v_inbox_file~v2\.\d+", id="inbox_file"),
    pytest.param(INBOX_INIT, pull_source(), r"v_inbox_url~v2\.\d+", id="inbox_url"),
]


@pytest.mark.parametrize(("path", "source", "shape"), SHAPES)
def test_the_answer_has_a_publish_id_and_for_a_file_an_upload_url(
    creator: Creator, path: str, source: Json, shape: str
) -> None:
    made = data_of(init(creator, path, source))
    assert re.fullmatch(shape, made["publish_id"])
    assert len(made["publish_id"]) <= 64
    if source["source"] == "FILE_UPLOAD":
        assert set(made) == {"publish_id", "upload_url"}
        assert len(made["upload_url"]) <= 256
    else:
        assert set(made) == {"publish_id"}


def test_an_init_is_not_idempotent(creator: Creator) -> None:
    answers = [data_of(creator.init_video(file_source(1000))) for _ in range(2)]
    assert len({made["publish_id"] for made in answers} | {made["upload_url"] for made in answers}) == 4


def test_an_inbox_init_accepts_a_post_info_and_does_not_ask_for_a_privacy_level(
    sandbox: Sandbox, creator: Creator, clip: Media
) -> None:
    post_info = {"title": "maybe used", "is_aigc": True, "video_cover_timestamp_ms": 10}
    made = data_of(creator.post_json(INBOX_INIT, {"post_info": post_info, "source_info": clip.source()}))
    creator.upload(made["upload_url"], clip)
    assert creator.wait_for(made["publish_id"])["status"] == "SEND_TO_USER_INBOX"
    assert sandbox.feed()[0]["mode"] == "inbox"
