"""A pause is never in the past, and says first until when, then why."""

from datetime import UTC, datetime

import pytest

from tiktok_provider.publishing.deferral import DeferTask, moment_in

NOW = datetime(2026, 11, 20, 21, 3, tzinfo=UTC)


def test_a_pause_is_never_negative_and_says_its_reason() -> None:
    pause = DeferTask(-3.0, "the account's rate limit is reached")
    assert (pause.seconds, pause.reason) == (0.0, "the account's rate limit is reached")


def test_its_line_begins_with_the_moment() -> None:
    assert DeferTask(85_320, "a cap").sentence(NOW) == "Until 20:45 UTC (23 h 42 min): a cap."


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "21:03:00 UTC (0 s)"),
        (90.4, "21:04:30 UTC (90 s)"),
        (150, "21:05 UTC (3 min)"),
        (3_599, "22:02 UTC (1 h 0 min)"),
        (86_400, "21:03 UTC (24 h 0 min)"),
    ],
)
def test_a_moment_is_shown_with_the_time_until_then(seconds: float, shown: str) -> None:
    assert moment_in(seconds, NOW) == shown
