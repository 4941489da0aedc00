"""How a worker asks TikTok where a post stands: by the same decisions as the trigger, within the same rate limit."""

import random
import time
from typing import TYPE_CHECKING

from tiktok_provider.api.posting import PostStatus
from tiktok_provider.exceptions import TikTokError
from tiktok_provider.publishing.deferral import DeferTask
from tiktok_provider.publishing.rate_limit import RateLimiter
from tiktok_provider.publishing.waiting.polling import (
    Outcome,
    PollAgain,
    Watch,
    at_deadline,
    given_up_in,
    on_error,
    on_status,
)
from tiktok_provider.store.rate_limits import Endpoint

if TYPE_CHECKING:
    from tiktok_provider.hooks.tiktok import TikTokHook


class WorkerPoller:
    """Asks for one post.

    :param rate_limiter: of the account, shared with all its tasks and with the triggerer.
    """

    def __init__(self, hook: "TikTokHook", rate_limiter: RateLimiter, watch: Watch) -> None:
        self._hook = hook
        self._rate_limiter = rate_limiter
        self._watch = watch
        self._last: PostStatus | None = None

    def ask(self) -> PollAgain | Outcome:
        """Ask once, unless the account's calls of this minute are used up, and return what to do next."""
        watch, log = self._watch, self._hook.log
        try:
            with self._rate_limiter.call(Endpoint.STATUS) as take_again:
                self._last = self._hook.post_status(watch.publish_id, take_again)
        except DeferTask as pause:
            log.info("Could not ask for %s, as %s", watch.publish_id, pause.reason)
            left = given_up_in(watch, time.time())
            return PollAgain(min(pause.seconds, left)) if left > 0 else at_deadline(watch, self._last)
        except TikTokError as error:
            log.warning("Could not ask for %s: %s", watch.publish_id, error)
            return on_error(watch, error, time.time(), self._last)
        log.info("%s is %s", watch.publish_id, self._last.status)
        if watch.lacks_only_id(self._last):
            self._watch = watch.once_out(time.time())
        return on_status(self._watch, self._last, time.time())

    def wait(self) -> Outcome:
        """Ask until the waiting is over. It holds a worker slot all the while."""
        while isinstance(step := self.ask(), PollAgain):
            time.sleep(with_jitter(step.pause))
        return step


def with_jitter(pause: float) -> float:
    """Return a pause that differs a little each time, so that tasks do not ask together."""
    return pause * random.uniform(0.9, 1.1)
