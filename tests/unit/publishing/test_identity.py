"""Whether a request is the post on record, by what is on record."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tiktok_provider.publishing.identity import is_another_post
from tiktok_provider.publishing.media.medium import Media
from tiktok_provider.publishing.media.video_file import VideoFile
from tiktok_provider.publishing.media.video_url import VideoUrl
from tiktok_provider.store.posts import PostRecord, PostState
from tiktok_sandbox.clips import make_clip

ORIGIN = {"dag_id": "spring", "run": "date 2026-11-20", "task_id": "publish", "map_index": "-1"}
URL = "https://media.example/launch.mp4"


def record_of(media: Media, origin: Mapping[str, str] = ORIGIN) -> PostRecord:
    return PostRecord(
        conn_id="tiktok_default",
        post_key="launch",
        state=PostState.OUT,
        generation=1,
        kind="video",
        source=media.source,
        fingerprint=media.fingerprint,
        location=media.location,
        digest=media.digest,
        origin=origin,
    )


@pytest.fixture
def other_clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "other.mp4", seconds=4)


def test_the_same_task_with_the_same_file_is_the_same_post(clip: Path) -> None:
    assert not is_another_post(record_of(VideoFile(clip)), VideoFile(clip), ORIGIN)


def test_a_copy_of_the_file_is_the_same_post(clip: Path, tmp_path: Path) -> None:
    copy = shutil.copy(clip, tmp_path / "copy.mp4")
    os.utime(copy, (0, 0))
    assert not is_another_post(record_of(VideoFile(clip)), VideoFile(copy), ORIGIN)


def test_a_file_that_is_rendered_again_in_its_place_is_the_same_post(clip: Path, other_clip: Path) -> None:
    record = record_of(VideoFile(clip))
    assert not is_another_post(replace(record, location=str(other_clip)), VideoFile(other_clip), ORIGIN)


def test_another_file_elsewhere_is_another_post(clip: Path, other_clip: Path) -> None:
    assert is_another_post(record_of(VideoFile(clip)), VideoFile(other_clip), ORIGIN)


def test_a_file_that_is_gone_is_the_same_post_in_its_place_and_another_one_elsewhere(
    clip: Path, tmp_path: Path
) -> None:
    gone = VideoFile(tmp_path / "gone.mp4")
    record = record_of(VideoFile(clip))
    assert not is_another_post(replace(record, location=gone.location), gone, ORIGIN)
    assert is_another_post(record, gone, ORIGIN)


@pytest.mark.parametrize("changed", [{"dag_id": "summer"}, {"task_id": "group.publish"}])
def test_another_dag_or_task_is_another_post(clip: Path, changed: dict[str, str]) -> None:
    assert is_another_post(record_of(VideoFile(clip)), VideoFile(clip), ORIGIN | changed)


@pytest.mark.parametrize("changed", [{"run": "date 2026-11-21"}, {"map_index": "3"}])
def test_another_run_or_place_in_a_list_is_the_same_task(clip: Path, changed: dict[str, str]) -> None:
    assert not is_another_post(record_of(VideoFile(clip)), VideoFile(clip), ORIGIN | changed)


def test_what_an_older_version_has_not_recorded_is_not_compared(clip: Path, other_clip: Path) -> None:
    old = replace(record_of(VideoFile(clip)), location="", digest="", origin={})
    assert not is_another_post(old, VideoFile(other_clip), ORIGIN)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("X-Amz-Date=1&X-Amz-Signature=a", "X-Amz-Date=2&X-Amz-Signature=b"),
        ("X-Goog-Date=1&X-Goog-Signature=a", "X-Goog-Date=2&X-Goog-Signature=b"),
        ("AWSAccessKeyId=k&Expires=1&Signature=a", "AWSAccessKeyId=k&Expires=2&Signature=b"),
        ("Policy=p&Signature=a&Key-Pair-Id=1", "Policy=q&Signature=b&Key-Pair-Id=2"),
        ("sv=1&se=2026-11-20&sr=b&sp=r&sig=a", "sv=1&se=2026-11-21&sr=b&sp=r&sig=b"),
        ("id=7&X-Amz-Signature=a", "id=7&X-Amz-Signature=b"),
        ("", "X-Amz-Signature=b"),
    ],
)
def test_a_url_that_is_signed_again_is_the_same_video(first: str, second: str) -> None:
    one, other = VideoUrl(f"{URL}?{first}"), VideoUrl(f"{URL}?{second}")
    assert (one.name, one.digest) == (other.name, other.digest)


@pytest.mark.parametrize(("first", "second"), [("id=1", "id=2"), ("se=1", "se=2"), ("", "id=1")])
def test_a_url_with_another_query_is_another_video(first: str, second: str) -> None:
    one, other = VideoUrl(f"{URL}?{first}"), VideoUrl(f"{URL}?{second}")
    assert one.name != other.name
    assert is_another_post(record_of(one), other, ORIGIN)


def test_no_query_shows_in_the_name_of_a_video() -> None:
    assert "secret" not in VideoUrl(f"{URL}?token=secret").name


@pytest.mark.parametrize("url", ["https://[broken", "https://media.example:99999999/a?b=1", "", "https://"])
def test_a_url_of_an_unreadable_form_has_a_name_too(url: str) -> None:
    assert VideoUrl(url).name == VideoUrl(url).location


def test_a_file_and_a_url_are_two_posts(clip: Path) -> None:
    assert is_another_post(record_of(VideoFile(clip)), VideoUrl(URL), ORIGIN)
