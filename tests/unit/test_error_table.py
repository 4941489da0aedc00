"""Every documented code has an explanation that says what to do."""

import re

import pytest

from tiktok_provider.error_table import (
    API_CODES,
    FAIL_REASONS,
    OAUTH_ERRORS,
    api_error,
    oauth_error,
    post_failed,
    upload_error,
)
from tiktok_provider.exceptions import Actor, ApiError, Explanation, Retry, TikTokError

EXPLANATIONS = [
    *((code, entry.explanation) for code, entry in {**API_CODES, **OAUTH_ERRORS}.items()),
    *FAIL_REASONS.items(),
]


@pytest.mark.parametrize(("code", "explanation"), EXPLANATIONS)
def test_every_explanation_is_a_clause_and_a_sentence(code: str, explanation: Explanation) -> None:
    assert not explanation.meaning.endswith("."), code
    assert re.fullmatch(r"[A-Z].+\.", explanation.advice), code


@pytest.mark.parametrize(("code", "explanation"), EXPLANATIONS)
def test_what_a_person_must_mend_is_never_repeated_at_once(code: str, explanation: Explanation) -> None:
    if explanation.actor in (Actor.APP_OWNER, Actor.ACCOUNT_OWNER):
        assert explanation.retry in (Retry.NEVER, Retry.NEXT_DAY), code


def test_the_message_has_the_meaning_tiktoks_words_the_advice_and_the_log_id() -> None:
    error = api_error("rate_limit_exceeded", 429, detail="slow down", log_id="20261120ABC", retry_after=7)
    assert str(error) == (
        "Too many calls for this account within one minute.\n"
        'TikTok says: "slow down".\n'
        "Wait for the next minute.\n"
        "(code rate_limit_exceeded, HTTP 429, log_id 20261120ABC)"
    )
    assert (error.retry, error.retry_after) == (Retry.NEXT_MINUTE, 7)


@pytest.mark.parametrize(
    ("error", "retry"),
    [
        (api_error("brand_new_code", 400), Retry.BACKOFF),
        (api_error("brand_new_code", 503), Retry.BACKOFF),
        (api_error("", 429), Retry.NEXT_MINUTE),
        (oauth_error("brand_new_error", 400), Retry.NEVER),
        (upload_error(502), Retry.BACKOFF),
        (post_failed("p1", "brand_new_reason"), Retry.NEVER),
    ],
)
def test_an_unknown_code_is_judged_by_its_status(error: TikTokError, retry: Retry) -> None:
    assert error.retry == retry


def test_both_spellings_of_invalid_params_mean_the_same() -> None:
    assert type(api_error("invalid_param", 400)) is type(api_error("invalid_params", 400))


@pytest.mark.parametrize(
    ("error", "proof"),
    [
        (api_error("invalid_params", 400), True),
        (api_error("spam_risk_too_many_posts", 403), True),
        (api_error("rate_limit_exceeded", 429), True),
        (api_error("invalid_params", 502), False),
        (api_error("slow_down", 429), False),
        (api_error("timeout", 200), False),
        (api_error("internal_error", 500), False),
        (api_error("invalid_publish_id", 400), False),
    ],
)
def test_only_a_documented_refusal_proves_that_nothing_was_started(error: ApiError, proof: bool) -> None:
    assert error.explanation.starts_nothing is proof
