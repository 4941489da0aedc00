"""A request knows what TikTok would refuse of it, before anything is sent."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.unit.publishing.sessions import direct_video
from tiktok_provider.api.accounts import CreatorInfo
from tiktok_provider.api.hosts import HostPolicy
from tiktok_provider.api.posting import SourceInfo, VideoPost
from tiktok_provider.exceptions import InvalidInputError
from tiktok_provider.publishing.media.medium import T, Transfers
from tiktok_provider.publishing.media.violations import Violation
from tiktok_provider.publishing.request import Target, check_creator, check_locally
from tiktok_provider.publishing.video_posts import DirectVideo
from tiktok_provider.store.posts import Source
from tiktok_provider.store.rate_limits import Cap

MIA = CreatorInfo(
    creator_username="mia",
    creator_nickname="Mia",
    privacy_level_options=("PUBLIC_TO_EVERYONE", "SELF_ONLY"),
    comment_disabled=False,
    duet_disabled=True,
    stitch_disabled=False,
    max_video_post_duration_sec=60,
)


class Medium:
    """Media of which a test says what is known."""

    source: Source = "url"
    location = name = fingerprint = digest = "nowhere"
    secrets: Sequence[str] = ()
    by_place = False

    def __init__(self, seconds: float | None = None, wrong: Sequence[Violation | str] = ()) -> None:
        self.duration_seconds = seconds
        self.wrong = wrong

    def prepare(self, alive: Callable[[], None]) -> SourceInfo:  # noqa: ARG002
        return {}

    def violations(self, hosts: HostPolicy) -> Sequence[Violation | str]:  # noqa: ARG002
        return self.wrong

    def violations_for(self, creator: CreatorInfo) -> Sequence[Violation]:
        too_long = Violation("video duration", "61 s", "at most 60 s", "cut it")
        limit = creator.max_video_post_duration_sec or 600
        return [too_long] if (self.duration_seconds or 0) > limit else []

    def transfer(self, transfers: Transfers[T]) -> T:
        return transfers.pull(self)


def fields(error: InvalidInputError) -> list[str]:
    return [violation.partition(" is ")[0] for violation in error.violations]


def test_settings_and_media_are_refused_in_one_error() -> None:
    request = direct_video(
        Medium(10.0, ["video file a.mp4 does not exist"]),
        title="x" * 2201,
        privacy_level="EVERYONE",
        video_cover_timestamp_ms=10_001,
    )
    with pytest.raises(InvalidInputError) as refusal:
        check_locally(request, HostPolicy())
    assert fields(refusal.value) == [
        "privacy_level",
        "title",
        "video file a.mp4 does not exist",
        "cover_timestamp_ms",
    ]


@pytest.mark.parametrize(
    ("seconds", "cover", "refused"),
    [
        (10.0, None, False),
        (10.0, 0, False),
        (10.0, 10_000, False),
        (10.0, 10_001, True),
        (10.0, -1, True),
        (None, 10_001, False),
        (None, -1, True),
        (None, 600_000, False),
        (None, 600_001, True),
    ],
)
def test_the_cover_lies_within_the_video_as_far_as_its_length_is_known(
    seconds: float | None, cover: int | None, refused: bool
) -> None:
    request = direct_video(Medium(seconds), video_cover_timestamp_ms=cover)
    found = list(request.violations(HostPolicy()))
    assert bool(found) is refused


@pytest.mark.parametrize(
    ("privacy_level", "branded", "refused"),
    [("SELF_ONLY", True, True), ("SELF_ONLY", False, False), ("PUBLIC_TO_EVERYONE", True, False)],
)
def test_branded_content_is_for_others(privacy_level: str, branded: bool, refused: bool) -> None:
    request = direct_video(Medium(), privacy_level=privacy_level, brand_content_toggle=branded)
    assert bool(list(request.violations(HostPolicy()))) is refused


def test_what_the_creator_does_not_offer_is_refused_in_one_error() -> None:
    with pytest.raises(InvalidInputError) as refusal:
        check_creator(direct_video(Medium(61.0), privacy_level="MUTUAL_FOLLOW_FRIENDS"), MIA)
    assert fields(refusal.value) == ["video duration", "privacy_level"]


@pytest.mark.parametrize("name", ["comment", "duet", "stitch"])
def test_what_the_creator_has_switched_off_stays_off(name: str, caplog: pytest.LogCaptureFixture) -> None:
    on: dict[str, Any] = {"disable_comment": False, "disable_duet": False, "disable_stitch": False}
    creator = MIA.model_copy(update={"duet_disabled": False, f"{name}_disabled": True})
    request = direct_video(Medium(), **on)
    adapted = check_creator(request, creator)
    assert adapted.post == VideoPost(privacy_level="PUBLIC_TO_EVERYONE", **{**on, f"disable_{name}": True})
    assert f"allow_{name} has no effect" in caplog.text
    assert request.content[f"disable_{name}"] is False, "on record is what was asked for"


def test_what_was_left_off_anyway_gives_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    request = direct_video(Medium())
    assert check_creator(request, MIA) == request
    assert caplog.records == []


@pytest.mark.parametrize(
    ("target", "known"),
    [
        (Target.DIRECT_POST, (Cap.POSTS, "complete", True)),
        (Target.DRAFT, (Cap.DRAFTS, "inbox", False)),
    ],
)
def test_what_follows_from_the_target(target: Target, known: tuple[Any, ...]) -> None:
    assert (target.cap, target.wait_for, target.needs_creator_info) == known


def test_a_direct_video_says_what_it_is() -> None:
    assert (DirectVideo.kind, DirectVideo.target) == ("video", Target.DIRECT_POST)
