"""What became of the drafts that wait in a creator's inbox: nobody tells when one is posted, so TikTok is asked."""

import logging
from typing import TYPE_CHECKING

from tiktok_provider.exceptions import TikTokError
from tiktok_provider.publishing.waiting.late_ids import refresh_post
from tiktok_provider.store.posts import PostState
from tiktok_provider.store.rate_limits import Endpoint, Granted
from tiktok_provider.store.requests import GetUnfinishedDrafts, TakeCalls

if TYPE_CHECKING:
    from tiktok_provider.hooks.tiktok import TikTokHook

log = logging.getLogger(__name__)

# Seconds in which the questions are asked.
_WITHIN = 30.0


def finish_pending_drafts(hook: "TikTokHook", holder: str) -> bool:
    """Ask for each draft in the inbox, and return whether one was posted or has failed. It fails no task.

    :param holder: who asks, as in ``RateLimiter``.
    """
    try:
        pending = hook.store.run(GetUnfinishedDrafts())
        if not pending:
            return False
        taking = TakeCalls(Endpoint.STATUS, f"{holder} pending drafts", count=len(pending), within=_WITHIN)
        answer = hook.store.run(taking)
        asked = pending[: answer.count] if isinstance(answer, Granted) else []
        states = [refresh_post(hook, draft).state for draft in asked]
    except TikTokError as error:
        log.info("The drafts in the inbox could not be asked for: %s", error)
        return False
    return any(state in (PostState.OUT, PostState.FAILED) for state in states)
