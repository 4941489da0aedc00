"""From a task whose post is uncertain, through the command that its error names, to the cleared task."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.conftest import Terminal
from tests.unit.conftest import CONN_ID, Creator, Task
from tiktok_provider.operators.publish_video import TikTokPublishVideoOperator
from tiktok_provider.publishing.waiting.uncertain import UncertainPostError

INIT = "/v2/post/publish/video/init/"


def publish(**media: str) -> TikTokPublishVideoOperator:
    return TikTokPublishVideoOperator(
        task_id="publish",
        privacy_level="PUBLIC_TO_EVERYONE",
        deferrable=False,
        post_key="sku-42",
        **media,
    )


@pytest.fixture
def media_url(creator: Creator, task: Task, clip: Path) -> str:
    """A video that TikTok can pull: what the sandbox was given, it serves."""
    other = TikTokPublishVideoOperator(
        task_id="other", privacy_level="PUBLIC_TO_EVERYONE", deferrable=False, video=str(clip)
    )
    other.execute(task.context)
    [post] = creator.sandbox.feed()
    return str(post["media_url"])


def made_uncertain(creator: Creator, task: Task, media_url: str, fault: str, **how: Any) -> list[str]:
    """Let a task end in doubt; returns the command that it names, without the choice."""
    creator.sandbox.add_fault(fault, path=INIT, **how)
    with pytest.raises(UncertainPostError) as failure:
        publish(video_url=media_url).execute(task.context)
    named = re.search(r"Resolve it: airflow tiktok (.+?) --posted", str(failure.value))
    assert named
    return shlex.split(named[1])


def test_what_a_person_finds_on_tiktok_is_returned_by_the_cleared_task(
    creator: Creator, task: Task, media_url: str, terminal: Terminal
) -> None:
    command = made_uncertain(creator, task, media_url, "lost_answer")
    assert [row["post_key"] for row in terminal.run("posts", "--state", "uncertain").rows] == ["sku-42"]
    post_id = next(post["post_id"] for post in creator.sandbox.feed() if post["media_url"] != media_url)
    assert terminal.run(*command, "--posted", str(post_id)).code == 0
    result = publish(video_url=media_url).execute(task.next_try().context)
    assert (result["post_ids"], result["status"], result["reused"]) == ([post_id], "PUBLISH_COMPLETE", True)
    assert (len(creator.sandbox.feed()), len(creator.calls(INIT))) == (2, 2)


def test_what_a_person_does_not_find_is_posted_once_by_the_cleared_task(
    creator: Creator, task: Task, media_url: str, terminal: Terminal
) -> None:
    command = made_uncertain(creator, task, media_url, "cut", after_bytes=10)
    assert len(creator.sandbox.feed()) == 1
    assert terminal.run(*command, "--not-posted").code == 0
    result = publish(video_url=media_url).execute(task.next_try().context)
    assert (result["status"], result["reused"]) == ("PUBLISH_COMPLETE", False)
    assert len(creator.sandbox.feed()) == 2


def test_a_cleared_task_posts_again_only_after_its_post_is_forgotten(
    creator: Creator, task: Task, clip: Path, terminal: Terminal
) -> None:
    publish(video=str(clip)).execute(task.context)
    again = task.next_try()
    assert publish(video=str(clip)).execute(again.context)["reused"]
    assert terminal.run("forget", CONN_ID, "sku-42", "--yes").code == 0
    assert not publish(video=str(clip)).execute(again.next_try().context)["reused"]
    assert len(creator.sandbox.feed()) == 2
