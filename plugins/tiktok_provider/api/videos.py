"""The account's public videos. Sources: TikTok's "List Videos", "Query Videos" and "Video Object" pages."""

from collections.abc import Sequence
from typing import Any

from tiktok_provider.api.calls import Answered, Call, Request, open_envelope, parse

FIELDS = ("id", "create_time", "title", "video_description", "duration", "share_url", "cover_image_url")
# With the counts that grow.
STATS_FIELDS = (*FIELDS, "height", "width", "like_count", "comment_count", "share_count", "view_count")
MAX_PAGE = 20


class Video(Answered):
    """One public video; fields that were not asked for are None.

    :param create_time: seconds since the epoch.
    :param duration: seconds.
    :param cover_image_url: valid for six hours.
    """

    id: str
    create_time: int | None = None
    title: str | None = None
    video_description: str | None = None
    duration: int | None = None
    width: int | None = None
    height: int | None = None
    share_url: str | None = None
    embed_link: str | None = None
    embed_html: str | None = None
    cover_image_url: str | None = None
    like_count: int | None = None
    comment_count: int | None = None
    share_count: int | None = None
    view_count: int | None = None


class VideoPage(Answered):
    """One page, newest first.

    :param cursor: milliseconds since the epoch; pass it on to get the next page.
    """

    videos: tuple[Video, ...] = ()
    cursor: int = 0
    has_more: bool = False


def list_videos(
    *, fields: Sequence[str] = FIELDS, cursor: int | None = None, max_count: int = MAX_PAGE
) -> Call[VideoPage]:
    """Read one page of the account's public videos. Scope ``video.list``; 600 a minute.

    :param cursor: milliseconds since the epoch: videos before it; None starts with the newest.
    :param max_count: 1 to 20.
    """
    body: dict[str, Any] = {"max_count": max_count}
    if cursor is not None:
        body["cursor"] = cursor
    answer = yield _read("/v2/video/list/", fields, body)
    return parse(VideoPage, open_envelope(answer))


def query_videos(video_ids: Sequence[str], *, fields: Sequence[str] = FIELDS) -> Call[tuple[Video, ...]]:
    """Read some of the account's videos by their ids. Scope ``video.list``; 600 a minute.

    :param video_ids: 1 to 20. Ids that are foreign or gone are left out of what comes back.
    """
    answer = yield _read("/v2/video/query/", fields, {"filters": {"video_ids": list(video_ids)}})
    return parse(VideoPage, open_envelope(answer)).videos


def _read(path: str, fields: Sequence[str], body: dict[str, Any]) -> Request:
    return Request(
        "POST",
        path,
        query={"fields": ",".join(fields)},
        headers={"Content-Type": "application/json; charset=UTF-8"},
        json=body,
    )
