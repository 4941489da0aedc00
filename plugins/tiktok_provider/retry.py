"""The default retry policy: what the errors themselves say about a retry."""

import random
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.sdk.definitions.retry_policy import RetryDecision, RetryPolicy

from tiktok_provider.exceptions import Retry, TikTokError

if TYPE_CHECKING:
    from airflow.sdk import Context

SHORT_DELAY = 10.0
FIRST_DELAY, LONGEST_DELAY = 30.0, 900.0
MINUTE_WINDOW = 60.0


class TikTokRetryPolicy(RetryPolicy):
    """Fails at once where a retry cannot help, else waits as long as TikTok asks.

    Bad input, refused scopes and reached caps fail at once. A connection that is not found gets one retry, after ten
    seconds: it is mostly mistyped, but its secrets backend can be away for a moment. Faults of the network or of
    TikTok are repeated after 30 seconds, doubling up to 15 minutes, or after ``Retry-After`` if that is longer; a
    reached minute limit after ``Retry-After`` or a minute. All delays have jitter, so that tasks do not start again
    together. Other exceptions follow Airflow's own rules. Before all this, operators wait an outage out without
    ending the try: see ``publishing.outage``.
    """

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,
        context: "Context | None" = None,
    ) -> RetryDecision:
        """Decide for one failure; Airflow still applies the task's number of ``retries``."""
        if not isinstance(exception, TikTokError):
            return RetryDecision.default()
        delay = retry_delay(exception, _try_since_clear(try_number, max_tries, context))
        if delay is None:
            return RetryDecision.fail(reason=f"A retry cannot help. Who can fix it: {exception.actor}.")
        return RetryDecision.retry(delay=delay, reason=f"Retry {exception.retry}.")


def retry_delay(error: TikTokError, try_number: int) -> timedelta | None:
    """Return how long to wait before the next try, or None if there should be none.

    :param try_number: of the try that failed, from 1, counted since the task was cleared.
    """
    if error.retry == Retry.ONCE:
        if try_number > 1:
            return None
        seconds = SHORT_DELAY
    elif error.retry == Retry.NEXT_MINUTE:
        seconds = error.retry_after or MINUTE_WINDOW
    elif error.retry == Retry.BACKOFF:
        seconds = max(min(FIRST_DELAY * 2 ** (try_number - 1), LONGEST_DELAY), error.retry_after or 0.0)
    else:
        return None
    return timedelta(seconds=seconds * random.uniform(1.0, 1.25))


def _try_since_clear(try_number: int, max_tries: int, context: "Context | None") -> int:
    """Return the number of a try since the task was cleared, after which Airflow counts on, and allows more tries."""
    retries = context["task"].retries if context and "task" in context else max_tries
    return max(try_number - (max_tries - (retries or 0)), 1)
