"""Refreshes that meet, die or stand still: one call, and no tokens thrown away."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any, TypeVar

import pytest
from sqlalchemy.exc import InterfaceError, InternalError

from tests.unit.database.accounts.refreshing import (
    TOKEN,
    Interrupted,
    die,
    killed_refresh,
    refresh,
    revoke_all,
    stopped,
)
from tests.unit.databases import Mia
from tiktok_provider.api.calls import Call
from tiktok_provider.database.accounts import transitions as account_changes
from tiktok_provider.database.accounts.service import AccountService
from tiktok_provider.database.accounts.token_endpoint import call_tiktok
from tiktok_provider.exceptions import TikTokError, UnreachableError
from tiktok_provider.security.tls import tiktok_tls
from tiktok_provider.store.errors import AccountDeadError, StoreBusyError, StoreNotReadyError
from tiktok_provider.store.token_sets import Busy, TokenState

run = asyncio.run
T = TypeVar("T")
DAY = timedelta(days=1)


def test_twenty_tasks_cause_one_call(expired: Mia) -> None:
    async def all_at_once() -> list[TokenState | Busy]:
        store = expired.store()
        first = await asyncio.gather(*(store.refresh("mia", 1) for _ in range(20)))
        return [await store.refresh("mia", 1) if isinstance(one, Busy) else one for one in first]

    states = run(all_at_once())
    assert {state.generation for state in states if isinstance(state, TokenState)} == {2}
    assert len(states) == 20
    assert not any(isinstance(state, Busy) for state in states)
    assert expired.refreshes() == 1


def test_twenty_threads_with_stores_of_their_own_cause_one_call(expired: Mia) -> None:
    start = Barrier(20)

    def caller(_: int) -> TokenState | Busy:
        start.wait()
        return refresh(expired)

    with ThreadPoolExecutor(20) as threads:
        first = list(threads.map(caller, range(20)))
    again = [refresh(expired) if isinstance(one, Busy) else one for one in first]
    assert [isinstance(state, TokenState) and state.generation for state in again] == [2] * 20
    assert expired.refreshes() == 1


def test_who_finds_the_lease_taken_is_told_when_to_come_back(expired: Mia) -> None:
    waits: list[TokenState | Busy] = []

    def others_ask() -> None:
        for seconds in (0, 3, 17):
            expired.clock.advance(seconds=seconds)
            waits.append(refresh(expired))

    refresh(expired, call=Interrupted(before=others_ask))
    assert waits == [Busy(0.5), Busy(3), Busy(5)]
    assert expired.refreshes() == 1


@pytest.mark.parametrize("old_refresh_token", ["dies", "lives", "kills_all"])
def test_a_holder_that_dies_before_the_call_is_followed_after_sixty_seconds(
    expired: Mia, old_refresh_token: str
) -> None:
    expired.sandbox.set_switches(old_refresh_token=old_refresh_token)
    killed_refresh(expired, before=die)
    expired.clock.advance(seconds=59)
    assert isinstance(refresh(expired), Busy)
    assert expired.refreshes() == 0
    expired.clock.advance(seconds=1)
    assert isinstance(refresh(expired), TokenState)
    assert expired.works()


def test_a_holder_that_dies_with_the_answer_costs_nothing_where_the_old_token_lives(expired: Mia) -> None:
    expired.sandbox.set_switches(old_refresh_token="lives")
    killed_refresh(expired, after=die)
    expired.clock.advance(seconds=60)
    assert isinstance(refresh(expired), TokenState)
    assert expired.works()


@pytest.mark.parametrize("old_refresh_token", ["dies", "kills_all"])
def test_a_holder_that_dies_with_the_answer_leaves_an_account_that_is_suspect_and_then_dead(
    expired: Mia, old_refresh_token: str
) -> None:
    expired.sandbox.set_switches(old_refresh_token=old_refresh_token)
    killed_refresh(expired, after=die)
    expired.clock.advance(seconds=60)
    for _ in range(8):
        assert refresh(expired) == Busy(15)
        expired.clock.advance(seconds=15)
    with pytest.raises(AccountDeadError):
        refresh(expired)


def test_a_stopped_holder_writes_its_set_if_nobody_came(expired: Mia) -> None:
    state = refresh(expired, call=stopped(expired))
    assert isinstance(state, TokenState)
    assert state.access_expires_at == expired.clock.now - timedelta(seconds=61) + DAY
    assert expired.works()


def test_a_stopped_holder_saves_the_account_that_its_follower_thinks_suspect(expired: Mia) -> None:
    outcomes: list[TokenState | Busy] = []
    state = refresh(expired, call=stopped(expired, lambda: outcomes.append(refresh(expired))))
    assert outcomes == [Busy(15)]
    assert isinstance(state, TokenState)
    assert expired.works()


def test_a_stopped_holder_saves_even_an_account_that_was_given_up(expired: Mia) -> None:
    def give_up() -> None:
        refresh(expired)
        expired.clock.advance(seconds=121)
        with pytest.raises(AccountDeadError):
            refresh(expired)

    state = refresh(expired, call=stopped(expired, give_up))
    assert run(expired.store().look("mia")) == state
    assert expired.works()


def test_of_two_living_sets_the_one_that_lives_longer_stays(expired: Mia) -> None:
    expired.sandbox.set_switches(old_refresh_token="lives")
    followers: list[TokenState | Busy] = []
    late = refresh(expired, call=stopped(expired, lambda: followers.append(refresh(expired))))
    assert followers == [late]
    assert isinstance(late, TokenState)
    assert (late.generation, late.access_expires_at) == (2, expired.clock.now + DAY)
    assert expired.kept()["generation"] == 2
    assert expired.audit_log()[-1][1]["outcome"] == "overtaken"


def test_a_late_set_that_lives_longer_replaces_the_newer_one(expired: Mia) -> None:
    expired.sandbox.set_switches(old_refresh_token="lives")
    short = {
        "access_token": "act.s",
        "expires_in": 60,
        "refresh_token": "rft.s",
        "refresh_expires_in": 60,
        "open_id": "o",
    }

    def follow() -> None:
        expired.sandbox.add_fault("status", status=200, body=short, path=TOKEN)
        assert isinstance(refresh(expired), TokenState)

    late = refresh(expired, call=stopped(expired, follow))
    assert isinstance(late, TokenState)
    assert late.generation == 3
    assert expired.works()


def test_a_holder_that_stood_still_before_its_call_does_not_make_it(expired: Mia) -> None:
    expired.sandbox.set_switches(old_refresh_token="kills_all")
    followers: list[TokenState | Busy] = []

    def stand_still() -> None:
        expired.clock.advance(seconds=61)
        followers.append(refresh(expired))

    assert refresh(expired, call=Interrupted(before=stand_still)) == Busy(0.5)
    assert (refresh(expired), expired.refreshes()) == (followers[0], 1)
    assert expired.works()


@pytest.mark.parametrize(("seconds", "calls"), [(30, 1), (31, 0)])
def test_a_call_that_could_outlast_the_lease_is_not_made(expired: Mia, seconds: int, calls: int) -> None:
    late = Interrupted(before=lambda: expired.clock.advance(seconds=seconds))
    assert isinstance(refresh(expired, call=late), TokenState) == bool(calls)
    assert expired.refreshes() == calls


@pytest.mark.parametrize("act", ["connect", "disconnect"])
def test_a_late_set_never_undoes_what_a_person_did(expired: Mia, act: str) -> None:
    def person() -> None:
        if act == "connect":
            expired.define(expired.issue(expires_in=3600))
            run(expired.store().look("mia"))
        else:
            run(expired.store().disconnect("mia", actor="anna"))

        kept.append(expired.kept())

    kept: list[dict[str, Any]] = []
    late = Interrupted(after=person)
    try:
        refresh(expired, call=late)
    except TikTokError:
        assert act == "disconnect"
    assert kept == [expired.kept()]


def test_a_refusal_that_a_new_initial_tokens_has_overtaken_kills_nothing(expired: Mia) -> None:
    revoke_all(expired)

    async def refused_late(base_url: str, call: Call[T], /) -> T:
        try:
            return await call_tiktok(base_url, call)
        finally:
            expired.define(expired.issue())
            await expired.store().look("mia")

    state = refresh(expired, call=refused_late)
    assert isinstance(state, TokenState)
    assert state.generation == 2
    assert expired.works()


def test_a_new_initial_tokens_does_not_wait_for_a_holder_that_died(expired: Mia) -> None:
    killed_refresh(expired, before=die)
    expired.define(expired.issue())
    state = run(expired.store().look("mia"))
    assert isinstance(refresh(expired, state.generation), TokenState)


class AwayDatabase:
    """Lets no set be kept until enough was waited for.

    :param seconds: of pauses after which it is back.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: Exception, seconds: float) -> None:
        self.error, self.seconds = error, seconds
        self.pauses: list[float] = []
        self._real = account_changes.write_refreshed
        monkeypatch.setattr(account_changes, "write_refreshed", self._keep)

    def _keep(self, *arguments: Any) -> Any:
        if sum(self.pauses) < self.seconds:
            raise self.error
        return self._real(*arguments)

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)


