"""Numbers of an account's public videos."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from tiktok_provider.exceptions import InvalidInputError
from tiktok_provider.operators.rows import Row, TikTokRowsOperator

if TYPE_CHECKING:
    from tiktok_provider.api.videos import Video
    from tiktok_provider.hooks.tiktok import TikTokHook

log = logging.getLogger(__name__)


class TikTokListVideosOperator(TikTokRowsOperator):
    """Lists the account's public videos with their numbers, the newest first: one row for each.

    Its keys are ``account``, ``snapshot_at``, ``id`` (the post id, a text), ``create_time`` (seconds since the
    epoch), ``title``, ``video_description``, ``duration`` (seconds), ``width``, ``height``, ``share_url``,
    ``cover_image_url`` (valid for six hours), ``view_count``, ``like_count``, ``comment_count``, ``share_count``.

    Source: https://developers.tiktok.com/doc/tiktok-api-v2-video-list

    :param since: only videos from then on: a ``datetime``, or ISO 8601 text such as ``{{ data_interval_start }}``;
        without a time zone it is UTC. None: all. Templated.
    :param max_videos: at most so many, the newest ones. None: all. Templated.
    :param write_to: see ``TikTokAccountStatsOperator``. Templated.
    :param tiktok_conn_id: a Connection of type ``tiktok`` with the scope ``video.list``. Templated.
    :raises ConnectionSettingsError: the scope was not granted; nothing was asked.
    :raises ApiError: TikTok refuses.
    """

    template_fields: Sequence[str] = (*TikTokRowsOperator.template_fields, "since", "max_videos")
    parameter_types: ClassVar[Mapping[str, Any]] = {
        **TikTokRowsOperator.parameter_types,
        "since": str | datetime | None,
        "max_videos": int | None,
    }

    def __init__(
        self, *, since: datetime | str | None = None, max_videos: int | str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.since = since
        # A number, once templates are rendered.
        self.max_videos: Any = max_videos
        self.check_literals()

    def rows(self, hook: "TikTokHook") -> list[Row]:
        """Read page after page."""
        begin = _moment(self.since)
        found: list[Row] = []
        for video in _all_videos(hook):
            if video.create_time is not None and video.create_time < begin:
                break
            if self.max_videos is not None and len(found) >= self.max_videos:
                break
            found.append(_row(video))
        return found


class TikTokVideoStatsOperator(TikTokRowsOperator):
    """Reads the numbers of some of the account's public videos: one row for each, with the keys of
    ``TikTokListVideosOperator``. Ids that TikTok does not show (any more) are named in the log, and have no row.

    Source: https://developers.tiktok.com/doc/tiktok-api-v2-video-query

    :param post_ids: as publishing tasks return them in ``post_ids``. They are asked for in batches of 20. Templated:
        each entry, or one template for the list in a DAG with ``render_template_as_native_obj``.
    :param write_to: see ``TikTokAccountStatsOperator``. Templated.
    :param tiktok_conn_id: a Connection of type ``tiktok`` with the scope ``video.list``. Templated.
    :raises ConnectionSettingsError: the scope was not granted; nothing was asked.
    :raises ApiError: TikTok refuses.
    """

    template_fields: Sequence[str] = (*TikTokRowsOperator.template_fields, "post_ids")
    parameter_types: ClassVar[Mapping[str, Any]] = {
        **TikTokRowsOperator.parameter_types,
        "post_ids": list[str],
    }

    def __init__(self, *, post_ids: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # A list, once templates are rendered.
        self.post_ids: Any = post_ids
        self.check_literals()

    def rows(self, hook: "TikTokHook") -> list[Row]:
        """Ask in batches."""
        from tiktok_provider.api.videos import MAX_PAGE, STATS_FIELDS, query_videos

        hook.require_scope("video.list")
        wanted = list(dict.fromkeys(self.post_ids))
        batches = [wanted[first : first + MAX_PAGE] for first in range(0, len(wanted), MAX_PAGE)]
        found = [video for batch in batches for video in hook.run(query_videos(batch, fields=STATS_FIELDS))]
        if missing := [post_id for post_id in wanted if post_id not in {video.id for video in found}]:
            log.warning("TikTok shows no public video of this account for: %s", ", ".join(missing))
        return [_row(video) for video in found]


def _all_videos(hook: "TikTokHook") -> Iterator["Video"]:
    from tiktok_provider.api.videos import STATS_FIELDS, list_videos

    hook.require_scope("video.list")
    cursor: int | None = None
    while True:
        page = hook.run(list_videos(fields=STATS_FIELDS, cursor=cursor))
        yield from page.videos
        # A page that leads nowhere would be read for ever.
        if not page.has_more or page.cursor == cursor:
            return
        cursor = page.cursor


def _row(video: "Video") -> Row:
    return video.model_dump(mode="json", exclude_none=True)


def _moment(since: datetime | str | None) -> float:
    """Return seconds since the epoch; 0 for no limit.

    :raises InvalidInputError: it is no time.
    """
    if since is None:
        return 0.0
    try:
        moment = datetime.fromisoformat(since.strip()) if isinstance(since, str) else since
    except ValueError:
        raise InvalidInputError(
            [f"since is {since!r}, allowed: an ISO 8601 time such as 2030-01-31T12:00:00+00:00"]
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
