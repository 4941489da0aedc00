"""An upload goes on from where TikTok stands, through faults that pass."""

import hashlib
from typing import Any

import httpx
import pytest

from tests.unit.conftest import Creator, Task
from tests.unit.publishing.sessions import STATUS, claim, direct_video, session_of
from tiktok_provider.api.chunks import ChunkPlan
from tiktok_provider.api.posting import file_source
from tiktok_provider.exceptions import RateLimitedError, ServiceError, UploadError
from tiktok_provider.hooks.tiktok import TikTokHook
from tiktok_provider.publishing.chunk_stream import Upload
from tiktok_provider.publishing.media.video_file import VideoFile
from tiktok_provider.publishing.upload import MAX_OUT_OF_STEP, MAX_SETBACKS, Uploader
from tiktok_provider.store.posts import Intend, PostRecord, PostState, Start
from tiktok_sandbox.clips import make_clip

CHUNK = 5_300_000
SIZE = 3 * CHUNK + 100
PLAN = ChunkPlan(SIZE, CHUNK, 3)
FIRST, SECOND, LAST = (chunk.first for chunk in PLAN.chunks())


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> VideoFile:
    """A video that makes three small chunks."""
    return VideoFile(make_clip(tmp_path_factory.mktemp("clips") / "three.mp4", seconds=1, pad_to_bytes=SIZE))


class Sending:
    """An upload to the sandbox, and what it has asked to store."""

    def __init__(self, creator: Creator, hook: TikTokHook, task: Task, video: VideoFile) -> None:
        creator.sandbox.set_switches(rate_limits=False)
        self._creator, self._hook, self._video = creator, hook, video
        self.pauses: list[tuple[int, float]] = []
        request = direct_video(video)
        self._session = session_of(hook, task, request)
        self.stored_post = self._session.stored_post
        claim(self._session)
        intend = Intend(source="file", fingerprint=video.fingerprint, content=request.content)
        self.stored_post.write(intend)
        self._started = hook.run(request.init(file_source(PLAN), lambda: None))
        self.stored_post.write(Start(publish_id=self._started.publish_id, finishing=False))

    def sleep(self, seconds: float) -> None:
        """Note after how many chunks it was, and for how long."""
        self.pauses.append((len(self._creator.calls("/upload")), seconds))

    def uploader(self, *, resumed: bool = False) -> Uploader:
        upload = Upload(self._hook, self._video, PLAN, str(self._started.upload_url))
        return Uploader(
            self._hook,
            self.stored_post,
            self._session.rate_limiter,
            upload,
            PLAN,
            self._started.publish_id,
            finishing=False,
            sleep=self.sleep,
            resumed=resumed,
        )

    def put(self, number: int) -> None:
        """Store a chunk behind the uploader's back."""
        chunk = list(PLAN.chunks())[number]
        span = f"bytes {chunk.first}-{chunk.last}/{SIZE}"
        content = b"".join(self._video.pieces(chunk.first, chunk.last, CHUNK))
        headers = {"Content-Type": "video/mp4", "Content-Range": span}
        url = str(self._started.upload_url)
        httpx.put(url, content=content, headers=headers, trust_env=False).raise_for_status()

    @property
    def sha256(self) -> str:
        return hashlib.sha256(b"".join(self._video.pieces(0, SIZE - 1, CHUNK))).hexdigest()

    @property
    def stored(self) -> list[tuple[int, int]]:
        """First byte and answer of each request that arrived whole, in order."""
        url = f"{self._creator.sandbox.url}/sandbox/publishes"
        [publish] = httpx.get(url, trust_env=False).json()
        return [(chunk["first"], chunk["answer"]) for chunk in publish["chunks"]]

    def record(self) -> PostRecord:
        record = self.stored_post.read()
        assert record
        return record


@pytest.fixture
def sending(creator: Creator, hook: TikTokHook, task: Task, video: VideoFile) -> Sending:
    return Sending(creator, hook, task, video)


def fail_times(creator: Creator, times: int, *, after: int = 0) -> None:
    """Let so many chunks be refused for now, after so many that are not."""
    creator.sandbox.add_fault("status", path="/upload", status=429, times=times, skip=after)


def test_setbacks_count_in_a_row_and_start_again_with_each_chunk_that_arrives(
    creator: Creator, sending: Sending
) -> None:
    fail_times(creator, MAX_SETBACKS)
    fail_times(creator, MAX_SETBACKS, after=1)
    sending.uploader().send()
    assert [first for first, _ in sending.stored] == [FIRST, SECOND, LAST]


