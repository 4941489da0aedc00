"""What single answers of TikTok mean."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from tiktok_provider.api.calls import Answer, retry_after, token_is_rejected

REJECTED = json.dumps({"data": {}, "error": {"code": "access_token_invalid", "message": "", "log_id": "l"}})


@pytest.mark.parametrize(
    ("status", "content", "rejected"),
    [
        (401, REJECTED, True),
        (401, REJECTED.replace("access_token_invalid", "scope_not_authorized"), False),
        (401, "", False),
        *((status, REJECTED, False) for status in (200, 400, 403, 429, 500, 503)),
    ],
)
def test_a_token_is_rejected_by_a_401_that_names_it_alone(status: int, content: str, rejected: bool) -> None:
    assert token_is_rejected(Answer(status, {}, content.encode())) is rejected


NOON = "Wed, 21 Oct 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("named", "seconds"),
    [
        ("0", 0.0),
        (" 17 ", 17.0),
        ("2592000", 86_400.0),
        ("Wed, 21 Oct 2026 12:01:30 GMT", 90.0),
        ("Wednesday, 21-Oct-26 12:01:30 GMT", 90.0),
        ("Wed Oct 21 12:01:30 2026", 90.0),
        ("Wed, 21 Oct 2026 14:01:30 +0200", 90.0),
        ("Wed, 21 Oct 2026 11:00:00 GMT", 0.0),
        ("Fri, 21 Oct 2050 11:00:00 GMT", 86_400.0),
        *((named, None) for named in ("", "-1", "1.5", "soon", "\u0665", "2026-10-21T12:01:30Z")),
        *((named, None) for named in ("Wed, 99 Oct 2026 12:00:00 GMT", "Wed, 21 Oct 99999 12:00:00 GMT")),
    ],
)
def test_retry_after_is_read_as_seconds_and_as_a_date_and_a_day_at_most(
    named: str, seconds: float | None
) -> None:
    assert retry_after(Answer(429, {"retry-after": named, "date": NOON}, b"")) == seconds


@pytest.mark.parametrize("date", [{}, {"date": "today"}])
def test_a_server_that_does_not_say_what_time_it_has_is_believed_to_have_ours(date: dict[str, str]) -> None:
    until = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    seconds = retry_after(Answer(429, {"retry-after": until, **date}, b""))
    assert seconds is not None
    assert 3_000 < seconds <= 3_600
