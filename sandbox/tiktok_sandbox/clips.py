"""Small real videos and images for tests and demonstrations, the same bytes for the same arguments."""

import argparse
import colorsys
import math
import pathlib
import random
import struct
from collections.abc import Iterator
from fractions import Fraction

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream
from PIL import Image, ImageDraw, ImageFont

_SAMPLE_RATE = 48_000
_SAMPLES_PER_FRAME = 960
# Speed over size, and no trace of the machine: threads change what an encoder writes.
_CODEC_OPTIONS = {
    "libx264": {"preset": "ultrafast", "threads": "1"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none:pools=none:frame-threads=1"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "threads": "1"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "threads": "1"},
}
_FREE_BOX = 8
_LARGEST_32_BIT_SIZE = 0xFFFF_FFFF


def make_clip(
    path: pathlib.Path,
    *,
    seconds: float = 4.0,
    width: int = 720,
    height: int = 1280,
    fps: int | Fraction = 30,
    codec: str = "libx264",
    container: str | None = None,
    pad_to_bytes: int | None = None,
    seed: int = 1,
    text: str = "",
    audio: bool = True,
) -> pathlib.Path:
    """Write a video of a moving colour pattern with a soft tone, and return its path.

    :param path: the file; its suffix (`.mp4`, `.mov`, `.webm`, ...) says the container.
    :param seconds: length, rounded to whole frames, at least one. Default 4.
    :param width: pixels, an even number. Default 720.
    :param height: the same. Default 1280.
    :param fps: frames per second, whole or a fraction. Default 30.
    :param codec: FFmpeg's name of the encoder: `libx264` (default; VP9 in a WebM file), `libx265`, `libvpx-vp9`.
    :param container: FFmpeg's name of the container, where it should not follow the suffix.
    :param pad_to_bytes: exact length of the file, reached by a sparse `free` box (MP4 and MOV only).
    :param seed: another seed is another pattern. Default 1.
    :param text: words to show in the picture. Default none.
    :param audio: whether there is a sound track. Default true.
    """
    webm = (container or path.suffix.lstrip(".")) == "webm"
    if webm and codec == "libx264":
        codec = "libvpx-vp9"
    options = {"fflags": "+bitexact"} if webm else {"fflags": "+bitexact", "movflags": "+faststart"}
    with av.open(str(path), "w", format=container, options=options) as output:
        picture = _add_video(output, codec, width, height, fps)
        sound = output.add_stream("libopus" if webm else "aac", rate=_SAMPLE_RATE) if audio else None
        frames = max(1, round(seconds * fps))
        _write_video(output, picture, _frames(width, height, frames, seed, text))
        if sound is not None:
            _write_tone(output, sound, float(frames / fps), seed)
    if pad_to_bytes is not None:
        _pad(path, pad_to_bytes)
    return path


def make_image(
    path: pathlib.Path, *, width: int = 1080, height: int = 1080, format: str = "JPEG", seed: int = 1
) -> pathlib.Path:
    """Write one picture of the colour pattern and return its path.

    :param path: the file.
    :param width: pixels. Default 1080.
    :param height: pixels. Default 1080.
    :param format: Pillow's name: `JPEG` (default), `WEBP` or `PNG`.
    :param seed: another seed is another pattern. Default 1.
    """
    _pattern(width, height, seed).save(path, format=format)
    return path


def _pattern(width: int, height: int, seed: int) -> Image.Image:
    """Paint a few coloured blobs, small and then enlarged: soft, so that it compresses well."""
    dice = random.Random(seed)
    small = Image.new("RGB", (6, 6))
    for x in range(small.width):
        for y in range(small.height):
            red, green, blue = colorsys.hsv_to_rgb(dice.random(), 0.7, dice.uniform(0.5, 1.0))
            small.putpixel((x, y), (int(red * 255), int(green * 255), int(blue * 255)))
    return small.resize((width, height), Image.Resampling.BICUBIC)


def _frames(width: int, height: int, count: int, seed: int, text: str) -> Iterator[Image.Image]:
    """Slide the view once around a larger pattern, with a bar that shows how much has been played."""
    canvas = _pattern(width * 2, height * 2, seed)
    for index in range(count):
        angle = math.tau * index / count
        left, top = int(width * (1 + math.cos(angle)) / 2), int(height * (1 + math.sin(angle)) / 2)
        image = canvas.crop((left, top, left + width, top + height))
        draw = ImageDraw.Draw(image)
        draw.rectangle((0, height - height // 40, width * (index + 1) // count, height), fill="white")
        if text:
            font = ImageFont.load_default(size=height / 24)
            draw.multiline_text((width / 2, height / 2), text, "white", font, "mm", align="center")
        yield image


def _add_video(
    output: OutputContainer, codec: str, width: int, height: int, fps: int | Fraction
) -> VideoStream:
    stream = output.add_stream(codec, rate=Fraction(fps), options=dict(_CODEC_OPTIONS.get(codec, {})))
    if not isinstance(stream, VideoStream):
        raise ValueError(f"{codec} is not an encoder of video")
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    return stream


def _write_video(output: OutputContainer, stream: VideoStream, images: Iterator[Image.Image]) -> None:
    for image in images:
        frame = av.VideoFrame.from_bytes(image.convert("RGBA").tobytes(), image.width, image.height)
        output.mux(stream.encode(frame))
    output.mux(stream.encode())


def _write_tone(output: OutputContainer, stream: AudioStream, seconds: float, seed: int) -> None:
    """A quiet sine of one pitch for each seed."""
    step = math.tau * (220 + 20 * (seed % 12)) / _SAMPLE_RATE
    for start in range(0, int(seconds * _SAMPLE_RATE), _SAMPLES_PER_FRAME):
        samples = [int(3000 * math.sin(step * (start + offset))) for offset in range(_SAMPLES_PER_FRAME)]
        frame = av.AudioFrame(format="s16", layout="mono", samples=_SAMPLES_PER_FRAME)
        frame.sample_rate, frame.pts, frame.time_base = _SAMPLE_RATE, start, Fraction(1, _SAMPLE_RATE)
        frame.planes[0].update(struct.pack(f"<{_SAMPLES_PER_FRAME}h", *samples))
        output.mux(stream.encode(frame))
    output.mux(stream.encode())


def _pad(path: pathlib.Path, size: int) -> None:
    """Append a box that readers skip; its content is a hole in the file, which costs no disk."""
    if path.suffix not in {".mp4", ".mov"}:
        raise ValueError(f"only .mp4 and .mov files can be padded, not {path.name}")
    gap = size - path.stat().st_size
    if gap == 0:
        return
    if gap < _FREE_BOX:
        raise ValueError(f"{path.name} has {path.stat().st_size} bytes and cannot be padded to {size}")
    large = gap > _LARGEST_32_BIT_SIZE
    header = struct.pack(">I4sQ", 1, b"free", gap) if large else struct.pack(">I4s", gap, b"free")
    with path.open("ab") as file:
        file.write(header)
        file.truncate(size)


def main(arguments: list[str] | None = None) -> None:
    """Write one clip from the command line."""
    parser = argparse.ArgumentParser(prog="python -m tiktok_sandbox.clips", description=main.__doc__)
    parser.add_argument("path", type=pathlib.Path, help="the file to write: .mp4, .mov or .webm")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--width", type=int, default=720)
    parser.add_argument("--height", type=int, default=1280)
    parser.add_argument("--fps", type=Fraction, default=Fraction(30))
    parser.add_argument("--codec", default="libx264")
    parser.add_argument("--pad-to-bytes", type=int, default=None)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--text", default="")
    options = vars(parser.parse_args(arguments))
    make_clip(options.pop("path"), **options)


if __name__ == "__main__":
    main()