def test_one_setback_more_in_a_row_ends_the_try(creator: Creator, sending: Sending) -> None:
    fail_times(creator, MAX_SETBACKS + 1)
    with pytest.raises(RateLimitedError):
        sending.uploader().send()
    assert sending.record().state == PostState.UPLOADING


@pytest.mark.parametrize("progress", ["last_index", "count"])
def test_the_progress_in_a_416_may_be_a_count_or_the_index_of_the_last_byte(
    creator: Creator, sending: Sending, progress: str
) -> None:
    creator.sandbox.set_switches(put_progress=progress)
    sending.put(0)
    sending.uploader(resumed=True).send(LAST)
    assert sending.stored == [(FIRST, 206), (LAST, 416), (SECOND, 206), (LAST, 201)], "no chunk goes twice"
    assert len(creator.sandbox.feed()) == 1


def test_a_416_without_progress_means_that_tiktok_has_a_chunk_that_may_have_arrived(
    creator: Creator, sending: Sending
) -> None:
    creator.sandbox.set_switches(put_progress="absent")
    sending.put(0)
    sending.uploader(resumed=True).send()
    assert len(creator.sandbox.feed()) == 1


def test_any_other_416_without_progress_gives_the_upload_up(creator: Creator, sending: Sending) -> None:
    creator.sandbox.set_switches(put_progress="absent")
    sending.put(0)
    with pytest.raises(UploadError) as refusal:
        sending.uploader().send()
    assert refusal.value.can_begin_again
    assert sending.record().state == PostState.FAILED


def test_a_chunk_that_has_arrived_says_nothing_of_the_next_one(creator: Creator, sending: Sending) -> None:
    creator.sandbox.add_fault("status", path="/upload", status=416, skip=1)
    with pytest.raises(UploadError):
        sending.uploader(resumed=True).send()
    assert sending.stored == [(FIRST, 206)], "the second chunk is not taken for stored"


def cut(creator: Creator, chunk: int = 0, *, after_bytes: int = 3_000_000, times: int = 1) -> None:
    """Let the connection break while a chunk is sent."""
    creator.sandbox.add_fault("cut", path="/upload", after_bytes=after_bytes, skip=chunk, times=times)


PROGRESS = [
    pytest.param("last_index", "exact", id="index"),
    pytest.param("count", "exact", id="count"),
    pytest.param("last_index", "lags", id="index, status lags"),
    pytest.param("count", "absent", id="count, status says nothing"),
    pytest.param("absent", "exact", id="status alone"),
]


@pytest.mark.parametrize("chunk", [0, 1, 2])
@pytest.mark.parametrize(("put_progress", "status_progress"), PROGRESS)
def test_an_upload_goes_on_within_a_chunk_of_which_tiktok_has_kept_a_part(
    creator: Creator, sending: Sending, put_progress: str, status_progress: str, chunk: int
) -> None:
    creator.sandbox.set_switches(cut_chunk="kept", put_progress=put_progress, status_progress=status_progress)
    cut(creator, chunk)
    sending.uploader().send()
    [post] = creator.sandbox.feed()
    assert post["sha256"] == sending.sha256
    assert len(creator.calls("/upload")) <= PLAN.count + MAX_OUT_OF_STEP


def test_an_upload_that_gains_bytes_with_each_cut_goes_on(creator: Creator, sending: Sending) -> None:
    creator.sandbox.set_switches(cut_chunk="kept")
    cut(creator, after_bytes=800_000, times=2 * MAX_SETBACKS)
    sending.uploader().send()
    assert len(creator.sandbox.feed()) == 1


@pytest.mark.parametrize("chunk", [0, 1])
@pytest.mark.parametrize(("put_progress", "status_progress"), PROGRESS)
def test_an_upload_that_takes_no_more_bytes_is_given_up(
    creator: Creator, sending: Sending, put_progress: str, status_progress: str, chunk: int
) -> None:
    creator.sandbox.set_switches(
        cut_chunk="stuck", put_progress=put_progress, status_progress=status_progress
    )
    cut(creator, chunk)
    with pytest.raises(UploadError) as refusal:
        sending.uploader().send()
    assert refusal.value.can_begin_again
    assert (sending.record().state, creator.sandbox.feed()) == (PostState.FAILED, [])
    assert len(creator.calls("/upload")) <= PLAN.count + MAX_OUT_OF_STEP


