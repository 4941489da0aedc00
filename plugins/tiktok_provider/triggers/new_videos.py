"""The trigger that watches an account for new public videos, for DAGs that are scheduled on an asset."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from tiktok_provider.api.videos import Video
from tiktok_provider.exceptions import TikTokError
from tiktok_provider.publishing.waiting.polling import passes
from tiktok_provider.publishing.waiting.worker_poller import with_jitter
from tiktok_provider.triggers.account_session import AccountSession, account_session

log = logging.getLogger(__name__)

# A video may become public so many seconds after it was made: moderation, or its owner's change of mind.
PUBLIC_WITHIN = 3 * 86_400.0
# Seconds after which Airflow has stored an event. Only then is the video noted as told of.
STORED_AFTER = 10.0
SHORTEST_INTERVAL = 60.0
_KEY = "tiktok_new_videos"


@dataclass(frozen=True, slots=True)
class Seen:
    """The videos that were told of, or were there when the watch began.

    :param looked_at: seconds since the epoch, when TikTok was last asked.
    :param videos: by id, when each was made; those that are too old to become public any more are left out.
    """

    looked_at: float
    videos: Mapping[str, float]

    @property
    def back_to(self) -> float:
        """When the oldest video was made that may have become public since."""
        return self.looked_at - PUBLIC_WITHIN

    def news(self, found: Iterable[Video]) -> list[Video]:
        """Return what was not told of yet, the oldest first."""
        unknown = [video for video in found if video.id not in self.videos and _made(video) >= self.back_to]
        return sorted(unknown, key=_made)

    def after(self, found: Iterable[Video], now: float) -> "Seen":
        """Return what is known after a look that has found some videos."""
        videos = {**self.videos, **{video.id: _made(video) for video in found}}
        return Seen(now, {name: made for name, made in videos.items() if made >= now - PUBLIC_WITHIN})


class TikTokNewVideosTrigger(BaseEventTrigger):
    """Fires an event for each new public video of an account, however it was posted; for an ``AssetWatcher``.

    The payload of an event is ``account``, ``video_id``, ``title``, ``made_at`` (seconds since the epoch), ``url``.
    Videos that are there when the watch begins are no news. What was told of is on record in the state of the watched
    asset, so nothing is told twice after a restart, and after an outage what has come meanwhile is told. Only a
    triggerer that dies within seconds of an event tells it again: tell videos apart by their ``video_id``.

    Give each asset a watcher of its own: two assets with watchers of the same arguments have no state to share.

    Source: https://developers.tiktok.com/doc/tiktok-api-v2-video-list

    :param tiktok_conn_id: a Connection of type ``tiktok`` with the scope ``video.list``.
    :param poll_interval: seconds from one look to the next, at least 60. Default: 300.
    """

    def __init__(self, tiktok_conn_id: str = "tiktok_default", poll_interval: float = 300.0) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        if poll_interval < SHORTEST_INTERVAL:
            raise ValueError(
                f"poll_interval is {poll_interval}, allowed: {SHORTEST_INTERVAL:.0f} seconds or more"
            )
        self.tiktok_conn_id = tiktok_conn_id
        self.poll_interval = poll_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments, all plain values."""
        path = "tiktok_provider.triggers.new_videos.TikTokNewVideosTrigger"
        return path, {"tiktok_conn_id": self.tiktok_conn_id, "poll_interval": self.poll_interval}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look again and again; no fault ends it."""
        async with account_session(self.tiktok_conn_id) as account:
            seen: Seen | None = None
            while True:
                try:
                    seen = seen or await self._recall()
                    found = await self._look(account, seen)
                    news = seen.news(found) if seen else []
                    for video in news:
                        yield TriggerEvent(self._payload(video))
                    seen = (seen or Seen(time.time(), {})).after(found, time.time())
                    await self._remember(seen, settle=bool(news))
                except (TikTokError, AirflowRuntimeError) as error:
                    log.warning("%s could not be asked for new videos: %s", self.tiktok_conn_id, error)
                    if isinstance(error, TikTokError) and not passes(error):
                        # The Connection may have been mended by the next time.
                        await account.close()
                await asyncio.sleep(with_jitter(self.poll_interval))

    async def _look(self, account: AccountSession, seen: Seen | None) -> list[Video]:
        back_to = (seen or Seen(time.time(), {})).back_to
        found: list[Video] = []
        page = await account.list_videos()
        found.extend(page.videos)
        while page.has_more and page.videos and _made(page.videos[-1]) >= back_to:
            page = await account.list_videos(page.cursor)
            found.extend(page.videos)
        return found

    async def _recall(self) -> Seen | None:
        stored: Any = await self.asset_state_store.aget(_KEY) if self.asset_state_store else None
        return Seen(stored["looked_at"], stored["videos"]) if stored else None

    async def _remember(self, seen: Seen, *, settle: bool) -> None:
        """Record what was told of.

        :param settle: whether to wait until Airflow has stored the events; one that it loses is told again.
        """
        if self.asset_state_store is None:
            return
        if settle:
            await asyncio.sleep(STORED_AFTER)
        await self.asset_state_store.aset(_KEY, {"looked_at": seen.looked_at, "videos": dict(seen.videos)})

    def _payload(self, video: Video) -> dict[str, Any]:
        return {
            "account": self.tiktok_conn_id,
            "video_id": video.id,
            "title": video.title or video.video_description or "",
            "made_at": _made(video),
            # Behind the question mark TikTok tells the app's client key.
            "url": (video.share_url or "").partition("?")[0] or None,
        }


def _made(video: Video) -> float:
    return float(video.create_time or 0)
