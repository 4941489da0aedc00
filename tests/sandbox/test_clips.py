"""The clips are real videos, reproducible, and exactly as long as asked."""

import pathlib
from fractions import Fraction

import av
import pytest
from PIL import Image

from tiktok_sandbox import clips


def small(path: pathlib.Path, seed: int = 1, pad_to_bytes: int | None = None) -> pathlib.Path:
    return clips.make_clip(path, seconds=0.5, width=180, height=320, seed=seed, pad_to_bytes=pad_to_bytes)


def decoded(path: pathlib.Path) -> int:
    with av.open(str(path)) as video:
        return sum(1 for _ in video.decode(video=0))


@pytest.mark.parametrize(
    ("name", "codec", "seen"),
    [
        ("a.mp4", "libx264", "h264"),
        ("a.mov", "libx264", "h264"),
        ("a.mp4", "libx265", "hevc"),
        ("a.webm", "libx264", "vp9"),
        ("a.webm", "libvpx", "vp8"),
    ],
)
def test_a_clip_has_the_picture_and_sound_that_were_asked_for(
    tmp_path: pathlib.Path, name: str, codec: str, seen: str
) -> None:
    path = clips.make_clip(tmp_path / name, seconds=1, width=180, height=320, fps=24, codec=codec)
    with av.open(str(path)) as video:
        picture = video.streams.video[0]
        assert (picture.codec_context.name.removeprefix("lib"), picture.width, picture.height) == (
            seen,
            180,
            320,
        )
        assert picture.average_rate == 24
        assert len(video.streams.audio) == 1
    assert decoded(path) == 24


@pytest.mark.parametrize("suffix", ["mp4", "mov", "webm"])
def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(
    tmp_path: pathlib.Path, suffix: str
) -> None:
    first, again = small(tmp_path / f"1.{suffix}"), small(tmp_path / f"2.{suffix}")
    other = small(tmp_path / f"3.{suffix}", seed=2)
    assert first.read_bytes() == again.read_bytes() != other.read_bytes()


def test_a_rate_can_be_a_fraction_and_the_sound_left_out(tmp_path: pathlib.Path) -> None:
    path = clips.make_clip(
        tmp_path / "a.mp4", seconds=1, width=180, height=320, fps=Fraction(30000, 1001), audio=False
    )
    with av.open(str(path)) as video:
        assert video.streams.video[0].average_rate == Fraction(30000, 1001)
        assert not video.streams.audio


@pytest.mark.parametrize("size", [1_000_003, 4 * 1024**3 + 2_000_000])
def test_a_padded_clip_is_exactly_that_long_still_plays_and_costs_no_disk(
    tmp_path: pathlib.Path, size: int
) -> None:
    path = small(tmp_path / "a.mp4", pad_to_bytes=size)
    assert path.stat().st_size == size
    assert path.stat().st_blocks * 512 < 1_000_000
    assert decoded(path) == 15


@pytest.mark.parametrize(("name", "size"), [("a.mp4", 100), ("a.webm", 1_000_000)])
def test_a_clip_that_cannot_be_padded_is_refused(tmp_path: pathlib.Path, name: str, size: int) -> None:
    with pytest.raises(ValueError, match="padded"):
        small(tmp_path / name, pad_to_bytes=size)


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "PNG"])
def test_an_image_has_the_format_and_size_that_were_asked_for(tmp_path: pathlib.Path, format: str) -> None:
    with Image.open(clips.make_image(tmp_path / "a", width=90, height=120, format=format)) as image:
        assert (image.format, image.size) == (format, (90, 120))


def test_a_clip_comes_from_the_command_line_too(tmp_path: pathlib.Path) -> None:
    clips.main([str(tmp_path / "a.mp4"), "--seconds", "0.5", "--width", "180", "--height", "320"])
    assert (tmp_path / "a.mp4").read_bytes() == small(tmp_path / "b.mp4").read_bytes()
