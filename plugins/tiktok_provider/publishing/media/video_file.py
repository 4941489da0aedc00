"""A video file, wherever it lies: local, or in any object storage that Airflow opens."""

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast
from urllib.parse import unquote

from tiktok_provider.api.accounts import CreatorInfo
from tiktok_provider.api.hosts import HostPolicy
from tiktok_provider.exceptions import InvalidInputError
from tiktok_provider.publishing.media.medium import T, Transfers
from tiktok_provider.publishing.media.probe import NotProbedError, probe
from tiktok_provider.publishing.media.video_checks import CONTENT_TYPES, VideoFacts, check, check_duration
from tiktok_provider.publishing.media.violations import Violation
from tiktok_provider.store.posts import Source

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
_EBML_DOCTYPE = re.compile(rb"\x42\x82.{1,8}?(webm|matroska)", re.DOTALL)
_HEAD_BYTES = 4096
# Each file system of fsspec has words of its own; Airflow's stat() knows two for the time of change.
_TIME_NAMES = ("mtime", "LastModified", "last_modified", "updated", "Last-Modified", "modificationTime")
_ETAG_NAMES = ("ETag", "etag")
# The default read-ahead of object storage (5 MB and more) is for reading on, not for looking around.
LOOK_AROUND_BYTES = 256 * 1024
# A video of another content differs in its index or in its pictures at the start or the end.
DIGEST_BYTES = 1024 * 1024


