"""The link of a task to its post."""

from pathlib import Path
from typing import cast

import pytest
from airflow.sdk.types import TaskInstanceKey

from tests.unit.conftest import Creator, Task
from tiktok_provider.exceptions import InvalidInputError
from tiktok_provider.links import TikTokPostLink
from tiktok_provider.operators.publish_video import TikTokPublishVideoOperator


def link(operator: TikTokPublishVideoOperator, task: Task) -> str:
    """Return what Airflow asks for when the task has ended; nothing but the task is there to ask."""
    return TikTokPostLink().get_link(operator, ti_key=cast(TaskInstanceKey, task))


def operator(video: Path) -> TikTokPublishVideoOperator:
    return TikTokPublishVideoOperator(
        task_id="publish", video=video, privacy_level="PUBLIC_TO_EVERYONE", deferrable=False
    )


def test_a_task_that_has_published_leads_to_its_post(creator: Creator, task: Task, clip: Path) -> None:
    published = operator(clip)
    result = published.execute(task.context)
    assert link(published, task) == result["post_url"] == creator.sandbox.feed()[0]["page_url"]


@pytest.mark.usefixtures("creator")
def test_a_task_that_fails_early_asks_for_nothing_that_is_not_there(task: Task, tmp_path: Path) -> None:
    failed = operator(tmp_path / "missing.mp4")
    with pytest.raises(InvalidInputError):
        failed.execute(task.context)
    assert link(failed, task) == ""
