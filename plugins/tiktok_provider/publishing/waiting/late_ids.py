"""What TikTok says of posts that no task waits for any more: ids that came late, and ends that nobody has seen."""

import logging
import math
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from tiktok_provider.api.drivers import nothing
from tiktok_provider.api.posting import PostStatus
from tiktok_provider.exceptions import TikTokError
from tiktok_provider.publishing.waiting.outcome_to_record import post_outcome_of
from tiktok_provider.publishing.waiting.polling import Outcome, Watch, on_status
from tiktok_provider.publishing.waiting.result import post_page
from tiktok_provider.store.posts import PostOutcome, PostRecord, PostState
from tiktok_provider.store.rate_limits import Endpoint, Granted
from tiktok_provider.store.requests import GetPostsWithoutId, RecordOutcome, TakeCalls

if TYPE_CHECKING:
    from tiktok_provider.hooks.tiktok import TikTokHook

log = logging.getLogger(__name__)

# A task that has asked for its own post asks for so many others, if half of the account's calls are left.
AT_ONCE = 3
_LEAVE, _WITHIN = 15, 30.0
_UNDER_WAY = (PostState.FINISHING, PostState.UNCERTAIN, PostState.IN_INBOX)


def can_tell_more(record: PostRecord) -> bool:
    """Whether TikTok may know more of a post than is on record."""
    return record.publish_id is not None and (record.state in _UNDER_WAY or record.lacks_id)


def refresh_post(
    hook: "TikTokHook", record: PostRecord, before_repeat: Callable[[], object] = nothing
) -> PostRecord:
    """Ask TikTok once where a post stands, record what is news, and return the record.

    :param before_repeat: see ``TikTokHook.post_status``.
    :raises TikTokError: what the call or the store raises.
    """
    outcome = news_of(record, hook.post_status(str(record.publish_id), before_repeat))
    return hook.store.run(RecordOutcome(record.post_key, outcome)) if outcome else record


def news_of(record: PostRecord, status: PostStatus) -> PostOutcome | None:
    """Return what to record of a post after TikTok has said where it stands; None if that is no end."""
    now = time.time()
    watch = Watch(str(record.publish_id), "complete", now, math.inf)
    step = on_status(watch, status, now)
    if not isinstance(step, Outcome):
        return None
    return post_outcome_of(step, partial(post_page, record.profile_url, kind=record.kind))


def ask_for_late_ids(hook: "TikTokHook", holder: str) -> None:
    """Ask for a few posts of the account whose id was not there when their task ended. It fails no task.

    :param holder: who asks, as in ``RateLimiter``.
    """
    try:
        records = hook.store.run(GetPostsWithoutId(limit=AT_ONCE))
        if not records:
            return
        taking = TakeCalls(
            Endpoint.STATUS, f"{holder} late ids", count=len(records), leave=_LEAVE, within=_WITHIN
        )
        answer = hook.store.run(taking)
        granted = answer.count if isinstance(answer, Granted) else 0
        for record in records[:granted]:
            if (found := refresh_post(hook, record)).post_ids:
                log.info("Post %r of before has its public id now: %s", found.post_key, found.post_ids[0])
    except TikTokError as error:
        log.info("The account's earlier posts could not be asked for: %s", error)
