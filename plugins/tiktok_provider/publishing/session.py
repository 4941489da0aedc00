"""What one try works with while it publishes a post."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from tiktok_provider.hooks.tiktok import TikTokHook
from tiktok_provider.publishing.post_record import StoredPost
from tiktok_provider.publishing.rate_limit import RateLimiter
from tiktok_provider.publishing.request import PostRequest
from tiktok_provider.store.clock import utc_now
from tiktok_provider.store.posts import Content


@dataclass(frozen=True)
class PublishingSession:
    """The request, and the ways to TikTok and to the store.

    :param allow_duplicate: whether another post of the slot may have the same media.
    :param clock: gives the time, in UTC.
    :param sleep: waits, in seconds; None: really.
    """

    hook: TikTokHook
    stored_post: StoredPost
    rate_limiter: RateLimiter
    request: PostRequest
    allow_duplicate: bool = False
    clock: Callable[[], datetime] = utc_now
    sleep: Callable[[float], None] | None = None

    @property
    def fingerprint(self) -> str:
        """Of the media as they are now."""
        return self.request.media.fingerprint

    @property
    def location(self) -> str:
        """Of the media, safe to print."""
        return self.request.media.location

    @property
    def digest(self) -> str:
        """By which the media are known wherever they lie."""
        return self.request.media.digest

    @property
    def content(self) -> Content:
        """Texts and settings as they are requested now."""
        return self.request.content

    def wait(self, seconds: float) -> None:
        """Wait on the worker."""
        (self.sleep or time.sleep)(seconds)
