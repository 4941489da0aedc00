"""Posts that TikTok has, or may have: they are waited for, whatever else is missing or refused."""

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from tests.unit.conftest import CONN_ID, Creator, Task
from tests.unit.operators.test_publish_video import INIT, STATUS, die_at_upload, publish, pull, state
from tiktok_provider.api.oauth import TokenResponse
from tiktok_provider.database.accounts.service import AccountService
from tiktok_provider.exceptions import InvalidInputError, PostFailedError, PostUncertainError, TikTokError
from tiktok_provider.hooks.store_access import open_store
from tiktok_provider.publishing.post_record import StoredPost
from tiktok_provider.publishing.rate_limit import RateLimiter
from tiktok_provider.publishing.waiting.polling import Outcome, Watch
from tiktok_provider.publishing.waiting.uncertain import UncertainPostError
from tiktok_provider.store.errors import AccountChangedError
from tiktok_provider.store.posts import Intend, MarkFailed, PostOutcome, PostState, Start
from tiktok_provider.store.rate_limits import Endpoint
from tiktok_provider.store.requests import RecordOutcome, WritePost
from tiktok_provider.store.serialization import StoreAnswerError
from tiktok_provider.triggers.post_status import deferral
from tiktok_sandbox.clips import make_clip


@pytest.fixture
def video(clip: Path, tmp_path: Path) -> Path:
    """A file that can go away."""
    copy = tmp_path / "video.mp4"
    copy.write_bytes(clip.read_bytes())
    return copy


def deferred(creator: Creator, task: Task, video: Path) -> dict[str, Any]:
    """Publish until the task waits; return the arguments of its trigger."""
    creator.sandbox.set_switches(processing_seconds=600)
    with pytest.raises(TaskDeferred) as deferral:
        publish(video, deferrable=True).execute(task.context)
    arguments: dict[str, Any] = deferral.value.trigger.serialize()[1]
    return arguments


def test_bytes_that_tiktok_has_confirmed_are_never_missed_again(
    creator: Creator, task: Task, clip: Path
) -> None:
    arguments = deferred(creator, task, clip)
    assert arguments["size"] is None
    record = task.record
    assert record
    assert (record.state, record.sent_bytes) == (PostState.FINISHING, clip.stat().st_size)


@pytest.mark.usefixtures("no_waiting")
def test_bytes_that_tiktok_has_not_confirmed_can_turn_out_to_be_missing(
    creator: Creator, task: Task, clip: Path
) -> None:
    creator.sandbox.add_fault("lost_answer", path="/upload", times=None)
    assert deferred(creator, task, clip)["size"] == clip.stat().st_size


def test_a_post_that_tiktok_has_is_waited_for_although_its_file_is_gone(
    creator: Creator, task: Task, video: Path
) -> None:
    first = publish(video, wait=False).execute(task.context)
    video.unlink()
    again = publish(video).execute(task.next_try().context)
    assert (again["publish_id"], again["status"]) == (first["publish_id"], "PUBLISH_COMPLETE")
    assert len(creator.calls(INIT)) == 1


def test_a_post_that_is_not_at_tiktok_needs_its_file(creator: Creator, task: Task, video: Path) -> None:
    creator.sandbox.add_fault("error", path=INIT, code="invalid_params")
    with pytest.raises(TikTokError, match="invalid_params"):
        publish(video).execute(task.context)
    video.unlink()
    with pytest.raises(InvalidInputError, match="does not exist"):
        publish(video).execute(task.next_try().context)


@pytest.mark.usefixtures("no_waiting")
def test_a_refusal_after_a_last_chunk_that_may_have_arrived_starts_no_new_attempt(
    creator: Creator, task: Task, clip: Path
) -> None:
    size = clip.stat().st_size
    # The answer is lost, status fails, the repetition is told of a progress before it, and then the URL ends.
    creator.sandbox.add_fault("lost_answer", path="/upload", times=1)
    creator.sandbox.add_fault("error", path=STATUS, code="timeout")
    stale = {"Content-Range": f"bytes 0-0/{size}"}
    creator.sandbox.add_fault("status", path="/upload", status=416, headers=stale)
    creator.sandbox.add_fault("status", path="/upload", status=403)
    result = publish(clip).execute(task.context)
    assert result["status"] == "PUBLISH_COMPLETE"
    assert (len(creator.calls(INIT)), len(creator.sandbox.feed())) == (1, 1)
    assert [call["status"] for call in creator.sandbox.requests("/upload")] == [None, 416, 403]


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("code", ["invalid_publish_id", "internal_error"])
def test_a_question_about_the_progress_that_fails_ends_no_upload(
    creator: Creator, task: Task, clip: Path, code: str
) -> None:
    creator.sandbox.add_fault("status", path="/upload", status=503, times=2)
    creator.sandbox.add_fault("error", path=STATUS, code=code)
    assert publish(clip).execute(task.context)["status"] == "PUBLISH_COMPLETE"
    assert len(creator.calls(INIT)) == 1


