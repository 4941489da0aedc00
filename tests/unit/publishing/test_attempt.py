"""One attempt: what is written before and after init, patiently where only this process knows it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.conftest import Creator, Task
from tests.unit.publishing.sessions import (
    INIT,
    STATUS,
    FlakyStore,
    claim,
    direct_video,
    fails_at_step,
    session_of,
)
from tiktok_provider.exceptions import TikTokError, UnreachableError
from tiktok_provider.hooks.tiktok import TikTokHook
from tiktok_provider.publishing import attempt
from tiktok_provider.publishing.deferral import DeferTask
from tiktok_provider.publishing.media.medium import VideoMedia
from tiktok_provider.publishing.media.video_file import VideoFile
from tiktok_provider.publishing.media.video_url import VideoUrl
from tiktok_provider.publishing.post_record import StoredPost
from tiktok_provider.publishing.session import PublishingSession
from tiktok_provider.publishing.waiting.uncertain import UncertainPostError
from tiktok_provider.store.errors import StoreBusyError, StoreUnreachableError
from tiktok_provider.store.posts import PostState
from tiktok_provider.store.rate_limits import PER_MINUTE, Endpoint, Granted
from tiktok_provider.store.requests import TakeCalls

Attempted = Callable[..., PublishingSession]
CREATOR_INFO = "/v2/post/publish/creator_info/query/"


@pytest.fixture
def file(clip: Path) -> VideoMedia:
    return VideoFile(clip)


@pytest.fixture
def url(creator: Creator) -> VideoMedia:
    """Of a signed URL."""
    return VideoUrl(f"{creator.sandbox.url}/clip.mp4?signature=made-up-signature")


@pytest.fixture
def claimed(hook: TikTokHook, task: Task) -> Attempted:
    """Return a function that gives a session with a claim, through a store that fails once at a step."""

    def of(media: VideoMedia, fails_at: str = "", error: Callable[[], TikTokError] | None = None) -> Any:
        busy = error or (lambda: StoreBusyError("the database is locked"))
        store = FlakyStore(hook.store, fails_at_step(fails_at), busy)
        session = session_of(hook, task, direct_video(media), store)
        claim(session)
        return session

    return of


def state(session: PublishingSession) -> PostState | None:
    record = session.stored_post.read()
    return record.state if record else None


def test_the_intent_of_a_pull_is_written_patiently(
    creator: Creator, claimed: Attempted, url: VideoMedia
) -> None:
    session = claimed(url, fails_at="intend")
    attempt.begin(session)
    assert (state(session), creator.calls(INIT)) == (PostState.FINISHING, [INIT])


def test_the_intent_of_a_file_is_left_to_the_next_try(
    creator: Creator, claimed: Attempted, file: VideoMedia
) -> None:
    session = claimed(file, fails_at="intend")
    with pytest.raises(StoreBusyError):
        attempt.begin(session)
    assert (state(session), creator.calls(INIT)) == (PostState.CLAIMED, [])


@pytest.mark.parametrize("medium", ["file", "url"])
def test_a_publish_id_is_written_patiently(
    claimed: Attempted, medium: str, request: pytest.FixtureRequest
) -> None:
    session = claimed(request.getfixturevalue(medium), fails_at="start")
    attempt.begin(session)
    assert session.stored_post.record.publish_id
    assert state(session) == PostState.FINISHING


@pytest.mark.parametrize("medium", ["file", "url"])
def test_a_refused_init_is_recorded_patiently(
    creator: Creator, claimed: Attempted, medium: str, request: pytest.FixtureRequest
) -> None:
    creator.sandbox.add_fault("error", path=INIT, code="invalid_params")
    session = claimed(request.getfixturevalue(medium), fails_at="mark_failed")
    with pytest.raises(TikTokError, match="invalid_params"):
        attempt.begin(session)
    assert state(session) == PostState.FAILED


def test_a_lost_answer_to_the_init_of_a_pull_is_recorded_patiently(
    creator: Creator, claimed: Attempted, url: VideoMedia
) -> None:
    creator.sandbox.add_fault("lost_answer", path=INIT)
    session = claimed(url, fails_at="mark_uncertain")
    with pytest.raises(UncertainPostError, match="answer to init was lost"):
        attempt.begin(session)
    assert state(session) == PostState.UNCERTAIN


def test_a_lost_answer_to_the_init_of_a_file_asks_no_person(
    creator: Creator, claimed: Attempted, file: VideoMedia
) -> None:
    creator.sandbox.add_fault("lost_answer", path=INIT)
    session = claimed(file)
    with pytest.raises(UnreachableError):
        attempt.begin(session)
    assert state(session) == PostState.INTENDED


UNDOCUMENTED = {
    "timeout, HTTP 200": (200, {"error": {"code": "timeout", "message": "", "log_id": "L"}}),
    "request timeout": (408, {"error": {"code": "request_timeout", "message": "", "log_id": "L"}}),
    "conflict": (409, {"error": {"code": "conflict", "message": "", "log_id": "L"}}),
    "a 429 without TikTok's code": (429, {"error": {"code": "slow_down", "message": "", "log_id": "L"}}),
    "a refusal, HTTP 502": (502, {"error": {"code": "invalid_params", "message": "", "log_id": "L"}}),
    "a code of another call": (400, {"error": {"code": "invalid_publish_id", "message": "", "log_id": "L"}}),
    "no code": (400, {"error": {"message": "", "log_id": "L"}}),
    "no envelope": (401, {"message": "unauthorized"}),
    "a page": (404, "<html>not found</html>"),
    "a redirection": (302, ""),
    "an empty success": (200, ""),
}


@pytest.mark.parametrize("said", UNDOCUMENTED)
def test_a_pull_that_tiktok_accepted_is_uncertain_whatever_a_relay_makes_of_the_answer(
    creator: Creator, claimed: Attempted, url: VideoMedia, said: str
) -> None:
    status, body = UNDOCUMENTED[said]
    creator.sandbox.add_fault("wrong_answer", path=INIT, status=status, body=body)
    session = claimed(url)
    with pytest.raises(UncertainPostError):
        attempt.begin(session)
    assert (state(session), len(creator.sandbox.publishes())) == (PostState.UNCERTAIN, 1)


@pytest.mark.parametrize("said", UNDOCUMENTED)
def test_a_file_whose_init_got_an_undocumented_answer_is_asked_for_again(
    creator: Creator, claimed: Attempted, file: VideoMedia, said: str
) -> None:
    status, body = UNDOCUMENTED[said]
    creator.sandbox.add_fault("wrong_answer", path=INIT, status=status, body=body)
    session = claimed(file)
    with pytest.raises((TikTokError, DeferTask)):
        attempt.begin(session)
    assert state(session) == PostState.INTENDED


def free_calls(hook: TikTokHook, endpoint: Endpoint) -> int:
    """Take the calls that the account still has in this minute, and return how many they were."""
    answer = hook.store.run(TakeCalls(endpoint, "another task", count=PER_MINUTE[endpoint]))
    return answer.count if isinstance(answer, Granted) else 0


@pytest.mark.parametrize(
    ("endpoint", "path", "lost"),
    [(Endpoint.CREATOR_INFO, CREATOR_INFO, 3), (Endpoint.INIT, INIT, 0), (Endpoint.STATUS, STATUS, 2)],
)
def test_each_request_takes_a_place_of_its_own_in_the_rate_limit(
    creator: Creator,
    claimed: Attempted,
    hook: TikTokHook,
    large_clip: Path,
    monkeypatch: pytest.MonkeyPatch,
    endpoint: Endpoint,
    path: str,
    lost: int,
) -> None:
    monkeypatch.setattr("tiktok_provider.api.drivers.time", SimpleNamespace(sleep=creator.sandbox.advance))
    creator.sandbox.add_fault("lost_answer", path="/upload")
    creator.sandbox.add_fault("lost_answer", path=path, times=lost) if lost else None
    creator.sandbox.add_fault("error", path=path, code="access_token_invalid")
    attempt.begin(claimed(VideoFile(large_clip)))
    asked = len(creator.calls(path))
    assert asked == lost + 2
    assert free_calls(hook, endpoint) == PER_MINUTE[endpoint] - asked


@pytest.mark.parametrize("medium", ["file", "url"])
def test_an_init_for_whose_new_token_there_is_no_place_was_not_started(
    creator: Creator, claimed: Attempted, hook: TikTokHook, medium: str, request: pytest.FixtureRequest
) -> None:
    session = claimed(request.getfixturevalue(medium))
    hook.store.run(TakeCalls(Endpoint.INIT, "another task", count=PER_MINUTE[Endpoint.INIT] - 1))
    creator.sandbox.add_fault("error", path=INIT, code="access_token_invalid")
    with pytest.raises(DeferTask):
        attempt.begin(session)
    assert (state(session), creator.calls(INIT)) == (PostState.FAILED, [INIT])


@pytest.mark.parametrize("medium", ["file", "url"])
def test_a_store_that_is_away_right_before_init_leaves_proves_that_nothing_was_started(
    creator: Creator,
    claimed: Attempted,
    medium: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(stored_post: StoredPost) -> None:
        raise StoreUnreachableError(f"no answer about {stored_post.post_key}", maybe_processed=True)

    monkeypatch.setattr(StoredPost, "verify_claim", away)
    session = claimed(request.getfixturevalue(medium))
    with pytest.raises(StoreUnreachableError):
        attempt.begin(session)
    assert (state(session), creator.calls(INIT)) == (PostState.FAILED, [])


@pytest.mark.parametrize("said", ["cannot pull {url}", "the signature in {query} is wrong"])
def test_neither_a_signed_url_nor_its_query_alone_is_in_an_error(
    creator: Creator, claimed: Attempted, url: VideoMedia, said: str
) -> None:
    whole = f"{creator.sandbox.url}/clip.mp4?signature=made-up-signature"
    message = said.format(url=whole, query="signature=made-up-signature")
    body = {"data": {}, "error": {"code": "invalid_params", "message": message, "log_id": "L"}}
    creator.sandbox.add_fault("status", path=INIT, status=400, body=body)
    session = claimed(url)
    with pytest.raises(TikTokError, match=r"\*\*\*") as failure:
        attempt.begin(session)
    record = session.stored_post.read()
    assert record
    assert "made-up-signature" not in f"{failure.value} {record.fail_reason}"


@pytest.fixture
def cut_off(creator: Creator, claimed: Attempted, hook: TikTokHook, task: Task) -> Attempted:
    """Return a function that gives the session of a second try after one that was cut off in its first chunk."""

    def of(video: Path) -> PublishingSession:
        first = claimed(VideoFile(video))
        creator.sandbox.add_fault("status", path="/upload", status=307, times=None)
        with pytest.raises(TikTokError):
            attempt.begin(first)
        creator.sandbox.clear_faults()
        second = session_of(hook, task.next_try(), first.request)
        claim(second)
        return second

    return of


def test_a_second_try_goes_on_with_the_same_publish_id(
    creator: Creator, cut_off: Attempted, clip: Path
) -> None:
    session = cut_off(clip)
    assert attempt.resume(session, session.stored_post.record)
    assert (len(creator.calls(INIT)), len(creator.sandbox.feed())) == (1, 1)


@pytest.mark.parametrize(
    ("video", "recorded"),
    [("large_clip", PostState.UPLOADING), ("clip", PostState.FINISHING)],
    ids=["before its last byte", "at its last byte"],
)
@pytest.mark.parametrize("lost", ["publish id", "upload URL"])
def test_an_upload_that_cannot_be_resumed_is_started_again_only_before_its_last_byte(
    creator: Creator,
    cut_off: Attempted,
    request: pytest.FixtureRequest,
    video: str,
    recorded: PostState,
    lost: str,
) -> None:
    session = cut_off(request.getfixturevalue(video))
    record = session.stored_post.record
    assert record.state == recorded
    if lost == "publish id":
        creator.sandbox.add_fault("error", path=STATUS, code="invalid_publish_id")
    else:
        record = replace(record, encrypted_upload_url="of another client secret")
    again = attempt.resume(session, record)
    inits, posts = len(creator.calls(INIT)), len(creator.sandbox.feed())
    assert (again, inits, posts) == ((True, 2, 1) if recorded == PostState.UPLOADING else (False, 1, 0))
