"""Sending a file chunk by chunk, streamed, with its progress in the task's log."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

import httpx
from airflow.sdk.log import mask_secret

from tiktok_provider.api.chunks import Chunk, ChunkPlan
from tiktok_provider.api.uploads import put_chunk
from tiktok_provider.exceptions import InvalidInputError
from tiktok_provider.hooks.tiktok import TikTokHook
from tiktok_provider.publishing.media.medium import UploadedMedia

log = logging.getLogger(__name__)

# Small enough to keep memory flat, large enough not to spend the time in Python.
PIECE_BYTES = 1024 * 1024
SECONDS_BETWEEN_REPORTS = 5.0
# Values shorter than this are no tokens, and masking them would garble the log.
SHORTEST_TOKEN = 16


@dataclass
class Progress:
    """Reports how far an upload is, at most every five seconds and at its end.

    :param total: bytes of the file.
    :param clock: monotonic seconds.
    """

    total: int
    clock: Callable[[], float] = time.monotonic
    _started: float = field(init=False)
    _reported: float = field(init=False)

    def __post_init__(self) -> None:
        self._started = self._reported = self.clock()

    def watch(self, first: int, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Pass the pieces on, and report what has been sent.

        :param first: position of the first piece in the file.
        """
        position = first
        for piece in pieces:
            yield piece
            position += len(piece)
            if self._is_due():
                self._report("Sent", position)

    def confirm(self, position: int) -> None:
        """Report that TikTok holds everything before this position."""
        if position == self.total or self._is_due():
            self._report("Uploaded", position)

    def _is_due(self) -> bool:
        return self.clock() - self._reported >= SECONDS_BETWEEN_REPORTS

    def _report(self, verb: str, position: int) -> None:
        self._reported = self.clock()
        log.info(
            "%s %.1f of %.1f MB (%d %%) in %.0f s",
            verb,
            position / 1e6,
            self.total / 1e6,
            100 * position // self.total,
            self._reported - self._started,
        )


class Upload:
    """One file on its way to one upload URL.

    ``last_byte_may_have_left`` turns true before the last byte of the file is handed to the network.

    :param url: what init gave; it is masked in every log from here on.
    :param on_piece: called after each megabyte at most; what it raises ends the upload.
    :param on_last: called before the last byte of the file leaves; what it raises keeps it from leaving.
    :raises HostNotAllowedError: if the URL does not lead to TikTok. No byte was sent.
    """

    def __init__(
        self,
        hook: TikTokHook,
        media: UploadedMedia,
        plan: ChunkPlan,
        url: str,
        on_piece: Callable[[], None] = lambda: None,
        on_last: Callable[[], None] = lambda: None,
    ) -> None:
        self._hook = hook
        self._media = media
        self._plan = plan
        self._url = masked(url)
        hook.hosts.check_upload(url)
        self._on_piece, self._on_last = on_piece, on_last
        self._progress = Progress(plan.size)
        self.last_byte_may_have_left = False

    def send(self, chunk: Chunk) -> None:
        """Send one chunk; returns when TikTok holds it.

        :raises InvalidInputError: the file has changed since it was checked; its last byte was not sent.
        :raises TikTokError: what ``api.uploads.put_chunk`` raises.
        :raises OSError: the file can no longer be read.
        :raises EOFError: the file has become shorter while it was read.
        """
        self._check_file()
        content_type = self._media.content_type
        self._hook.run(put_chunk(self._url, chunk, self._plan.size, content_type, lambda: self._body(chunk)))
        self._progress.confirm(chunk.last + 1)

    def _body(self, chunk: Chunk) -> Iterator[bytes]:
        position = chunk.first
        for piece in self._progress.watch(position, self._media.pieces(chunk.first, chunk.last, PIECE_BYTES)):
            position += len(piece)
            self._on_piece()
            if position == self._plan.size:
                # All has been read by now: without this last piece TikTok publishes nothing of a torn file.
                self._check_file()
                self._on_last()
                self.last_byte_may_have_left = True
            yield piece

    def _check_file(self) -> None:
        if self.file_has_changed():
            raise InvalidInputError([f"file {self._media.location} has changed since it was checked"])

    def file_has_changed(self) -> bool:
        """Tell whether the file is another one than was checked, or none any more.

        :raises OSError: the storage cannot tell now.
        """
        return not self._media.is_unchanged()


def masked(url: str) -> str:
    """Return an upload URL after its token is masked in every log of this process."""
    for secret in _secrets_of(url):
        mask_secret(secret)
    return url


def _secrets_of(url: str) -> Iterator[str]:
    """Yield every spelling in which a log could show the URL or its token."""
    yield url
    yield str(httpx.URL(url))
    query = urlsplit(url).query
    raw = [parameter.partition("=")[2] for parameter in query.split("&")]
    for value in {*raw, *(value for _, value in parse_qsl(query))}:
        if len(value) >= SHORTEST_TOKEN:
            yield value
