"""Leases, decided on a record alone."""

from datetime import UTC, datetime, timedelta

from tiktok_provider.database.accounts import refresh_lease as leases
from tiktok_provider.database.tables import AccountRecord
from tiktok_provider.store.token_sets import StoredTokens

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
TOKENS = StoredTokens(access_token="a", refresh_token="r", access_expires_at=NOW, refresh_expires_at=NOW)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_a_holder_that_lost_its_lease_cannot_end_its_followers() -> None:
    record = AccountRecord(conn_id="mia", generation=1)
    lost = leases.take(record, TOKENS, NOW)
    follower = leases.take(record, TOKENS, later(60))
    leases.release(record, lost, later(61))
    assert record.lease_holder == follower.holder
    assert leases.wait_for(record, later(62)) is not None


def test_a_refusal_is_suspect_as_long_as_somebody_else_has_the_lease_or_may_hold_a_set() -> None:
    record = AccountRecord(conn_id="mia", generation=1)
    lost = leases.take(record, TOKENS, NOW)
    follower = leases.take(record, TOKENS, later(600))
    assert leases.is_suspect(record, lost, later(900))
    # Whoever has never given the lease back may wait for a database that was away until now.
    assert leases.is_suspect(record, follower, later(719))
    assert not leases.is_suspect(record, follower, later(720))


def test_a_lease_shows_no_token() -> None:
    lease = leases.take(AccountRecord(conn_id="mia", generation=1), TOKENS, NOW)
    assert "tokens" not in repr(lease)


def test_a_lease_of_a_clock_that_was_ahead_is_free_and_contested() -> None:
    record = AccountRecord(conn_id="mia", generation=1)
    leases.take(record, TOKENS, later(30 * 86400))
    assert leases.wait_for(record, NOW) is None
    mine = leases.take(record, TOKENS, NOW)
    assert leases.is_suspect(record, mine, later(179))
    assert not leases.is_suspect(record, mine, later(180))


def test_a_lease_of_a_machine_whose_clock_is_a_little_ahead_counts() -> None:
    record = AccountRecord(conn_id="mia", generation=1)
    leases.take(record, TOKENS, later(50))
    assert leases.wait_for(record, NOW) is not None


def test_a_refresh_that_ended_on_a_clock_that_was_ahead_does_not_hide_a_dead_account() -> None:
    record = AccountRecord(conn_id="mia", generation=1)
    leases.finish(record, leases.take(record, TOKENS, later(86400)), later(86400))
    mine = leases.take(record, TOKENS, NOW)
    assert not leases.is_suspect(record, mine, later(1))
    leases.finish(record, mine, later(2))
    assert leases.is_suspect(record, leases.take(record, TOKENS, later(3)), later(4))
