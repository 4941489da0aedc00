"""Leases and rate limits go by the database's clock, whatever the machines of two API servers believe."""

import asyncio
from datetime import timedelta

import pytest

from tests.unit.database.posts.posting import KEY, wish
from tests.unit.databases import DATABASES, Mia
from tiktok_provider.database import clock
from tiktok_provider.database.accounts.connections import read_stored_account
from tiktok_provider.database.accounts.refresh_lease import Lease
from tiktok_provider.database.accounts.service import AccountService
from tiktok_provider.database.accounts.transitions import begin_refresh
from tiktok_provider.database.clock import database_now
from tiktok_provider.database.posts.service import PostService
from tiktok_provider.database.session import change, transaction
from tiktok_provider.store.clock import utc_now
from tiktok_provider.store.posts import Verdict
from tiktok_provider.store.token_sets import Busy

APART = timedelta(seconds=120)


@pytest.fixture(autouse=True)
def nothing_read_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "_last", None)


def another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process go on as on a machine whose clock is ahead."""
    monkeypatch.setattr(clock, "utc_now", lambda: utc_now() + APART)


def test_before_the_first_transaction_the_time_is_this_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    another_machine(monkeypatch)
    assert database_now() - utc_now() > APART / 2


@pytest.mark.skipif("postgresql" not in DATABASES, reason="SQLite's clock is the machine's")
@pytest.mark.parametrize("migrated_database", ["postgresql"], indirect=True)
class TestOnServers:
    """Two API servers on one PostgreSQL."""

    def test_a_transaction_brings_the_time_of_the_database(
        self, database: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert database
        another_machine(monkeypatch)
        with transaction():
            assert abs(database_now() - utc_now()) < APART / 2
        assert abs(database_now() - utc_now()) < APART / 2, "after it, too"

    def test_a_living_claim_is_not_taken_over(self, mia: Mia, monkeypatch: pytest.MonkeyPatch) -> None:
        assert mia
        first = asyncio.run(PostService().claim("mia", KEY, wish()))
        another_machine(monkeypatch)
        second = asyncio.run(PostService().claim("mia", KEY, wish(task="another")))
        assert (first.verdict, second.verdict) == (Verdict.YOURS, Verdict.THEIRS)

    def test_one_token_is_not_refreshed_twice(self, mia: Mia, monkeypatch: pytest.MonkeyPatch) -> None:
        seen = asyncio.run(AccountService().look("mia")).generation
        account = read_stored_account("mia", utc_now())
        lease = change(lambda session: begin_refresh(session, account, seen, database_now()))
        another_machine(monkeypatch)
        second = asyncio.run(AccountService().refresh("mia", seen))
        assert isinstance(lease, Lease)
        assert isinstance(second, Busy)
        assert mia.refreshes() == 0
