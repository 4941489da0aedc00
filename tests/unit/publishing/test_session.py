"""A session shows its request as it is now."""

from pathlib import Path

from tests.unit.conftest import Task
from tests.unit.publishing.sessions import direct_video, session_of
from tiktok_provider.hooks.tiktok import TikTokHook
from tiktok_provider.publishing.media.video_file import VideoFile
from tiktok_provider.publishing.session import PublishingSession


def test_fingerprint_and_content_are_those_of_the_request(hook: TikTokHook, task: Task, clip: Path) -> None:
    session = session_of(hook, task, direct_video(VideoFile(clip), title="Hello"))
    assert session.fingerprint == VideoFile(clip).fingerprint
    assert (session.content["title"], session.content["disable_duet"]) == ("Hello", True)


def test_a_wait_is_the_one_that_the_session_was_given(hook: TikTokHook, task: Task, clip: Path) -> None:
    slept: list[float] = []
    given = session_of(hook, task, direct_video(VideoFile(clip)))
    PublishingSession(hook, given.stored_post, given.rate_limiter, given.request, sleep=slept.append).wait(
        7.0
    )
    assert slept == [7.0]
