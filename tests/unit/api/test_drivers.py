"""What the drivers repeat, and what they never repeat."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.unit.conftest import Creator
from tiktok_provider.api import accounts, posting
from tiktok_provider.api.calls import Call
from tiktok_provider.api.chunks import Chunk, plan_chunks
from tiktok_provider.api.drivers import MAX_TRIES, AsyncDriver, SyncDriver, nothing
from tiktok_provider.api.uploads import put_chunk
from tiktok_provider.exceptions import (
    ServiceError,
    UnexpectedAnswerError,
    UnreachableError,
    UploadError,
    UploadExpiredError,
)

INIT = "/v2/post/publish/video/init/"
CREATOR_INFO = "/v2/post/publish/creator_info/query/"
Run = Callable[..., Any]


class Sleeper:
    """Sleeps for no time, and remembers for how long it was asked to."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.pauses.append(seconds)

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)


@pytest.fixture
def sleeper() -> Sleeper:
    return Sleeper()


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def refreshed() -> list[str]:
    """The tokens that TikTok no longer took; with it, a newer one is there each time."""
    return []


def runner(kind: str, base_url: str, token: str, sleeper: Sleeper, refreshed: list[str] | None = None) -> Run:
    def token_for(rejected: str | None) -> str | None:
        if rejected and refreshed is not None:
            refreshed.append(rejected)
            return token
        return None if rejected else token

    def run_sync(call: Call[Any], before_repeat: Callable[[], object] = nothing) -> Any:
        with httpx.Client(base_url=base_url) as client:
            return SyncDriver(client, token_for, sleep=sleeper).run(call, before_repeat)

    async def the_token(rejected: str | None) -> str | None:
        return token_for(rejected)

    async def drive(call: Call[Any], before_repeat: Callable[[], object] = nothing) -> Any:
        async with httpx.AsyncClient(base_url=base_url) as client:
            return await AsyncDriver(client, the_token, sleep=sleeper.pause).run(call, before_repeat)

    return run_sync if kind == "sync" else lambda *arguments: asyncio.run(drive(*arguments))


@pytest.fixture
def run(kind: str, creator: Creator, sleeper: Sleeper, refreshed: list[str]) -> Run:
    token = creator.connection["extra"]["access_token"]
    return runner(kind, creator.sandbox.url, token, sleeper, refreshed)


@pytest.mark.parametrize("fault", [{"action": "status", "status": 503}, {"action": "lost_answer"}])
def test_a_read_is_repeated_with_growing_pauses(
    run: Run, creator: Creator, sleeper: Sleeper, fault: dict[str, Any]
) -> None:
    creator.sandbox.add_fault(path=CREATOR_INFO, times=2, **fault)
    assert run(accounts.creator_info()).creator_username == "mia"
    assert len(creator.calls(CREATOR_INFO)) == 3
    assert len(sleeper.pauses) == 2
    assert sleeper.pauses[0] < sleeper.pauses[1] + 0.5


@pytest.mark.parametrize(
    ("fault", "error"),
    [({"action": "status", "status": 503}, ServiceError), ({"action": "lost_answer"}, UnreachableError)],
)
def test_a_read_is_given_up_after_four_tries(
    run: Run, creator: Creator, fault: dict[str, Any], error: type[Exception]
) -> None:
    creator.sandbox.add_fault(path=CREATOR_INFO, times=None, **fault)
    with pytest.raises(error):
        run(accounts.creator_info())
    assert len(creator.calls(CREATOR_INFO)) == MAX_TRIES


@pytest.mark.parametrize(
    "faults",
    [
        [{"action": "status", "status": 503}, {"action": "lost_answer"}],
        [{"action": "error", "code": "access_token_invalid"}, {"action": "lost_answer"}],
    ],
    ids=["faults", "an old token and a fault"],
)
def test_each_time_that_a_read_is_asked_once_more_is_noted_before(
    run: Run, creator: Creator, refreshed: list[str], faults: list[dict[str, Any]]
) -> None:
    for fault in faults:
        creator.sandbox.add_fault(path=CREATOR_INFO, **fault)
    calls: list[int] = []
    run(accounts.creator_info(), lambda: calls.append(len(creator.calls(CREATOR_INFO))))
    assert (calls, len(creator.calls(CREATOR_INFO))) == ([1, 2], 3)
    assert len(refreshed) <= 1


