"""Events on the asset of all posts: one for each post, and one for what is learnt of it later."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
from airflow.models.asset import AssetActive, AssetAliasModel, AssetEvent, AssetModel
from airflow.sdk import AssetAlias, Context
from airflow.sdk.execution_time.context import OutletEventAccessors
from sqlalchemy import delete, select, update

from tests.unit.conftest import CONN_ID, Creator, Task, use_up
from tests.unit.operators.test_publish_video import STATUS, publish
from tiktok_provider.assets import POSTS
from tiktok_provider.database.posts.service import PostService
from tiktok_provider.database.session import transaction
from tiktok_provider.database.tables import PostRow
from tiktok_provider.store.posts import Claimant, PostOutcome, PostRecord, PostState
from tiktok_provider.store.rate_limits import Endpoint

OUTLETS = [AssetAlias(POSTS)]


@pytest.fixture(autouse=True)
def no_asset_of_another_test(creator: Creator) -> Iterator[None]:  # noqa: ARG001
    yield
    with transaction() as session:
        for event in session.scalars(select(AssetEvent)):
            session.delete(event)
        for model in (AssetActive, AssetAliasModel, AssetModel):
            session.execute(delete(model))


def run(task: Task, clip: Path, **parameters: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Publish; return the task's result and the extras of the events that Airflow would send with its success."""
    events = OutletEventAccessors()
    operator = publish(clip, **{"outlets": OUTLETS, **parameters})
    result = operator.execute(cast(Context, {**task.context, "outlet_events": events}))
    added = [event for accessor in events._dict.values() for event in accessor.asset_alias_events]
    assert {event.dest_asset_key.uri for event in added} <= {"tiktok://posts"}
    return cast(dict[str, Any], result), [event.extra for event in added]


def other_run(task: Task) -> Task:
    return replace(task, run_id="another", logical_date=None, id=str(uuid4()), xcom={})


def late_events() -> list[dict[str, Any]]:
    """Return the extras of the events that the store has sent."""
    with transaction() as session:
        found = session.scalars(select(AssetEvent).order_by(AssetEvent.id))
        assert all(event.source_task_id is None for event in found)
        return [event.extra for event in session.scalars(select(AssetEvent).order_by(AssetEvent.id))]


def test_a_post_that_is_out_is_an_event_with_its_ids_and_link(task: Task, clip: Path) -> None:
    result, events = run(task, clip)
    assert events == [
        {
            "account": CONN_ID,
            "publish_id": result["publish_id"],
            "post_ids": result["post_ids"],
            "post_url": result["post_url"],
            "post_key": result["post_key"],
            "late": False,
        }
    ]
    assert result["post_url"]
    assert late_events() == []


def test_a_clear_and_another_run_of_the_same_post_are_no_events(task: Task, clip: Path) -> None:
    _, first = run(task, clip, post_key="sku-42")
    _, cleared = run(task.next_try(), clip, post_key="sku-42")
    _, other = run(other_run(task), clip, post_key="sku-42")
    assert (len(first), cleared, other) == (1, [], [])


def test_a_post_of_an_earlier_run_whose_task_had_no_outlet_is_no_event(task: Task, clip: Path) -> None:
    run(task, clip, post_key="sku-42", outlets=[])
    _, events = run(other_run(task), clip, post_key="sku-42")
    assert events == []
    assert late_events() == []


