"""Media that TikTok would refuse after the upload is refused for the documented reason."""

import os
import pathlib
import threading
from collections.abc import Callable
from fractions import Fraction

import av
import pytest
from PIL import Image

from tiktok_sandbox import clips, media_rules


@pytest.fixture
def clip(tmp_path: pathlib.Path) -> pathlib.Path:
    return clips.make_clip(tmp_path / "a.mp4", seconds=1, width=360, height=640)


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "libx264"),
        ("a.mp4", "libx265"),
        ("a.mov", "libx264"),
        ("a.webm", "libvpx"),
        ("a.webm", "libvpx-vp9"),
    ],
)
def test_every_documented_container_and_codec_passes(tmp_path: pathlib.Path, name: str, codec: str) -> None:
    path = clips.make_clip(tmp_path / name, seconds=0.5, width=360, height=640, codec=codec)
    assert media_rules.check_video(path, 600) is None


def test_a_file_without_sound_passes(tmp_path: pathlib.Path) -> None:
    path = clips.make_clip(tmp_path / "a.mp4", seconds=0.5, width=360, height=640, audio=False)
    assert media_rules.check_video(path, 600) is None


def test_a_padded_file_passes(tmp_path: pathlib.Path) -> None:
    path = clips.make_clip(tmp_path / "a.mp4", seconds=0.5, width=360, height=640, pad_to_bytes=4_000_000_000)
    assert media_rules.check_video(path, 600) is None


def _first_half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _without_the_last_byte(data: bytes) -> bytes:
    return data[:-1]


def _with_zeroed_frames(data: bytes) -> bytes:
    start = data.index(b"mdat") + 4
    return data[:start] + bytes(len(data) - start)


def _with_a_broken_index(data: bytes) -> bytes:
    return data.replace(b"moov", b"m00v")


def _with_an_unknown_codec(data: bytes) -> bytes:
    return data.replace(b"avc1", b"zzzz")


def _text(_: bytes) -> bytes:
    return b"Not a video, but a friendly letter.\n" * 100


def _nothing(_: bytes) -> bytes:
    return b""


@pytest.mark.parametrize(
    "damage",
    [
        _first_half,
        _without_the_last_byte,
        _with_zeroed_frames,
        _with_a_broken_index,
        _with_an_unknown_codec,
        _text,
        _nothing,
    ],
)
def test_a_damaged_file_fails_the_format_check(clip: pathlib.Path, damage: Callable[[bytes], bytes]) -> None:
    clip.write_bytes(damage(clip.read_bytes()))
    assert media_rules.check_video(clip, 600) == "file_format_check_failed"


def test_names_in_a_file_that_are_no_text_do_no_harm(clip: pathlib.Path) -> None:
    clip.write_bytes(clip.read_bytes().replace(b"VideoHandler", b"\xffideoHandler"))
    assert media_rules.check_video(clip, 600) is None


def test_a_playlist_opens_no_other_file(clip: pathlib.Path) -> None:
    fifo = clip.with_name("other.mp4")
    os.mkfifo(fifo)
    clip.write_text(f"ffconcat version 1.0\nfile {fifo.name}\n")
    # To open the pipe would be to wait for ever.
    check = threading.Thread(target=media_rules.check_video, args=(clip, 600), daemon=True)
    check.start()
    check.join(60)
    assert not check.is_alive()


def test_half_a_webm_fails_the_format_check(tmp_path: pathlib.Path) -> None:
    path = clips.make_clip(tmp_path / "a.webm", seconds=2, width=360, height=640)
    path.write_bytes(_first_half(path.read_bytes()))
    assert media_rules.check_video(path, 600) == "file_format_check_failed"


@pytest.mark.parametrize(
    ("container", "codec"),
    [
        ("matroska", "libx264"),
        ("matroska", "libvpx-vp9"),
        ("avi", "libx264"),
        ("3gp", "libx264"),
        ("mp4", "mpeg4"),
        ("mov", "prores"),
    ],
)
def test_another_container_or_codec_fails_the_format_check(
    tmp_path: pathlib.Path, container: str, codec: str
) -> None:
    with av.open(str(tmp_path / "a"), "w", format=container) as output:
        stream = output.add_stream(codec, rate=30)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = 360, 640
        stream.pix_fmt = "yuv422p10le" if codec == "prores" else "yuv420p"
        for _ in range(15):
            output.mux(stream.encode(av.VideoFrame(360, 640, "yuv420p")))
        output.mux(stream.encode())
    assert media_rules.check_video(tmp_path / "a", 600) == "file_format_check_failed"


