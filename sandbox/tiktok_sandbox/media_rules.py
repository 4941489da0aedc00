"""What TikTok checks once all bytes are there: it answers 201 first and finds fault with the media later."""

import pathlib

import av
from av.container import InputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream
from PIL import Image

FORMAT = "file_format_check_failed"
DURATION = "duration_check_failed"
FRAME_RATE = "frame_rate_check_failed"
PICTURE_SIZE = "picture_size_check_failed"

_CODECS = {"h264", "hevc", "vp8", "vp9"}
# No others: a playlist would have FFmpeg open the files that it names.
_READERS = {"format_whitelist": "mov,mp4,matroska,webm"}
_MAX_SECONDS = 600
# 60.0x comes from rounded time stamps of files rendered at 60.
_FPS = (23, 60.1)
_SIDE = (360, 4096)
# What the last packets may lack of the announced length before we call the file cut off.
_TAIL_SECONDS = 0.25
_EBML_HEADER = 64
_MAX_IMAGE_BYTES = 20_000_000
_MAX_IMAGE_SIDE = 1080
_ORIENTATION_TAG = 0x0112
_ORIENTATIONS_ON_THE_SIDE = {5, 6, 7, 8}


def check_video(path: pathlib.Path, max_duration_seconds: float) -> str | None:
    """Return TikTok's fail_reason for this video, or None if it may be posted.

    :param path: the received file; its name says nothing about its content.
    :param max_duration_seconds: the creator's `max_video_post_duration_sec`; 600 s is the limit for everybody.
    """
    if path.stat().st_size == 0:
        return FORMAT
    try:
        with av.open(str(path), metadata_errors="replace", options=_READERS) as video:
            stream = _picture(path, video)
            end = None if stream is None else _end_of_picture(video, stream)
            if stream is None or end is None:
                return FORMAT
            return _limits(stream, end, min(max_duration_seconds, _MAX_SECONDS))
    except av.FFmpegError:
        return FORMAT


def _picture(path: pathlib.Path, video: InputContainer) -> VideoStream | None:
    """The video stream, if container and codec are among those that TikTok takes."""
    with path.open("rb") as file:
        webm = b"webm" in file.read(_EBML_HEADER)
    # FFmpeg has one reader for WebM and for Matroska, which TikTok does not take.
    names = video.format.name.split(",")
    # And one for MP4, MOV and 3GP, which TikTok does not take either.
    mp4 = "mp4" in names and not video.metadata.get("major_brand", "").startswith("3g")
    if not (mp4 or (webm and "webm" in names)) or not video.streams.video:
        return None
    stream = video.streams.video[0]
    # Unlike its types say, PyAV has no context where FFmpeg has no decoder.
    context: VideoCodecContext | None = stream.codec_context
    return stream if context is not None and context.codec.canonical_name in _CODECS else None


def _end_of_picture(video: InputContainer, stream: VideoStream) -> float | None:
    """End of the last frame in seconds; None if the file breaks off before the length that it announces."""
    if next(video.decode(stream), None) is None:
        return None
    length = (video.duration or 0) / av.time_base
    if video.duration:
        video.seek(video.duration)
    picture = everything = 0.0
    for packet in video.demux():
        if packet.is_corrupt:
            return None
        if packet.pts is not None and packet.time_base is not None:
            end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
            everything = max(everything, end)
            picture = max(picture, end) if packet.stream is stream else picture
    return picture if everything >= length - _TAIL_SECONDS else None


def _limits(stream: VideoStream, seconds: float, max_seconds: float) -> str | None:
    rate = stream.average_rate or stream.guessed_rate
    if seconds > max_seconds:
        return DURATION
    if rate is None or not _FPS[0] <= rate <= _FPS[1]:
        return FRAME_RATE
    # Rotation changes nothing here: both sides have the same limits.
    if not all(_SIDE[0] <= side <= _SIDE[1] for side in (stream.width, stream.height)):
        return PICTURE_SIZE
    return None


def check_image(path: pathlib.Path, rule: str) -> str | None:
    """Return TikTok's fail_reason for this photo, or None if it may be posted.

    :param path: the received file.
    :param rule: what "1080p" limits to 1080 pixels: `short_side` or `width`, as the picture is shown.
    """
    try:
        with Image.open(path, formats=("JPEG", "WEBP")) as image:
            width, height = image.size
            if image.getexif().get(_ORIENTATION_TAG) in _ORIENTATIONS_ON_THE_SIDE:
                width, height = height, width
            limited = min(width, height) if rule == "short_side" else width
            if limited > _MAX_IMAGE_SIDE or path.stat().st_size > _MAX_IMAGE_BYTES:
                return PICTURE_SIZE
            # Last, as it takes memory for every pixel.
            image.load()
    except Image.DecompressionBombError:
        return PICTURE_SIZE
    except (OSError, SyntaxError):  # the latter: broken EXIF data
        return FORMAT
    return None
