"""Fact sheet section 6: photo posts."""

import hashlib
import io
import pathlib
import re

import pytest

from tests.sandbox.conftest import (
    NOWHERE,
    PHOTO_INIT,
    Creator,
    Json,
    MakeCreator,
    assert_error,
    data_of,
)
from tests.sandbox.media_origin import MediaOrigin
from tiktok_sandbox.clips import make_image

URL = f"{NOWHERE}/a.jpg"
both_modes = pytest.mark.parametrize("mode", ["DIRECT_POST", "MEDIA_UPLOAD"])


def body(mode: str = "DIRECT_POST", **changes: object) -> Json:
    """A valid body; `changes` name fields with `__` for a dot and `...` to leave one out."""
    full: Json = {
        "media_type": "PHOTO",
        "post_mode": mode,
        "post_info": {"title": "pictures"},
        "source_info": {"source": "PULL_FROM_URL", "photo_images": [URL, URL], "photo_cover_index": 0},
    }
    if mode == "DIRECT_POST":
        full["post_info"]["privacy_level"] = "PUBLIC_TO_EVERYONE"
    for name, value in changes.items():
        *folders, field = name.split("__")
        target = full[folders[0]] if folders else full
        target[field] = value
        if value is ...:
            del target[field]
    return full


@pytest.fixture(scope="session")
def image(media_folder: pathlib.Path) -> bytes:
    return make_image(media_folder / "a.jpg", width=320, height=480).read_bytes()


# What is refused at init

REFUSED = {
    "no_media_type": {"media_type": ...},
    "media_type_video": {"media_type": "VIDEO"},
    "media_type_lower_case": {"media_type": "photo"},
    "no_post_mode": {"post_mode": ...},
    "post_mode_with_a_blank": {"post_mode": "DIRECT POST"},
    "post_mode_unknown": {"post_mode": "INBOX"},
    "no_source_info": {"source_info": ...},
    "no_source": {"source_info__source": ...},
    "file_upload": {"source_info__source": "FILE_UPLOAD"},
    "no_images": {"source_info__photo_images": ...},
    "empty_list": {"source_info__photo_images": []},
    "36_images": {"source_info__photo_images": [URL] * 36},
    "images_as_string": {"source_info__photo_images": URL},
    "image_that_is_no_string": {"source_info__photo_images": [URL, 5]},
    "no_cover": {"source_info__photo_cover_index": ...},
    "cover_after_the_last": {"source_info__photo_cover_index": 2},
    "negative_cover": {"source_info__photo_cover_index": -1},
    "cover_as_string": {"source_info__photo_cover_index": "0"},
    "cover_as_bool": {"source_info__photo_cover_index": True},
    "title_of_91": {"post_info__title": "x" * 91},
    "title_of_46_emoji": {"post_info__title": "😀" * 46},
    "title_of_the_wrong_type": {"post_info__title": 5},
    "description_of_4001": {"post_info__description": "x" * 4001},
    "description_of_2001_emoji": {"post_info__description": "😀" * 2001},
    "description_of_the_wrong_type": {"post_info__description": ["x"]},
    "is_aigc_of_the_wrong_type": {"is_aigc": "yes"},
    "post_info_that_is_no_object": {"post_info": "x"},
}
REFUSED_DIRECT = {
    "no_post_info": {"post_info": ...},
    "no_privacy_level": {"post_info__privacy_level": ...},
    "disable_comment_of_the_wrong_type": {"post_info__disable_comment": "yes"},
    "auto_add_music_of_the_wrong_type": {"post_info__auto_add_music": 1},
    "brand_content_of_the_wrong_type": {"post_info__brand_content_toggle": "no"},
    "brand_organic_of_the_wrong_type": {"post_info__brand_organic_toggle": 0},
}


@both_modes
@pytest.mark.parametrize("changes", REFUSED.values(), ids=REFUSED.keys())
def test_a_bad_body_is_refused(creator: Creator, mode: str, changes: Json) -> None:
    assert_error(creator.post_json(PHOTO_INIT, body(mode, **changes)), 400, "invalid_params")


