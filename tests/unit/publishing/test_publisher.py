"""The publisher takes any kind of post, and leaves its claim to others whenever it leaves."""

from pathlib import Path

import pytest

from tests.unit.conftest import Creator, Task, use_up
from tests.unit.publishing.sessions import INIT, claim, direct_video, session_of
from tiktok_provider.exceptions import InvalidInputError
from tiktok_provider.hooks.tiktok import TikTokHook
from tiktok_provider.publishing.deferral import DeferTask
from tiktok_provider.publishing.media.video_file import VideoFile
from tiktok_provider.publishing.media.video_url import VideoUrl
from tiktok_provider.publishing.publisher import Publisher
from tiktok_provider.publishing.video_posts import DraftVideo
from tiktok_provider.store.posts import PostState
from tiktok_provider.store.rate_limits import Endpoint

INBOX_INIT = "/v2/post/publish/inbox/video/init/"
CREATOR_INFO = "/v2/post/publish/creator_info/query/"


def test_a_new_kind_of_post_is_one_value(creator: Creator, hook: TikTokHook, task: Task, clip: Path) -> None:
    draft = DraftVideo(VideoFile(clip))
    sent = Publisher(session_of(hook, task, draft)).publish()
    assert (creator.calls(INBOX_INIT), creator.calls(INIT), creator.calls(CREATOR_INFO)) == (
        [INBOX_INIT],
        [],
        [],
    )
    assert (sent.record.state, sent.reused) == (PostState.FINISHING, False)
    assert hook.post_status(str(sent.record.publish_id)).status == "SEND_TO_USER_INBOX"
    again = Publisher(session_of(hook, task.next_try(), draft)).publish()
    assert (again.record.publish_id, again.reused) == (sent.record.publish_id, True)


def test_a_new_kind_of_post_may_be_pulled(creator: Creator, hook: TikTokHook, task: Task, clip: Path) -> None:
    Publisher(session_of(hook, task, direct_video(VideoFile(clip)))).publish()
    [post] = creator.sandbox.feed()
    draft = DraftVideo(VideoUrl(post["media_url"]))
    sent = Publisher(session_of(hook, task, draft, post_key="draft")).publish()
    assert (sent.record.state, sent.record.source) == (PostState.FINISHING, "url")
    assert creator.calls(INBOX_INIT) == [INBOX_INIT]


@pytest.mark.parametrize("endpoint", [Endpoint.INIT, Endpoint.CREATOR_INFO])
def test_a_try_that_leaves_for_the_rate_limit_releases_its_claim(
    creator: Creator, hook: TikTokHook, task: Task, clip: Path, endpoint: Endpoint
) -> None:
    use_up(endpoint)
    session = session_of(hook, task, direct_video(VideoFile(clip)))
    with pytest.raises(DeferTask):
        Publisher(session).publish()
    record = session.stored_post.read()
    assert record
    assert (record.state, record.lease_until, creator.calls(INIT)) == (PostState.CLAIMED, None, [])


def test_a_second_try_that_leaves_for_the_rate_limit_in_its_upload_releases_its_claim(
    creator: Creator, hook: TikTokHook, task: Task, clip: Path
) -> None:
    creator.sandbox.add_fault("status", path="/upload", status=307, times=None)
    request = direct_video(VideoFile(clip))
    with pytest.raises(Exception, match="307"):
        Publisher(session_of(hook, task, request)).publish()
    creator.sandbox.clear_faults()
    use_up(Endpoint.STATUS)
    session = session_of(hook, task.next_try(), request)
    with pytest.raises(DeferTask):
        Publisher(session).publish()
    record = session.stored_post.read()
    assert record
    assert (record.state, record.lease_until) == (PostState.FINISHING, None)


def test_a_post_that_another_task_has_claimed_is_left_to_it_for_half_a_minute_at_most(
    hook: TikTokHook, task: Task, clip: Path
) -> None:
    request = direct_video(VideoFile(clip))
    claim(session_of(hook, Task(task_id="other"), request))
    with pytest.raises(DeferTask, match="another task is publishing the same post") as pause:
        Publisher(session_of(hook, task, request)).publish()
    assert pause.value.seconds == 30.0


def test_nothing_is_claimed_for_a_request_that_cannot_go_out(
    hook: TikTokHook, task: Task, tmp_path: Path
) -> None:
    session = session_of(hook, task, direct_video(VideoFile(tmp_path / "missing.mp4"), title="x" * 2201))
    with pytest.raises(InvalidInputError) as refusal:
        Publisher(session).publish()
    assert len(refusal.value.violations) == 2
    assert session.stored_post.read() is None
