"""What can be known of a video before anything is sent.

TikTok checks a video only after its last byte has arrived: a wrong one costs the whole upload.
Limits: https://developers.tiktok.com/doc/content-posting-api-media-transfer-guide
"""

import logging
from dataclasses import dataclass

from tiktok_provider.publishing.media.violations import Violation

log = logging.getLogger(__name__)

CONTENT_TYPES = {"mp4": "video/mp4", "mov": "video/quicktime", "webm": "video/webm"}
CODECS = {"h264": "H.264", "hevc": "H.265", "vp8": "VP8", "vp9": "VP9"}
MIN_SIDE, MAX_SIDE = 360, 4096
MIN_FPS, MAX_FPS = 23, 60
# Averages over a file's timestamps miss the nominal rate by a little, e.g. 60.02.
FPS_TOLERANCE = 0.1
MAX_DURATION_SECONDS = 600
# The last frame of sound or picture ends up to a few hundredths of a second after the time at which a video was cut.
DURATION_TOLERANCE = 0.1
MAX_SIZE_BYTES = 4_000_000_000


@dataclass(frozen=True)
class VideoFacts:
    """What a video says of itself.

    :param container: ``mp4``, ``mov``, ``webm``, or another one's name or brand.
    :param codec: FFmpeg's name of the video codec, e.g. ``h264``.
    :param width: pixels as stored, before the file's rotation is applied; both sides have the same limits.
    :param height: likewise.
    :param fps: average frames per second; None where the file does not say.
    :param duration_seconds: of the longest track; None where the file does not say.
    :param size_bytes: length of the file.
    """

    container: str
    codec: str
    width: int
    height: int
    fps: float | None
    duration_seconds: float | None
    size_bytes: int


def check(facts: VideoFacts) -> list[Violation]:
    """Compare a video with TikTok's limits, and return everything that is wrong with it.

    What only strict checkers refuse, and what the file does not say, only gets a warning in the log.

    :param facts: what ``VideoFile.facts`` found.
    """
    violations = (
        _check_container(facts.container),
        _check_codec(facts.codec),
        _check_side("width", facts.width),
        _check_side("height", facts.height),
        _check_fps(facts.fps),
        check_duration(facts.duration_seconds),
        _check_size(facts.size_bytes),
    )
    return [violation for violation in violations if violation is not None]


def _check_container(container: str) -> Violation | None:
    if container in CONTENT_TYPES:
        return None
    return Violation(
        "video container", container, "MP4, MOV, WebM", "repack it, e.g. ffmpeg -i in -c copy out.mp4"
    )


def _check_codec(codec: str) -> Violation | None:
    if codec in CODECS:
        return None
    advice = "re-encode it, e.g. ffmpeg -i in.mp4 -c:v libx264 out.mp4"
    return Violation("video codec", codec, ", ".join(CODECS.values()), advice)


def _check_side(side: str, pixels: int) -> Violation | None:
    if MIN_SIDE <= pixels <= MAX_SIDE:
        return None
    advice = "scale it, e.g. ffmpeg -i in.mp4 -vf scale=1080:-2 out.mp4"
    return Violation(f"video {side}", f"{pixels} px", f"{MIN_SIDE} to {MAX_SIDE} px", advice)


def _check_fps(fps: float | None) -> Violation | None:
    if not fps:
        log.warning("The video does not say its frame rate, allowed: %s to %s fps", MIN_FPS, MAX_FPS)
        return None
    if MIN_FPS <= fps <= MAX_FPS:
        return None
    advice = "convert it, e.g. ffmpeg -i in.mp4 -r 30 out.mp4"
    violation = Violation("video frame rate", f"{fps:.6g} fps", f"{MIN_FPS} to {MAX_FPS} fps", advice)
    tolerated = MIN_FPS - FPS_TOLERANCE <= fps <= MAX_FPS + FPS_TOLERANCE
    return None if _tolerated(violation, tolerated) else violation


def _tolerated(violation: Violation, is_rounding: bool) -> bool:
    """Warn of what may come of rounding alone: TikTok may accept it, and nobody could mend it."""
    if is_rounding:
        log.warning("Strict checkers refuse this video, TikTok may not: %s", violation)
    return is_rounding


def check_duration(seconds: float | None, creator_limit: float | None = None) -> Violation | None:
    """Compare a duration with TikTok's limits.

    One that is not known, or longer by less than ``DURATION_TOLERANCE``, only gets a warning.

    :param creator_limit: the creator's own, from creator_info; the API's 600 seconds always apply.
    """
    if not seconds:
        log.warning("The video does not say its duration, allowed: at most %s seconds", MAX_DURATION_SECONDS)
        return None
    limit = MAX_DURATION_SECONDS if creator_limit is None else min(creator_limit, MAX_DURATION_SECONDS)
    if seconds <= limit:
        return None
    whose = "this creator's limit" if limit < MAX_DURATION_SECONDS else "the API's limit"
    advice = f"cut it, e.g. ffmpeg -i in.mp4 -t {limit:g} out.mp4"
    violation = Violation(
        "video duration", f"{seconds:.10g} seconds", f"at most {limit:g} seconds ({whose})", advice
    )
    return None if _tolerated(violation, seconds - limit <= DURATION_TOLERANCE) else violation


def _check_size(size: int) -> Violation | None:
    if size <= MAX_SIZE_BYTES:
        return None
    limit = f"at most {MAX_SIZE_BYTES:,} bytes (4 GB)"
    # TikTok does not say whether its GB is 10^9 or 2^30 bytes.
    advice = "compress it, e.g. ffmpeg -i in.mp4 -c:v libx264 -crf 28 out.mp4"
    return Violation("video size", f"{size:,} bytes", limit, advice)
