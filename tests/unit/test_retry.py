"""What the default retry policy decides."""

from datetime import timedelta
from types import SimpleNamespace
from typing import cast

import pytest
from airflow.sdk import Context
from airflow.sdk.definitions.retry_policy import RetryAction

from tiktok_provider.error_table import api_error
from tiktok_provider.exceptions import InvalidInputError, TikTokError, UnreachableError
from tiktok_provider.retry import TikTokRetryPolicy, retry_delay
from tiktok_provider.store.errors import connection_not_found

AWAY = UnreachableError("away", maybe_processed=False)


@pytest.mark.parametrize(
    "error",
    [
        InvalidInputError(["title is too long"]),
        api_error("scope_not_authorized", 401),
        api_error("spam_risk_user_banned_from_posting", 200),
        api_error("spam_risk_too_many_posts", 200),
    ],
)
def test_what_a_retry_cannot_help_fails_at_once_and_says_who_must_act(error: TikTokError) -> None:
    decision = TikTokRetryPolicy().evaluate(error, 1, 3)
    assert decision.action is RetryAction.FAIL
    assert str(error.actor) in str(decision.reason)


@pytest.mark.parametrize(("try_number", "seconds"), [(1, 30), (2, 60), (3, 120), (9, 900)])
def test_passing_faults_are_repeated_with_growing_jittered_delays(try_number: int, seconds: float) -> None:
    delays = {retry_delay(AWAY, try_number) for _ in range(20)}
    assert all(d and timedelta(seconds=seconds) <= d <= timedelta(seconds=seconds * 1.25) for d in delays)
    assert len(delays) > 1


@pytest.mark.parametrize(("named", "seconds"), [(None, 60), (7.0, 7)])
def test_a_minute_limit_is_waited_out_as_long_as_tiktok_says(named: float | None, seconds: float) -> None:
    delay = retry_delay(api_error("rate_limit_exceeded", 429, retry_after=named), 1)
    assert delay is not None
    assert timedelta(seconds=seconds) <= delay <= timedelta(seconds=seconds * 1.25)


@pytest.mark.parametrize(("named", "seconds"), [(600.0, 600), (7.0, 30)])
def test_a_fault_is_waited_out_at_least_as_long_as_tiktok_says(named: float, seconds: float) -> None:
    delay = retry_delay(api_error("internal_error", 503, retry_after=named), 1)
    assert delay is not None
    assert timedelta(seconds=seconds) <= delay <= timedelta(seconds=seconds * 1.25)


@pytest.mark.parametrize(("try_number", "max_tries"), [(1, 3), (3, 5)], ids=["the first", "after a clear"])
def test_a_connection_that_is_not_found_gets_one_short_retry(try_number: int, max_tries: int) -> None:
    policy, error = TikTokRetryPolicy(), connection_not_found("mistyped")
    context = cast(Context, {"task": SimpleNamespace(retries=3)})
    first = policy.evaluate(error, try_number, max_tries, context)
    assert first.action is RetryAction.RETRY
    assert first.retry_delay is not None
    assert first.retry_delay < timedelta(seconds=15)
    second = policy.evaluate(error, try_number + 1, max_tries, context)
    assert second.action is RetryAction.FAIL


def test_other_exceptions_follow_airflows_own_rules() -> None:
    assert TikTokRetryPolicy().evaluate(KeyError("x"), 1, 3).action is RetryAction.DEFAULT
