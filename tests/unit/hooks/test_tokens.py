"""How a token is asked for: the steps alone."""

from collections.abc import Generator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tiktok_provider.exceptions import ConnectionUnreadableError
from tiktok_provider.hooks.tokens import SPREAD, Pause, RenewSecret, Steps, Token, current_token
from tiktok_provider.security.encryption import Purpose, encrypt
from tiktok_provider.store.errors import AccountDeadError
from tiktok_provider.store.requests import GetTokens, RefreshTokens, StoreRequest
from tiktok_provider.store.token_sets import Busy, TokenState

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
SECRET = "fake-secret"
EXPIRED = TokenState("mia", 1, NOW, NOW + timedelta(days=300), "open-id-of-mia", "video.publish,video.list")


def living(token: str = "act.fake", secret: str = SECRET, generation: int = 3) -> TokenState:
    """Return the state of a token that lives for a day."""
    encrypted = encrypt(secret, token, Purpose.ACCESS_TOKEN)
    end = NOW + timedelta(days=1)
    return replace(EXPIRED, generation=generation, access_expires_at=end, encrypted_access_token=encrypted)


def begun(rejected: str | None = None) -> Steps:
    """Return the steps of a caller that waits for the store's first answer."""
    steps = current_token(SECRET, rejected, clock=lambda: NOW)
    assert next(steps) == GetTokens()
    return steps


def end_of(steps: Generator[Any, Any, Token], answer: object) -> Token:
    """Send the last answer and return the token."""
    with pytest.raises(StopIteration) as done:
        steps.send(answer)
    token: Token = done.value.value
    return token


def test_callers_that_share_an_api_server_spread_their_refreshes_over_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "airflow-db-not-allowed:///")
    pauses = [begun().send(EXPIRED) for _ in range(50)]
    seconds = {pause.seconds for pause in pauses if isinstance(pause, Pause)}
    assert len(seconds) == 50
    assert 0 <= min(seconds) < SPREAD / 2 < max(seconds) <= SPREAD


def test_a_caller_with_the_store_in_its_own_process_does_not_wait() -> None:
    assert isinstance(begun().send(EXPIRED), StoreRequest)


def test_a_caller_that_must_wait_asks_again_not_earlier_and_not_with_all_others() -> None:
    waits = set()
    for _ in range(50):
        steps = begun()
        steps.send(EXPIRED)
        step = steps.send(Busy(2))
        assert isinstance(step, Pause)
        waits.add(step.seconds)
    assert len(waits) == 50
    assert 2 <= min(waits) < max(waits) <= 3


def test_the_token_of_the_answer_is_decrypted() -> None:
    token = end_of(begun(), living())
    assert (token.value, token.open_id) == ("act.fake", "open-id-of-mia")
    assert token.expires_at == NOW + timedelta(days=1)
    assert token.scopes == {"video.publish", "video.list"}
    assert "act.fake" not in repr(token) + repr(living())


def test_a_token_that_was_rejected_is_refreshed_if_it_is_still_the_current_one() -> None:
    steps = begun(rejected="act.fake")
    assert steps.send(living()) == RefreshTokens(3)
    assert end_of(steps, living("act.new", generation=4)).value == "act.new"
    assert end_of(begun(rejected="act.older"), living()).value == "act.fake"


def test_after_a_change_of_the_client_secret_it_is_read_again_once() -> None:
    steps = begun()
    assert steps.send(living(secret="fake-new-secret")) == RenewSecret()
    assert end_of(steps, "fake-new-secret").value == "act.fake"


def test_a_client_secret_that_does_not_fit_either_ends_in_a_clear_error() -> None:
    steps = begun()
    assert steps.send(living(secret="fake-secret-of-the-api-server")) == RenewSecret()
    with pytest.raises(
        ConnectionUnreadableError, match=r"(?s)'mia' cannot be decrypted.*another client"
    ) as caught:
        steps.send(SECRET)
    assert "act." not in str(caught.value)
    assert "fake-secret" not in str(caught.value)


def test_what_was_encrypted_for_another_purpose_is_no_token() -> None:
    steps = begun()
    state = replace(living(), encrypted_access_token=encrypt(SECRET, "https://upload", Purpose.UPLOAD_URL))
    assert steps.send(state) == RenewSecret()
    with pytest.raises(ConnectionUnreadableError):
        steps.send(SECRET)


def test_an_answer_without_a_token_is_an_error_that_says_what_it_means_if_it_lasts() -> None:
    steps = begun()
    with pytest.raises(ConnectionUnreadableError) as caught:
        steps.send(replace(living(), encrypted_access_token=""))
    said = str(caught.value)
    for part in ("for generation 3", "passes by itself", "If it lasts", "airflow tiktok connect mia"):
        assert part in said


def test_the_last_token_of_a_closed_account_is_used_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    almost_over = replace(living(), access_expires_at=NOW + timedelta(seconds=10), closed="Connect it again.")
    assert end_of(begun(), almost_over).value == "act.fake"
    assert "Connect it again." in caplog.text


def test_a_refresh_that_is_refused_before_the_token_ends_does_not_end_the_caller() -> None:
    steps = begun()
    step = steps.send(replace(living(), access_expires_at=NOW + timedelta(seconds=10)))
    assert isinstance(step, RefreshTokens)
    with pytest.raises(StopIteration) as done:
        steps.throw(AccountDeadError("Connect it again."))
    assert done.value.value.value == "act.fake"


def test_a_closed_account_whose_token_tiktok_refuses_is_dead() -> None:
    steps = begun(rejected="act.fake")
    assert isinstance(steps.send(replace(living(), closed="Connect it again.")), RefreshTokens)
    with pytest.raises(AccountDeadError):
        steps.throw(AccountDeadError("Connect it again."))
