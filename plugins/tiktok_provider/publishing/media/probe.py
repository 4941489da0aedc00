"""Ask another process what a video is, within limits of memory and time; see ``probe_process.py``."""

import json
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

from tiktok_provider.publishing.media import probe_process

# Of address space, of which Python and FFmpeg take a tenth before they have seen anything.
MEMORY_BYTES = 1024**3
CPU_SECONDS = 20
# The headers of any video that TikTok takes are shorter; more is read only of what is made to be read for ever.
MOST_BYTES = 256 * 1024**2
_LONGEST_LINE = 65_536
# What a worker knows is none of this process's business, its Connections least of all.
_ENVIRONMENT = (
    "PATH",
    "PYTHONPATH",
    "PYTHONHOME",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "TMPDIR",
)
_CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}


class NotProbedError(Exception):
    """The video is not one that can be looked into; the message goes on after "video file X"."""


def probe(source: BinaryIO, size: int) -> dict[str, Any]:
    """Return ``format``, ``codec``, ``width``, ``height``, ``fps`` and ``duration_seconds`` of a video.

    It takes about a fifth of a second beside what the storage takes.

    :param source: the video; it is read here, so that the other process needs no access to the storage.
    :param size: its length in bytes.
    :raises NotProbedError: it is no video, is cut off, or is made to take more memory or time than any video needs.
    :raises OSError: the storage, or the other process, does not work for now.
    """
    with _started(size) as process:
        if found := _serve(source, process):
            return found
        raise _explained(process.wait())


@contextmanager
def _started(size: int) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the process until the caller has what it wants of it."""
    command = [sys.executable, "-P", str(Path(probe_process.__file__).resolve())]
    process = subprocess.Popen(
        [*command, str(size), str(MEMORY_BYTES), str(CPU_SECONDS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
    )
    try:
        yield process
    finally:
        process.kill()
        # What was written to it and not read concerns nobody any more.
        with suppress(BrokenPipeError):
            process.communicate()


def _serve(source: BinaryIO, process: "subprocess.Popen[bytes]") -> dict[str, Any] | None:
    """Give the process the bytes that it asks for, and return what it finds; None if it ends without."""
    requests, answers = cast(BinaryIO, process.stdout), cast(BinaryIO, process.stdin)
    served = 0
    for line in iter(lambda: requests.readline(_LONGEST_LINE), b""):
        if line.startswith(b"{"):
            found: dict[str, Any] = json.loads(line)
            if problem := found.get("problem"):
                raise NotProbedError(problem)
            return found
        position, length = map(int, line.split())
        served += length
        if served > MOST_BYTES:
            raise NotProbedError(f"is damaged: its headers go on for more than {MOST_BYTES:,} bytes")
        source.seek(position)
        data = source.read(length)
        try:
            answers.write(struct.pack(">I", len(data)) + data)
            answers.flush()
        except BrokenPipeError:
            # It has reached a limit: how it ended says which.
            return None
    return None


def _explained(code: int) -> Exception:
    if code == probe_process.OUT_OF_MEMORY:
        limit = f"{MEMORY_BYTES:,} bytes of memory"
    elif code == -signal.SIGXCPU:
        limit = f"{CPU_SECONDS} seconds of computing"
    elif -code in _CRASHES:
        return NotProbedError(f"is damaged: FFmpeg ended with signal {signal.Signals(-code).name}")
    else:
        return ChildProcessError(
            f"The process that looks into videos ended with {code}; what it said is in the log."
        )
    return NotProbedError(f"is damaged: to look into it takes more than {limit}")
