"""A pull that TikTok is asked to stop when a person ends the task, and only then."""

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.sdk.exceptions import TaskDeferred
from airflow.utils.state import TaskInstanceState
from sqlalchemy import delete, insert

from tests.unit.conftest import CONN_ID, Creator, Task
from tests.unit.operators.test_publish_video import publish, pull
from tiktok_provider.database.session import transaction
from tiktok_provider.hooks.tiktok import TikTokHook
from tiktok_provider.triggers.post_status import TikTokPostStatusTrigger

CANCEL = "/v2/post/publish/cancel/"
Leave = Callable[..., TikTokPostStatusTrigger]


@pytest.fixture
def leave(creator: Creator, task: Task, clip: Path) -> Leave:
    """Return a function that lets a task wait for a slow pull, and returns its trigger."""
    publish(clip, post_key="source").execute(task.context)
    [source] = creator.sandbox.feed()
    creator.sandbox.set_switches(pull_bytes_per_second=1)

    def leave(**parameters: Any) -> TikTokPostStatusTrigger:
        operator = pull(
            source["media_url"],
            deferrable=True,
            allow_duplicate=True,
            **{"cancel_on_kill": True, **parameters},
        )
        with pytest.raises(TaskDeferred) as left:
            operator.execute(task.context)
        _, arguments = left.value.trigger.serialize()
        return TikTokPostStatusTrigger(**arguments)

    return leave


@pytest.fixture
def in_airflow(task: Task) -> Iterator[Callable[[TaskInstanceState | None], None]]:
    """Return a function that gives the task instance a state in Airflow's database."""

    def put(state: TaskInstanceState | None) -> None:
        ids = {"dag_id": task.dag_id, "run_id": task.run_id}
        run = {"run_type": "manual", "run_after": datetime.now(UTC), "state": "running"}
        instance = {"id": UUID(task.id), "task_id": task.task_id, "pool": "default_pool", "state": state}
        with transaction() as session:
            session.execute(insert(DagRun).values(**ids, **run))
            session.execute(insert(TaskInstance).values(**ids, **instance, map_index=-1, pool_slots=1))

    yield put
    with transaction() as session:
        session.execute(delete(TaskInstance))
        session.execute(delete(DagRun))


Put = Callable[[TaskInstanceState | None], None]


@pytest.mark.parametrize("state", [TaskInstanceState.FAILED, TaskInstanceState.SUCCESS])
def test_a_pull_is_stopped_when_a_person_marks_the_task(
    leave: Leave, in_airflow: Put, creator: Creator, state: TaskInstanceState
) -> None:
    trigger = leave()
    in_airflow(state)
    asyncio.run(trigger.on_kill())
    assert creator.calls(CANCEL) == [CANCEL]
    with TikTokHook(CONN_ID) as hook:
        status = hook.post_status(trigger.watch.publish_id)
    assert (status.status, status.fail_reason) == ("FAILED", "publish_cancelled")


def test_a_pull_is_stopped_when_a_person_clears_the_task(leave: Leave, creator: Creator) -> None:
    # A clear gives the task instance another id: the old one is gone.
    asyncio.run(leave().on_kill())
    assert creator.calls(CANCEL) == [CANCEL]


def test_a_pull_goes_on_when_another_triggerer_takes_over(
    leave: Leave, in_airflow: Put, creator: Creator
) -> None:
    trigger = leave()
    in_airflow(TaskInstanceState.DEFERRED)
    asyncio.run(trigger.on_kill())
    assert creator.calls(CANCEL) == []


def test_a_pull_goes_on_when_its_task_is_on_a_worker_again(
    leave: Leave, in_airflow: Put, creator: Creator
) -> None:
    trigger = leave()
    in_airflow(TaskInstanceState.RUNNING)
    asyncio.run(trigger.on_kill())
    assert creator.calls(CANCEL) == []


def test_a_pull_that_another_try_holds_by_now_goes_on(leave: Leave, task: Task, creator: Creator) -> None:
    trigger = leave()
    task.try_number, task.id = task.try_number + 1, str(UUID(int=7))
    leave()
    asyncio.run(trigger.on_kill())
    assert creator.calls(CANCEL) == []


def test_without_the_wish_nothing_is_stopped(leave: Leave, creator: Creator) -> None:
    asyncio.run(leave(cancel_on_kill=False).on_kill())
    assert creator.calls(CANCEL) == []


def test_an_upload_is_never_stopped(creator: Creator, task: Task, clip: Path) -> None:
    creator.sandbox.set_switches(processing_seconds=600)
    with pytest.raises(TaskDeferred) as left:
        publish(clip, deferrable=True, cancel_on_kill=True).execute(task.context)
    assert json.loads(json.dumps(left.value.trigger.serialize()[1]))["cancel_for"] == ""


def test_a_store_that_does_not_answer_stops_nothing(
    leave: Leave, creator: Creator, monkeypatch: pytest.MonkeyPatch
) -> None:
    trigger = leave()
    monkeypatch.setenv("AIRFLOW__TIKTOK__STORE_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("tiktok_provider.hooks.store_access.store_is_in_process", lambda: False)
    asyncio.run(trigger.on_kill())
    assert creator.calls(CANCEL) == []


def test_a_pull_that_is_too_far_along_is_said_so_and_raises_nothing(
    leave: Leave, creator: Creator, caplog: pytest.LogCaptureFixture
) -> None:
    trigger = leave()
    creator.sandbox.add_fault("error", path=CANCEL, code="publish_not_cancellable")
    asyncio.run(trigger.on_kill())
    assert "does not stop its pull" in caplog.text
