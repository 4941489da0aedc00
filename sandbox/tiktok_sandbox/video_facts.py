"""Size and length of a video as it was received."""

import functools
from dataclasses import dataclass
from pathlib import Path

import av


@dataclass(frozen=True)
class VideoFacts:
    """Pixels and seconds."""

    width: int
    height: int
    duration: int


@functools.lru_cache(maxsize=1024)
def video_facts(path: Path) -> VideoFacts:
    """Of a file that has passed the checks, so that it is known to be a video."""
    with av.open(str(path), metadata_errors="replace") as container:
        stream = container.streams.video[0]
        return VideoFacts(stream.width, stream.height, round((container.duration or 0) / av.time_base))