class VideoFile:
    """A readable video, wherever it lies. Nothing is read or looked up before it is asked for.

    :param location: a local path (relative ones and ``~`` are expanded), a ``file://`` URL, or an object-storage URL
        that Airflow can open, with its connection: ``s3://conn_id@bucket/key``.
    :raises InvalidInputError: the location is empty, or carries a password.
    """

    source: Source = "file"
    # Its location is no secret, and TikTok is not sent it.
    secrets: Sequence[str] = ()

    def __init__(self, location: "str | os.PathLike[str] | ObjectStoragePath") -> None:
        text = os.fsdecode(location) if isinstance(location, os.PathLike) else str(location)
        if not text.strip():
            raise InvalidInputError(["video location is empty: give a path or an object-storage URL"])
        if "\0" in text:
            raise InvalidInputError([f"video location is {text!r}: no file has a NUL in its name"])
        # It may have options of its storage beside its URL.
        self._given = None if isinstance(location, str | os.PathLike) else location
        url = _URL.fullmatch(text)
        self._url = text if url and url["scheme"].lower() not in ("file", "local") else None
        local = unquote(url["rest"].removeprefix("localhost")) if url else text
        self._path = Path(os.path.expanduser(local)).absolute()
        if self._url and ":" in _parts(self._url)[1].rpartition("@")[0]:
            raise self.error("carries a password: name an Airflow connection before the @")

    def __repr__(self) -> str:
        return f"VideoFile({self.location!r})"

    @property
    def location(self) -> str:
        """Where the video lies, safe to print: without connection, credentials and query."""
        if self._url is None:
            # A name may hold bytes that are no text.
            return str(self._path).encode(errors="backslashreplace").decode()
        scheme, authority, path = _parts(self._url)
        if scheme in ("http", "https"):
            # Its query may be a signature. In object storage "?" and "#" are letters of a key like all others.
            path = re.split("[?#]", path, maxsplit=1)[0]
        return f"{scheme}://{authority.rpartition('@')[2]}{path}"

    @cached_property
    def size(self) -> int:
        """Length in bytes, at least 1, as it was when first asked for.

        :raises InvalidInputError: it is missing, empty, not to be read, or no file at all.
        """
        status = self._first_status
        if stat.S_ISDIR(status.st_mode):
            raise self.error("is a directory")
        if not stat.S_ISREG(status.st_mode):
            raise self.error("is not a regular file")
        if not status.st_size:
            raise self.error("is empty")
        return int(status.st_size)

    @property
    def fingerprint(self) -> str:
        """What the same bytes are known by, as they were when first asked for: length and ETag, else time of change.

        :raises InvalidInputError: see ``size``.
        """
        _, changed, etag = _version(self._first_status)
        known_by = f"ETag {etag}" if etag else f"changed at {changed or 'an unknown time'}"
        return f"a file of {self.size} bytes, {known_by}"

    @property
    def name(self) -> str:
        """Its location."""
        return self.location

    @cached_property
    def digest(self) -> str:
        """A hash of its length, its first and its last megabyte: a copy of it has the same."""
        found = hashlib.sha256(str(self.size).encode())
        last = max(self.size - DIGEST_BYTES, 0)
        with self.explained(), self.open(LOOK_AROUND_BYTES) as source:
            found.update(source.read(DIGEST_BYTES))
            source.seek(last)
            found.update(source.read(DIGEST_BYTES))
        return found.hexdigest()

    def is_unchanged(self) -> bool:
        """Tell whether length, time of change and ETag are still what they were when first asked for.

        :raises InvalidInputError: it is gone, or may no longer be read.
        """
        first = self._first_status
        if self._url is not None:
            # Object storage is remembered by the file system in front of it, and with a path some of them, such as
            # Azure's, forget that path alone and go on answering from the listing of its folder.
            self._remote.fs.invalidate_cache()
        return _version(first) == _version(self._status())

    @cached_property
    def _first_status(self) -> os.stat_result:
        return self._status()

    def _status(self) -> os.stat_result:
        with self.explained():
            return self._path.stat() if self._url is None else cast(os.stat_result, self._remote.stat())

    @cached_property
    def container(self) -> str | None:
        """``mp4``, ``mov``, ``webm`` or a relative of theirs, from the first bytes and not the suffix; else None."""
        with self.explained(), self.open(LOOK_AROUND_BYTES) as source:
            return _container_of(source.read(_HEAD_BYTES))

    @cached_property
    def facts(self) -> VideoFacts:
        """What its headers say, as they were when first asked for; no more of it is read than that takes.

        :raises InvalidInputError: it is missing, empty, a directory, not to be read, or not a video.
        """
        return _probe(self)

    @property
    def duration_seconds(self) -> float | None:
        """Length of the video, None where the file does not say, or is no video."""
        try:
            return self.facts.duration_seconds
        except InvalidInputError:
            return None

    def violations(self, hosts: HostPolicy) -> Sequence[Violation | str]:  # noqa: ARG002  (they are for URLs)
        """Return all that TikTok would refuse of the file.

        :raises OSError: the storage cannot be read for now.
        """
        try:
            return check(self.facts)
        except InvalidInputError as error:
            return error.violations

    def violations_for(self, creator: CreatorInfo) -> Sequence[Violation]:
        """Return whether the creator may post a video of this length."""
        violation = check_duration(self.facts.duration_seconds, creator.max_video_post_duration_sec)
        return [violation] if violation else []

    def transfer(self, transfers: Transfers[T]) -> T:
        """Let it be uploaded."""
        return transfers.upload(self)

    @property
    def content_type(self) -> str:
        """The media type to upload it under: ``video/mp4``, ``video/quicktime`` or ``video/webm``.

        :raises InvalidInputError: it is in none of TikTok's containers, or cannot be read.
        """
        if self.container not in CONTENT_TYPES:
            raise self.error("is neither MP4, MOV nor WebM")
        return CONTENT_TYPES[self.container]

    def open(self, block_bytes: int | None = None) -> BinaryIO:
        """Open for reading: a seekable binary file that streams.

        :param block_bytes: read-ahead in object storage; None takes the storage's own, 5 MB and more.
        :raises OSError: it is missing, or cannot be opened for now; see ``explained``.
        """
        if self._url is None:
            return self._path.open("rb")
        remote: Any = self._remote
        return cast(BinaryIO, remote.open("rb", block_size=block_bytes))

    def pieces(self, first: int, last: int, piece_size: int) -> Iterator[bytes]:
        """Stream a range of bytes.

        :param first: index of the first byte, from 0.
        :param last: index of the last byte, inclusive, as in Content-Range.
        :param piece_size: bytes, at least 1; no piece is longer, and no more is held in memory.
        :raises EOFError: the file ends before ``last``: it was changed since its size was taken.
        :raises OSError: it can no longer be opened or read.
        :raises ValueError: the range or the piece size makes no sense.
        """
        if not 0 <= first <= last or piece_size < 1:
            raise ValueError(f"Cannot read bytes {first} to {last} in pieces of {piece_size}")
        position = first
        with self.open() as source:
            source.seek(first)
            while position <= last:
                piece = source.read(min(piece_size, last + 1 - position))
                if not piece:
                    raise EOFError(f"Video file {self.location} got shorter: it ends at byte {position}")
                position += len(piece)
                yield piece

    @cached_property
    def _remote(self) -> "ObjectStoragePath":
        from airflow.sdk import ObjectStoragePath

        try:
            path = self._given or ObjectStoragePath(cast(str, self._url))
            _ = path.fs
        except ValueError as error:
            raise self.error(f"cannot be opened: {error}; install the provider that brings it") from error
        return path

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Tell a wrong location from a passing fault of the storage: that goes on as it is, to be retried."""
        try:
            yield
        except (FileNotFoundError, NotADirectoryError) as error:
            raise self.error("does not exist") from error
        except IsADirectoryError as error:
            raise self.error("is a directory") from error
        except PermissionError as error:
            raise self.error("may not be read: permission denied") from error
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENAMETOOLONG):
                raise self.error(f"cannot be found: {error.strerror}") from error
            raise

    def error(self, what: str) -> InvalidInputError:
        return InvalidInputError([f"video file {self.location} {what}"])


# 3GP, HEIF and AVIF pictures, JPEG 2000 and Flash share MP4's structure, not its name.
_FOREIGN_BRANDS = ("3g", "hei", "hev", "mif1", "msf1", "avi", "jp", "mj", "f4")
# QuickTime files from before the ftyp box begin with one of these.
_OLD_QUICKTIME_BOXES = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")


def _parts(url: str) -> tuple[str, str, str]:
    """Return scheme, authority and path of a URL; object storage knows neither query nor fragment."""
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    return scheme.lower(), authority, slash + path


def _version(status: Any) -> tuple[object, object, str]:
    """Return length, time of change and ETag, the latter two as far as the storage tells them."""
    size = status.st_size
    if not isinstance(status, dict):
        return size, status.st_mtime, ""
    # Some file systems take the quotes off an ETag in one answer and leave them in another.
    etag = str(_first_known(status, _ETAG_NAMES) or "").strip('"')
    return size, _first_known(status, _TIME_NAMES), etag


def _first_known(status: dict[str, object], names: Iterable[str]) -> object:
    return next((status[name] for name in names if status.get(name)), None)


def _container_of(head: bytes) -> str | None:
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        doctype = _EBML_DOCTYPE.search(head)
        return doctype[1].decode() if doctype else None
    if head[4:8] != b"ftyp":
        return "mov" if head[4:8] in _OLD_QUICKTIME_BOXES else None
    brand = head[8:12].decode("latin-1").strip()
    if brand == "qt":
        return "mov"
    return brand if brand.startswith(_FOREIGN_BRANDS) else "mp4"


def _probe(video: VideoFile) -> VideoFacts:
    size = video.size
    try:
        with video.explained(), video.open(LOOK_AROUND_BYTES) as source:
            found = probe(source, size)
    except NotProbedError as error:
        raise video.error(str(error)) from error
    container = video.container or found["format"]
    return VideoFacts(
        container=container,
        codec=found["codec"],
        width=found["width"],
        height=found["height"],
        fps=found["fps"],
        duration_seconds=found["duration_seconds"],
        size_bytes=size,
    )
