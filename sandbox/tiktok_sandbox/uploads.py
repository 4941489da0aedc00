"""The upload hosts: PUTs of chunks in order, each of which counts whole or not at all."""

import hashlib
import re
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tiktok_sandbox.lifecycle import finish_transfer
from tiktok_sandbox.records import ChunkReceipt, MediaFile, Publish, Upload
from tiktok_sandbox.state import SandboxState

_CONTENT_TYPES = {"video/mp4", "video/quicktime", "video/webm"}
_CONTENT_RANGE = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15})", re.ASCII)
_PIECE_BYTES = 256 * 1024


@dataclass(frozen=True)
class _Range:
    first: int
    last: int
    total: int

    @property
    def length(self) -> int:
        return self.last - self.first + 1


class _RefusedError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _GoneError(_RefusedError):
    """The URL leads to nothing that waits for bytes."""


def upload_routes(state: SandboxState) -> list[Route]:
    async def put(request: Request) -> Response:
        try:
            publish, upload = _task(state, request)
            return await _put_chunk(state, request, publish, upload)
        except _GoneError as gone:
            return Response(status_code=gone.status)

    return [Route("/upload", put, methods=["PUT"])]


def _task(state: SandboxState, request: Request) -> tuple[Publish, Upload]:
    """What waits for these bytes; a publish that failed or was cancelled no longer does."""
    publish = state.uploads.get(request.query_params.get("upload_id", ""))
    upload = publish.upload if publish else None
    if publish is None or upload is None or publish.status == "FAILED":
        raise _GoneError(404, "There is no such upload task")
    if request.query_params.get("upload_token") != upload.token:
        raise _GoneError(404, "There is no such upload task")
    if state.clock.now() >= upload.expires_at:
        raise _GoneError(403, "The upload URL has expired")
    return publish, upload


async def _put_chunk(state: SandboxState, request: Request, publish: Publish, upload: Upload) -> Response:
    try:
        wanted = _checked_range(state, request, upload)
        keeps_parts = state.switches.cut_chunk != "dropped"
        digest = await _receive(request, upload, wanted, keeps_parts=keeps_parts)
        # The bytes may come too late by now.
        _task(state, request)
        status, message = _store(state, publish, upload, wanted, digest), "stored"
    except _GoneError:
        raise
    except _RefusedError as refusal:
        status, message = refusal.status, str(refusal)
    except ClientDisconnect:
        _record(state, request, upload, None)
        raise
    _record(state, request, upload, status)
    return _answer(state, upload, status, message)


def _checked_range(state: SandboxState, request: Request, upload: Upload) -> _Range:
    """The announced range, if the headers alone leave nothing to complain about."""
    if request.headers.get("content-type", "").partition(";")[0].strip() not in _CONTENT_TYPES:
        raise _RefusedError(400, "Content-Type must be video/mp4, video/quicktime or video/webm")
    if "content-range" not in request.headers:
        raise _RefusedError(state.switches.missing_content_range, "Content-Range is missing")
    match = _CONTENT_RANGE.fullmatch(request.headers["content-range"])
    if match is None:
        raise _RefusedError(400, "Content-Range is malformed")
    wanted = _Range(*(int(number) for number in match.groups()))
    if not wanted.first <= wanted.last < wanted.total or wanted.total != upload.size:
        raise _RefusedError(400, "Content-Range does not fit the video")
    if request.headers.get("content-length") != str(wanted.length):
        raise _RefusedError(400, "Content-Length differs from Content-Range")
    _check_progress(state, upload, wanted)
    return wanted


def _check_progress(state: SandboxState, upload: Upload, wanted: _Range) -> None:
    expected = upload.range_at(wanted.first)
    if wanted.last < upload.received and expected == (wanted.first, wanted.last):
        raise _RefusedError(state.switches.stored_range_again, "This chunk is stored already")
    may_start = state.switches.cut_chunk == "kept" or upload.starts_chunk(wanted.first)
    if wanted.first != upload.received or expected[1] != wanted.last or not may_start:
        raise _RefusedError(416, "Content-Range does not match the progress of the upload")


def _store(
    state: SandboxState, publish: Publish, upload: Upload, stored: _Range, digest: "hashlib._Hash"
) -> int:
    upload.writer = None
    upload.received += stored.length
    upload.digest = digest
    if not upload.complete:
        return 206
    publish.media = [MediaFile(upload.path, upload.size, digest.hexdigest())]
    finish_transfer(state, publish, state.clock.now())
    return 201


def _record(state: SandboxState, request: Request, upload: Upload, answer: int | None) -> None:
    if match := _CONTENT_RANGE.fullmatch(request.headers.get("content-range", "")):
        upload.chunks.append(ChunkReceipt(state.clock.now(), int(match[1]), int(match[2]), answer))


async def _receive(request: Request, upload: Upload, wanted: _Range, *, keeps_parts: bool) -> "hashlib._Hash":
    """Write the body to its place as it comes, and return the hash up to its end.

    A later request for the same chunk takes over: only the newest may write.
    """
    upload.writer = request
    digest = upload.digest.copy()
    waiting = bytearray()
    with upload.path.open("r+b") as file:

        def write() -> None:
            digest.update(waiting)
            file.write(waiting)
            waiting.clear()

        file.seek(wanted.first)
        try:
            # The stream ends with an empty piece, so that the loop is never left unchecked.
            async for piece in request.stream():
                if upload.writer is not request:
                    raise _RefusedError(416, "Another request has sent this chunk")
                waiting += piece
                if len(waiting) >= _PIECE_BYTES:
                    write()
            write()
        except ClientDisconnect:
            if keeps_parts and upload.writer is request:
                write()
                upload.received, upload.digest = file.tell(), digest
            raise
    return digest


def _answer(state: SandboxState, upload: Upload, status: int, message: str) -> Response:
    """With the progress in its header, where there is any; what a body holds is not documented."""
    shape = state.switches.put_body
    if shape == "json":
        response: Response = JSONResponse({"code": status, "message": message}, status)
    else:
        response = Response(message if shape == "text" else "", status)
    if upload.received and state.switches.put_progress != "absent":
        number = upload.received - (state.switches.put_progress == "last_index")
        response.headers["content-range"] = f"bytes 0-{number}/{upload.size}"
    return response