@pytest.mark.usefixtures("no_waiting")
def test_a_chunk_that_comes_too_early_for_tiktok_is_sent_again_in_the_same_try(
    creator: Creator, task: Task, clip: Path
) -> None:
    before = creator.sandbox.now()
    creator.sandbox.add_fault("status", path="/upload", status=429, headers={"Retry-After": "25"})
    assert publish(clip).execute(task.context)["status"] == "PUBLISH_COMPLETE"
    assert (len(creator.calls(INIT)), len(creator.calls("/upload"))) == (1, 2)
    assert creator.sandbox.now() - before >= 25


def test_what_another_task_knows_better_than_the_wait_counts(
    creator: Creator, task: Task, clip: Path
) -> None:
    deferred(creator, task, clip)
    record = task.record
    assert record
    out = PostOutcome(publish_id=str(record.publish_id), state=PostState.OUT, post_ids=("7",))
    with open_store(CONN_ID) as store:
        store.run(RecordOutcome(record.post_key, out))
    late = Outcome(str(record.publish_id), "deadline", {"status": "PROCESSING_UPLOAD"}).to_event()
    result = publish(clip).execute_complete(task.context, late)
    assert (result["post_ids"], result["reused"]) == (["7"], True)


def test_a_wait_for_an_attempt_that_failed_goes_on_with_the_one_after_it(
    creator: Creator, task: Task, clip: Path
) -> None:
    deferred(creator, task, clip)
    record = task.record
    assert record
    with open_store(CONN_ID) as store:
        key, generation = record.post_key, record.generation
        store.run(WritePost(key, generation, MarkFailed(reason="a test")))
        intend = Intend(source="file", fingerprint=record.fingerprint, content=record.content)
        store.run(WritePost(key, generation, intend))
        store.run(WritePost(key, generation, Start(publish_id="p.2", finishing=False)))
    failed = Outcome(str(record.publish_id), "failed", {"status": "FAILED", "fail_reason": "internal"})
    with pytest.raises(TaskDeferred) as deferral:
        publish(clip, deferrable=True).execute_complete(task.context, failed.to_event())
    assert deferral.value.method_name == "execute_again"


def test_an_attempt_that_failed_and_is_the_last_one_fails_the_task(
    creator: Creator, task: Task, clip: Path
) -> None:
    publish_id = deferred(creator, task, clip)["publish_id"]
    failed = Outcome(publish_id, "failed", {"status": "FAILED", "fail_reason": "internal"})
    with pytest.raises(PostFailedError):
        publish(clip, deferrable=True).execute_complete(task.context, failed.to_event())


def test_a_deadline_that_has_passed_gives_airflow_no_timeout_in_the_past() -> None:
    watch = Watch("p.1", "post_id", time.time() - 200_000, time.time() - 100_000)
    assert deferral(CONN_ID, watch)["timeout"].total_seconds() == 600


def test_the_last_chunk_is_not_sent_again_where_a_changed_caption_is_to_fail(
    creator: Creator, task: Task, clip: Path
) -> None:
    die_at_upload(creator, task, clip, after=0)
    assert state(task) == PostState.FINISHING
    operator = publish(clip, title="Other", on_changed_input="fail")
    with pytest.raises(InvalidInputError, match="title is now 'Other', on record is ''"):
        operator.execute(task.next_try().context)
    assert creator.sandbox.feed() == []


def test_an_init_of_a_file_that_was_cut_off_can_be_followed_by_a_pull(
    creator: Creator, task: Task, clip: Path
) -> None:
    creator.sandbox.add_fault("lost_answer", path=INIT)
    with pytest.raises(TikTokError):
        publish(clip).execute(task.context)
    assert state(task) == PostState.INTENDED
    publish(clip, post_key="first", allow_duplicate=True).execute(task.context)
    [post] = creator.sandbox.feed()
    pull(post["media_url"]).execute(task.next_try().context)
    assert len(creator.sandbox.feed()) == 2


