"""Video files are described from few bytes, wherever they lie."""

import dataclasses
import os
import pathlib
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import av
import pytest
from airflow.sdk import ObjectStoragePath
from airflow.sdk.io import store
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem  # type: ignore[import-untyped]

from tiktok_provider.exceptions import InvalidInputError
from tiktok_provider.publishing.media.video_checks import check
from tiktok_provider.publishing.media.video_file import VideoFile
from tiktok_sandbox.clips import make_clip

FOUR_GB = 4_000_000_000
# As file systems of fsspec call it: Google's and SFTP, S3, Azure, Google's own word, HTTP, HDFS.
TIMES_OF_CHANGE = ("mtime", "LastModified", "last_modified", "updated", "Last-Modified", "modificationTime")


def clip(path: pathlib.Path, **options: Any) -> pathlib.Path:
    settings = {"seconds": 0.5, "width": 360, "height": 640, **options}
    return make_clip(path, **settings)


class RangedFile(AbstractBufferedFile):  # type: ignore[misc]
    """Reads ranges as object storage does, and keeps account of them."""

    def _fetch_range(self, start: int, end: int) -> bytes:
        with open(self.fs.local(self.path), "rb") as source:
            source.seek(start)
            data = source.read(end - start)
        self.fs.fetched.append(len(data))
        return data


class Storage(AbstractFileSystem):  # type: ignore[misc]
    """Object storage over a directory, with an error to raise instead of every answer.

    It answers from what it has listed before, by directory, as Azure's file system does. ``facts`` is what else it
    knows of every file.
    """

    cachable = False

    def __init__(self, root: pathlib.Path) -> None:
        super().__init__()
        self.root = root
        self.fetched: list[int] = []
        self.error: Exception | None = None
        self.facts: dict[str, Any] = {}
        self.listed: dict[str, dict[str, Any]] = {}

    def local(self, path: str) -> pathlib.Path:
        return self.root / path.split("/", 1)[1]

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        if self.error:
            raise self.error
        listing = self.listed.setdefault(self._parent(path), {})
        if path not in listing:
            status = self.local(path).stat()
            kind = "directory" if self.local(path).is_dir() else "file"
            listing[path] = {"name": path, "size": status.st_size, "type": kind, **self.facts}
        return dict(listing[path])

    def invalidate_cache(self, path: str | None = None) -> None:
        if path is None:
            self.listed.clear()
        else:
            self.listed.pop(path, None)

    def _open(self, path: str, mode: str = "rb", block_size: int | None = None, **_: Any) -> RangedFile:
        return RangedFile(self, path, mode, block_size or "default")


