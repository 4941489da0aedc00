"""Posts under way at TikTok, and triggers whose waiting takes no real time."""

import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import httpx
import pytest

from tests.unit.conftest import CONN_ID, Creator
from tiktok_provider.api.chunks import plan_chunks
from tiktok_provider.api.posting import VideoPost, file_source, init_video
from tiktok_provider.database.rate_limits.service import RateLimitService
from tiktok_provider.hooks.tiktok import TikTokHook
from tiktok_sandbox.client import Sandbox
from virtual_time import run_in_virtual_time

StartPost = Callable[[], str]
T = TypeVar("T")


class Waits:
    """Waiting moves the sandbox's clock, the triggers' and that of the store's rate limits.

    ``before`` is called before each wait, with the number of waits so far.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.start = time.time()
        self.all: list[float] = []
        self.before: Callable[[int], object] = lambda number: None  # noqa: ARG005

    @property
    def passed(self) -> float:
        """Seconds since the start."""
        return sum(self.all)

    def now(self) -> float:
        """Return the seconds since the epoch."""
        return self.start + self.passed

    def run(self, test: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine whose waiting takes no real time."""
        return run_in_virtual_time(test, self._jump)

    def _jump(self, seconds: float) -> None:
        self.before(len(self.all))
        self.all.append(seconds)
        self.sandbox.advance(seconds)


@pytest.fixture
def waits(creator: Creator, monkeypatch: pytest.MonkeyPatch) -> Waits:
    """The time, as triggers and the store's rate limits see it."""
    found = Waits(creator.sandbox)
    clock = SimpleNamespace(time=found.now, monotonic=found.now)
    for module in ("cap", "post_status", "events", "new_videos"):
        monkeypatch.setattr(f"tiktok_provider.triggers.{module}.time", clock)
    defaults = {"clock": lambda: datetime.fromtimestamp(found.now(), UTC)}
    monkeypatch.setattr(RateLimitService.__init__, "__kwdefaults__", defaults)
    return found


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
