"""Posts under way at TikTok, and a poller whose waiting takes no real time."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from tests.unit.conftest import CONN_ID, Creator
from tiktok_provider.api.chunks import plan_chunks
from tiktok_provider.api.posting import VideoPost, file_source, init_video
from tiktok_provider.database.rate_limits.service import RateLimitService
from tiktok_provider.hooks.tiktok import TikTokHook
from tiktok_provider.triggers.poller import Clock
from tiktok_sandbox.client import Sandbox

StartPost = Callable[[], str]


class Waits(Clock):
    """Waiting moves the sandbox's clock and the poller's own instead of the real time.

    ``before`` is called before each wait, with the number of waits so far.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.start = time.time()
        self.taken: list[float] = []
        self.before: Callable[[int], object] = lambda number: None  # noqa: ARG005

    @property
    def passed(self) -> float:
        """Seconds since the start."""
        return sum(self.taken)

    def now(self) -> float:
        return self.start + self.passed

    async def wait(self, changed: asyncio.Event, seconds: float) -> None:
        if not changed.is_set():
            self.before(len(self.taken))
            self.taken.append(seconds)
            await asyncio.to_thread(self.sandbox.advance, seconds)


@pytest.fixture
def waits(creator: Creator, monkeypatch: pytest.MonkeyPatch) -> Waits:
    """The clock of the poller and of the store's budgets."""
    clock = Waits(creator.sandbox)
    monkeypatch.setattr("tiktok_provider.triggers.poller.CLOCK", clock)
    defaults = {"clock": lambda: datetime.fromtimestamp(clock.now(), UTC)}
    monkeypatch.setattr(RateLimitService.__init__, "__kwdefaults__", defaults)
    return clock


@pytest.fixture
def start_post(creator: Creator, clip: Path) -> StartPost:
    """Return a function that uploads a video, which takes TikTok ten minutes, and ten more for its id.

    The sandbox's clock stands still.
    """
    creator.sandbox.freeze()
    creator.sandbox.set_switches(processing_seconds=600, moderation_seconds=600, caps=False)
    video = clip.read_bytes()
    post = VideoPost(privacy_level="PUBLIC_TO_EVERYONE")

    def start() -> str:
        with TikTokHook(CONN_ID) as hook:
            started = hook.run(init_video(post, file_source(plan_chunks(len(video))), lambda: None))
        assert started.upload_url
        span = f"bytes 0-{len(video) - 1}/{len(video)}"
        headers = {"Content-Type": "video/mp4", "Content-Range": span}
        httpx.put(started.upload_url, content=video, headers=headers, trust_env=False).raise_for_status()
        return started.publish_id

    return start
