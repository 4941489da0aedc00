"""The error of an uncertain post gives a person all that is needed to resolve it."""

from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException

from tests.unit.conftest import CONN_ID, Creator, Task
from tests.unit.publishing.sessions import direct_video, session_of
from tiktok_provider.hooks.tiktok import TikTokHook
from tiktok_provider.publishing.media.video_file import VideoFile
from tiktok_provider.publishing.publisher import Publisher
from tiktok_provider.publishing.waiting.uncertain import uncertain_post
from tiktok_provider.store.posts import PostRecord, PostState


def record(post_key: str = "sku-42") -> PostRecord:
    return PostRecord(
        conn_id=CONN_ID,
        post_key=post_key,
        state=PostState.UNCERTAIN,
        generation=1,
        kind="video",
        source="url",
        fingerprint="f",
        publish_id="p.1",
    )


def test_it_fails_the_task_without_retries_and_names_the_commands(hook: TikTokHook) -> None:
    error = uncertain_post(hook, record(), "TikTok's answer to init was lost.")
    assert isinstance(error, AirflowFailException)
    assert error.publish_id == "p.1"
    command = f"airflow tiktok resolve {CONN_ID} sku-42"
    assert f"{command} --posted [POST_ID or URL]\nor: {command} --not-posted\n" in str(error)
    assert str(error).startswith(
        "TikTok's answer to init was lost.\nThe post may be out, and is not sent again."
    )
    assert "shows no public video" in str(error)


def test_a_post_key_that_a_shell_would_split_is_quoted(hook: TikTokHook) -> None:
    error = uncertain_post(hook, record("spring; rm -r"), "It happened.")
    assert f"resolve {CONN_ID} 'spring; rm -r' --posted" in str(error)


def test_it_names_the_newest_public_videos(hook: TikTokHook, task: Task, clip: Path) -> None:
    sent = Publisher(session_of(hook, task, direct_video(VideoFile(clip), title="x" * 60))).publish()
    [post_id] = hook.post_status(str(sent.record.publish_id)).post_ids
    shown = str(uncertain_post(hook, record(), "It happened."))
    assert f"newest public videos: {post_id} of " in shown
    assert f"UTC '{'x' * 40}'" in shown


def test_a_list_that_cannot_be_had_is_no_obstacle(creator: Creator, hook: TikTokHook) -> None:
    creator.sandbox.add_fault("error", path="/v2/video/list/", code="scope_not_authorized", times=None)
    shown = str(uncertain_post(hook, record(), "It happened."))
    assert "could not be listed" in shown
    assert "--not-posted" in shown


@pytest.mark.parametrize("what", ["It happened.", "TikTok has forgotten it."])
def test_it_begins_with_what_has_happened(hook: TikTokHook, what: str) -> None:
    assert str(uncertain_post(hook, record(), what)).startswith(what)
