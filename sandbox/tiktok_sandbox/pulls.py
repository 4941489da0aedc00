"""Downloads media from the developer's own server, for PULL_FROM_URL."""

import contextlib
import hashlib
import pathlib
from collections.abc import Callable, Iterator

import httpx

from tiktok_sandbox.outgoing import outgoing_client

_OK = 200
# TikTok gives a whole download one hour; a server that says nothing for so long will not recover.
_SILENCE_SECONDS = 30.0
_PIECE_BYTES = 64 * 1024


class PullFailed(Exception):  # noqa: N818 (named like TikTok's video_pull_failed)
    """The media could not be fetched; the message says why, without the URL."""


async def download(
    url: str,
    target: pathlib.Path,
    *,
    max_bytes: int,
    on_progress: Callable[[int], None],
) -> str:
    """Stream a URL to a file and return the SHA-256 of its bytes in hex.

    :param url: the address; only an answer of 200 counts, redirects are not followed.
    :param target: the file to write; removed again if the download fails.
    :param max_bytes: a longer body fails, before it is read where its length is announced.
    :param on_progress: called with the number of bytes so far, after every piece.
    :raises PullFailed: for whatever reason the bytes are not all there.
    """
    with _whole_or_absent(target):
        try:
            return await _fetch(url, target, max_bytes, on_progress)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise PullFailed(f"{type(error).__name__}: {error}") from error


@contextlib.contextmanager
def _whole_or_absent(target: pathlib.Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        target.unlink(missing_ok=True)
        raise


async def _fetch(url: str, target: pathlib.Path, max_bytes: int, on_progress: Callable[[int], None]) -> str:
    digest = hashlib.sha256()
    received = 0
    async with (
        outgoing_client(_SILENCE_SECONDS) as client,
        client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as answer,
    ):
        _check_answer(answer, max_bytes)
        with target.open("wb") as file:
            async for piece in answer.aiter_raw(_PIECE_BYTES):
                received += len(piece)
                _check_length(received, max_bytes)
                digest.update(piece)
                file.write(piece)
                on_progress(received)
    return digest.hexdigest()


def _check_answer(answer: httpx.Response, max_bytes: int) -> None:
    if 300 <= answer.status_code < 400:
        raise PullFailed(f"the server answered {answer.status_code}, and redirects are not followed")
    if answer.status_code != _OK:
        raise PullFailed(f"the server answered {answer.status_code} instead of 200")
    _check_length(int(answer.headers.get("Content-Length", 0)), max_bytes)


def _check_length(length: int, max_bytes: int) -> None:
    if length > max_bytes:
        raise PullFailed(f"the file has more than {max_bytes} bytes")