def test_a_try_that_was_cut_off_before_its_success_leaves_the_event_to_the_next_one(
    task: Task, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(*_: object, **__: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr("tiktok_provider.publishing.post_record.StoredPost.announce", cut_off)
        with pytest.raises(SystemExit):
            run(task, clip)
    assert task.record
    assert task.record.state == PostState.OUT
    result, events = run(task.next_try(), clip)
    assert [event["post_ids"] for event in events] == [result["post_ids"]]


def test_a_lost_answer_of_the_store_does_not_lose_the_event(task: Task, clip: Path) -> None:
    first = run(task, clip)
    assert run(task, clip)[1] == first[1], "the same try asks again"


def test_two_runs_that_wait_for_one_post_are_one_event(creator: Creator, task: Task, clip: Path) -> None:
    creator.sandbox.set_switches(processing_seconds=600)
    run(task, clip, post_key="sku-42", wait=False, outlets=[])
    creator.sandbox.advance(600)
    _, first = run(task.next_try(), clip, post_key="sku-42")
    _, second = run(other_run(task), clip, post_key="sku-42")
    assert (len(first), second) == (1, [])


def seen_out(task: Task, hours: float) -> PostRecord:
    """Make it so long ago that the task's post came out."""
    record = task.record
    assert record
    with transaction() as session:
        moment = datetime.now(UTC) - timedelta(hours=hours)
        session.execute(update(PostRow).where(PostRow.post_key == record.post_key).values(out_at=moment))
    return record


def publish_without_id(creator: Creator, task: Task, clip: Path) -> list[dict[str, Any]]:
    creator.sandbox.set_switches(moderation_seconds=3600)
    result, events = run(task, clip, wait_for_post_id=False)
    assert (result["status"], result["post_ids"]) == ("PUBLISH_COMPLETE", [])
    creator.sandbox.advance(3600)
    creator.sandbox.set_switches(moderation_seconds=0)
    return events


def test_a_later_task_of_the_account_finds_an_id_that_was_late_and_the_store_sends_its_event(
    creator: Creator, task: Task, clip: Path
) -> None:
    [first] = publish_without_id(creator, task, clip)
    assert (first["post_ids"], first["late"]) == ([], False)
    seen_out(task, hours=1)
    run(other_run(task), clip, allow_duplicate=True)
    record = task.record
    assert record
    post_id = creator.sandbox.feed()[0]["post_id"]
    assert record.post_ids == (post_id,)
    [event] = late_events()
    assert event == {**first, "post_ids": [post_id], "post_url": record.post_url, "late": True}
    assert str(record.post_url).endswith(f"/@mia/video/{post_id}")


@pytest.mark.parametrize(("hours", "asked"), [(0.1, 0), (1.0, 1), (80.0, 0)])
def test_only_what_is_late_and_not_given_up_is_asked_for(
    creator: Creator, task: Task, clip: Path, hours: float, asked: int
) -> None:
    publish_without_id(creator, task, clip)
    seen_out(task, hours)
    before = len(creator.calls(STATUS))
    run(other_run(task), clip, allow_duplicate=True)
    assert len(creator.calls(STATUS)) - before == 1 + asked


def test_calls_that_tasks_need_are_left_to_them(creator: Creator, task: Task, clip: Path) -> None:
    publish_without_id(creator, task, clip)
    seen_out(task, hours=1)
    use_up(Endpoint.STATUS, leave=3)
    run(other_run(task), clip, allow_duplicate=True)
    assert task.record
    assert task.record.post_ids == ()


def test_what_cannot_be_asked_of_earlier_posts_fails_no_task(
    creator: Creator, task: Task, clip: Path
) -> None:
    publish_without_id(creator, task, clip)
    seen_out(task, hours=1)
    creator.sandbox.add_fault("status", path=STATUS, status=400, skip=1, times=9)
    result, _ = run(other_run(task), clip, allow_duplicate=True)
    assert result["status"] == "PUBLISH_COMPLETE"


def test_a_post_for_which_no_task_waits_is_an_event_once_the_store_learns_that_it_is_out(
    task: Task, clip: Path
) -> None:
    result, events = run(task, clip, wait=False)
    assert (result["status"], events) == ("PROCESSING_UPLOAD", [])
    told = PostOutcome(publish_id=result["publish_id"], state=PostState.OUT, post_ids=("75",))
    for _ in range(2):
        [record] = asyncio.run(record_by_publish_id(told))
    assert record.state == PostState.OUT
    assert [(event["post_ids"], event["late"]) for event in late_events()] == [(["75"], True)]


async def record_by_publish_id(outcome: PostOutcome, open_id: str = "") -> list[PostRecord]:
    return await PostService().record_by_publish_id(outcome, open_id=open_id)


def test_what_is_told_of_another_account_or_of_an_unknown_post_changes_nothing(
    task: Task, clip: Path
) -> None:
    result, _ = run(task, clip, wait=False)
    told = PostOutcome(publish_id=result["publish_id"], state=PostState.OUT)
    assert asyncio.run(record_by_publish_id(told, open_id="of somebody else")) == []
    assert asyncio.run(record_by_publish_id(replace(told, publish_id="v_pub~0"))) == []
    assert task.record
    assert task.record.state == PostState.FINISHING


def test_an_event_that_airflow_cannot_take_does_not_keep_the_post_from_its_record(
    task: Task, clip: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    result, _ = run(task, clip, wait=False)

    def refuse(**_: object) -> None:
        raise RuntimeError("no room for events")

    monkeypatch.setattr("tiktok_provider.database.posts.events.asset_manager.register_asset_change", refuse)
    told = PostOutcome(publish_id=result["publish_id"], state=PostState.OUT, post_ids=("75",))
    [record] = asyncio.run(record_by_publish_id(told))
    assert (record.state, late_events()) == (PostState.OUT, [])
    assert "could not be sent" in caplog.text


def test_of_two_tries_that_hand_a_post_on_together_the_first_one_tells_of_it(task: Task, clip: Path) -> None:
    result, _ = run(task, clip, outlets=[])

    async def announce(try_id: str, waited: bool = True) -> bool:
        claimant = Claimant(task="of another run", try_number=1, try_id=try_id)
        return await PostService().announce(CONN_ID, result["post_key"], claimant, waited=waited)

    answers = [asyncio.run(announce(*asked)) for asked in (("a", False), ("b",), ("c",), ("b",))]
    assert answers == [False, True, False, True]
