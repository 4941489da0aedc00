"""A video is compared with all of TikTok's limits, and every violation is reported at once."""

import dataclasses
import logging
import subprocess
import sys
from typing import Any

import pytest

from tiktok_provider.publishing.media.video_checks import VideoFacts, check, check_duration
from tiktok_provider.publishing.media.violations import Violation

GOOD = VideoFacts(
    container="mp4",
    codec="h264",
    width=1080,
    height=1920,
    fps=30.0,
    duration_seconds=15.0,
    size_bytes=5_000_000,
)
FOUR_GB = 4_000_000_000


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"container": "avi"}, "video container"),
        ({"codec": "av1"}, "video codec"),
        ({"width": 359}, "video width"),
        ({"width": 4097}, "video width"),
        ({"width": 0}, "video width"),
        ({"height": 359}, "video height"),
        ({"height": 4097}, "video height"),
        ({"fps": 22.89}, "video frame rate"),
        ({"fps": 60.11}, "video frame rate"),
        ({"duration_seconds": 600.11}, "video duration"),
        ({"size_bytes": FOUR_GB + 1}, "video size"),
    ],
)
def test_just_beyond_a_limit_is_refused(change: dict[str, Any], field: str) -> None:
    (violation,) = check(dataclasses.replace(GOOD, **change))
    assert violation.field == field
    assert str(next(iter(change.values()))).rstrip("0") in violation.value.replace(",", "")


@pytest.mark.parametrize(
    "change",
    [
        {"width": 360, "height": 360},
        {"width": 4096, "height": 4096},
        {"fps": 23.0},
        {"fps": 23.976},
        {"fps": 59.94},
        {"fps": 60.0},
        {"duration_seconds": 600.0},
        {"size_bytes": FOUR_GB},
    ],
)
def test_a_value_at_its_limit_passes_without_a_word(
    change: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    assert check(dataclasses.replace(GOOD, **change)) == []
    assert caplog.records == []


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"fps": 60.02}, "60.02 fps"),
        ({"fps": 22.98}, "22.98 fps"),
        ({"fps": None}, "frame rate"),
        ({"fps": 0.0}, "frame rate"),
        ({"duration_seconds": 600.02}, "600.02 seconds"),
        ({"duration_seconds": 600.09}, "600.09 seconds"),
        ({"duration_seconds": None}, "duration"),
        ({"duration_seconds": 0.0}, "duration"),
    ],
)
def test_what_only_tiktok_can_decide_is_a_warning(
    change: dict[str, Any], word: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert check(dataclasses.replace(GOOD, **change)) == []
    assert word in caplog.text


@pytest.mark.parametrize(
    ("seconds", "creator_limit", "whose"),
    [
        (180.0, 180, None),
        (180.02, 180, None),
        (180.11, 180, "at most 180 seconds (this creator's limit)"),
        (600.11, None, "at most 600 seconds (the API's limit)"),
        (600.11, 3600, "at most 600 seconds (the API's limit)"),
    ],
)
def test_the_shorter_of_both_limits_of_duration_applies(
    seconds: float, creator_limit: float | None, whose: str | None
) -> None:
    violation = check_duration(seconds, creator_limit)
    assert (violation.limit if violation else None) == whose


def test_a_video_that_is_too_large_is_named_with_its_size() -> None:
    (violation,) = check(dataclasses.replace(GOOD, size_bytes=4 * 1024**3))
    assert violation == Violation(
        field="video size",
        value="4,294,967,296 bytes",
        limit="at most 4,000,000,000 bytes (4 GB)",
        advice="compress it, e.g. ffmpeg -i in.mp4 -c:v libx264 -crf 28 out.mp4",
    )


def test_importing_the_checks_imports_neither_airflow_nor_ffmpeg() -> None:
    code = (
        "import sys, tiktok_provider.publishing.media.text_checks; "
        "assert not {'airflow', 'av', 'fsspec', 'httpx'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