def test_a_signed_url_that_tiktok_repeats_is_in_no_error(creator: Creator, task: Task) -> None:
    url = f"{creator.sandbox.url}/clip.mp4?signature=made-up-signature"
    body = {"data": {}, "error": {"code": "invalid_params", "message": f"cannot pull {url}", "log_id": "L"}}
    creator.sandbox.add_fault("status", path=INIT, status=400, body=body)
    with pytest.raises(TikTokError) as failure:
        pull(url).execute(task.context)
    record = task.record
    assert record
    assert "made-up-signature" not in f"{failure.value} {record.fail_reason}"


def test_a_429_is_waited_out_although_the_store_is_away(
    creator: Creator, task: Task, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise StoreAnswerError("a proxy answers in its place")

    creator.sandbox.add_fault("status", path=INIT, status=429, headers={"Retry-After": "30"})
    monkeypatch.setattr("tiktok_provider.publishing.rate_limit.PauseCalls", away)
    with pytest.raises(TaskDeferred) as deferral:
        publish(clip, deferrable=True).execute(task.context)
    assert deferral.value.method_name == "execute_again"


def failed(publish_id: str) -> dict[str, Any]:
    """Return the answer to a status call about a post that TikTok has given up."""
    return {
        "data": {"status": "FAILED", "fail_reason": "internal", "publish_id": publish_id},
        "error": {"code": "ok", "message": "", "log_id": "made-up"},
    }


def test_a_post_that_no_task_waited_for_and_that_has_failed_can_be_tried_again(
    creator: Creator, task: Task, clip: Path
) -> None:
    first = publish(clip, wait=False).execute(task.context)
    body = failed(first["publish_id"])
    creator.sandbox.add_fault("status", path=STATUS, status=200, body=body, times=None)
    cleared = task.next_try()
    with pytest.raises(PostFailedError, match="internal"):
        publish(clip, wait=False).execute(cleared.context)
    assert state(task) == PostState.FAILED
    creator.sandbox.clear_faults()
    again = publish(clip, wait=False).execute(cleared.next_try().context)
    assert (again["reused"], again["publish_id"] != first["publish_id"]) == (False, True)


def test_a_post_that_no_task_waits_for_is_returned_as_it_is_while_tiktok_works(
    creator: Creator, task: Task, clip: Path
) -> None:
    creator.sandbox.set_switches(processing_seconds=600)
    first = publish(clip, wait=False).execute(task.context)
    again = publish(clip, wait=False).execute(task.next_try().context)
    assert again == {**first, "reused": True}
    assert len(creator.calls(INIT)) == 1


def go_over(creator: Creator, username: str) -> None:
    """Let the Connection go over to another TikTok account, as a person at the command line can."""
    other = creator.sandbox.create_account(username=username, nickname=username)
    given = creator.sandbox.issue_tokens(creator.app, other)
    tokens = TokenResponse(
        access_token=given.access_token,
        refresh_token=given.refresh_token,
        expires_in=86400,
        refresh_expires_in=31536000,
        open_id=other.open_id,
        scope=given.scope,
    )
    with ThreadPoolExecutor(1) as thread:
        connecting = AccountService().connect(CONN_ID, tokens, actor="anna", username=username)
        thread.submit(asyncio.run, connecting).result()


@pytest.mark.parametrize("endpoint", [Endpoint.INIT, Endpoint.CREATOR_INFO])
def test_a_connection_that_goes_over_to_another_account_takes_no_post_along(
    creator: Creator, task: Task, clip: Path, monkeypatch: pytest.MonkeyPatch, endpoint: Endpoint
) -> None:
    take = RateLimiter.take
    left = iter(["leo"])

    def take_and_go_over(self: RateLimiter, wanted: Endpoint) -> None:
        take(self, wanted)
        if wanted is endpoint and (username := next(left, None)):
            go_over(creator, username)

    monkeypatch.setattr(RateLimiter, "take", take_and_go_over)
    with pytest.raises(AccountChangedError, match="now belongs to another TikTok account"):
        publish(clip).execute(task.context)
    assert creator.calls(INIT) == []
    with pytest.raises(AccountChangedError):
        publish(clip).execute(task.next_try().context)


@pytest.mark.parametrize("known", [True, False])
def test_a_post_that_was_begun_for_one_account_is_not_sent_with_tokens_of_another(
    creator: Creator, task: Task, clip: Path, known: bool
) -> None:
    if not known:
        creator.connect(extra={"open_id": ""})
    creator.sandbox.add_fault("error", path=INIT, code="internal_error")
    with pytest.raises(TikTokError, match="internal_error"):
        publish(clip).execute(task.context)
    leo = creator.sandbox.create_account(username="leo", nickname="Leo")
    given = creator.sandbox.issue_tokens(creator.app, leo)
    pasted = {"access_token": given.access_token, "refresh_token": given.refresh_token, "open_id": ""}
    creator.connect(extra=pasted)
    with pytest.raises(AccountChangedError):
        publish(clip).execute(task.next_try().context)
    assert len(creator.calls(INIT)) == 1


def during_upload(monkeypatch: pytest.MonkeyPatch, at_piece: int, happens: Callable[[], object]) -> None:
    """Let something happen before a megabyte of the file leaves."""
    pieces = iter(range(1, 1000))

    def renew(self: StoredPost) -> None:  # noqa: ARG001
        if next(pieces) == at_piece:
            happens()

    monkeypatch.setattr(StoredPost, "renew_if_due", renew)


@pytest.fixture
def six_megabytes(tmp_path: Path) -> Path:
    """A video in one chunk, of six pieces."""
    return make_clip(tmp_path / "six.mp4", seconds=1, pad_to_bytes=6_000_000)


def render_again(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.seek(3_500_000)
        opened.write(b"Z" * 1000)


def vanish(file: Path) -> None:
    # As object storage says it, of which no part is held open.
    file.unlink()
    raise FileNotFoundError("The specified key does not exist")


@pytest.mark.parametrize(
    ("at_piece", "happens", "said"),
    [
        pytest.param(3, render_again, "has changed since it was checked", id="written again"),
        pytest.param(
            2, lambda file: os.truncate(file, 2_500_000), "has changed while it was sent", id="shorter"
        ),
        pytest.param(2, vanish, "does not exist", id="gone"),
    ],
)
def test_a_file_that_changes_while_its_only_chunk_is_sent_is_not_published_and_can_be_sent_again(
    creator: Creator,
    task: Task,
    six_megabytes: Path,
    monkeypatch: pytest.MonkeyPatch,
    at_piece: int,
    happens: Callable[[Path], object],
    said: str,
) -> None:
    during_upload(monkeypatch, at_piece, lambda: happens(six_megabytes))
    with pytest.raises(InvalidInputError, match=said) as refusal:
        publish(six_megabytes).execute(task.context)
    assert "Its last byte was not sent" in str(refusal.value)
    assert "Nothing was sent" not in str(refusal.value)
    assert (state(task), creator.sandbox.feed()) == (PostState.FAILED, [])
    make_clip(six_megabytes, seconds=1, pad_to_bytes=6_500_000)
    publish(six_megabytes).execute(task.next_try().context)
    assert len(creator.sandbox.feed()) == 1


def test_a_wait_goes_on_with_its_own_post_although_templates_say_otherwise_by_now(
    creator: Creator, task: Task, clip: Path
) -> None:
    creator.sandbox.set_switches(processing_seconds=600)
    with pytest.raises(TaskDeferred) as left:
        publish(clip, deferrable=True, post_key="spring").execute(task.context)
    publish_id = left.value.trigger.serialize()[1]["publish_id"]
    done = Outcome(publish_id, "done", {"status": "PUBLISH_COMPLETE", "post_ids": ["7"], "fail_reason": ""})
    operator = publish(clip, deferrable=True, post_key="summer", tiktok_conn_id="another")
    result = operator.execute_complete(task.context, done.to_event(), **(left.value.kwargs or {}))
    assert (result["post_key"], result["post_ids"]) == ("spring", ["7"])


def test_a_question_that_is_refused_says_nothing_of_the_post_and_asks_no_person(
    creator: Creator, task: Task, clip: Path
) -> None:
    publish_id = deferred(creator, task, clip)["publish_id"]
    refused = Outcome(publish_id, "refused", {}, {"message": "Connection 'x' is of type 'http'."})
    with pytest.raises(PostUncertainError, match="clear this task: it goes on with the same post") as error:
        publish(clip).execute_complete(task.context, refused.to_event())
    assert not isinstance(error.value, UncertainPostError)
    assert state(task) == PostState.FINISHING
