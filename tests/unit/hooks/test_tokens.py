"""How a token is asked for: the steps alone."""

from datetime import UTC, datetime, timedelta

import pytest

from tiktok_provider.hooks.tokens import SPREAD, Pause, Steps, current_token
from tiktok_provider.store.operations import Operation
from tiktok_provider.store.tokens import Busy, TokenState

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
EXPIRED = TokenState("mia", "mia.tokens", 1, NOW, NOW + timedelta(days=300), "open-id-of-mia", "")


def asked_to_refresh() -> Steps:
    """Return the steps of a caller that has just heard that the token has expired."""
    steps = current_token("mia", clock=lambda: NOW)
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
    assert isinstance(asked_to_refresh().send(EXPIRED), Operation)


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
