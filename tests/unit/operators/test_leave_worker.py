"""For how long a task leaves its worker."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from airflow.providers.standard.triggers.temporal import DateTimeTrigger
from airflow.sdk.exceptions import TaskDeferred

from tests.unit.conftest import CONN_ID, Creator, Task
from tiktok_provider.operators.publish_video import TikTokPublishVideoOperator
from tiktok_provider.store.rate_limits import Cap
from tiktok_provider.triggers.cap import TikTokCapTrigger

INIT = "/v2/post/publish/video/init/"


def test_a_task_leaves_its_worker_for_long_enough_that_airflow_notices(
    creator: Creator, task: Task, clip: Path
) -> None:
    creator.sandbox.add_fault("status", path=INIT, status=429, headers={"Retry-After": "1"})
    publish = TikTokPublishVideoOperator(
        task_id="publish", video=clip, privacy_level="PUBLIC_TO_EVERYONE", deferrable=True
    )
    began = datetime.now(UTC)
    with pytest.raises(TaskDeferred) as deferral:
        publish.execute(task.context)
    assert isinstance(deferral.value.trigger, DateTimeTrigger)
    assert deferral.value.trigger.moment >= began + timedelta(seconds=10)


def test_a_task_that_waits_for_a_cap_learns_that_its_account_was_reopened(
    creator: Creator, task: Task, clip: Path
) -> None:
    creator.sandbox.update_account(creator.open_id, daily_post_cap=0)
    publish = TikTokPublishVideoOperator(
        task_id="publish", video=clip, privacy_level="PUBLIC_TO_EVERYONE", deferrable=True
    )
    with pytest.raises(TaskDeferred) as deferral:
        publish.execute(task.context)
    assert isinstance(deferral.value.trigger, TikTokCapTrigger)
    assert (deferral.value.trigger.tiktok_conn_id, deferral.value.trigger.cap) == (CONN_ID, Cap.POSTS)
    assert deferral.value.method_name == "execute_again"


def test_a_task_that_waits_for_tiktok_says_first_until_when(creator: Creator, task: Task, clip: Path) -> None:
    creator.sandbox.set_switches(processing_seconds=600)
    publish = TikTokPublishVideoOperator(
        task_id="publish", video=clip, privacy_level="PUBLIC_TO_EVERYONE", timeout=timedelta(hours=2)
    )
    said: list[str] = []
    publish.log.info = lambda text, *values: said.append(text % values)  # type: ignore[method-assign]
    with pytest.raises(TaskDeferred):
        publish.execute(task.context)
    assert re.match(r"Until \d\d:\d\d UTC \((2 h 0|1 h 59|120) min\) at the latest: waiting", said[-1])
