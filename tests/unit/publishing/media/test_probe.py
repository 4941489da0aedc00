"""What a video may cost to look into, and files that are shorter than they say."""

import os
import resource
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from tiktok_provider.exceptions import InvalidInputError
from tiktok_provider.publishing.media import probe_process
from tiktok_provider.publishing.media.probe import NotProbedError, probe
from tiktok_provider.publishing.media.video_file import VideoFile
from tiktok_sandbox.clips import make_clip

CONTAINERS = {"a.mp4": "libx264", "a.mov": "libx264", "a.webm": "libvpx-vp9"}
TABLES = (b"moov", b"trak", b"mdia", b"minf", b"stbl")


def clip(path: Path, codec: str = "libx264") -> Path:
    return make_clip(path, seconds=0.5, width=360, height=640, codec=codec)


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield type and content of the boxes of an MP4."""
    start = 0
    while start < len(data):
        length, name = struct.unpack_from(">I4s", data, start)
        yield name, data[start + 8 : start + length]
        start += length


def with_tables(data: bytes, tables: dict[bytes, bytes]) -> bytes:
    """Return an MP4 with other tables of samples in all its tracks."""
    made = b""
    for name, content in boxes(data):
        inner = with_tables(content, tables) if name in TABLES else tables.get(name, content)
        made += struct.pack(">I4s", 8 + len(inner), name) + inner
    return made


def bomb(path: Path, samples: int, size: int | None = None) -> Path:
    """Make an MP4 of some kilobytes that declares a table of so many samples of one byte each."""
    tables = {
        b"stsz": struct.pack(">III", 0, 1, samples),
        b"stts": struct.pack(">IIII", 0, 1, samples, 1),
        b"stsc": struct.pack(">IIIII", 0, 1, 1, samples, 1),
        b"stco": struct.pack(">III", 0, 1, 40),
        b"ctts": struct.pack(">II", 0, 0),
        b"stss": struct.pack(">III", 0, 1, 1),
        b"mdat": b"",
    }
    path.write_bytes(with_tables(clip(path).read_bytes(), tables))
    if size:
        os.truncate(path, size)
    return path


def fragmented(path: Path) -> Path:
    """Make an MP4 whose index lies in fragments beside the media, as live streams have it."""
    source = clip(path.with_suffix(".source.mp4"))
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    with av.open(str(path), "w", options=options) as output, av.open(str(source)) as whole:
        copies = {stream: output.add_stream_from_template(stream) for stream in whole.streams}
        for packet in whole.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream]
                output.mux(packet)
    return path


def problem(path: Path) -> str:
    with pytest.raises(InvalidInputError) as refusal:
        _ = VideoFile(path).facts
    return "".join(refusal.value.violations)


@pytest.mark.parametrize("samples", [100_000_000, 4_294_967_295])
def test_a_huge_declared_table_of_samples_costs_no_memory(tmp_path: Path, samples: int) -> None:
    path = bomb(tmp_path / "bomb.mp4", samples)
    assert path.stat().st_size < 4_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "bomb.mp4 is damaged" in problem(path)
    kilobytes = 1024 if os.uname().sysname == "Darwin" else 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000 * kilobytes


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS keeps to no limit of memory")
def test_the_process_gets_no_more_memory_than_its_limit() -> None:
    limits = f"import runpy\nrunpy.run_path({probe_process.__file__!r})['limit'](1 << 28, 9)"
    code = f"{limits}\nbytearray(1 << 29)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.stderr.endswith("MemoryError\n")


def test_the_largest_video_that_tiktok_takes_needs_less_than_the_limits(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", seconds=0.2, width=4096, height=4096, fps=60, codec="libx265")
    assert VideoFile(path).facts.width == 4096


@pytest.mark.parametrize(("name", "codec"), CONTAINERS.items())
@pytest.mark.parametrize("missing", [1, 2_000])
def test_a_file_that_is_cut_off_is_refused_with_what_is_missing(
    tmp_path: Path, name: str, codec: str, missing: int
) -> None:
    path = clip(tmp_path / name, codec)
    _ = VideoFile(path).facts
    os.truncate(path, path.stat().st_size - missing)
    assert f"{name} is cut off: {missing:,} bytes are missing at its end" in problem(path)


@pytest.mark.parametrize("missing", [1, 5_000])
def test_a_fragmented_mp4_that_is_cut_off_is_refused(tmp_path: Path, missing: int) -> None:
    path = fragmented(tmp_path / "live.mp4")
    assert VideoFile(path).facts.codec == "h264"
    with path.open("rb+") as file:
        # Its random-access index, mfra, closes the file, and is of no use to TikTok.
        media = path.read_bytes().rindex(b"mfra") - 4
        file.truncate(media - missing)
    assert "is cut off" in problem(path)


def test_what_follows_the_last_sample_may_be_missing(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", seconds=0.5, width=360, height=640, pad_to_bytes=500_000)
    os.truncate(path, 400_000)
    assert VideoFile(path).facts.codec == "h264"


def test_a_live_webm_that_was_written_without_a_length_passes(tmp_path: Path) -> None:
    data = clip(tmp_path / "a.webm", "libvpx-vp9").read_bytes()
    start = data.index(b"\x18\x53\x80\x67") + 4
    assert data[start] == 1, "a length of eight bytes"
    (tmp_path / "a.webm").write_bytes(data[:start] + b"\x01" + b"\xff" * 7 + data[start + 8 :])
    os.truncate(tmp_path / "a.webm", len(data) - 500)
    assert VideoFile(tmp_path / "a.webm").facts.codec == "vp9"


@pytest.mark.parametrize("tail", [b"\0" * 5_000, b"Recorded by a phone." * 20, b"\xff" * 9])
def test_what_a_recorder_leaves_behind_the_last_box_does_no_harm(tmp_path: Path, tail: bytes) -> None:
    path = clip(tmp_path / "a.mp4")
    with path.open("ab") as file:
        file.write(tail)
    assert VideoFile(path).facts.codec == "h264"


def test_too_much_computing_is_a_fault_of_the_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    busy = tmp_path / "busy.py"
    busy.write_text("import resource\nresource.setrlimit(resource.RLIMIT_CPU, (1, 2))\nwhile True: pass\n")
    monkeypatch.setattr(probe_process, "__file__", str(busy))
    assert "takes more than 20 seconds of computing" in problem(clip(tmp_path / "a.mp4"))


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", "FFmpeg ended with signal SIGSEGV"),
        ("import os\nos._exit(3)", "takes more than 1,073,741,824 bytes of memory"),
        ("while True: print(0, 1 << 20, flush=True)", "go on for more than 268,435,456 bytes"),
    ],
)
def test_a_video_at_which_the_process_ends_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    (tmp_path / "odd.py").write_text(script)
    monkeypatch.setattr(probe_process, "__file__", str(tmp_path / "odd.py"))
    with (tmp_path / "odd.py").open("rb") as source, pytest.raises(NotProbedError, match=said):
        probe(source, 1 << 40)


@pytest.mark.parametrize("script", ["raise SystemExit(1)", "import os\nos.kill(os.getpid(), 9)"])
def test_a_process_that_does_not_work_here_is_not_the_videos_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    (tmp_path / "odd.py").write_text(script)
    monkeypatch.setattr(probe_process, "__file__", str(tmp_path / "odd.py"))
    with (tmp_path / "odd.py").open("rb") as source, pytest.raises(ChildProcessError):
        probe(source, 10)


def test_the_process_sees_none_of_the_workers_connections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = "import json, os\nprint(json.dumps({'seen': sorted(os.environ)}))"
    (tmp_path / "odd.py").write_text(script)
    monkeypatch.setenv("AIRFLOW_CONN_TIKTOK_DEFAULT", "{}")
    monkeypatch.setattr(probe_process, "__file__", str(tmp_path / "odd.py"))
    with (tmp_path / "odd.py").open("rb") as source:
        assert not any("AIRFLOW" in name for name in probe(source, 10)["seen"])