@pytest.fixture
def storage(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """What the connection `media` opens as `s3://media@bucket/...`: the temporary directory."""
    fake = Storage(tmp_path)
    attached = store.ObjectStore(protocol="s3", conn_id="media", fs=fake)
    monkeypatch.setitem(store._STORE_CACHE, "s3-media", attached)
    return fake


class CountedReads:
    """Every byte that a local file gives, counted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.total = 0
        opened = pathlib.Path.open
        monkeypatch.setattr(pathlib.Path, "open", lambda path, mode: self._count(opened(path, mode)))

    def _count(self, source: Any) -> Any:
        counted = self

        class Reader:
            seek, tell, close = source.seek, source.tell, source.close

            def __enter__(self) -> "Reader":
                return self

            def __exit__(self, *_: object) -> None:
                source.close()

            def read(self, length: int) -> bytes:
                data: bytes = source.read(length)
                counted.total += len(data)
                return data

        return Reader()


def without_index(data: bytes) -> tuple[bytes, bytes]:
    """Blank the moov box, which FFmpeg would find even under another name; return the rest and the box."""
    start = data.index(b"moov") - 4
    (length,) = struct.unpack_from(">I", data, start)
    blank = struct.pack(">I4s", length, b"free") + bytes(length - 8)
    return data[:start] + blank + data[start + length :], data[start : start + length]


def move_index_to_the_end(path: pathlib.Path, gap: int) -> None:
    """Put the moov box behind the media and a hole of `gap` bytes, as cameras do."""
    media, index = without_index(path.read_bytes())
    with path.open("wb") as file:
        file.write(media + struct.pack(">I4sQ", 1, b"free", gap))
        file.truncate(len(media) + gap)
        file.seek(0, os.SEEK_END)
        file.write(index)


def sound_only(path: pathlib.Path) -> None:
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=44_100)
        frame = av.AudioFrame("fltp", "stereo", 1024)
        frame.sample_rate = 44_100
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def message(call: Callable[[], object]) -> str:
    with pytest.raises(InvalidInputError) as caught:
        call()
    return "\n".join(caught.value.violations)


@pytest.mark.parametrize(
    ("name", "codec", "container", "content_type", "found_codec"),
    [
        ("a.mp4", "libx264", "mp4", "video/mp4", "h264"),
        ("a.mp4", "libx265", "mp4", "video/mp4", "hevc"),
        ("a.mov", "libx264", "mov", "video/quicktime", "h264"),
        ("a.webm", "libvpx-vp9", "webm", "video/webm", "vp9"),
        ("a.webm", "libvpx", "webm", "video/webm", "vp8"),
    ],
)
def test_a_video_that_tiktok_takes_is_described_and_passes(
    tmp_path: pathlib.Path, name: str, codec: str, container: str, content_type: str, found_codec: str
) -> None:
    path = clip(tmp_path / name, codec=codec)
    video = VideoFile(path)
    facts = video.facts
    assert (facts.container, facts.codec, facts.width, facts.height) == (container, found_codec, 360, 640)
    assert facts.fps == pytest.approx(30)
    assert facts.duration_seconds == pytest.approx(0.5, abs=0.05)
    assert facts.size_bytes == video.size == path.stat().st_size
    assert video.content_type == content_type
    assert check(facts) == []


def test_the_container_is_what_the_file_is_and_not_what_its_name_says(tmp_path: pathlib.Path) -> None:
    path = clip(tmp_path / "a.mov").rename(tmp_path / "a.mp4")
    assert VideoFile(path).content_type == "video/quicktime"
    assert VideoFile(path).facts.container == "mov"


@pytest.mark.parametrize("container", ["matroska", "avi", "flv", "mpegts", "3gp6"])
def test_another_container_is_named_and_has_no_content_type(tmp_path: pathlib.Path, container: str) -> None:
    path = clip(tmp_path / "a.mp4", container=container.rstrip("6"), audio=False)
    violations = check(VideoFile(path).facts)
    assert [violation.field for violation in violations] == ["video container"]
    assert violations[0].value == container
    assert "neither MP4, MOV nor WebM" in message(lambda: VideoFile(path).content_type)


def test_a_rate_of_frames_that_is_no_whole_number_is_read(tmp_path: pathlib.Path) -> None:
    facts = VideoFile(clip(tmp_path / "a.mp4", fps=Fraction(60000, 1001))).facts
    assert facts.fps == pytest.approx(59.94, abs=0.005)
    assert check(facts) == []


def test_all_faults_of_a_video_are_found_at_once(tmp_path: pathlib.Path) -> None:
    path = clip(tmp_path / "a.avi", codec="mpeg4", width=352, height=288, fps=10, audio=False)
    violations = check(dataclasses.replace(VideoFile(path).facts, duration_seconds=601.0))
    assert [violation.field for violation in violations] == [
        "video container",
        "video codec",
        "video width",
        "video height",
        "video frame rate",
        "video duration",
    ]
    assert str(violations[1]) == (
        "video codec is mpeg4, allowed: H.264, H.265, VP8, VP9\n"
        "  (re-encode it, e.g. ffmpeg -i in.mp4 -c:v libx264 out.mp4)"
    )


@pytest.mark.parametrize("index_at", ["front", "end"])
def test_a_huge_video_is_described_from_few_bytes(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, index_at: str
) -> None:
    huge = FOUR_GB + 294_967_296
    path = clip(tmp_path / "a.mp4", pad_to_bytes=huge if index_at == "front" else None)
    if index_at == "end":
        move_index_to_the_end(path, huge)
    reads = CountedReads(monkeypatch)
    facts = VideoFile(path).facts
    assert facts.size_bytes >= huge
    assert [violation.field for violation in check(facts)] == ["video size"]
    assert 0 < reads.total < 500_000


@pytest.mark.parametrize("index_at", ["front", "end"])
def test_a_huge_video_in_object_storage_is_described_from_few_bytes(
    tmp_path: pathlib.Path, storage: Storage, index_at: str
) -> None:
    path = clip(tmp_path / "a.mp4", pad_to_bytes=FOUR_GB if index_at == "front" else None)
    if index_at == "end":
        move_index_to_the_end(path, FOUR_GB - 2 * path.stat().st_size)
    video = VideoFile("s3://media@bucket/a.mp4")
    assert check(video.facts) == []
    assert video.content_type == "video/mp4"
    assert 0 < sum(storage.fetched) < 3_000_000
    assert len(storage.fetched) < 10


@pytest.mark.usefixtures("storage")
@pytest.mark.parametrize("wrap", [str, ObjectStoragePath])
def test_object_storage_is_opened_with_its_connection(
    tmp_path: pathlib.Path, wrap: Callable[[str], Any]
) -> None:
    path = clip(tmp_path / "a.webm")
    video = VideoFile(wrap("s3://media@bucket/a.webm"))
    with video.open() as source:
        source.seek(-10, os.SEEK_END)
        assert source.read() == path.read_bytes()[-10:]
    assert video.size == path.stat().st_size
    assert video.content_type == "video/webm"


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("ETag", '"0x1"', '"0x2"'),
        ("etag", '"0x1"', '"0x2"'),
        *(
            (name, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
            for name in TIMES_OF_CHANGE
        ),
    ],
)
def test_an_object_that_changes_and_keeps_its_length_is_noticed_whatever_the_storage_calls_it(
    tmp_path: pathlib.Path, storage: Storage, name: str, first: object, second: object
) -> None:
    (tmp_path / "a.mp4").write_bytes(bytes(100))
    storage.facts = {name: first}
    video = VideoFile("s3://media@bucket/a.mp4")
    assert (video.size, video.is_unchanged()) == (100, True)
    storage.facts = {name: second}
    assert not video.is_unchanged()
    assert VideoFile("s3://media@bucket/a.mp4").fingerprint != video.fingerprint


def test_an_etag_is_the_same_with_its_quotes_and_without(tmp_path: pathlib.Path, storage: Storage) -> None:
    (tmp_path / "a.mp4").write_bytes(bytes(100))
    storage.facts = {"etag": "0x1"}
    video = VideoFile("s3://media@bucket/a.mp4")
    assert video.fingerprint == "a file of 100 bytes, ETag 0x1"
    storage.facts = {"etag": '"0x1"'}
    assert video.is_unchanged()


def test_a_part_of_an_object_is_streamed_and_not_held(tmp_path: pathlib.Path, storage: Storage) -> None:
    path = clip(tmp_path / "a.mp4", pad_to_bytes=100_000_000)
    video = VideoFile("s3://media@bucket/a.mp4")
    first, last = 30_000_000, 79_999_999
    total = 0
    for piece in video.pieces(first, last, 1_000_000):
        assert len(piece) <= 1_000_000
        total += len(piece)
    assert total == last - first + 1
    assert max(storage.fetched) < 10_000_000
    assert sum(storage.fetched) < 60_000_000
    assert path.stat().st_size == 100_000_000


@pytest.mark.usefixtures("storage")
@pytest.mark.parametrize("place", ["{directory}/a.bin", "s3://media@bucket/a.bin"])
@pytest.mark.parametrize(
    ("first", "last", "sizes"),
    [(0, 99, [40, 40, 20]), (0, 0, [1]), (99, 99, [1]), (10, 89, [40, 40]), (10, 90, [40, 40, 1])],
)
def test_pieces_are_exactly_the_range_asked_for(
    tmp_path: pathlib.Path, place: str, first: int, last: int, sizes: list[int]
) -> None:
    data = bytes(range(100))
    (tmp_path / "a.bin").write_bytes(data)
    video = VideoFile(place.format(directory=tmp_path))
    pieces = list(video.pieces(first, last, 40))
    assert b"".join(pieces) == data[first : last + 1]
    assert [len(piece) for piece in pieces] == sizes


@pytest.mark.usefixtures("storage")
@pytest.mark.parametrize("place", ["{directory}/a.bin", "s3://media@bucket/a.bin"])
@pytest.mark.parametrize(("left", "first"), [(50, 0), (50, 50), (50, 60), (0, 0)])
def test_a_file_that_gets_shorter_is_an_error_and_never_cut_silently(
    tmp_path: pathlib.Path, place: str, left: int, first: int
) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(100))
    video = VideoFile(place.format(directory=tmp_path))
    assert video.size == 100
    os.truncate(path, left)
    with pytest.raises(EOFError, match=r"a\.bin got shorter"):
        list(video.pieces(first, 99, 40))


@pytest.mark.parametrize(("first", "last", "piece_size"), [(-1, 5, 1), (5, 4, 1), (0, 5, 0), (0, 5, -1)])
def test_a_range_without_sense_is_refused(
    tmp_path: pathlib.Path, first: int, last: int, piece_size: int
) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(10))
    with pytest.raises(ValueError, match="Cannot read bytes"):
        list(VideoFile(tmp_path / "a.bin").pieces(first, last, piece_size))


@pytest.mark.parametrize(
    "place", ["{directory}/a b.mp4", "file://{directory}/a b.mp4", "file://localhost{directory}/a%20b.mp4"]
)
def test_local_files_are_found_by_path_and_by_url(tmp_path: pathlib.Path, place: str) -> None:
    path = clip(tmp_path / "a b.mp4")
    video = VideoFile(place.format(directory=tmp_path))
    assert video.size == path.stat().st_size
    assert video.location == str(path)


@pytest.mark.parametrize("place", ["a#1?x@y.mp4", "./a#1?x@y.mp4", "~/a#1?x@y.mp4"])
def test_relative_paths_and_the_home_directory_are_expanded(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    clip(tmp_path / "a#1?x@y.mp4")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    video = VideoFile(place)
    assert video.location == str(tmp_path / "a#1?x@y.mp4")
    assert video.content_type == "video/mp4"


@pytest.mark.parametrize(
    ("place", "printed"),
    [
        ("s3://media@bucket/a/b.mp4", "s3://bucket/a/b.mp4"),
        ("s3://bucket/a@b.mp4", "s3://bucket/a@b.mp4"),
        ("s3://media@bucket/take #2.mp4", "s3://bucket/take #2.mp4"),
        ("gs://bucket/why?/a#b@c.mp4", "gs://bucket/why?/a#b@c.mp4"),
        ("S3://bucket[1/a.mp4", "s3://bucket[1/a.mp4"),
        ("https://cdn.example/a.mp4?signature=fake#t=1", "https://cdn.example/a.mp4"),
        ("gs://media@bucket:99/a.mp4", "gs://bucket:99/a.mp4"),
    ],
)
def test_a_location_is_printed_without_what_could_be_secret(place: str, printed: str) -> None:
    video = VideoFile(place)
    assert video.location == printed
    assert repr(video) == f"VideoFile('{printed}')"


def test_a_password_in_a_location_is_refused_and_not_repeated() -> None:
    said = message(lambda: VideoFile("s3://user:fake-password@bucket/a.mp4"))
    assert "s3://bucket/a.mp4 carries a password" in said
    assert "fake-password" not in said


@pytest.mark.parametrize("place", ["", "  "])
def test_an_empty_location_is_refused(place: str) -> None:
    assert "location is empty" in message(lambda: VideoFile(place))


def test_object_storage_that_airflow_does_not_know_is_an_error() -> None:
    said = message(lambda: VideoFile("nowhere://bucket/a.mp4").facts)
    assert "cannot be opened: Unsupported filesystem: 'nowhere'" in said


@pytest.mark.usefixtures("storage")
@pytest.mark.parametrize("base", ["{directory}", "s3://media@bucket"])
@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("missing.mp4", "does not exist"),
        ("directory.mp4", "is a directory"),
        ("empty.mp4", "is empty"),
        ("notes.txt", "is not a video, or is damaged"),
        ("damaged.mp4", "is not a video, or is damaged"),
        ("cut.mp4", "is cut off"),
        ("sound.mp4", "has no readable video track"),
    ],
)
def test_what_is_no_video_is_named(tmp_path: pathlib.Path, base: str, name: str, what: str) -> None:
    (tmp_path / "directory.mp4").mkdir()
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "notes.txt").write_text("Not a video.\n" * 100)
    good = clip(tmp_path / "good.mp4").read_bytes()
    (tmp_path / "damaged.mp4").write_bytes(without_index(good)[0])
    (tmp_path / "cut.mp4").write_bytes(good[: good.index(b"moov") + 100])
    sound_only(tmp_path / "sound.mp4")
    said = message(lambda: VideoFile(f"{base.format(directory=tmp_path)}/{name}").facts)
    assert what in said
    assert name in said


def test_an_unknown_codec_is_an_error(tmp_path: pathlib.Path) -> None:
    path = clip(tmp_path / "odd.mp4")
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    assert message(lambda: VideoFile(path).facts).endswith("has no readable video track")


def test_names_that_are_no_text_do_not_spoil_a_good_video(tmp_path: pathlib.Path) -> None:
    path = clip(tmp_path / "odd.mp4")
    path.write_bytes(path.read_bytes().replace(b"VideoHandler", b"\xffideoHandler"))
    assert check(VideoFile(path).facts) == []


def test_a_playlist_cannot_make_us_read_another_file(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip(tmp_path / "private.mp4")
    (tmp_path / "playlist.mp4").write_text("ffconcat version 1.0\nfile private.mp4\n")
    monkeypatch.chdir(tmp_path)
    assert "is not a video, or is damaged" in message(lambda: VideoFile("playlist.mp4").facts)


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    assert "is not a regular file" in message(lambda: VideoFile(tmp_path / "pipe.mp4").facts)


def test_a_file_that_may_not_be_read_is_an_error(storage: Storage) -> None:
    storage.error = PermissionError("Forbidden")
    assert "permission denied" in message(lambda: VideoFile("s3://media@bucket/a.mp4").facts)


@pytest.mark.parametrize("error", [ConnectionError("reset"), TimeoutError("slow"), OSError(5, "busy")])
def test_a_passing_fault_of_the_storage_is_not_the_videos_fault(storage: Storage, error: Exception) -> None:
    storage.error = error
    with pytest.raises(type(error), match=str(error.args[-1])):
        _ = VideoFile("s3://media@bucket/a.mp4").facts


def test_a_fault_in_the_middle_of_probing_is_not_the_videos_fault(
    tmp_path: pathlib.Path, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip(tmp_path / "a.mp4")
    video = VideoFile("s3://media@bucket/a.mp4")
    assert storage.fetched == []

    def broken(*_: object) -> bytes:
        raise ConnectionError("reset in the middle")

    monkeypatch.setattr(RangedFile, "_fetch_range", broken)
    with pytest.raises(ConnectionError, match="reset in the middle"):
        _ = video.facts


@pytest.mark.usefixtures("storage")
def test_a_key_with_every_odd_letter_is_opened_and_shown_whole(tmp_path: pathlib.Path) -> None:
    clip(tmp_path / "take #2?.mp4")
    video = VideoFile("s3://media@bucket/take #2?.mp4")
    assert check(video.facts) == []
    assert video.location == "s3://bucket/take #2?.mp4"
    said = message(lambda: VideoFile("s3://media@bucket/take #3?.mp4").facts)
    assert "s3://bucket/take #3?.mp4 does not exist" in said


@pytest.mark.usefixtures("storage")
def test_an_object_storage_path_keeps_the_options_of_its_storage() -> None:
    path = ObjectStoragePath("s3://media@bucket/a.mp4", anon=True)
    assert VideoFile(path)._remote.storage_options == {"anon": True}


class AnyPath:
    """A path-like value that is no ``pathlib.Path``."""

    def __init__(self, path: Any) -> None:
        self.path = path

    def __fspath__(self) -> Any:
        return self.path


@pytest.mark.parametrize(
    "wrap", [str, pathlib.Path, AnyPath, lambda path: AnyPath(os.fsencode(path)), ObjectStoragePath]
)
def test_a_local_file_is_found_by_any_kind_of_path(
    tmp_path: pathlib.Path, wrap: Callable[[str], Any]
) -> None:
    path = clip(tmp_path / "a b.mp4")
    assert VideoFile(wrap(str(path))).location == str(path)


def test_a_loop_of_links_is_named(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.mp4").symlink_to(tmp_path / "b.mp4")
    (tmp_path / "b.mp4").symlink_to(tmp_path / "a.mp4")
    assert "a.mp4 cannot be found: Too many" in message(lambda: VideoFile(tmp_path / "a.mp4").facts)


def test_too_long_a_name_is_named(tmp_path: pathlib.Path) -> None:
    assert "cannot be found: File name too long" in message(lambda: VideoFile(tmp_path / ("x" * 300)).facts)


@pytest.mark.parametrize("place", ["/videos/a\0.mp4", "s3://media@bucket/a\0.mp4"])
def test_a_nul_in_a_name_is_named(place: str) -> None:
    assert "no file has a NUL in its name" in message(lambda: VideoFile(place))


def test_a_name_that_is_no_text_can_be_printed(tmp_path: pathlib.Path) -> None:
    path = clip(tmp_path / "a.mp4").rename(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4"))
    video = VideoFile(path)
    assert check(video.facts) == []
    assert video.location.encode().endswith(b"/caf\\udce9.mp4")


def test_a_link_to_a_video_is_followed(tmp_path: pathlib.Path) -> None:
    clip(tmp_path / "a.mp4")
    (tmp_path / "latest.mp4").symlink_to("a.mp4")
    assert check(VideoFile(tmp_path / "latest.mp4").facts) == []
