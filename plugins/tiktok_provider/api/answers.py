"""Reading an answer within bounds: whatever comes from outside takes no more than so much memory and time."""

import time
import zlib
from collections.abc import Callable

import httpx

from tiktok_provider.api.calls import Answer
from tiktok_provider.exceptions import UnexpectedAnswerError

# Many times TikTok's longest answer, a page of twenty videos.
MOST_BYTES = 4_000_000
# Seconds from the first byte of an answer to its last one.
MOST_SECONDS = 60.0
# So that nothing small grows large here; what comes compressed all the same is read within the same bounds.
PLAIN = {"Accept-Encoding": "identity"}
# zlib itself tells its own header from that of gzip.
_EITHER_HEADER = 32 + zlib.MAX_WBITS


class BoundedAnswer:
    """Collects one answer, piece by piece.

    :param clock: monotonic seconds.
    """

    def __init__(self, response: httpx.Response, clock: Callable[[], float] = time.monotonic) -> None:
        self._response = response
        self._clock = clock
        self._deadline = clock() + MOST_SECONDS
        self._content = bytearray()

    def add(self, piece: bytes) -> None:
        """Take what has come.

        :raises UnexpectedAnswerError: it is too much.
        :raises httpx.ReadTimeout: it takes too long.
        """
        self._content += piece
        if len(self._content) > MOST_BYTES:
            raise _too_long()
        if self._clock() > self._deadline:
            raise httpx.ReadTimeout("The answer takes too long.", request=self._response.request)

    def finish(self) -> Answer:
        """Return the answer.

        :raises UnexpectedAnswerError: it is compressed in a way that was not asked for, or too long without it.
        """
        coding = self._response.headers.get("content-encoding", "identity").strip().lower()
        if coding == "identity":
            content = bytes(self._content)
        elif coding in ("gzip", "x-gzip", "deflate"):
            content = _decompressed(bytes(self._content))
        else:
            raise UnexpectedAnswerError(
                "TikTok's answer is compressed, though that was not asked for.\n"
                "Is a proxy answering in its place?"
            )
        return Answer(self._response.status_code, self._response.headers, content)


def _decompressed(content: bytes) -> bytes:
    reader = zlib.decompressobj(_EITHER_HEADER)
    try:
        plain = reader.decompress(content, MOST_BYTES)
    except zlib.error:
        raise UnexpectedAnswerError("TikTok's answer is compressed and damaged.") from None
    if reader.unconsumed_tail:
        raise _too_long()
    return plain


def _too_long() -> UnexpectedAnswerError:
    return UnexpectedAnswerError(
        f"TikTok's answer is longer than {MOST_BYTES:,} bytes.\nIs something else answering in its place?"
    )