def test_a_request_that_never_left_is_not_noted_as_asked_once_more(kind: str, sleeper: Sleeper) -> None:
    run = runner(kind, f"http://127.0.0.1:{_closed_port()}", "fake-token", sleeper)
    calls: list[None] = []
    with pytest.raises(UnreachableError, match=f"after {MAX_TRIES} tries"):
        run(accounts.creator_info(), lambda: calls.append(None))
    assert (calls, len(sleeper.pauses)) == ([], MAX_TRIES - 1)


def test_a_server_that_names_a_short_pause_gets_it(run: Run, creator: Creator, sleeper: Sleeper) -> None:
    creator.sandbox.add_fault("status", path=CREATOR_INFO, status=503, headers={"Retry-After": "7"}, times=1)
    assert run(accounts.creator_info()).creator_username == "mia"
    assert sleeper.pauses == [7.0]


@pytest.mark.parametrize("body", [None, "<html>Maintenance</html>"])
def test_a_server_that_names_a_long_pause_is_not_asked_again(
    run: Run, creator: Creator, sleeper: Sleeper, body: str | None
) -> None:
    creator.sandbox.add_fault(
        "status", path=CREATOR_INFO, status=503, headers={"Retry-After": "120"}, times=None, body=body
    )
    with pytest.raises(ServiceError) as failure:
        run(accounts.creator_info())
    assert failure.value.retry_after == 120
    assert len(creator.calls(CREATOR_INFO)) == 1
    assert sleeper.pauses == []


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"action": "status", "status": 503}, ServiceError),
        ({"action": "lost_answer"}, UnreachableError),
        ({"action": "cut", "after_bytes": 10}, UnreachableError),
    ],
)
def test_an_init_that_may_have_been_processed_is_never_repeated(
    run: Run, creator: Creator, fault: dict[str, Any], error: type[Exception]
) -> None:
    creator.sandbox.add_fault(path=INIT, times=1, **fault)
    post = posting.VideoPost(privacy_level="SELF_ONLY")
    with pytest.raises(error) as failure:
        run(posting.init_video(post, posting.file_source(plan_chunks(1000)), lambda: None))
    assert len(creator.calls(INIT)) == 1
    assert getattr(failure.value, "maybe_processed", True)


def test_a_request_that_never_left_is_repeated_and_known_not_to_have_left(
    kind: str, sleeper: Sleeper
) -> None:
    run = runner(kind, f"http://127.0.0.1:{_closed_port()}", "fake-token", sleeper)
    with pytest.raises(UnreachableError, match=rf"127\.0\.0\.1:\d+(?s:.)*POST {CREATOR_INFO}") as failure:
        run(accounts.creator_info())
    assert not failure.value.maybe_processed
    assert len(sleeper.pauses) == MAX_TRIES - 1
    assert "fake-token" not in str(failure.value)


class StoppedError(Exception):
    """What a check has found."""


def test_a_check_is_made_each_time_before_a_request_leaves_and_can_stop_it(
    run: Run, creator: Creator, refreshed: list[str]
) -> None:
    creator.sandbox.add_fault("error", path=INIT, code="access_token_invalid")
    found = []

    def check() -> None:
        found.append((len(creator.calls(INIT)), len(refreshed)))
        if len(found) == 2:
            raise StoppedError

    post = posting.VideoPost(privacy_level="SELF_ONLY")
    with pytest.raises(StoppedError):
        run(posting.init_video(post, posting.file_source(plan_chunks(1000)), check))
    assert found == [(0, 0), (1, 1)], "the newer token is at hand"
    assert len(creator.calls(INIT)) == 1


def test_a_page_of_a_proxy_is_not_taken_for_tiktoks_answer(run: Run, creator: Creator) -> None:
    creator.sandbox.add_fault(
        "status", path=CREATOR_INFO, status=200, body="<html>Please log in</html>", times=None
    )
    with pytest.raises(UnexpectedAnswerError, match="proxy"):
        run(accounts.creator_info())


