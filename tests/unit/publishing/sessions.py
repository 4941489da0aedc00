"""What the steps of publishing work with, for one try of one task."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.unit.conftest import Task
from tiktok_provider.api.posting import VideoPost
from tiktok_provider.exceptions import TikTokError
from tiktok_provider.hooks.tiktok import TikTokHook
from tiktok_provider.publishing.media.medium import VideoMedia
from tiktok_provider.publishing.post_key import claimant_of
from tiktok_provider.publishing.post_record import StoredPost
from tiktok_provider.publishing.rate_limit import RateLimiter
from tiktok_provider.publishing.request import PostRequest
from tiktok_provider.publishing.session import PublishingSession
from tiktok_provider.publishing.video_posts import DirectVideo
from tiktok_provider.store.client import Store
from tiktok_provider.store.posts import PostClaim

KEY = "sku-42"
INIT = "/v2/post/publish/video/init/"
STATUS = "/v2/post/publish/status/fetch/"


@dataclass
class FlakyStore:
    """A store that fails a request once if ``fails_at`` says so.

    :param error: what it raises.
    """

    store: Store
    fails_at: Callable[[Any], bool]
    error: Callable[[], TikTokError]
    failed: list[Any] = field(default_factory=list)

    @property
    def conn_id(self) -> str:
        return self.store.conn_id

    def run(self, request: Any) -> Any:
        if not self.failed and self.fails_at(request):
            self.failed.append(request)
            raise self.error()
        return self.store.run(request)


def fails_at_step(kind: str) -> Callable[[Any], bool]:
    """Return whether a store request writes a step of this type."""
    return lambda request: getattr(getattr(request, "step", None), "type", None) == kind


def direct_video(media: VideoMedia, **settings: Any) -> DirectVideo:
    """Return a request for a video that everybody may see."""
    return DirectVideo(media, VideoPost(**{"privacy_level": "PUBLIC_TO_EVERYONE", **settings}))


def session_of(
    hook: TikTokHook, task: Task, request: PostRequest, store: Any = None, post_key: str = KEY
) -> PublishingSession:
    """Return a session that waits for nothing really."""

    def sleep(seconds: float) -> None:
        """Nothing waits here."""

    claimant = claimant_of(task.context)
    stored_post = StoredPost(store or hook.store, post_key, claimant, sleep=sleep)
    limiter = RateLimiter(hook.store, claimant.task, sleep=sleep)
    return PublishingSession(hook, stored_post, limiter, request, sleep=sleep)


def claim(session: PublishingSession) -> None:
    """Claim the session's post, as the publisher does before each attempt."""
    request = session.request
    session.stored_post.claim(
        PostClaim(
            claimant=session.stored_post.claimant,
            kind=request.kind,
            source=request.media.source,
            fingerprint=session.fingerprint,
            content=session.content,
        )
    )
