"""A file, wherever it lies: local, or in any object storage that Airflow opens."""

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, cast
from urllib.parse import unquote

from tiktok_provider.exceptions import InvalidInputError

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
# Each file system of fsspec has words of its own; Airflow's stat() knows two for the time of change.
_TIME_NAMES = ("mtime", "LastModified", "last_modified", "updated", "Last-Modified", "modificationTime")
_ETAG_NAMES = ("ETag", "etag")
# The default read-ahead of object storage (5 MB and more) is for reading on, not for looking around.
LOOK_AROUND_BYTES = 256 * 1024
# A file of another content differs at its start or at its end: in its index, or in its pictures.
DIGEST_BYTES = 1024 * 1024


class StoredFile:
    """A readable file, wherever it lies. Nothing is read or looked up before it is asked for.

    :param location: a local path (relative ones and ``~`` are expanded), a ``file://`` URL, or an object-storage URL
        that Airflow can open, with its connection: ``s3://conn_id@bucket/key``.
    :raises InvalidInputError: the location is empty, or carries a password.
    """

    # How errors call it.
    what: ClassVar[str] = "file"

    def __init__(self, location: "str | os.PathLike[str] | ObjectStoragePath") -> None:
        text = os.fsdecode(location) if isinstance(location, os.PathLike) else str(location)
        if not text.strip():
            raise InvalidInputError(
                [f"{self.what}: its location is empty. Give a path or an object-storage URL"]
            )
        if "\0" in text:
            raise InvalidInputError([f"{self.what} is {text!r}: no file has a NUL in its name"])
        # It may have options of its storage beside its URL.
        self._given = None if isinstance(location, str | os.PathLike) else location
        url = _URL.fullmatch(text)
        self._url = text if url and url["scheme"].lower() not in ("file", "local") else None
        local = unquote(url["rest"].removeprefix("localhost")) if url else text
        self._path = Path(os.path.expanduser(local)).absolute()
        if self._url and ":" in _parts(self._url)[1].rpartition("@")[0]:
            raise self.error("carries a password: name an Airflow connection before the @")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.location!r})"

    @property
    def location(self) -> str:
        """Where it lies, safe to print: without connection, credentials and query."""
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
                    raise EOFError(f"{self.what} {self.location} got shorter: it ends at byte {position}")
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
        return InvalidInputError([f"{self.what} {self.location} {what}"])


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
