"""A pause is never in the past, and says why."""

from datetime import UTC, datetime

from tiktok_provider.publishing.deferral import DeferTask, shown


def test_a_pause_is_never_negative_and_says_its_reason() -> None:
    pause = DeferTask(-3.0, "the account's rate limit is reached")
    assert (pause.seconds, pause.reason) == (0.0, "the account's rate limit is reached")
    assert str(DeferTask(90.4, "TikTok is away")) == "TikTok is away, for 90 s"


def test_times_are_shown_in_utc() -> None:
    assert shown(datetime(2026, 11, 20, 7, 5, tzinfo=UTC)) == "2026-11-20 07:05 UTC"
    assert shown(None) == "an unknown time"
