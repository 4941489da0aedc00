"""Odd but usable answers of the token endpoint: tokens that TikTok gave are kept."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tiktok_provider.api.calls import Answer
from tiktok_provider.api.oauth import LONGEST_LIFETIME, TokenResponse, refresh_tokens
from tiktok_provider.exceptions import UnexpectedAnswerError
from tiktok_provider.store.token_sets import ACCESS_LIFETIME, REFRESH_LIFETIME, StoredTokens, granted

NOW = datetime(2026, 11, 20, tzinfo=UTC)
USUAL: dict[str, Any] = {
    "access_token": "act.new",
    "expires_in": 86400,
    "refresh_token": "rft.new",
    "refresh_expires_in": 31536000,
    "open_id": "o1",
    "scope": "video.publish,video.upload",
    "token_type": "Bearer",
}


def read(**changes: Any) -> TokenResponse:
    """Read the answer as the refresh does; a change to ``...`` leaves the field out."""
    fields = {name: value for name, value in {**USUAL, **changes}.items() if value is not ...}
    call = refresh_tokens("key", "secret", "rft.old")
    next(call)
    with pytest.raises(StopIteration) as done:
        call.send(Answer(200, {}, json.dumps(fields).encode()))
    response = done.value.value
    assert isinstance(response, TokenResponse)
    return response


def kept(**changes: Any) -> StoredTokens:
    return granted(read(**changes), NOW)


@pytest.mark.parametrize("odd", [..., None, 0, -1, "soon", "", [], {}, True, float("nan")], ids=repr)
def test_without_a_usable_lifetime_tokens_live_as_long_as_is_documented(odd: Any) -> None:
    tokens = kept(expires_in=odd, refresh_expires_in=odd)
    assert (tokens.access_token, tokens.refresh_token) == ("act.new", "rft.new")
    assert tokens.access_expires_at == NOW + ACCESS_LIFETIME
    assert tokens.refresh_expires_at == NOW + REFRESH_LIFETIME


@pytest.mark.parametrize(("odd", "seconds"), [("3600", 3600), (3600.75, 3600.75), ("1e3", 1000), (5, 5)])
def test_a_lifetime_in_another_form_is_read(odd: Any, seconds: float) -> None:
    assert kept(expires_in=odd).access_expires_at == NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize("odd", [10**30, 10**200, 1e300, "1e400", float("inf")], ids=repr)
def test_a_lifetime_beyond_all_bounds_is_shortened(odd: Any, caplog: pytest.LogCaptureFixture) -> None:
    tokens = kept(expires_in=odd, refresh_expires_in=odd)
    assert tokens.access_expires_at == NOW + timedelta(seconds=LONGEST_LIFETIME)
    assert "too long a lifetime in expires_in" in caplog.text


def test_a_lifetime_of_more_digits_than_python_reads_costs_no_token() -> None:
    call = refresh_tokens("key", "secret", "rft.old")
    next(call)
    digits = json.dumps({**USUAL, "expires_in": 7}).replace(": 7", ": " + "9" * 5000)
    with pytest.raises(StopIteration) as done:
        call.send(Answer(200, {}, digits.encode()))
    assert done.value.value.access_token == "act.new"


@pytest.mark.parametrize("field", ["refresh_token", "open_id", "scope", "token_type"])
@pytest.mark.parametrize("odd", [{}, {"a": 1}, 1.5], ids=repr)
def test_another_odd_field_costs_no_token_and_its_value_is_in_no_log(
    field: str, odd: Any, caplog: pytest.LogCaptureFixture
) -> None:
    previous = kept()
    tokens = granted(read(**{"access_token": "act.newer", field: odd}), NOW, previous)
    assert tokens.access_token == "act.newer"
    assert f"nothing usable in {field}" in caplog.text
    assert repr(odd) not in caplog.text


def test_scopes_in_a_list_are_scopes() -> None:
    assert kept(scope=["video.publish", "video.upload"]).scope == "video.publish,video.upload"


@pytest.mark.parametrize("odd", [..., None, "", " ", {}, []], ids=repr)
def test_without_an_access_token_there_is_nothing_to_keep(odd: Any) -> None:
    with pytest.raises(UnexpectedAnswerError):
        kept(access_token=odd)
