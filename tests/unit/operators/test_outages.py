"""An outage costs a task its worker for a moment only, and no try."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from tests.unit.conftest import Creator, Task
from tests.unit.operators.test_publish_video import INIT, publish, state
from tests.unit.operators.test_sent_posts import deferred
from tiktok_provider.exceptions import ServiceError, UnreachableError
from tiktok_provider.operators.creator_info import TikTokCreatorInfoOperator
from tiktok_provider.publishing.post_record import StoredPost
from tiktok_provider.publishing.waiting.polling import Outcome
from tiktok_provider.store.errors import StoreUnreachableError
from tiktok_provider.store.posts import PostState

CREATOR_INFO = "/v2/post/publish/creator_info/query/"
UPLOAD = "/upload"

pytestmark = pytest.mark.usefixtures("no_waiting")


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch, no_patience: None) -> None:  # noqa: ARG001  (it comes first)
    """What a user has who sets nothing."""
    monkeypatch.delenv("AIRFLOW__TIKTOK__OUTAGE_PATIENCE")


def leaves(run: Any) -> dict[str, Any]:
    """Return what a task keeps that leaves its worker for a time."""
    with pytest.raises(TaskDeferred) as left:
        run()
    assert left.value.method_name == "execute_again"
    return dict(left.value.kwargs or {})


def ago(**passed: float) -> str:
    return (datetime.now(UTC) - timedelta(**passed)).isoformat()


@pytest.mark.parametrize("path", [CREATOR_INFO, INIT, UPLOAD])
@pytest.mark.parametrize("fault", [{"action": "status", "status": 503}, {"action": "cut", "after_bytes": 0}])
def test_a_task_waits_an_outage_out_away_from_its_worker(
    creator: Creator, task: Task, clip: Path, path: str, fault: dict[str, Any]
) -> None:
    creator.sandbox.set_switches(rate_limits=False)
    creator.sandbox.add_fault(path=path, times=None, **fault)
    kept = leaves(lambda: publish(clip, deferrable=True).execute(task.context))
    assert kept["outage_since"]
    kept["outage_since"] = ago(minutes=61)
    again = leaves(lambda: publish(clip, deferrable=True).execute_again(task.context, **kept))
    assert again["outage_since"] == kept["outage_since"]
    creator.sandbox.clear_faults()
    publish(clip, wait=False, deferrable=True).execute_again(task.context, **again)
    assert len(creator.sandbox.feed()) == 1


def test_an_outage_of_more_than_two_hours_fails_the_try(creator: Creator, task: Task, clip: Path) -> None:
    creator.sandbox.add_fault("status", path=CREATOR_INFO, status=503, times=None)
    with pytest.raises(ServiceError):
        publish(clip, deferrable=True).execute_again(task.context, outage_since=ago(hours=2, minutes=1))


def test_without_deferral_a_task_waits_on_its_worker(
    creator: Creator, task: Task, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    creator.sandbox.add_fault("status", path=CREATOR_INFO, status=503, times=None)
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            creator.sandbox.clear_faults()

    clock = SimpleNamespace(sleep=sleep, time=datetime.now(UTC).timestamp)
    monkeypatch.setattr("tiktok_provider.operators.base.time", clock)
    assert publish(clip).execute(task.context)["status"] == "PUBLISH_COMPLETE"
    assert len(slept) == 3
    assert min(slept) >= 30


def test_a_store_that_is_away_when_the_outcome_is_known_is_waited_for(
    creator: Creator, task: Task, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_id = deferred(creator, task, clip)["publish_id"]
    done = Outcome(publish_id, "done", {"status": "PUBLISH_COMPLETE"}).to_event()

    def away(stored_post: StoredPost) -> None:
        raise StoreUnreachableError(f"no answer about {stored_post.post_key}", maybe_processed=True)

    with monkeypatch.context() as broken:
        broken.setattr(StoredPost, "read_existing", away)
        kept = leaves(lambda: publish(clip, deferrable=True).execute_complete(task.context, done))
    creator.sandbox.advance(600)
    result = publish(clip).execute_again(task.context, **kept)
    assert (result["publish_id"], result["status"]) == (publish_id, "PUBLISH_COMPLETE")


def test_an_upload_that_was_cut_off_by_an_outage_goes_on_with_the_same_publish_id(
    creator: Creator, task: Task, large_clip: Path
) -> None:
    creator.sandbox.add_fault("lost_answer", path=UPLOAD, times=None, skip=1)
    creator.sandbox.add_fault("status", path="/v2/post/publish/status/", status=503, times=None)
    kept = leaves(lambda: publish(large_clip, deferrable=True).execute(task.context))
    assert state(task) == PostState.FINISHING
    creator.sandbox.clear_faults()
    publish(large_clip, wait=False).execute_again(task.context, **kept)
    assert (len(creator.calls(INIT)), len(creator.sandbox.feed())) == (1, 1)


def test_a_question_to_the_creator_waits_an_outage_out_too(creator: Creator, task: Task) -> None:
    creator.sandbox.add_fault("lost_answer", path=CREATOR_INFO, times=None)
    ask = TikTokCreatorInfoOperator(task_id="ask")
    kept = leaves(lambda: ask.execute(task.context))
    with pytest.raises(UnreachableError):
        ask.execute_again(task.context, outage_since=ago(hours=3))
    creator.sandbox.clear_faults()
    assert ask.execute_again(task.context, **kept)["creator_username"] == "mia"
