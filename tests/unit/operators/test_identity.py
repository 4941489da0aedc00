"""One intent is one post: what a task may return, and what it must refuse, without a second post."""

import asyncio
import re
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from tests.unit.conftest import CONN_ID, Creator, Task
from tests.unit.operators.test_publish_video import INIT, publish, pull
from tiktok_provider.database.posts.service import PostService
from tiktok_provider.exceptions import TooLateError
from tiktok_provider.operators.map_label import set_map_label
from tiktok_provider.publishing.post_record import StoredPost
from tiktok_provider.store.errors import PostConflictError
from tiktok_provider.store.posts import Claimed, PostClaim, PostState
from tiktok_sandbox.clips import make_clip

DAY = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture
def other_clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "other.mp4", seconds=4)


def feed(creator: Creator) -> int:
    return len(creator.sandbox.feed())


def test_a_list_that_gains_a_first_entry_posts_the_new_one_alone(
    creator: Creator, task: Task, clip: Path, other_clip: Path, tmp_path: Path
) -> None:
    third = make_clip(tmp_path / "third.mp4", seconds=5)
    for index, video in enumerate([clip, other_clip]):
        publish(video).execute(replace(task, map_index=index).context)
    again = [
        publish(video).execute(replace(task, map_index=index, try_number=2, id=f"again {index}").context)
        for index, video in enumerate([third, clip, other_clip])
    ]
    assert [result["reused"] for result in again] == [False, True, True]
    assert feed(creator) == 3


def test_two_videos_under_one_post_key_are_no_success(
    creator: Creator, task: Task, clip: Path, other_clip: Path
) -> None:
    publish(clip, post_key="launch").execute(task.context)
    with pytest.raises(PostConflictError) as conflict:
        publish(other_clip, post_key="launch").execute(replace(task, logical_date=None).context)
    message = str(conflict.value)
    assert str(clip) in message
    assert str(other_clip) in message
    assert len(message.splitlines()[0]) <= 85
    assert feed(creator) == 1


def test_a_conflict_can_be_left_by_another_post_key(
    creator: Creator, task: Task, clip: Path, other_clip: Path
) -> None:
    publish(clip, post_key="launch").execute(task.context)
    assert publish(other_clip, post_key="launch 2").execute(task.context)["reused"] is False
    assert feed(creator) == 2


