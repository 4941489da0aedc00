"""Look into a video, in a process of its own: a small file can make FFmpeg take any amount of memory and time.

``probe.py`` runs this file as a script and serves it the bytes of the video. It imports nothing of this package, so
that it starts within a fifth of a second.
"""

import json
import os
import resource
import struct
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

# What it ends with when it has reached its limit of memory.
OUT_OF_MEMORY = 3
# More boxes than the fragments of any video that TikTok takes.
_MOST_BOXES = 20_000
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


class ServedFile:
    """The video, as the process that started this one serves it: a line asks for a range, its length and bytes come.

    It has no name: FFmpeg would otherwise believe a suffix, and play ``notes.txt`` as a video.

    :param size: length in bytes.
    """

    def __init__(self, size: int, requests: BinaryIO, answers: BinaryIO) -> None:
        self.size = size
        self._position = 0
        self._requests = requests
        self._answers = answers

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def read(self, length: int) -> bytes:
        """Read so many bytes, fewer at the end."""
        length = min(length, max(self.size - self._position, 0))
        if not length:
            return b""
        self._requests.write(b"%d %d\n" % (self._position, length))
        self._requests.flush()
        (given,) = struct.unpack(">I", self._answers.read(4))
        data = self._answers.read(given)
        self._position += len(data)
        return data


def look_into(source: ServedFile) -> dict[str, Any]:
    """Return what FFmpeg finds, or under ``problem`` why it is no video that can be published."""
    import av

    if (missing := _declared_end(source) - source.size) > 0:
        return _cut_off(missing)
    source.seek(0)
    # Playlists name other files to open: with no protocol allowed, none of them is.
    options = {"protocol_whitelist": "none"}
    try:
        with av.open(source, "r", options=options, metadata_errors="replace") as opened:
            return _facts(opened, source.size)
    except av.FFmpegError as error:
        if isinstance(error, MemoryError):
            raise
        return {"problem": f"is not a video, or is damaged: {error.strerror}"}


def _facts(opened: "InputContainer", size: int) -> dict[str, Any]:
    import av

    stream = opened.streams.best("video")
    # Where FFmpeg has no decoder, PyAV has no codec context, whatever its types say.
    if not isinstance(stream, av.VideoStream) or not getattr(stream, "codec_context", None):
        return {"problem": "has no readable video track"}
    if (frames := max(track.frames for track in opened.streams)) > size:
        return {"problem": f"is damaged: a track of {frames:,} frames does not fit into {size:,} bytes"}
    if (missing := max(_end_of_samples(track) for track in opened.streams) - size) > 0:
        return _cut_off(missing)
    rate = stream.average_rate or stream.guessed_rate
    return {
        "format": opened.format.name,
        "codec": stream.codec.canonical_name,
        "width": stream.width,
        "height": stream.height,
        "fps": float(rate) if rate else None,
        "duration_seconds": opened.duration / av.time_base if opened.duration else None,
    }


def _cut_off(missing: int) -> dict[str, Any]:
    return {"problem": f"is cut off: {missing:,} bytes are missing at its end"}


def _end_of_samples(track: "av.stream.Stream") -> int:
    """Return where the last sample ends, by the index of an MP4 or MOV. WebM has an index of time alone."""
    return max((entry.pos + entry.size for entry in track.index_entries), default=0)


def _declared_end(source: ServedFile) -> int:
    """Return where the file ends by its own structure; 0 where that does not say."""
    head = source.read(4)
    if head == _EBML:
        return _end_of_segment(source)
    fragmented = False
    for box, end in _boxes(source):
        fragmented = fragmented or box == b"moof"
        # The samples of all others are in the index, and what is beyond the last one is of no use.
        if end > source.size and (box in (b"moov", b"moof") or (fragmented and box == b"mdat")):
            return end
    return 0


def _boxes(source: ServedFile) -> Iterator[tuple[bytes, int]]:
    """Yield type and end of the outermost boxes of an MP4 or MOV."""
    start = 0
    for _ in range(_MOST_BOXES):
        source.seek(start)
        header = source.read(16)
        if len(header) < 8:
            return
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        if length < 8:
            # 0: up to the end of the file. All others: no box at all.
            return
        yield header[4:8], start + length
        start += length


def _end_of_segment(source: ServedFile) -> int:
    """Return where the Segment of a WebM ends, which holds everything; 0 if it was written without a length."""
    source.seek(4)
    start = 4 + sum(_ebml_length(source))
    source.seek(start)
    if source.read(4) != _SEGMENT:
        return 0
    header, length = _ebml_length(source)
    return start + 4 + header + length if length else 0


def _ebml_length(source: ServedFile) -> tuple[int, int]:
    """Read the length of an EBML element: of the number itself, and its value, 0 where it is unknown."""
    first = source.read(1) or b"\0"
    width = 9 - first[0].bit_length()
    raw = first + source.read(width - 1)
    value = int.from_bytes(raw, "big") & ((1 << 7 * width) - 1)
    unknown = width > 8 or len(raw) < width or value == (1 << 7 * width) - 1
    return width, 0 if unknown else value


def limit(memory_bytes: int, cpu_seconds: int) -> None:
    """Limit what this process may take. macOS keeps to no limit of memory; there the other one must do."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
    if sys.platform != "darwin":
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))


def main() -> None:
    """Write requests for bytes, and last a line of JSON."""
    size, memory_bytes, cpu_seconds = map(int, sys.argv[1:])
    limit(memory_bytes, cpu_seconds)
    try:
        found = look_into(ServedFile(size, sys.stdout.buffer, sys.stdin.buffer))
        sys.stdout.write(json.dumps(found))
        sys.stdout.flush()
    except MemoryError:
        os._exit(OUT_OF_MEMORY)


if __name__ == "__main__":
    main()
