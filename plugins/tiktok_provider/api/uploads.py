"""Sending the bytes. Source: TikTok's "Media Transfer Guide"."""

import re
from collections.abc import Callable, Iterator

from tiktok_provider.api.calls import Answer, Call, Request, retry_after
from tiktok_provider.api.chunks import Chunk
from tiktok_provider.error_table import upload_error
from tiktok_provider.exceptions import UploadError

STORED, COMPLETE, OUT_OF_STEP = 206, 201, 416


def put_chunk(
    upload_url: str, chunk: Chunk, total: int, content_type: str, body: Callable[[], Iterator[bytes]]
) -> Call[None]:
    """Send one chunk, or the rest of one, once; returns when TikTok holds it.

    After a fault ask for the status first: TikTok may hold the chunk, and publishes when it has the last one.
    Repeating it is safe: TikTok takes the same bytes for the same range, or answers 416 with its own progress,
    which then shows that an earlier try had arrived.

    :param upload_url: what init gave, whole; a secret.
    :param total: bytes of the file.
    :param content_type: ``video/mp4``, ``video/quicktime`` or ``video/webm``.
    :param body: gives the chunk's bytes, from the first one at each call.
    :raises UploadExpiredError: the URL is no longer valid.
    :raises UploadError: TikTok refuses the chunk; ``progress`` is what TikTok says that it holds.
    :raises ServiceError: TikTok failed.
    :raises UndocumentedError: something else answered; the chunk may have arrived.
    """
    answer = yield Request(
        "PUT",
        upload_url,
        headers={
            "Content-Type": content_type,
            "Content-Length": str(chunk.size),
            "Content-Range": f"bytes {chunk.first}-{chunk.last}/{total}",
        },
        body=body,
        authorized=False,
        repeatable=False,
    )
    if answer.status not in (STORED, COMPLETE) and not _already_stored(answer, chunk):
        log_id = answer.headers.get("x-tt-logid", "")
        error = upload_error(answer.status, log_id=log_id, retry_after=retry_after(answer))
        if isinstance(error, UploadError):
            error.out_of_step = answer.status == OUT_OF_STEP
            error.progress = _progress(answer)
        raise error


def _already_stored(answer: Answer, chunk: Chunk) -> bool:
    """Whether a 416 proves that TikTok holds this chunk."""
    progress = _progress(answer)
    return answer.status == OUT_OF_STEP and progress is not None and progress >= chunk.last


def _progress(answer: Answer) -> int | None:
    """Return the number in TikTok's Content-Range: a count, or the last index. Chunks count whole, so both serve."""
    found = re.fullmatch(r"bytes 0-(\d+)/\d+", answer.headers.get("content-range", ""))
    return int(found[1]) if found else None
