"""For how long a task leaves its worker."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from airflow.providers.standard.triggers.temporal import DateTimeTrigger
from airflow.sdk.exceptions import TaskDeferred

from tests.unit.conftest import Creator, Task
from tiktok_provider.operators.publish_video import TikTokPublishVideoOperator

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