def test_a_conflict_can_be_left_by_saying_that_both_are_the_same_post(
    creator: Creator, task: Task, clip: Path, other_clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = publish(clip, post_key="launch").execute(task.context)
    result = publish(other_clip, post_key="launch", on_post_key_conflict="reuse").execute(task.context)
    assert (result["publish_id"], result["reused"], feed(creator)) == (first["publish_id"], True, 1)
    assert f"{clip} is returned in place of {other_clip}" in caplog.text


def test_a_conflict_can_be_left_by_the_command_that_it_names(
    creator: Creator, task: Task, clip: Path, other_clip: Path
) -> None:
    publish(clip, post_key="launch").execute(task.context)
    with pytest.raises(PostConflictError) as conflict:
        publish(other_clip, post_key="launch").execute(task.context)
    command = re.search(r"airflow tiktok forget (\S+) (\S+)", str(conflict.value))
    assert command
    asyncio.run(PostService().forget(*command.groups(), actor="mia"))
    assert publish(other_clip, post_key="launch").execute(task.next_try().context)["reused"] is False
    assert feed(creator) == 2


@pytest.mark.parametrize("other", [{"dag_id": "other"}, {"task_id": "other"}], ids=["dag", "task"])
def test_a_post_key_that_another_dag_or_task_uses_is_no_success(
    creator: Creator, task: Task, clip: Path, other: dict[str, Any]
) -> None:
    publish(clip, post_key="launch").execute(task.context)
    with pytest.raises(PostConflictError, match="is the key of another post"):
        publish(clip, post_key="launch").execute(replace(task, **other).context)
    assert feed(creator) == 1


def test_a_post_key_whose_post_failed_may_be_used_by_another_task_which_then_owns_it(
    creator: Creator, task: Task, clip: Path, other_clip: Path
) -> None:
    creator.sandbox.add_fault("error", path=INIT, code="spam_risk_user_banned_from_posting")
    with pytest.raises(Exception, match="banned"):
        publish(clip, post_key="launch").execute(task.context)
    other = replace(task, task_id="other", id="other")
    assert publish(other_clip, post_key="launch").execute(other.context)["reused"] is False
    assert publish(other_clip, post_key="launch").execute(other.next_try().context)["reused"] is True
    with pytest.raises(PostConflictError):
        publish(clip, post_key="launch").execute(task.next_try().context)
    assert feed(creator) == 1


def test_another_post_that_takes_the_key_right_before_the_claim_is_no_success(
    creator: Creator, task: Task, clip: Path, other_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    creator.sandbox.set_switches(processing_seconds=600)
    claim, other, is_first = StoredPost.claim, replace(task, task_id="other", id="other"), iter([True])

    def claim_late(stored_post: StoredPost, wanted: PostClaim) -> Claimed:
        if next(is_first, False):
            publish(clip, post_key="launch", wait=False).execute(other.context)
        return claim(stored_post, wanted)

    monkeypatch.setattr(StoredPost, "claim", claim_late)
    with pytest.raises(PostConflictError, match="is the key of another post"):
        publish(other_clip, post_key="launch", wait=False).execute(task.context)
    assert creator.calls(INIT) == [INIT]


@pytest.mark.parametrize(
    "renamed", [{"dag_id": "renamed"}, {"task_id": "group.publish"}], ids=["dag", "task group"]
)
def test_a_renamed_dag_or_a_moved_task_does_not_post_its_slot_again(
    creator: Creator, task: Task, clip: Path, tmp_path: Path, renamed: dict[str, Any]
) -> None:
    publish(clip).execute(task.context)
    copy = Path(shutil.copy(clip, tmp_path / "copy.mp4"))
    moved = replace(task, id="moved", **renamed)
    with pytest.raises(PostConflictError) as conflict:
        publish(copy).execute(moved.context)
    assert f"task 'publish' of DAG 'spring', date {DAY.isoformat()}" in str(conflict.value)
    assert len(str(conflict.value).splitlines()[0]) <= 85
    assert (feed(creator), creator.calls(INIT)) == (1, [INIT])


def test_the_ways_out_of_a_duplicate_lead_out(creator: Creator, task: Task, clip: Path) -> None:
    first = publish(clip).execute(task.context)
    moved = replace(task, dag_id="renamed", id="moved")
    with pytest.raises(PostConflictError) as conflict:
        publish(clip).execute(moved.context)
    named = re.search(r"post_key='(\w+)' and on_post_key_conflict=\"reuse\"", str(conflict.value))
    assert named
    result = publish(clip, post_key=named[1], on_post_key_conflict="reuse").execute(moved.next_try().context)
    assert (result["publish_id"], result["reused"], feed(creator)) == (first["publish_id"], True, 1)
    assert publish(clip, allow_duplicate=True).execute(moved.next_try().context)["reused"] is False
    assert feed(creator) == 2


def test_what_is_under_way_is_not_begun_a_second_time(creator: Creator, task: Task, clip: Path) -> None:
    creator.sandbox.set_switches(processing_seconds=600)
    publish(clip, wait=False).execute(task.context)
    with pytest.raises(PostConflictError, match="finishing"):
        publish(clip, wait=False).execute(replace(task, task_id="other", id="other").context)
    assert creator.calls(INIT) == [INIT]


def test_what_has_failed_may_be_posted_by_another_task(creator: Creator, task: Task, clip: Path) -> None:
    creator.sandbox.add_fault("error", path=INIT, code="spam_risk_user_banned_from_posting")
    with pytest.raises(Exception, match="banned"):
        publish(clip).execute(task.context)
    moved = replace(task, dag_id="renamed", id="moved")
    assert publish(clip).execute(moved.context)["reused"] is False
    with pytest.raises(PostConflictError):
        publish(clip).execute(task.next_try().context)
    assert feed(creator) == 1


def test_the_same_video_in_another_slot_goes_out_with_a_warning(
    creator: Creator, task: Task, clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    publish(clip).execute(task.context)
    publish(clip).execute(replace(task, logical_date=DAY + timedelta(days=1), id="next day").context)
    assert feed(creator) == 2
    assert "The same media are on record as post" in caplog.text


def test_a_pull_that_is_signed_again_is_the_same_post(creator: Creator, task: Task, clip: Path) -> None:
    publish(clip, post_key="source", wait=False).execute(task.context)
    [post] = creator.sandbox.feed()
    first = pull(f"{post['media_url']}?X-Amz-Signature=a").execute(task.context)
    again = pull(f"{post['media_url']}?X-Amz-Signature=b").execute(task.next_try().context)
    assert (again["publish_id"], again["reused"]) == (first["publish_id"], True)


def test_a_post_that_is_out_with_another_caption_names_how_to_post_the_new_one(
    creator: Creator, task: Task, clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    publish(clip, title="Old").execute(task.context)
    assert publish(clip, title="New").execute(task.next_try().context)["reused"] is True
    assert "title is now 'New', on record is 'Old'" in caplog.text
    assert (
        f"set another post_key and allow_duplicate=True; or run airflow tiktok forget {CONN_ID}"
        in caplog.text
    )
    assert feed(creator) == 1


def test_a_copy_of_the_file_is_no_change(creator: Creator, task: Task, clip: Path, tmp_path: Path) -> None:
    publish(clip).execute(task.context)
    copy = Path(shutil.copy(clip, tmp_path / "copy.mp4"))
    again = publish(copy, on_changed_input="fail").execute(task.next_try().context)
    assert (again["reused"], feed(creator)) == (True, 1)


def test_a_task_that_has_left_keeps_its_key_whatever_its_list_says_now(
    creator: Creator, task: Task, clip: Path, other_clip: Path
) -> None:
    mapped = replace(task, map_index=0)
    operator = publish(clip, wait=False)
    key = operator.execute(mapped.context)["post_key"]
    assert operator._rendered()["post_key"] == key
    later = publish(other_clip)
    later._keep_to(key, None)
    assert later._key(mapped.context) == key
    assert feed(creator) == 1


class TestLateness:
    """A backlog that ``catchup`` brings."""

    @staticmethod
    def scheduled(task: Task, late: timedelta) -> Task:
        return replace(task, run_type="scheduled", run_after=datetime.now(UTC) - late)

    def test_a_slot_that_is_too_old_is_skipped_and_nothing_is_sent(
        self, creator: Creator, task: Task, clip: Path
    ) -> None:
        late = self.scheduled(task, timedelta(days=3))
        with pytest.raises(AirflowSkipException, match="too late by max_lateness: nothing was sent"):
            publish(clip, max_lateness=timedelta(hours=6)).execute(late.context)
        assert (creator.calls(), late.record) == ([], None)

    def test_it_fails_the_task_if_that_is_wanted(self, creator: Creator, task: Task, clip: Path) -> None:
        late = self.scheduled(task, timedelta(days=3))
        with pytest.raises(TooLateError) as error:
            publish(clip, max_lateness=3600, on_late="fail").execute(late.context)
        assert len(str(error.value).splitlines()[0]) <= 85
        assert creator.calls() == []

    @pytest.mark.parametrize("run_type", ["manual", "backfill", "operator_triggered"])
    def test_a_run_that_a_person_asks_for_is_never_too_late(
        self, creator: Creator, task: Task, clip: Path, run_type: str
    ) -> None:
        asked_for = replace(self.scheduled(task, timedelta(days=3)), run_type=run_type)
        publish(clip, max_lateness=60).execute(asked_for.context)
        assert feed(creator) == 1

    def test_a_slot_that_is_young_enough_is_published(self, creator: Creator, task: Task, clip: Path) -> None:
        publish(clip, max_lateness=timedelta(days=4)).execute(self.scheduled(task, timedelta(days=3)).context)
        assert feed(creator) == 1

    @pytest.mark.usefixtures("creator")
    def test_a_post_that_is_out_stays_a_success(self, task: Task, clip: Path) -> None:
        publish(clip).execute(task.context)
        late = self.scheduled(task.next_try(), timedelta(days=3))
        assert publish(clip, max_lateness=60, on_late="fail").execute(late.context)["reused"] is True

    def test_a_post_whose_last_attempt_failed_is_not_begun_again_too_late(
        self, creator: Creator, task: Task, clip: Path
    ) -> None:
        creator.sandbox.add_fault("error", path=INIT, code="spam_risk_user_banned_from_posting")
        with pytest.raises(Exception, match="banned"):
            publish(clip).execute(task.context)
        with pytest.raises(AirflowSkipException):
            publish(clip, max_lateness=60).execute(self.scheduled(task.next_try(), timedelta(days=3)).context)
        assert task.record
        assert (task.record.state, feed(creator)) == (PostState.FAILED, 0)


@pytest.mark.parametrize(
    ("map_index", "given", "shown"),
    [(0, {}, "{{ task.map_label }}"), (-1, {}, None), (2, {"map_index_template": "mine"}, "mine")],
)
def test_a_mapped_task_is_shown_by_its_file_and_caption(
    task: Task, clip: Path, map_index: int, given: dict[str, str], shown: str | None
) -> None:
    context: Any = {**replace(task, map_index=map_index).context, **given}
    operator = publish(clip, title="Hello\n world")
    set_map_label(context)
    assert context.get("map_index_template") == shown
    assert operator.map_label == f"{clip.name} Hello world"
    assert len(publish(clip, title="x" * 2000).map_label) == 250


def test_the_label_of_a_mapped_pull_shows_no_signature() -> None:
    assert pull("https://media.example/a.mp4?X-Amz-Signature=secret", title="Hi").map_label == "a.mp4 Hi"
