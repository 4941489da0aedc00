"""What a person, another task or the clock does while a try publishes, or while a task is away from its worker."""

import asyncio
import os
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred
from sqlalchemy import update

from tests.unit.conftest import CONN_ID, Creator, Task
from tests.unit.operators.test_publish_video import INIT, STATUS, die_at_upload, publish, pull, state
from tests.unit.operators.test_sent_posts import deferred
from tiktok_provider.api.posting import PostStatus, init_video
from tiktok_provider.database.posts.service import PostService
from tiktok_provider.database.session import transaction
from tiktok_provider.database.tables import PostRow
from tiktok_provider.exceptions import PostError, PostInInboxError, PostTimeoutError
from tiktok_provider.hooks.store_access import open_store
from tiktok_provider.hooks.tiktok import TikTokHook
from tiktok_provider.publishing import video_posts
from tiktok_provider.publishing.chunk_stream import Upload
from tiktok_provider.publishing.media.video_file import VideoFile
from tiktok_provider.publishing.post_record import StoredPost
from tiktok_provider.publishing.waiting.polling import Outcome, PollAgain, on_status
from tiktok_provider.publishing.waiting.uncertain import UncertainPostError
from tiktok_provider.retry import TikTokRetryPolicy
from tiktok_provider.store.errors import PostTakenError, StoreUnreachableError
from tiktok_provider.store.posts import PostOutcome, PostRecord, PostState, PostStep
from tiktok_provider.store.requests import RecordOutcome
from tiktok_provider.store.serialization import StoreAnswerError
from tiktok_sandbox.clips import make_clip

Pieces = Callable[[StoredPost, int], object]


def in_store(work: Coroutine[Any, Any, PostRecord]) -> None:
    """Do what a person does at the command line, while a task may be running its own loop."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()


def resolve(task: Task, *, posted: bool) -> None:
    """Let a person resolve the task's post."""
    assert task.record
    in_store(PostService().resolve(CONN_ID, task.record.post_key, posted=posted, actor="anna"))


def record_outcome(task: Task, state: PostState, *, by: Task | None = None, **words: Any) -> None:
    """Write what a wait has heard; without ``by``, that of another task."""
    record = task.record
    assert record
    claimant = f"{by.dag_id}/{by.run_id}/{by.task_id}/{by.map_index}" if by else "another task"
    heard = PostOutcome(publish_id=str(record.publish_id), state=state, task=claimant, **words)
    with open_store(CONN_ID) as store:
        store.run(RecordOutcome(record.post_key, heard))


def pass_in_the_record(**times: datetime) -> None:
    """Turn the times on record, as if more time had passed since."""
    with transaction() as session:
        session.execute(update(PostRow).values(**times))


def ago(**passed: float) -> datetime:
    return datetime.now(UTC) - timedelta(**passed)


def says(creator: Creator, **data: str) -> None:
    """Let TikTok's status say this from now on."""
    body = {"data": data, "error": {"code": "ok", "message": "", "log_id": "fake"}}
    creator.sandbox.add_fault("status", path=STATUS, status=200, body=body, times=None)


@pytest.fixture
def media_url(creator: Creator, task: Task, clip: Path) -> str:
    """Where TikTok can pull a video from: a post of another key."""
    publish(clip, post_key="source").execute(replace(task, task_id="source").context)
    [post] = creator.sandbox.feed()
    return str(post["media_url"])


@pytest.fixture
def six_pieces(tmp_path: Path) -> Path:
    """A video that leaves in six pieces of a megabyte, in one chunk."""
    return make_clip(tmp_path / "six.mp4", seconds=1, pad_to_bytes=6_000_000)


@pytest.fixture
def at_each_piece(monkeypatch: pytest.MonkeyPatch) -> Callable[[Pieces], None]:
    """Return a function that lets something happen before each piece leaves, half a minute after the last one."""

    def let_happen(something: Pieces) -> None:
        numbers, renew = iter(range(1, 1000)), StoredPost.renew_if_due

        def slow(stored_post: StoredPost) -> None:
            something(stored_post, next(numbers))
            stored_post._confirmed_at -= 30
            stored_post._renewed_at -= 30
            renew(stored_post)

        monkeypatch.setattr(StoredPost, "renew_if_due", slow)

    return let_happen