READ_ONLY = InternalError("UPDATE", {}, Exception("cannot execute UPDATE in a read-only transaction"))


@pytest.mark.parametrize(
    "error",
    [
        StoreBusyError("The database is locked."),
        StoreNotReadyError("The tables are of another version."),
        READ_ONLY,
        InterfaceError("UPDATE", {}, Exception("connection already closed")),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_set_in_hand_is_written_as_soon_as_the_database_is_back(
    expired: Mia, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    away = AwayDatabase(monkeypatch, error, seconds=595)
    assert isinstance(refresh(expired, sleep=away.sleep), TokenState)
    assert away.pauses == sorted(away.pauses)
    assert (away.pauses[0], away.pauses[-1]) == (0.25, 15)
    assert expired.works()


def test_an_account_is_not_called_dead_while_a_set_in_hand_waits_for_the_database(
    expired: Mia, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = AwayDatabase(monkeypatch, StoreBusyError("The database is locked."), seconds=240)
    others: list[TokenState | Busy] = []

    async def sleep(seconds: float) -> None:
        await away.sleep(seconds)
        expired.clock.advance(seconds=seconds)
        if sum(away.pauses) >= 240 and not others:
            # The database is back, and another task asks before the set's next try to be written.
            others.append(await asyncio.to_thread(refresh, expired))

    assert isinstance(refresh(expired, sleep=sleep), TokenState)
    assert others == [Busy(15.0)]
    assert expired.works()


def test_a_database_that_is_away_for_more_than_ten_minutes_is_given_up(
    expired: Mia, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = AwayDatabase(monkeypatch, StoreBusyError("The database is locked."), seconds=3600)
    with pytest.raises(StoreBusyError, match="locked"):
        refresh(expired, sleep=away.sleep)
    assert 600 <= sum(away.pauses) < 620


def test_while_a_set_waits_for_the_database_the_log_says_so_without_it(
    expired: Mia, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    away = AwayDatabase(monkeypatch, READ_ONLY, seconds=1)
    refresh(expired, sleep=away.sleep)
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(said) == len(away.pauses)
    assert "'mia' cannot be written yet (InternalError). Do not end this process" in said[0]
    assert expired.kept()["refresh_token"] not in caplog.text


@pytest.mark.parametrize(
    ("name", "value"), [("SSL_CERT_FILE", "/nowhere/ca.pem"), ("ALL_PROXY", "unknown://fake-proxy:1")]
)
def test_a_setting_that_keeps_the_server_from_tiktok_is_told_and_gives_the_lease_back(
    expired: Mia, name: str, value: str
) -> None:
    tiktok_tls.cache_clear()
    expired.monkeypatch.setenv(name, value)
    with pytest.raises(UnreachableError, match="SSL_CERT_FILE, SSL_CERT_DIR and the proxy settings"):
        refresh(expired)
    [account] = run(expired.store().accounts())
    assert "TikTok cannot be called where tokens are refreshed" in str(account.last_error)
    assert expired.audit_log()[-1][0] == "tiktok_token_failure"
    expired.monkeypatch.delenv(name)
    tiktok_tls.cache_clear()
    expired.clock.advance(seconds=5)
    assert isinstance(refresh(expired), TokenState)


def test_a_clock_that_was_ahead_for_a_moment_does_not_close_the_account(expired: Mia) -> None:
    async def lost(base_url: str, call: Call[T], /) -> T:  # noqa: ARG001
        raise UnreachableError("No answer.", maybe_processed=True)

    ahead = AccountService(clock=lambda: expired.clock() + 30 * DAY, call=lost)
    with pytest.raises(UnreachableError):
        run(ahead.refresh("mia", 1))
    assert isinstance(refresh(expired), TokenState)
    assert expired.works()


def test_a_caller_that_goes_away_does_not_take_the_answer_with_it(expired: Mia) -> None:
    async def impatient() -> None:
        store = expired.store()
        at_tiktok, go_on = asyncio.Event(), asyncio.Event()

        async def slow(base_url: str, call: Call[T], /) -> T:
            at_tiktok.set()
            await go_on.wait()
            return await call_tiktok(base_url, call)

        store._call = slow
        caller = asyncio.create_task(store.refresh("mia", 1))
        await at_tiktok.wait()
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        go_on.set()
        await asyncio.gather(*store._under_way)

    run(impatient())
    assert expired.kept()["generation"] == 2
    assert expired.works()
