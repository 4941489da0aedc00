"""What ``airflow tiktok posts --refresh`` asks TikTok."""

from argparse import Namespace
from collections.abc import Iterable
from datetime import timedelta
from itertools import groupby
from operator import attrgetter

from tiktok_provider.cli.terminal import finish, report
from tiktok_provider.database.posts.service import PostService
from tiktok_provider.exceptions import TikTokError
from tiktok_provider.hooks.tiktok import TikTokHook
from tiktok_provider.publishing.deferral import DeferTask
from tiktok_provider.publishing.rate_limit import RateLimiter
from tiktok_provider.publishing.waiting.late_ids import can_tell_more, refresh_post
from tiktok_provider.store.clock import utc_now
from tiktok_provider.store.posts import PostRecord
from tiktok_provider.store.rate_limits import Endpoint

LAST_DAYS = timedelta(days=7)
# More posts than this without an end are not asked for at once.
_MOST = 1000


def refresh(args: Namespace) -> None:
    """Ask TikTok about the posts that it may know more of than is on record, and record what it says.

    An account that cannot be asked is reported and does not keep the others from it.
    """
    found = finish(
        PostService().posts(
            conn_id=args.conn_id,
            dag_id=args.dag_id,
            since=args.since or utc_now() - LAST_DAYS,
            until=args.until,
            limit=_MOST,
        )
    )
    open_posts = sorted(filter(can_tell_more, found), key=attrgetter("conn_id"))
    for conn_id, records in groupby(open_posts, attrgetter("conn_id")):
        _refresh_account(conn_id, tuple(records))


def _refresh_account(conn_id: str, records: tuple[PostRecord, ...]) -> None:
    news = asked = 0
    try:
        with TikTokHook(conn_id) as hook:
            for changed in _refreshed(hook, records):
                news, asked = news + changed, asked + 1
    except DeferTask as pause:
        report(
            f"Account {conn_id}: {len(records) - asked} posts were not asked for: {pause.reason}. Run it again."
        )
    except TikTokError as error:
        report(f"Account {conn_id}: {len(records) - asked} posts were not asked for: {error}")
    report(f"Account {conn_id}: {asked} posts asked for, {news} with news.")


def _refreshed(hook: TikTokHook, records: Iterable[PostRecord]) -> Iterable[bool]:
    """Yield of each post whether TikTok knew more."""
    limiter = RateLimiter(hook.store, "airflow tiktok posts")
    for record in records:
        with limiter.call(Endpoint.STATUS) as take_again:
            found = refresh_post(hook, record, take_again)
        yield (found.state, found.post_ids) != (record.state, record.post_ids)
