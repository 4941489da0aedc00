"""The database's clock: processes on machines whose own clocks differ judge leases and rate limits alike by it."""

import time
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from tiktok_provider.store.clock import utc_now

# One question does all: the time; and for this transaction alone, how long to wait for what another one has locked,
# how long a statement may take, and after how long the database ends a transaction whose process stands still.
_BEGIN_POSTGRESQL = """
SELECT clock_timestamp(),
    set_config('lock_timeout', '500ms', true),
    set_config('statement_timeout', '10s', true),
    set_config('idle_in_transaction_session_timeout', '30s', true)
"""


class _Reading(NamedTuple):
    """What the clock said.

    :param at: monotonic seconds, which no change of this machine's clock moves.
    """

    moment: datetime
    at: float


_last: _Reading | None = None


def database_now() -> datetime:
    """Return the time in UTC by the clock of the database, as it was read when the last transaction began here.

    Before the first one, it is this machine's.
    """
    reading = _last
    if reading is None:
        return utc_now()
    return reading.moment + timedelta(seconds=time.monotonic() - reading.at)


def begin(session: Session) -> None:
    """Read the database's clock at the begin of a transaction, and on PostgreSQL limit how long it may take.

    SQLite has the clock of the machine.
    """
    match session.get_bind().dialect.name:
        case "postgresql":
            moment = session.scalar(text(_BEGIN_POSTGRESQL))
        case "mysql":
            moment = session.scalar(text("SELECT UTC_TIMESTAMP(6)"))
        case _:
            moment = None
    remember(moment or utc_now())


def remember(moment: datetime) -> None:
    """Let ``database_now`` go on from this moment."""
    global _last
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    _last = _Reading(aware.astimezone(UTC), time.monotonic())
