"""What becomes of a publish: transferred, checked, posted or delivered, reviewed, public; or failed.

Nothing here waits for time to pass. `catch_up` brings everything up to the sandbox's clock and is called before
anybody looks; it also waits for a media check whose result is due.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

from tiktok_sandbox.media_rules import check_image, check_video
from tiktok_sandbox.pulls import PullFailed, download
from tiktok_sandbox.records import PUBLIC, MediaFile, Post, Publish
from tiktok_sandbox.state import SandboxState
from tiktok_sandbox.webhook_events import notify_post, notify_publish

PULL_SECONDS = 3600
_log = logging.getLogger(__name__)
_MAX_PULL_BYTES = 4 * 2**30


async def catch_up(state: SandboxState) -> None:
    """Let everything happen that is due by now."""
    now = state.clock.now()
    for publish in list(state.publishes.values()):
        if not publish.final:
            await _settle_publish(state, publish, now)
        for post in publish.posts:
            _settle_review(state, publish, post, now)


async def _settle_publish(state: SandboxState, publish: Publish, now: float) -> None:
    if publish.upload is not None:
        if publish.upload.abandoned(now) and state.switches.unused_upload == "failed":
            fail(state, publish, "internal")
    elif publish.transferred_at is None:
        _settle_pull(state, publish, now)
    if publish.transferred_at is not None:
        await _settle_processing(state, publish, publish.transferred_at, now)


def _settle_pull(state: SandboxState, publish: Publish, now: float) -> None:
    """The bytes come as fast as they can; that they come slowly shows on the sandbox's clock."""
    deadline = publish.created_at + PULL_SECONDS
    if publish.pulled_at is not None:
        took = publish.downloaded_bytes / publish.pull_rate if publish.pull_rate else 0
        arrived = max(publish.pulled_at, publish.created_at + took)
        if arrived <= min(now, deadline):
            finish_transfer(state, publish, arrived)
            return
    if now >= deadline:
        fail(state, publish, f"{publish.kind}_pull_failed")


async def _settle_processing(state: SandboxState, publish: Publish, since: float, now: float) -> None:
    due = since + state.switches.processing_seconds
    if now < due or state.switches.stuck_processing or publish.check is None:
        return
    reason = await publish.check
    if publish.account.banned:
        reason = "spam_risk_user_banned_from_posting"
    if publish.final:
        return
    if reason is not None:
        fail(state, publish, reason)
    else:
        _deliver(state, publish, due)


def _deliver(state: SandboxState, publish: Publish, at: float) -> None:
    publish.delivered_at = at
    if publish.mode == "inbox":
        publish.status = "SEND_TO_USER_INBOX"
        notify_publish(state, publish, "post.publish.inbox_delivered")
    else:
        add_post(state, publish, publish.settings.privacy_level or "SELF_ONLY", at)


def add_post(state: SandboxState, publish: Publish, privacy_level: str, at: float) -> Post:
    """Put a post onto the creator's profile; of a draft the creator can make several."""
    post = Post(state.post_id(publish), privacy_level, _free_moment(state, publish, at), in_review_since=at)
    publish.posts.append(post)
    publish.status = "PUBLISH_COMPLETE"
    notify_publish(state, publish, "post.publish.complete")
    return post


def _free_moment(state: SandboxState, publish: Publish, at: float) -> float:
    """`at`, or the next millisecond without a post of this creator: they are the cursor of the video list."""
    used = {round(post.posted_at * 1000) for other, post in state.posts() if other.account is publish.account}
    moment = round(at * 1000)
    while moment in used:
        moment += 1
    return moment / 1000


def _settle_review(state: SandboxState, publish: Publish, post: Post, now: float) -> None:
    due = post.in_review_since + state.switches.moderation_seconds
    if post.privacy_level != PUBLIC or post.deleted or post.public_at is not None or now < due:
        return
    post.public_at = due
    notify_post(state, publish, post, "post.publish.publicly_available")


def change_post(
    state: SandboxState, publish: Publish, post: Post, privacy_level: str | None, deleted: bool
) -> None:
    """What a creator can do to a post in the app: show it to others than before, or delete it."""
    privacy_level = privacy_level or post.privacy_level
    if privacy_level == PUBLIC and post.privacy_level != PUBLIC:
        post.in_review_since = state.clock.now()
    post.privacy_level = privacy_level
    post.deleted = post.deleted or deleted
    if post.public_at is not None and (post.deleted or privacy_level != PUBLIC):
        post.public_at = None
        notify_post(state, publish, post, "post.publish.no_longer_publicaly_available")


def fail(state: SandboxState, publish: Publish, reason: str) -> None:
    """End a publish that is still under way."""
    publish.status = "FAILED"
    publish.fail_reason = reason
    if publish.pull is not None and publish.pull is not asyncio.current_task():
        publish.pull.cancel()
    notify_publish(state, publish, "post.publish.failed", {"reason": reason})


def finish_transfer(state: SandboxState, publish: Publish, at: float) -> None:
    """All bytes were here at that time: the checks begin, and the processing time runs from then."""
    publish.transferred_at = at
    publish.check = asyncio.create_task(asyncio.to_thread(_check, state, publish))


def _check(state: SandboxState, publish: Publish) -> str | None:
    try:
        return _check_media(state, publish)
    except Exception:
        # Everybody waits for this result: the sandbox must not be stuck with a file that breaks a decoder.
        _log.exception("The check of %s broke down", publish.publish_id)
        return "internal"


def _check_media(state: SandboxState, publish: Publish) -> str | None:
    for media in publish.media:
        if publish.kind == "video":
            reason = check_video(media.path, publish.account.max_video_post_duration_sec)
        else:
            reason = check_image(media.path, state.switches.photo_1080p)
        if reason is not None:
            return reason
    return None


def start_pull(state: SandboxState, publish: Publish) -> None:
    publish.pull_rate = state.switches.pull_bytes_per_second
    publish.pull = asyncio.create_task(_pull(state, publish))


async def _pull(state: SandboxState, publish: Publish) -> None:
    try:
        for url in publish.urls:
            publish.media.append(await _pull_one(state, publish, url))
    except PullFailed:
        fail(state, publish, f"{publish.kind}_pull_failed")
    else:
        publish.pulled_at = state.clock.now()
        _settle_pull(state, publish, publish.pulled_at)


async def _pull_one(state: SandboxState, publish: Publish, url: str) -> MediaFile:
    done_before = publish.downloaded_bytes

    def progress(received: int) -> None:
        publish.downloaded_bytes = done_before + received

    path = state.new_media_path()
    sha256 = await download(url, path, max_bytes=_MAX_PULL_BYTES, on_progress=progress)
    return MediaFile(path, path.stat().st_size, sha256)


async def let_work_finish(state: SandboxState, seconds: float) -> None:
    """Give pulls and checks that are under way up to `seconds` of real time each, then catch up."""
    publishes = list(state.publishes.values())
    await _wait([publish.pull for publish in publishes], seconds)
    await _wait([publish.check for publish in publishes], seconds)
    await catch_up(state)


async def _wait(tasks: Iterable[asyncio.Task[Any] | None], seconds: float) -> None:
    if unfinished := [task for task in tasks if task is not None and not task.done()]:
        await asyncio.wait(unfinished, timeout=seconds)
