"""How a token is asked for: the steps alone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tiktok_provider.exceptions import ConnectionUnreadableError
from tiktok_provider.hooks.tokens import SPREAD, Pause, Read, Steps, current_token
from tiktok_provider.store.requests import StoreRequest
from tiktok_provider.store.token_sets import Busy, TokenState

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
EXPIRED = TokenState("mia", "mia.tokens", 1, NOW, NOW + timedelta(days=300), "open-id-of-mia", "")


def asked_to_refresh() -> Steps:
    """Return the steps of a caller that has just heard that the token has expired."""
    steps = current_token(clock=lambda: NOW)
    next(steps)
    return steps


def test_callers_that_share_an_api_server_spread_their_refreshes_over_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "airflow-db-not-allowed:///")
    pauses = [asked_to_refresh().send(EXPIRED) for _ in range(50)]
    seconds = {pause.seconds for pause in pauses if isinstance(pause, Pause)}
    assert len(seconds) == 50
    assert 0 <= min(seconds) < SPREAD / 2 < max(seconds) <= SPREAD


def test_a_caller_with_the_store_in_its_own_process_does_not_wait() -> None:
    assert isinstance(asked_to_refresh().send(EXPIRED), StoreRequest)


def test_who_is_told_to_come_back_comes_not_earlier_and_not_with_all_others() -> None:
    waits = set()
    for _ in range(50):
        steps = asked_to_refresh()
        steps.send(EXPIRED)
        step = steps.send(Busy(2))
        assert isinstance(step, Pause)
        waits.add(step.seconds)
    assert len(waits) == 50
    assert 2 <= min(waits) < max(waits) <= 3


@pytest.mark.parametrize(
    "extra", [{}, {"access_token": "act.old", "refresh_token": "rft.old", "generation": 2}], ids=str
)
def test_a_set_that_stays_behind_is_never_taken_and_the_sentence_says_what_it_means_if_it_lasts(
    extra: dict[str, object],
) -> None:
    steps = current_token(clock=lambda: NOW)
    next(steps)
    state = replace(EXPIRED, generation=3, access_expires_at=NOW + timedelta(days=1))
    assert steps.send(state) == Read("mia.tokens")
    with pytest.raises(ConnectionUnreadableError) as caught:
        steps.send(extra)
    said = str(caught.value)
    for part in ("in generation 3", "passes by itself", "If it lasts", "airflow tiktok connect mia"):
        assert part in said
