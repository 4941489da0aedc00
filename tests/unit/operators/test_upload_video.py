"""Video drafts through the sandbox: delivered, posted by the creator, counted while they wait in the inbox."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from airflow.sdk.exceptions import TaskDeferred
from sqlalchemy import update

from tests.unit.conftest import CONN_ID, Creator, Task
from tiktok_provider.database.rate_limits.service import RateLimitService
from tiktok_provider.database.session import transaction
from tiktok_provider.database.tables import PostRow
from tiktok_provider.exceptions import (
    AccountClosedError,
    ConnectionSettingsError,
    InvalidInputError,
    PostFailedError,
    PostTimeoutError,
)
from tiktok_provider.hooks.store_access import open_store
from tiktok_provider.operators.publish_video import TikTokPublishVideoOperator
from tiktok_provider.operators.upload_video import TikTokUploadVideoOperator
from tiktok_provider.store.posts import PostState
from tiktok_provider.store.rate_limits import MAX_PENDING_DRAFTS, PER_MINUTE, Cap, Endpoint
from tiktok_provider.store.requests import GetClosures, GetUnfinishedDrafts
from tiktok_provider.triggers.cap import TikTokCapTrigger

INIT = "/v2/post/publish/inbox/video/init/"
CREATOR_INFO = "/v2/post/publish/creator_info/query/"
STATUS = "/v2/post/publish/status/fetch/"

pytestmark = pytest.mark.usefixtures("no_waiting")


@pytest.fixture(autouse=True)
def calls_enough(creator: Creator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let several posts be made within a minute."""
    creator.sandbox.set_switches(rate_limits=False)
    for endpoint in Endpoint:
        monkeypatch.setitem(PER_MINUTE, endpoint, 1000)


def upload(clip: Path, **parameters: Any) -> TikTokUploadVideoOperator:
    return TikTokUploadVideoOperator(task_id="draft", video=clip, **{"deferrable": False, **parameters})


def post_draft(creator: Creator, publish_id: str, times: int = 1) -> None:
    """Do what the creator does in the app."""
    for _ in range(times):
        answer = httpx.post(
            f"{creator.sandbox.url}/sandbox/publishes/{publish_id}/finish-draft",
            json={"privacy_level": "PUBLIC_TO_EVERYONE"},
        )
        answer.raise_for_status()


def fill_inbox(task: Task, clip: Path, number: int = MAX_PENDING_DRAFTS) -> list[str]:
    """Deliver drafts, each of another slot, and return their publish ids."""
    return [
        upload(clip, post_key=f"draft {place}", allow_duplicate=True).execute(task.context)["publish_id"]
        for place in range(number)
    ]


