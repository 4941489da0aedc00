"""What one try works with while it publishes a video."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime

from tiktok_provider.api.chunks import ChunkPlan
from tiktok_provider.hooks.tiktok import TikTokHook
from tiktok_provider.publishing.chunk_stream import Upload
from tiktok_provider.publishing.media.video_file import VideoFile
from tiktok_provider.publishing.post_record import StoredPost
from tiktok_provider.publishing.rate_limit import RateLimiter
from tiktok_provider.publishing.request import VideoOrder
from tiktok_provider.publishing.upload import Uploader
from tiktok_provider.store.clock import utc_now
from tiktok_provider.store.posts import PostRecord, PostState


@dataclass(frozen=True)
class PublishingSession:
    """The order, and the ways to TikTok and to the store.

    :param clock: tells the time, in UTC.
    :param sleep: waits, in seconds; None: really.
    """

    hook: TikTokHook
    ledger: StoredPost
    budget: RateLimiter
    order: VideoOrder
    clock: Callable[[], datetime] = utc_now
    sleep: Callable[[float], None] | None = None

    @property
    def fingerprint(self) -> str:
        """Of the media as they are now."""
        return self.order.video.fingerprint

    @property
    def content(self) -> dict[str, str | int | bool | None]:
        """Caption and settings as they are wanted now."""
        return asdict(self.order.post)

    def uploader(self, plan: ChunkPlan, record: PostRecord, url: str, *, resumed: bool = False) -> Uploader:
        """Return what sends the file to the attempt on record.

        :param url: the upload URL in the clear; it is masked in every log from here on.
        :param resumed: whether an earlier try has sent to it.
        """
        assert isinstance(self.order.video, VideoFile)
        assert record.publish_id
        ledger = self.ledger
        upload = Upload(self.hook, self.order.video, plan, url, ledger.renew_if_due, ledger.hold)
        return Uploader(
            self.hook,
            self.ledger,
            self.budget,
            upload,
            plan,
            record.publish_id,
            finishing=record.state == PostState.FINISHING,
            resumed=resumed,
            sleep=self.sleep or time.sleep,
        )
