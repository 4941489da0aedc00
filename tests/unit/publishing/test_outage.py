"""How long a task waits for the end of an outage."""

from datetime import UTC, datetime, timedelta

import pytest

from tiktok_provider.error_table import api_error, upload_error
from tiktok_provider.exceptions import (
    ConnectionUnreadableError,
    InvalidInputError,
    TikTokError,
    UnexpectedAnswerError,
    UnreachableError,
)
from tiktok_provider.publishing.outage import LONGEST_PAUSE, SHORTEST_PAUSE, Outage
from tiktok_provider.store.errors import (
    PostTakenError,
    StoreBusyError,
    StoreUnreachableError,
    connection_not_found,
    tables_missing,
)
from tiktok_provider.store.serialization import StoreAnswerError

AWAY = UnreachableError("No answer from TikTok", maybe_processed=False)


class Waiting:
    """A task that meets one error again and again, on a clock of its own."""

    def __init__(self, error: TikTokError) -> None:
        self.error = error
        self.start = self.now = datetime(2026, 11, 20, 12, tzinfo=UTC)
        self.since: str | None = None
        self.pauses: list[float] = []

    def next(self) -> None:
        """Try once more, in another process."""
        outage = Outage(self.since, lambda: self.now)
        pause = outage.pause(self.error)
        self.since = outage.since
        self.pauses.append(pause.seconds)
        self.now += timedelta(seconds=pause.seconds)

    @property
    def passed(self) -> timedelta:
        return self.now - self.start


@pytest.mark.parametrize(
    "error",
    [
        AWAY,
        UnexpectedAnswerError("a page"),
        api_error("internal_error", 500),
        upload_error(503),
        upload_error(429),
        StoreBusyError("locked"),
        StoreUnreachableError("no answer", maybe_processed=True),
        StoreAnswerError("a page"),
    ],
)
def test_an_outage_of_an_hour_costs_no_try(error: TikTokError) -> None:
    waiting = Waiting(error)
    while waiting.passed < timedelta(hours=1):
        waiting.next()
    assert len(waiting.pauses) < 25, "no host is hammered"


def test_the_pauses_grow_from_half_a_minute_to_five() -> None:
    waiting = Waiting(AWAY)
    while waiting.passed < timedelta(hours=1):
        waiting.next()
    assert SHORTEST_PAUSE <= min(waiting.pauses) == waiting.pauses[0]
    assert LONGEST_PAUSE <= waiting.pauses[-1] <= 1.1 * LONGEST_PAUSE


def test_an_outage_without_end_fails_the_try_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__TIKTOK__OUTAGE_PATIENCE", "3600")
    waiting = Waiting(AWAY)
    while waiting.passed < timedelta(hours=1):
        waiting.next()
    assert waiting.passed <= timedelta(hours=1, minutes=1)
    with pytest.raises(UnreachableError):
        waiting.next()


@pytest.mark.parametrize(
    "error",
    [
        InvalidInputError(["title is too long"]),
        ConnectionUnreadableError("the tokens are older"),
        connection_not_found("mistyped"),
        tables_missing(),
        PostTakenError("another try"),
        api_error("scope_not_authorized", 401),
        api_error("brand_new_code", 400),
        upload_error(416),
        StoreAnswerError("not this one", retry=api_error("scope_not_authorized", 401).retry),
    ],
)
def test_what_does_not_pass_with_an_outage_is_raised_at_once(error: TikTokError) -> None:
    with pytest.raises(type(error)):
        Waiting(error).next()


def test_tiktok_is_left_alone_for_as_long_as_it_asks() -> None:
    waiting = Waiting(api_error("internal_error", 503, retry_after=1800))
    waiting.next()
    assert waiting.pauses == [1800]


def test_what_has_worked_begins_the_patience_again() -> None:
    outage = Outage("2026-11-20T12:00:00+00:00", lambda: datetime(2026, 11, 20, 23, tzinfo=UTC))
    with pytest.raises(UnreachableError):
        outage.pause(AWAY)
    outage.end()
    assert "since 23:00 UTC (No answer from TikTok)" in outage.pause(AWAY).reason