def test_a_draft_is_delivered_with_the_scope_of_drafts_alone(
    creator: Creator, task: Task, clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = creator.sandbox.issue_tokens(creator.app, creator.account, scope="video.upload")
    creator.connect(
        extra={
            "access_token": tokens.access_token,
            "refresh_token": tokens.refresh_token,
            "scope": tokens.scope,
        }
    )
    result = upload(clip).execute(task.context)
    assert (result["status"], result["reused"]) == ("SEND_TO_USER_INBOX", False)
    assert "under Inbox (not Drafts)" in caplog.text
    assert creator.calls(CREATOR_INFO) == []
    again = upload(clip).execute(task.next_try().context)
    assert again == {**result, "reused": True}
    assert creator.calls(INIT) == [INIT]


def test_an_account_that_has_not_granted_drafts_is_told_so_and_nothing_is_sent(
    creator: Creator, task: Task, clip: Path
) -> None:
    tokens = creator.sandbox.issue_tokens(creator.app, creator.account, scope="video.publish")
    given = {"access_token": tokens.access_token, "refresh_token": tokens.refresh_token}
    creator.connect(extra={**given, "scope": tokens.scope})
    with pytest.raises(ConnectionSettingsError, match=r"lacks the scope 'video\.upload'"):
        upload(clip).execute(task.context)
    assert creator.calls(INIT) == []


def test_a_draft_has_no_caption() -> None:
    with pytest.raises(Exception, match="title"):
        TikTokUploadVideoOperator(task_id="draft", video="a.mp4", title="TikTok ignores it")


def test_waiting_until_it_is_posted_gives_the_ids_of_all_posts(
    creator: Creator, task: Task, clip: Path
) -> None:
    publish_id = upload(clip).execute(task.context)["publish_id"]
    post_draft(creator, publish_id, times=2)
    creator.sandbox.advance(60)
    result = upload(clip, wait_for="posted").execute(task.next_try().context)
    assert (result["status"], len(result["post_ids"]), result["reused"]) == ("PUBLISH_COMPLETE", 2, True)
    assert result["post_url"]


def test_a_draft_that_is_not_posted_in_time_stays_in_the_inbox_and_is_waited_for_again(
    creator: Creator, task: Task, clip: Path
) -> None:
    creator.sandbox.set_switches(processing_seconds=0)
    with pytest.raises(PostTimeoutError, match="creator had not posted the draft"):
        upload(clip, wait_for="posted", timeout=0).execute(task.context)
    with open_store(CONN_ID) as store:
        [pending] = store.run(GetUnfinishedDrafts())
    assert pending.state == PostState.IN_INBOX
    post_draft(creator, str(pending.publish_id))
    assert upload(clip, wait_for="posted").execute(task.next_try().context)["status"] == "PUBLISH_COMPLETE"
    assert creator.calls(INIT) == [INIT]


def test_a_draft_that_failed_is_delivered_anew(creator: Creator, task: Task, clip: Path) -> None:
    creator.sandbox.set_switches(processing_seconds=600)
    with pytest.raises(TaskDeferred):
        upload(clip, deferrable=True).execute(task.context)
    [publish] = creator.sandbox.publishes()
    url = f"{creator.sandbox.url}/sandbox/publishes/{publish['publish_id']}/fail"
    httpx.post(url, json={"reason": "internal"}).raise_for_status()
    with pytest.raises(PostFailedError):
        upload(clip).execute(task.next_try().context)
    creator.sandbox.set_switches(processing_seconds=1)
    assert upload(clip).execute(task.next_try().next_try().context)["reused"] is False
    assert len(creator.sandbox.feed()) == 1


def test_a_sixth_draft_waits_and_names_those_that_fill_the_inbox(
    creator: Creator, task: Task, clip: Path
) -> None:
    waiting = fill_inbox(task, clip)
    sixth = upload(clip, post_key="sixth", allow_duplicate=True, deferrable=True)
    with pytest.raises(TaskDeferred) as left:
        sixth.execute(task.context)
    assert left.value.trigger.serialize()[1]["cap"] == Cap.DRAFTS
    with pytest.raises(AccountClosedError) as refusal:
        upload(clip, post_key="sixth", allow_duplicate=True, on_cap="fail").execute(task.context)
    said = str(refusal.value)
    assert all(publish_id in said for publish_id in waiting)
    assert "airflow tiktok reopen tiktok_default" in said
    assert len(creator.calls(INIT)) == MAX_PENDING_DRAFTS
    with open_store(CONN_ID) as store:
        assert [found.by for found in store.run(GetClosures())] == [Cap.DRAFTS]


@pytest.mark.parametrize("on_cap", ["wait", "fail"])
def test_a_draft_that_the_creator_has_posted_makes_room_though_no_task_waited_for_that(
    creator: Creator, task: Task, clip: Path, on_cap: str
) -> None:
    waiting = fill_inbox(task, clip)
    post_draft(creator, waiting[2])
    result = upload(clip, post_key="sixth", allow_duplicate=True, on_cap=on_cap)
    assert result.execute(task.context)["status"] == "SEND_TO_USER_INBOX"
    assert len(creator.calls(INIT)) == MAX_PENDING_DRAFTS + 1


def sixth_leaves(clip: Path, task: Task) -> TikTokCapTrigger:
    """Return what a sixth draft waits for."""
    sixth = upload(clip, post_key="sixth", allow_duplicate=True, deferrable=True)
    with pytest.raises(TaskDeferred) as left:
        sixth.execute(task.context)
    assert isinstance(left.value.trigger, TikTokCapTrigger)
    return left.value.trigger


def test_drafts_that_tiktok_counts_for_longer_are_named_and_the_first_that_is_posted_makes_room(
    creator: Creator, task: Task, clip: Path
) -> None:
    waiting = fill_inbox(task, clip)
    with transaction() as session:
        session.execute(update(PostRow).values(pending_since=datetime.now(UTC) - timedelta(hours=25)))
    sixth_leaves(clip, task)
    with open_store(CONN_ID) as store:
        [closure] = store.run(GetClosures())
    assert closure.until - datetime.now(UTC) < timedelta(minutes=61), "TikTok is asked again"
    with pytest.raises(AccountClosedError) as refusal:
        upload(clip, post_key="sixth", allow_duplicate=True, on_cap="fail").execute(task.context)
    assert all(publish_id in str(refusal.value) for publish_id in waiting)
    post_draft(creator, waiting[0])
    sixth = upload(clip, post_key="sixth", allow_duplicate=True, on_cap="fail")
    assert sixth.execute(task.context)["status"] == "SEND_TO_USER_INBOX"


def test_by_tiktoks_documentation_a_posted_draft_counts_for_a_day_and_the_task_waits(
    creator: Creator, task: Task, clip: Path
) -> None:
    creator.sandbox.set_switches(pending_drafts="window")
    post_draft(creator, fill_inbox(task, clip)[0])
    sixth_leaves(clip, task)
    assert len(creator.calls(INIT)) == MAX_PENDING_DRAFTS + 1


def test_a_person_who_has_emptied_the_inbox_reopens_it(creator: Creator, task: Task, clip: Path) -> None:
    fill_inbox(task, clip)
    creator.sandbox.set_switches(caps=False)
    asyncio.run(RateLimitService().reopen(CONN_ID, actor="mia"))
    sixth = upload(clip, post_key="sixth", allow_duplicate=True, on_cap="fail")
    assert sixth.execute(task.context)["status"] == "SEND_TO_USER_INBOX"


def test_direct_posts_are_not_counted(creator: Creator, task: Task, clip: Path) -> None:
    for place in range(MAX_PENDING_DRAFTS):
        TikTokPublishVideoOperator(
            task_id="publish",
            video=clip,
            privacy_level="SELF_ONLY",
            post_key=f"post {place}",
            allow_duplicate=True,
            deferrable=False,
        ).execute(task.context)
    assert upload(clip, allow_duplicate=True).execute(task.context)["status"] == "SEND_TO_USER_INBOX"
    assert len(creator.calls(INIT)) == 1


@pytest.mark.parametrize("wait_for", ["complete", "yes", ""])
def test_what_a_draft_is_waited_for_is_one_of_two(clip: Path, wait_for: str) -> None:
    with pytest.raises(InvalidInputError, match="wait_for is"):
        upload(clip, wait_for=wait_for)