@pytest.mark.usefixtures("creator")
def test_another_tasks_deadline_leaves_alone_what_is_still_being_uploaded(
    creator: Creator, task: Task, six_pieces: Path, at_each_piece: Callable[[Pieces], None]
) -> None:
    at_each_piece(lambda _, number: record_outcome(task, PostState.UNCERTAIN) if number == 2 else None)
    assert publish(six_pieces).execute(task.context)["status"] == "PUBLISH_COMPLETE"
    assert len(creator.sandbox.feed()) == 1


def test_a_person_who_resolves_a_post_stops_a_try_that_is_still_uploading_it(
    creator: Creator, task: Task, six_pieces: Path, at_each_piece: Callable[[Pieces], None]
) -> None:
    def resolved(_: StoredPost, number: int) -> None:
        if number == 2:
            record_outcome(task, PostState.UNCERTAIN, by=task)
            resolve(task, posted=False)

    at_each_piece(resolved)
    with pytest.raises(PostTakenError):
        publish(six_pieces).execute(task.context)
    assert creator.sandbox.feed() == []
    at_each_piece(lambda *_: None)
    publish(six_pieces).execute(task.next_try().context)
    assert len(creator.sandbox.feed()) == 1


def test_the_last_byte_does_not_leave_a_try_that_has_stood_still_right_before_it(
    creator: Creator, task: Task, six_pieces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = iter(range(1, 7))

    def stand_still(stored_post: StoredPost) -> None:
        if next(numbers) == 6:
            record_outcome(task, PostState.UNCERTAIN, by=task)
            resolve(task, posted=False)
            stored_post._confirmed_at -= 61

    monkeypatch.setattr(StoredPost, "renew_if_due", stand_still)
    with pytest.raises(PostTakenError):
        publish(six_pieces).execute(task.context)
    assert creator.sandbox.feed() == []


def test_a_store_that_is_away_before_the_last_byte_ends_the_try_and_is_no_fault_of_tiktoks(
    creator: Creator, task: Task, six_pieces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(stored_post: StoredPost) -> None:
        raise StoreUnreachableError(f"no answer about {stored_post.post_key}", maybe_processed=False)

    with monkeypatch.context() as patch:
        patch.setattr(StoredPost, "verify_claim", away)
        patch.setattr(
            video_posts, "init_video", lambda post, source, _: init_video(post, source, lambda: None)
        )
        with pytest.raises(StoreUnreachableError):
            publish(six_pieces).execute(task.context)
    assert (len(creator.calls("/upload")), creator.sandbox.feed()) == (1, [])
    assert publish(six_pieces).execute(task.next_try().context)["status"] == "PUBLISH_COMPLETE"
    assert len(creator.sandbox.feed()) == 1


def test_the_own_deadline_makes_a_post_uncertain_although_its_lease_has_not_ended(
    creator: Creator, task: Task, clip: Path
) -> None:
    creator.sandbox.set_switches(processing_seconds=600)
    with pytest.raises(UncertainPostError):
        publish(clip, timeout=0.1).execute(task.context)
    assert state(task) == PostState.UNCERTAIN


@pytest.mark.parametrize("heard", [PostState.OUT, PostState.UNCERTAIN])
def test_a_try_that_has_sent_the_last_byte_succeeds_although_another_task_was_faster_to_record_an_outcome(
    creator: Creator, task: Task, clip: Path, monkeypatch: pytest.MonkeyPatch, heard: PostState
) -> None:
    send = Upload.send

    def send_and_record(upload: Upload, chunk: Any) -> None:
        send(upload, chunk)
        record_outcome(task, heard, by=task)

    monkeypatch.setattr(Upload, "send", send_and_record)
    assert publish(clip).execute(task.context)["status"] == "PUBLISH_COMPLETE"
    assert len(creator.sandbox.feed()) == 1


def test_bytes_that_tiktok_has_confirmed_are_not_missed_although_that_could_not_be_recorded(
    creator: Creator, task: Task, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = StoredPost.write

    def away(stored_post: StoredPost, step: PostStep) -> Any:
        if step.type == "progress" and step.sent_bytes == clip.stat().st_size:
            raise StoreAnswerError("a proxy answers in its place")
        return write(stored_post, step)

    monkeypatch.setattr(StoredPost, "write", away)
    monkeypatch.setattr("tiktok_provider.publishing.post_record.PATIENCE", 0.0)
    assert deferred(creator, task, clip)["size"] is None
    assert task.record
    assert task.record.sent_bytes == 0


@pytest.mark.usefixtures("no_waiting")
def test_a_task_that_has_left_its_worker_goes_on_with_its_own_post_whatever_its_templates_say_now(
    creator: Creator, task: Task, clip: Path
) -> None:
    creator.sandbox.add_fault("lost_answer", path="/upload", times=4)
    creator.sandbox.add_fault("status", path=STATUS, status=429, headers={"Retry-After": "30"})
    with pytest.raises(TaskDeferred) as left:
        publish(clip, deferrable=True, post_key="spring").execute(task.context)
    assert left.value.method_name == "execute_again"
    with pytest.raises(TaskDeferred):
        publish(clip, deferrable=True, post_key="summer").execute_again(
            task.context, None, **(left.value.kwargs or {})
        )
    assert len(creator.sandbox.feed()) == 1


def test_a_pull_that_stood_still_before_its_init_is_stopped(
    creator: Creator, task: Task, media_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease has ended; a person has said that nothing is there, and the next try has posted."""
    tries = iter([task])

    def stand_still(post: Any, source: Any, check: Callable[[], object]) -> Any:
        if stopped := next(tries, None):
            pass_in_the_record(lease_until=ago(seconds=1))
            second = stopped.next_try()
            with pytest.raises(UncertainPostError):
                pull(media_url).execute(second.context)
            resolve(stopped, posted=False)
            pull(media_url).execute(second.next_try().context)
            # A minute has passed on its clock, too.
            check.__self__._confirmed_at -= 61  # type: ignore[attr-defined]
        return init_video(post, source, check)

    monkeypatch.setattr(video_posts, "init_video", stand_still)
    with pytest.raises(PostTakenError):
        pull(media_url).execute(task.context)
    assert len(creator.sandbox.feed()) == 2, "the source and one pull"
    assert state(task) == PostState.OUT


@pytest.mark.parametrize("resolved", [False, True])
def test_a_publish_id_that_comes_late_makes_an_uncertain_pull_certain(
    creator: Creator, task: Task, media_url: str, monkeypatch: pytest.MonkeyPatch, resolved: bool
) -> None:
    """TikTok has taken longer to answer init than the lease lasts, and another task has come for the same post."""
    other, run = replace(task, run_id="other"), TikTokHook.run
    slow = iter([True])

    def answer_late(hook: TikTokHook, call: Any, *arguments: Any) -> Any:
        answer = run(hook, call, *arguments)
        if getattr(answer, "publish_id", "").startswith("v_pub_url") and next(slow, False):
            pass_in_the_record(lease_until=ago(seconds=1))
            with pytest.raises(UncertainPostError):
                pull(media_url, post_key="pull").execute(other.context)
            if resolved:
                in_store(PostService().resolve(CONN_ID, "pull", posted=False, actor="anna"))
        return answer

    monkeypatch.setattr(TikTokHook, "run", answer_late)
    result = pull(media_url, post_key="pull").execute(task.context)
    assert result["status"] == "PUBLISH_COMPLETE"
    again = pull(media_url, post_key="pull").execute(other.next_try().context)
    assert (again["publish_id"], again["reused"]) == (result["publish_id"], True)
    assert len(creator.sandbox.feed()) == 2, "the source and one pull"


def test_an_uncertain_post_is_no_success_without_waiting_either(
    creator: Creator, task: Task, clip: Path
) -> None:
    publish(clip, wait=False).execute(task.context)
    record_outcome(task, PostState.UNCERTAIN, by=task)
    creator.sandbox.add_fault("error", path=STATUS, code="internal_error", times=None)
    with pytest.raises(UncertainPostError, match="has not said how it ends"):
        publish(clip, wait=False).execute(task.next_try().context)


def test_a_publish_id_that_tiktok_has_forgotten_is_no_success_without_waiting_either(
    creator: Creator, task: Task, clip: Path
) -> None:
    publish(clip, wait=False).execute(task.context)
    pass_in_the_record(finishing_at=ago(minutes=20))
    creator.sandbox.add_fault("error", path=STATUS, code="invalid_publish_id", times=None)
    with pytest.raises(UncertainPostError):
        publish(clip, wait=False).execute(task.next_try().context)
    assert state(task) == PostState.UNCERTAIN


def test_a_post_in_the_inbox_fails_each_time_without_waiting_too(
    creator: Creator, task: Task, clip: Path
) -> None:
    publish(clip, wait=False).execute(task.context)
    says(creator, status="SEND_TO_USER_INBOX")
    for _ in range(2):
        task = task.next_try()
        with pytest.raises(PostInInboxError):
            publish(clip, wait=False).execute(task.context)
    creator.sandbox.clear_faults()
    creator.sandbox.add_fault("error", path=STATUS, code="internal_error", times=None)
    with pytest.raises(PostInInboxError):
        publish(clip, wait=False).execute(task.next_try().context)


@pytest.mark.parametrize("resent", [True, False])
def test_the_timeout_counts_from_the_last_byte(
    creator: Creator,
    task: Task,
    six_pieces: Path,
    at_each_piece: Callable[[Pieces], None],
    resent: bool,
) -> None:
    creator.sandbox.set_switches(processing_seconds=600)
    if resent:
        die_at_upload(creator, task, six_pieces, after=0)
        task = task.next_try()
        pass_in_the_record(finishing_at=ago(minutes=20))
    else:
        at_each_piece(lambda *_: pass_in_the_record(finishing_at=ago(minutes=20)))
    with pytest.raises(TaskDeferred) as left:
        publish(six_pieces, deferrable=True, timeout=600).execute(task.context)
    assert state(task) == PostState.FINISHING
    step = on_status(left.value.trigger.watch, PostStatus(status="PROCESSING_UPLOAD"), time.time())
    assert isinstance(step, PollAgain)


def test_a_post_that_a_person_has_seen_says_that_it_is_complete(
    creator: Creator, task: Task, clip: Path
) -> None:
    creator.sandbox.set_switches(processing_seconds=600)
    with pytest.raises(UncertainPostError):
        publish(clip, timeout=0.1).execute(task.context)
    resolve(task, posted=True)
    assert publish(clip).execute(task.next_try().context)["status"] == "PUBLISH_COMPLETE"


def test_a_storage_that_fails_stops_no_post_for_which_nothing_can_be_sent_any_more(
    creator: Creator, task: Task, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(clip, wait=False).execute(task.context)

    def away(video: VideoFile) -> os.stat_result:
        raise OSError(f"The storage of {video.location} is away.")

    monkeypatch.setattr(VideoFile, "_status", away)
    with pytest.raises(OSError, match="is away"):
        publish(clip).execute(task.next_try().context)
    pass_in_the_record(url_expires_at=ago(minutes=20))
    assert publish(clip).execute(task.next_try().context)["status"] == "PUBLISH_COMPLETE"
    assert len(creator.calls(INIT)) == 1


def test_a_post_that_is_forgotten_while_it_is_waited_for_is_not_posted_again_by_itself(
    creator: Creator, task: Task, clip: Path
) -> None:
    publish_id = deferred(creator, task, clip)["publish_id"]
    record_outcome(task, PostState.OUT)
    assert task.record
    in_store(PostService().forget(CONN_ID, task.record.post_key, actor="anna"))
    done = Outcome(publish_id, "done", {"status": "PUBLISH_COMPLETE", "post_ids": ["7"], "fail_reason": ""})
    with pytest.raises(PostError, match="was forgotten while this task waited") as failure:
        publish(clip, deferrable=True).execute_complete(task.context, done.to_event())
    assert "Nothing was sent" not in str(failure.value)
    assert TikTokRetryPolicy().evaluate(failure.value, 1, 3).action.name == "FAIL"


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("status", [307, 407, 408, 425])
def test_what_a_proxy_says_to_a_chunk_is_waited_out(
    creator: Creator, task: Task, clip: Path, status: int
) -> None:
    creator.sandbox.add_fault("status", path="/upload", status=status)
    assert publish(clip).execute(task.context)["status"] == "PUBLISH_COMPLETE"
    assert (len(creator.calls(INIT)), len(creator.sandbox.feed())) == (1, 1)


def test_the_question_of_another_task_whose_deadline_has_come_asks_no_person(
    creator: Creator, task: Task, clip: Path
) -> None:
    creator.sandbox.set_switches(processing_seconds=600)
    deferred(creator, task, clip)
    other = replace(task, run_id="other")
    assert task.record
    with pytest.raises(PostTimeoutError) as failure:
        publish(clip, post_key=task.record.post_key, timeout=0.1).execute(other.context)
    assert not isinstance(failure.value, UncertainPostError)
    assert state(task) == PostState.FINISHING