def test_an_upload_that_takes_no_more_bytes_is_never_given_up_once_the_last_byte_may_have_left(
    creator: Creator, sending: Sending
) -> None:
    creator.sandbox.set_switches(cut_chunk="stuck")
    cut(creator, 2)
    uploader = sending.uploader()
    uploader.upload.last_byte_may_have_left = True
    uploader.send()
    assert (sending.record().state, creator.sandbox.feed()) == (PostState.FINISHING, [])
    assert len(creator.calls("/upload")) <= PLAN.count + MAX_OUT_OF_STEP


def test_between_two_chunks_that_fail_there_is_a_pause(creator: Creator, sending: Sending) -> None:
    creator.sandbox.set_switches(cut_chunk="stuck", status_progress="absent")
    cut(creator)
    with pytest.raises(UploadError):
        sending.uploader().send()
    puts = [number for number, _ in sending.pauses]
    assert puts == list(range(1, len(creator.calls("/upload"))))
    assert all(seconds >= 2 for _, seconds in sending.pauses)


def test_after_a_lost_answer_to_the_last_chunk_status_is_asked_before_anything_is_sent_again(
    creator: Creator, sending: Sending
) -> None:
    creator.sandbox.add_fault("lost_answer", path="/upload", skip=2)
    sending.uploader().send()
    calls = [path for path in creator.calls("/") if path in ("/upload", STATUS)]
    assert calls == ["/upload"] * 3 + [STATUS]
    assert len(creator.sandbox.feed()) == 1


@pytest.mark.parametrize("status", [200, 302, 401, 407, 409, 429])
def test_an_undocumented_answer_to_a_chunk_is_waited_out(
    creator: Creator, sending: Sending, status: int
) -> None:
    creator.sandbox.add_fault("status", path="/upload", status=status, skip=1)
    sending.uploader().send()
    assert [number for number, _ in sending.pauses] == [2]
    assert len(creator.sandbox.feed()) == 1


def test_a_pause_that_is_too_long_for_a_worker_ends_the_try(creator: Creator, sending: Sending) -> None:
    creator.sandbox.add_fault("status", path="/upload", status=503, headers={"Retry-After": "600"})
    with pytest.raises(ServiceError) as fault:
        sending.uploader().send()
    assert (fault.value.retry_after, sending.pauses) == (600, [])


@pytest.mark.parametrize("status", [400, 403, 404, 416])
def test_a_last_chunk_that_a_relay_refused_after_tiktok_took_it_is_not_taken_for_refused(
    creator: Creator, sending: Sending, status: int
) -> None:
    creator.sandbox.add_fault("wrong_answer", path="/upload", status=status, skip=2)
    sending.uploader().send()
    assert (sending.record().state, len(creator.sandbox.feed())) == (PostState.FINISHING, 1)


@pytest.mark.parametrize("status", [400, 403, 404])
def test_a_last_chunk_that_tiktok_refused_leaves_nothing_out(
    creator: Creator, sending: Sending, status: int
) -> None:
    creator.sandbox.add_fault("status", path="/upload", status=status, skip=2)
    with pytest.raises(UploadError):
        sending.uploader().send()
    assert (sending.record().state, creator.sandbox.feed()) == (PostState.FAILED, [])


def test_that_the_last_byte_may_leave_is_on_record_before_the_chunk_leaves(
    creator: Creator, sending: Sending
) -> None:
    states = []
    uploader = sending.uploader()
    send = uploader.upload.send

    def observed(chunk: Any) -> None:
        states.append((chunk.first, sending.record().state, sending.record().sent_bytes))
        send(chunk)

    uploader.upload.send = observed  # type: ignore[method-assign]
    uploader.send()
    assert states == [
        (FIRST, PostState.UPLOADING, FIRST),
        (SECOND, PostState.UPLOADING, SECOND),
        (LAST, PostState.FINISHING, LAST),
    ]
    assert sending.record().sent_bytes == SIZE
    assert len(creator.sandbox.feed()) == 1


def test_a_status_that_says_that_all_is_there_is_on_record_before_the_wait(
    creator: Creator, sending: Sending
) -> None:
    for number in range(3):
        sending.put(number)
    uploader = sending.uploader(resumed=True)
    assert uploader.position_at_tiktok(0) == SIZE
    assert (sending.record().state, len(creator.sandbox.feed())) == (PostState.FINISHING, 1)
