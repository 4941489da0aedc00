"""When a caller without a call is to ask again, by what the log says."""

from datetime import UTC, datetime, timedelta

import pytest

from tiktok_provider.database.rate_limits import call_log
from tiktok_provider.database.rate_limits.call_log import CallLog, LoggedCall
from tiktok_provider.store.rate_limits import WINDOW, Endpoint, Wait
from tiktok_provider.store.requests import TakeCalls

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
LIMIT = 3


def in_seconds(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("counts_until", "paused_for", "expected"),
    [
        ([20, 30, 40], 0, 20),
        ([20, 30, 40], 10, 20),
        ([20, 30, 40], 25, 25),
        ([20, 30, 40], 90, 90),
        ([20], 15, 15),
        ([20, 30, 600], 0, 20),
        ([600, 600, 600], 0, WINDOW),
    ],
    ids=[
        "used up",
        "a pause that ends before a call does",
        "a pause that ends between two calls",
        "a pause that outlasts all calls",
        "a pause with calls left",
        "one call under way",
        "all calls under way",
    ],
)
def test_a_caller_is_sent_away_until_a_call_is_free_and_no_pause_is_left(
    monkeypatch: pytest.MonkeyPatch, counts_until: list[float], paused_for: float, expected: float
) -> None:
    monkeypatch.setattr(call_log, "jitter", lambda: 0.0)
    calls = [LoggedCall(in_seconds(seconds), None) for seconds in counts_until]
    log = CallLog(NOW, LIMIT, calls, [], in_seconds(paused_for), 0.0)
    # Polls get no place in the queue, so that nothing is added for one.
    answer = log.take(TakeCalls(Endpoint.STATUS, "poller", count=2, leave=0))
    assert isinstance(answer, Wait)
    assert answer.retry_in == pytest.approx(expected)


@pytest.mark.parametrize(("paused_for", "is_long"), [(30.0, False), (3600.0, True)])
def test_a_long_pause_is_told_with_its_end_and_a_queue_is_none(paused_for: float, is_long: bool) -> None:
    log = CallLog(NOW, LIMIT, [], [], in_seconds(paused_for), 0.0)
    answer = log.take(TakeCalls(Endpoint.INIT, "a task"))
    assert isinstance(answer, Wait)
    assert answer.until == (in_seconds(paused_for) if is_long else None)
    full = CallLog(NOW, LIMIT, [LoggedCall(in_seconds(60), None)] * LIMIT, [], None, 0.0)
    for number in range(LIMIT * 3):
        queued = full.take(TakeCalls(Endpoint.INIT, f"task {number}"))
        assert isinstance(queued, Wait)
        assert queued.until is None