def test_sound_alone_fails_the_format_check(clip: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with av.open(str(clip)) as source, av.open(str(tmp_path / "sound.mp4"), "w") as output:
        target = output.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(audio=0):
            if packet.dts is not None:
                packet.stream = target
                output.mux(packet)
    assert media_rules.check_video(tmp_path / "sound.mp4", 600) == "file_format_check_failed"


@pytest.mark.parametrize(
    ("fps", "reason"),
    [
        (Fraction(22), "frame_rate_check_failed"),
        (Fraction(23), None),
        (Fraction(24000, 1001), None),
        (Fraction(60), None),
        (Fraction(6004, 100), None),
        (Fraction(602, 10), "frame_rate_check_failed"),
        (Fraction(61), "frame_rate_check_failed"),
    ],
)
def test_the_frame_rate_must_lie_between_23_and_60(
    tmp_path: pathlib.Path, fps: Fraction, reason: str | None
) -> None:
    path = clips.make_clip(tmp_path / "a.mp4", seconds=1, width=360, height=640, fps=fps)
    assert media_rules.check_video(path, 600) == reason


@pytest.mark.parametrize(
    ("width", "height", "reason"),
    [
        (358, 640, "picture_size_check_failed"),
        (640, 358, "picture_size_check_failed"),
        (360, 360, None),
        (4096, 360, None),
        (360, 4098, "picture_size_check_failed"),
    ],
)
def test_each_side_must_have_360_to_4096_pixels(
    tmp_path: pathlib.Path, width: int, height: int, reason: str | None
) -> None:
    path = clips.make_clip(tmp_path / "a.mp4", seconds=0.2, width=width, height=height)
    assert media_rules.check_video(path, 600) == reason


@pytest.mark.parametrize("suffix", ["mp4", "webm"])
@pytest.mark.parametrize(("limit", "reason"), [(2.0, None), (1.95, "duration_check_failed")])
def test_a_video_may_be_as_long_as_the_creator_may_post_and_no_longer(
    tmp_path: pathlib.Path, suffix: str, limit: float, reason: str | None
) -> None:
    path = clips.make_clip(tmp_path / f"a.{suffix}", seconds=2, width=360, height=640)
    assert media_rules.check_video(path, limit) == reason


@pytest.mark.parametrize(("seconds", "reason"), [(600, None), (601, "duration_check_failed")])
def test_no_creator_may_post_more_than_ten_minutes(
    clip: pathlib.Path, tmp_path: pathlib.Path, seconds: int, reason: str | None
) -> None:
    path = tmp_path / "long.mp4"
    _repeat(clip, path, seconds)
    assert media_rules.check_video(path, 3600) == reason


def _repeat(clip: pathlib.Path, path: pathlib.Path, times: int) -> None:
    """Copy the picture of a clip of one second many times over: quicker than to encode ten minutes."""
    with av.open(str(clip)) as source, av.open(str(path), "w") as output:
        target = output.add_stream_from_template(source.streams.video[0])
        packets = [
            (bytes(p), p.pts, p.dts, p.duration, p.time_base, p.is_keyframe) for p in source.demux(video=0)
        ]
        for turn in range(times):
            for data, pts, dts, duration, base, key in packets:
                if pts is None or dts is None:
                    continue
                packet = av.Packet(data)
                shift = int(turn / base)
                packet.pts, packet.dts, packet.duration = pts + shift, dts + shift, duration
                packet.time_base, packet.stream, packet.is_keyframe = base, target, key
                output.mux(packet)


@pytest.mark.parametrize(
    ("width", "height", "rule", "reason"),
    [
        (1080, 1920, "short_side", None),
        (1920, 1080, "short_side", None),
        (1086, 1448, "short_side", "picture_size_check_failed"),
        (1080, 1920, "width", None),
        (1920, 1080, "width", "picture_size_check_failed"),
    ],
)
@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
def test_a_photo_may_have_1080_pixels_by_either_reading(
    tmp_path: pathlib.Path, width: int, height: int, rule: str, reason: str | None, format: str
) -> None:
    path = clips.make_image(tmp_path / "a", width=width, height=height, format=format)
    assert media_rules.check_image(path, rule) == reason


def test_the_width_of_a_photo_is_the_one_that_people_see(tmp_path: pathlib.Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (1920, 1080)).save(tmp_path / "turned.jpg", exif=exif)
    assert media_rules.check_image(tmp_path / "turned.jpg", "width") is None


def test_a_photo_of_another_format_fails_the_format_check(tmp_path: pathlib.Path) -> None:
    assert (
        media_rules.check_image(clips.make_image(tmp_path / "a", format="PNG"), "width")
        == "file_format_check_failed"
    )


@pytest.mark.parametrize("damage", [_first_half, _text, _nothing])
def test_a_damaged_photo_fails_the_format_check(
    tmp_path: pathlib.Path, damage: Callable[[bytes], bytes]
) -> None:
    path = clips.make_image(tmp_path / "a.jpg", width=90, height=90)
    path.write_bytes(damage(path.read_bytes()))
    assert media_rules.check_image(path, "width") == "file_format_check_failed"


def test_a_photo_above_20_megabytes_is_too_large(tmp_path: pathlib.Path) -> None:
    path = clips.make_image(tmp_path / "a.jpg", width=90, height=90)
    with path.open("ab") as file:
        file.truncate(20_000_001)
    assert media_rules.check_image(path, "width") == "picture_size_check_failed"