@pytest.mark.parametrize("changes", REFUSED_DIRECT.values(), ids=REFUSED_DIRECT.keys())
def test_a_bad_direct_post_is_refused(creator: Creator, changes: Json) -> None:
    assert_error(creator.post_json(PHOTO_INIT, body(**changes)), 400, "invalid_params")


ACCEPTED = {
    "one_image": {"source_info__photo_images": [URL]},
    "35_images": {"source_info__photo_images": [URL] * 35},
    "last_as_cover": {"source_info__photo_cover_index": 1},
    "no_title": {"post_info__title": ...},
    "title_of_90": {"post_info__title": "x" * 90},
    "title_of_45_emoji": {"post_info__title": "😀" * 45},
    "description_of_4000": {"post_info__description": "x" * 4000},
    "description_of_2000_emoji": {"post_info__description": "😀" * 2000},
    "is_aigc_at_the_top": {"is_aigc": True},
    "is_aigc_in_post_info": {"post_info__is_aigc": True},
}


@both_modes
@pytest.mark.parametrize("changes", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_a_good_body_is_answered_with_a_publish_id_alone(creator: Creator, mode: str, changes: Json) -> None:
    made = data_of(creator.post_json(PHOTO_INIT, body(mode, **changes)))
    assert set(made) == {"publish_id"}
    assert re.fullmatch(r"p_pub_url~v2\.\d+", made["publish_id"])
    assert len(made["publish_id"]) <= 64


def test_a_draft_needs_no_privacy_level_and_no_post_info(creator: Creator) -> None:
    assert data_of(creator.post_json(PHOTO_INIT, body("MEDIA_UPLOAD", post_info=...)))


@pytest.mark.parametrize(
    ("account", "level"),
    [
        pytest.param({}, "FOLLOWER_OF_CREATOR", id="followers_of_a_public_account"),
        pytest.param({"private": True}, "PUBLIC_TO_EVERYONE", id="everyone_of_a_private_account"),
        pytest.param({"hidden_privacy_levels": ["SELF_ONLY"]}, "SELF_ONLY", id="a_hidden_level"),
        pytest.param({}, "EVERYONE", id="unknown"),
        pytest.param({}, "public_to_everyone", id="lower_case"),
        pytest.param({}, "", id="empty"),
    ],
)
def test_a_level_that_is_not_offered_is_refused(make_creator: MakeCreator, account: Json, level: str) -> None:
    response = make_creator(account=account).init_photos([URL], privacy_level=level)
    assert_error(response, 403, "privacy_level_option_mismatch")


def test_branded_content_for_oneself_alone_is_refused_by_default(creator: Creator) -> None:
    response = creator.init_photos([URL], privacy_level="SELF_ONLY", brand_content_toggle=True)
    assert_error(response, 400, "invalid_params")


def test_branded_content_for_oneself_alone_passes_with_the_switch(creator: Creator) -> None:
    creator.sandbox.set_switches(branded_self_only="accepted")
    assert data_of(creator.init_photos([URL], privacy_level="SELF_ONLY", brand_content_toggle=True))


@pytest.mark.parametrize("level", ["PUBLIC_TO_EVERYONE", "MUTUAL_FOLLOW_FRIENDS"])
def test_branded_content_for_others_is_accepted(creator: Creator, level: str) -> None:
    assert data_of(creator.init_photos([URL], privacy_level=level, brand_content_toggle=True))


def test_ones_own_brand_may_be_for_oneself_alone(creator: Creator) -> None:
    assert data_of(creator.init_photos([URL], privacy_level="SELF_ONLY", brand_organic_toggle=True))


@both_modes
@pytest.mark.parametrize("field", ["disable_duet", "disable_stitch"])
def test_a_photo_has_neither_duet_nor_stitch(creator: Creator, mode: str, field: str) -> None:
    assert_error(creator.init_photos([URL], mode, **{field: True}), 400, "invalid_params", field)


@both_modes
@pytest.mark.parametrize("url", ["https://evil.test/a.jpg", "https://localhost.evil.test/a.jpg"])
def test_every_image_must_lie_in_a_verified_property(creator: Creator, mode: str, url: str) -> None:
    assert_error(creator.init_photos([URL, url], mode), 403, "url_ownership_unverified")


@both_modes
@pytest.mark.parametrize("url", ["http://media.test/a.jpg", "https://198.51.100.7/a.jpg", "a.jpg"])
def test_every_image_must_be_https_with_a_domain(creator: Creator, mode: str, url: str) -> None:
    response = creator.init_photos([URL, url], mode)
    refusal = (response.status_code, response.json()["error"]["code"])
    assert refusal in {(400, "invalid_params"), (403, "url_ownership_unverified")}


@pytest.mark.parametrize(
    ("mode", "scope"), [("DIRECT_POST", "video.upload"), ("MEDIA_UPLOAD", "video.publish")]
)
def test_each_mode_has_its_scope(make_creator: MakeCreator, mode: str, scope: str) -> None:
    creator = make_creator(scope=f"user.info.basic,{scope}")
    assert_error(creator.init_photos([URL], mode), 401, "scope_not_authorized")


@both_modes
def test_a_banned_creator_cannot_post(make_creator: MakeCreator, mode: str) -> None:
    creator = make_creator(account={"banned": True})
    assert_error(creator.init_photos([URL], mode), 403, "spam_risk_user_banned_from_posting")


@pytest.mark.parametrize(
    ("version", "new_enough"),
    [("31.7", False), ("9.9", False), ("31.8", True), ("31.10", True), ("32.0", True), ("31.8.1", True)],
)
def test_a_draft_needs_a_recent_app(make_creator: MakeCreator, version: str, new_enough: bool) -> None:
    creator = make_creator(account={"app_version": version})
    assert data_of(creator.init_photos([URL]))
    response = creator.init_photos([URL], "MEDIA_UPLOAD")
    if new_enough:
        assert data_of(response)
    else:
        assert_error(response, 400, "app_version_check_failed")


# What becomes of the images


def test_a_direct_post_is_in_the_feed_with_every_image(
    creator: Creator, origin: MediaOrigin, image: bytes, media_folder: pathlib.Path
) -> None:
    other = make_image(media_folder / "b.webp", width=480, height=320, format="WEBP").read_bytes()
    urls = [origin.serve("/a.jpg", image), origin.serve("/b.webp?sig=1", other)]
    flags: Json = {"disable_comment": True, "auto_add_music": True, "brand_organic_toggle": True}
    made = data_of(creator.init_photos(urls, description="more #words", **flags))
    assert creator.wait_for(made["publish_id"])["status"] == "PUBLISH_COMPLETE"
    entry = creator.feed_entry(made["publish_id"])
    assert entry["photo_sha256s"] == [digest(image), digest(other)]
    assert (entry["kind"], entry["mode"], entry["title"]) == ("photo", "direct", "pictures")
    assert (entry["description"], {name: entry[name] for name in flags}) == ("more #words", flags)


def test_comments_that_the_account_forbids_are_forced_off(
    make_creator: MakeCreator, origin: MediaOrigin, image: bytes
) -> None:
    creator = make_creator(account={"comment_disabled": True})
    made = data_of(creator.init_photos([origin.serve("/a.jpg", image)], disable_comment=False))
    creator.wait_for(made["publish_id"], "PUBLISH_COMPLETE")
    assert creator.feed_entry(made["publish_id"])["disable_comment"] is True


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_a_draft_goes_to_the_inbox(creator: Creator, origin: MediaOrigin, image: bytes) -> None:
    made = data_of(creator.init_photos([origin.serve("/a.jpg", image)], "MEDIA_UPLOAD"))
    assert creator.wait_for(made["publish_id"])["status"] == "SEND_TO_USER_INBOX"
    assert creator.feed_entry(made["publish_id"])["mode"] == "inbox"


def test_a_public_post_gets_an_id(creator: Creator, origin: MediaOrigin, image: bytes) -> None:
    made = data_of(creator.init_photos([origin.serve("/a.jpg", image)]))
    assert len(str(creator.wait_for_post(made["publish_id"]))) == 19


def fail_reason(creator: Creator, urls: list[str]) -> object:
    done = creator.wait_for(data_of(creator.init_photos(urls))["publish_id"])
    return done.get("fail_reason")


SIZES = [
    pytest.param(1080, 1080, None, None, id="square_of_1080"),
    pytest.param(1080, 1920, None, None, id="portrait_of_1080"),
    pytest.param(941, 1672, None, None, id="941x1672"),
    pytest.param(1920, 1080, None, "picture_size_check_failed", id="landscape_of_1080"),
    pytest.param(1086, 1448, *["picture_size_check_failed"] * 2, id="1086x1448"),
    pytest.param(1254, 1254, *["picture_size_check_failed"] * 2, id="1254x1254"),
    pytest.param(1082, 1081, *["picture_size_check_failed"] * 2, id="just_above"),
]


@pytest.mark.parametrize("switch", ["short_side", "width"])
@pytest.mark.parametrize(("width", "height", "by_short_side", "by_width"), SIZES)
def test_an_image_has_at_most_1080p_as_the_switch_reads_it(
    creator: Creator,
    origin: MediaOrigin,
    tmp_path: pathlib.Path,
    width: int,
    height: int,
    by_short_side: str | None,
    by_width: str | None,
    switch: str,
) -> None:
    creator.sandbox.set_switches(photo_1080p=switch)
    data = make_image(tmp_path / "a.jpg", width=width, height=height).read_bytes()
    expected = by_short_side if switch == "short_side" else by_width
    assert fail_reason(creator, [origin.serve("/a.jpg", data)]) == expected


def png(folder: pathlib.Path) -> bytes:
    return make_image(folder / "a.png", width=320, height=320, format="PNG").read_bytes()


def too_large(folder: pathlib.Path) -> bytes:
    picture = make_image(folder / "large.jpg", width=320, height=320).read_bytes()
    return picture + bytes(21_000_000 - len(picture))


BAD_IMAGES = {
    "png": (png, {"file_format_check_failed"}),
    "text": (lambda _: b"no picture", {"file_format_check_failed"}),
    "empty": (lambda _: b"", {"file_format_check_failed", "photo_pull_failed"}),
    # No page says which reason this has.
    "above_20_MB": (
        too_large,
        {"picture_size_check_failed", "file_format_check_failed", "photo_pull_failed"},
    ),
}


@pytest.mark.parametrize(("make", "reasons"), BAD_IMAGES.values(), ids=BAD_IMAGES.keys())
def test_one_bad_image_fails_the_whole_post(
    creator: Creator,
    origin: MediaOrigin,
    image: bytes,
    media_folder: pathlib.Path,
    make: object,
    reasons: set[str],
) -> None:
    assert callable(make)
    good, bad = origin.serve("/a.jpg", image), origin.serve("/b", make(media_folder))
    assert fail_reason(creator, [good, bad, good]) in reasons
    assert creator.sandbox.feed() == []


def test_a_png_with_the_name_and_type_of_a_jpeg_is_still_one(
    creator: Creator, origin: MediaOrigin, media_folder: pathlib.Path
) -> None:
    url = origin.url + "/a.jpg"
    origin.answers["/a.jpg"] = (200, {"Content-Type": "image/jpeg"}, png(media_folder))
    assert fail_reason(creator, [url]) == "file_format_check_failed"


@pytest.mark.parametrize("status", [301, 302, 403, 404, 500])
def test_an_image_that_cannot_be_pulled_fails_the_post(
    creator: Creator, origin: MediaOrigin, image: bytes, status: int
) -> None:
    good = origin.serve("/a.jpg", image)
    bad = origin.serve("/b.jpg", status=status, location=good)
    assert fail_reason(creator, [good, bad]) == "photo_pull_failed"


def test_an_image_of_almost_20_mb_is_accepted(
    creator: Creator, origin: MediaOrigin, media_folder: pathlib.Path
) -> None:
    padded = io.BytesIO(too_large(media_folder)).read(19_900_000)
    assert fail_reason(creator, [origin.serve("/a.jpg", padded)]) is None