@pytest.mark.parametrize(
    ("named", "found"),
    [
        ("17", 17.0),
        ("Wed, 21 Oct 2020 07:28:00 GMT", 0.0),
        ("Fri, 21 Oct 2095 07:28:00 GMT", 86_400.0),
        ("tomorrow", None),
        ("2592000", 86_400.0),
        ("9" * 400, 86_400.0),
        ("-1", None),
    ],
)
def test_seconds_of_retry_after_are_passed_on(
    run: Run, creator: Creator, named: str, found: float | None
) -> None:
    creator.sandbox.add_fault(
        "status",
        path=CREATOR_INFO,
        status=429,
        headers={"Retry-After": named},
        body={"data": {}, "error": {"code": "rate_limit_exceeded", "message": "m", "log_id": "L"}},
    )
    with pytest.raises(Exception, match="within one minute") as failure:
        run(accounts.creator_info())
    assert getattr(failure.value, "retry_after", 0) == found


class Upload:
    """A file of two chunks on its way to the sandbox."""

    size = 12_000_000
    boundary = 6_000_000

    def __init__(self, run: Run, creator: Creator) -> None:
        self.run = run
        self.creator = creator
        source = {
            "source": "FILE_UPLOAD",
            "video_size": self.size,
            "chunk_size": self.boundary,
            "total_chunk_count": 2,
        }
        self.started = run(
            posting.init_video(posting.VideoPost(privacy_level="SELF_ONLY"), source, lambda: None)
        )

    def put(self, first: int, last: int, length: int | None = None) -> None:
        def body() -> Iterator[bytes]:
            yield b"\x01" * (length if length is not None else last - first + 1)

        chunk = Chunk(0, first, last)
        self.run(put_chunk(self.started.upload_url, chunk, self.size, "video/mp4", body))

    def uploaded(self) -> int:
        status: posting.PostStatus = self.run(posting.fetch_status(self.started.publish_id))
        assert status.uploaded_bytes is not None
        return status.uploaded_bytes


@pytest.fixture
def upload(run: Run, creator: Creator) -> Upload:
    return Upload(run, creator)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        pytest.param({"action": "status", "status": 502}, "HTTP 502", id="a gateway fails"),
        pytest.param({"action": "cut", "after_bytes": 3_000_000}, "after 1 try", id="cut in the middle"),
    ],
)
def test_a_chunk_that_did_not_arrive_is_left_to_the_caller(
    upload: Upload, fault: dict[str, Any], said: str
) -> None:
    upload.creator.sandbox.add_fault(path="/upload", times=1, **fault)
    with pytest.raises((ServiceError, UnreachableError), match=said):
        upload.put(0, upload.boundary - 1)
    upload.put(0, upload.boundary - 1)
    assert upload.uploaded() == upload.boundary


@pytest.mark.parametrize("again", [416, 206])
@pytest.mark.parametrize("progress", ["count", "last_index"])
def test_a_chunk_whose_answer_was_lost_counts_once(upload: Upload, again: int, progress: str) -> None:
    upload.creator.sandbox.set_switches(stored_range_again=again, put_progress=progress)
    upload.creator.sandbox.add_fault("lost_answer", path="/upload", times=1)
    with pytest.raises(UnreachableError):
        upload.put(0, upload.boundary - 1)
    upload.put(0, upload.boundary - 1)
    upload.put(upload.boundary, upload.size - 1)
    assert upload.uploaded() == upload.size


def test_a_chunk_out_of_order_is_an_upload_error(upload: Upload) -> None:
    with pytest.raises(UploadError, match="other bytes") as refusal:
        upload.put(upload.boundary, upload.size - 1)
    assert refusal.value.http_status == 416


def test_an_expired_upload_url_is_known_as_such_and_not_named(upload: Upload) -> None:
    upload.creator.sandbox.add_fault("expire_upload_url", path="/upload")
    with pytest.raises(UploadExpiredError) as refusal:
        upload.put(0, upload.boundary - 1)
    assert "upload_token" not in str(refusal.value)


def test_a_lost_upload_url_never_shows_its_token(upload: Upload) -> None:
    upload.creator.sandbox.add_fault("lost_answer", path="/upload", times=None)
    with pytest.raises(UnreachableError) as failure:
        upload.put(0, upload.boundary - 1)
    assert "/upload" in str(failure.value)
    assert "upload_token" not in str(failure.value)


def _closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
