"""Which caller may refresh an account, decided on its record; of two that decide alike the database refuses one."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import uuid4

from tiktok_provider.api.calls import Call
from tiktok_provider.database.tables import AccountRecord
from tiktok_provider.store.token_sets import Busy, StoredTokens

T = TypeVar("T")

# Longer than the 20 s that a call to TikTok may take, with a margin for the clocks of two machines.
LEASE = timedelta(seconds=60)
# A call that begins later could still be under way when the lease ends.
LATEST_START = timedelta(seconds=30)
# For so long after another holder's lease an invalid_grant may come from its use of the same refresh token, and it
# may still write the tokens that it got.
CONTESTED = timedelta(seconds=120)
# So far the clocks of two machines may be apart. A later time than is ever written now comes from a clock that was
# ahead for a moment, and must not block an account until then.
CLOCK_SKEW = timedelta(seconds=60)
# Between two calls to TikTok for one account, so that a hundred callers do not make a hundred calls.
PAUSE_AFTER_FAILURE = timedelta(seconds=5)
PAUSE_WHEN_SUSPECT = timedelta(seconds=15)
# A refresh mostly takes less than a second; a caller that has waited longer is asked to repeat less often.
SHORTEST_WAIT, _LONGEST_WAIT = 0.5, 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to refresh an account's tokens.

    :param generation: of these tokens.
    :param start_by: a call that has not begun by then must not be made.
    """

    holder: str
    generation: int
    tokens: StoredTokens = field(repr=False)
    start_by: datetime


class TooLateError(Exception):
    """The holder stood still until its lease was nearly over: another may be refreshing. Nothing was sent."""


def in_time(call: Call[T], lease: Lease, clock: Callable[[], datetime]) -> Call[T]:
    """Check the time once more right before a call is sent: its process may have stood still meanwhile.

    :raises TooLateError: the call must not be made any more.
    """
    if clock() > lease.start_by:
        raise TooLateError
    return (yield from call)


def wait_for(record: AccountRecord, now: datetime) -> Busy | None:
    """Return for how long no other refresh may begin; None if the lease can be taken."""
    if record.busy_until is None or record.busy_until <= now or _is_too_late(record.busy_until, now, LEASE):
        return None
    left = (record.busy_until - now).total_seconds()
    if record.lease_holder is None:
        return Busy(left)
    passed = LEASE.total_seconds() - left
    return Busy(min(left, max(SHORTEST_WAIT, min(passed, _LONGEST_WAIT))))


def take(record: AccountRecord, tokens: StoredTokens, now: datetime) -> Lease:
    """Take the lease, also from a holder that did not end it in time."""
    if record.lease_holder is not None:
        # It may have died. Or it waits for a database that was away, with tokens that have ended these. And one
        # that has written too late a time may still be refreshing.
        _contest(record, max(now, min(record.busy_until or now, now + LEASE)))
    record.lease_holder = str(uuid4())
    record.busy_until = now + LEASE
    return Lease(
        holder=record.lease_holder,
        generation=record.generation,
        tokens=tokens,
        start_by=now + LATEST_START,
    )


def release(record: AccountRecord, lease: Lease, now: datetime, pause: timedelta = timedelta(0)) -> None:
    """End the lease; does nothing if another holder has it by now.

    :param pause: for how long no refresh may begin.
    """
    if record.lease_holder == lease.holder:
        record.lease_holder = None
        record.busy_until = now + pause if pause else None


def finish(record: AccountRecord, lease: Lease, now: datetime, pause: timedelta = timedelta(0)) -> None:
    """End the lease after a call that may have changed something at TikTok; see ``give_back``."""
    release(record, lease, now, pause)
    _contest(record, now)


def is_suspect(record: AccountRecord, lease: Lease, now: datetime) -> bool:
    """Whether an ``invalid_grant`` may only mean that another process has used the refresh token."""
    return _is_contested(record, now) or record.lease_holder != lease.holder


def clear(record: AccountRecord) -> None:
    """End all leases, after a person has brought or removed tokens."""
    record.lease_holder = record.busy_until = record.contested_until = None


def _contest(record: AccountRecord, since: datetime) -> None:
    record.contested_until = since + CONTESTED


def _is_contested(record: AccountRecord, now: datetime) -> bool:
    until = record.contested_until
    return until is not None and now < until and not _is_too_late(until, now, LEASE + CONTESTED)


def _is_too_late(moment: datetime, now: datetime, longest: timedelta) -> bool:
    return moment > now + longest + CLOCK_SKEW
