"""A week of an account that is asked something every ten minutes, on a clock that the test moves."""

import asyncio
from collections.abc import Callable, Generator
from datetime import timedelta
from functools import cached_property
from typing import Self, TypeVar

import pytest

from tests.unit.databases import Clock, Mia
from tiktok_provider.api.calls import Call
from tiktok_provider.api.oauth import TokenResponse
from tiktok_provider.database.accounts.service import AccountService
from tiktok_provider.database.accounts.token_endpoint import call_tiktok
from tiktok_provider.database.services import Services
from tiktok_provider.hooks.tiktok import TikTokHook
from tiktok_provider.store.client import Store
from tiktok_provider.store.requests import StoreRequest
from tiktok_provider.store.token_sets import REFRESH_LEAD

T = TypeVar("T")

WEEK = timedelta(days=7)
PAUSE = timedelta(minutes=10)
TIKTOKS_LIFETIME = timedelta(days=1)
TITLE = "A week of refreshing: database and case, lifetime, week / (lifetime - lead), refreshes"
CREATOR_INFO = "/v2/post/publish/creator_info/query/"


class ClockedStore(Store):
    """The store in this process, as the command line has it, on the test's clock."""

    def __init__(self, accounts: AccountService) -> None:
        super().__init__("mia")
        self._accounts = accounts

    def run(self, request: StoreRequest[T]) -> T:
        async def call() -> T:
            return await Services(accounts=self._accounts).answer(self.conn_id, request)

        return asyncio.run(call())


class ClockedHook(TikTokHook):
    """The hook on the test's clock, and a store on the same."""

    def __init__(self, clock: Clock, accounts: AccountService) -> None:
        super().__init__("mia", clock=clock)
        self._accounts = accounts

    def __enter__(self) -> Self:
        return self

    @cached_property
    def store(self) -> Store:
        return ClockedStore(self._accounts)


@pytest.fixture
def creator(mia: Mia, monkeypatch: pytest.MonkeyPatch) -> Mia:
    """Mia; the hook finds Connections in the environment and the database."""
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
    return mia


Hooks = Generator[ClockedHook, None, None]


def new_hooks(mia: Mia, accounts: AccountService) -> Hooks:
    """A hook for each call, as in a task that runs every ten minutes."""
    while True:
        with ClockedHook(mia.clock, accounts) as hook:
            yield hook


def one_hook(mia: Mia, accounts: AccountService) -> Hooks:
    """The same hook for all calls, as in a task that runs for a week."""
    with ClockedHook(mia.clock, accounts) as hook:
        while True:
            yield hook


def spend_a_week(mia: Mia, hooks: Callable[[Mia, AccountService], Hooks], accounts: AccountService) -> None:
    """Call once every ten minutes, at the end as well as at the beginning."""
    source = hooks(mia, accounts)
    for _ in range(WEEK // PAUSE):
        assert next(source).creator_info().creator_username == "mia"
        mia.clock.advance(seconds=PAUSE.total_seconds())
    assert next(source).creator_info().creator_username == "mia"
    source.close()


def answers(mia: Mia, path: str) -> list[int]:
    """Return the HTTP statuses of all calls to a path."""
    return [call["status"] for call in mia.sandbox.requests(path)]


def refreshes_without_a_failed_call(mia: Mia) -> int:
    """Check that nothing was refused, not even to be repeated, and count the refreshes."""
    assert answers(mia, CREATOR_INFO) == [200] * (WEEK // PAUSE + 1)
    renewals = answers(mia, "/v2/oauth/token/")
    assert set(renewals) == {200}
    return len(renewals)


def expected_refreshes(lifetime: timedelta) -> float:
    """How many a week takes, give or take one."""
    return WEEK / (lifetime - REFRESH_LEAD)


@pytest.mark.parametrize(
    ("hooks", "rotates"),
    [(new_hooks, True), (new_hooks, False), (one_hook, True)],
    ids=["new hooks", "new hooks, lasting refresh token", "one hook"],
)
def test_a_week_takes_one_refresh_for_each_lifetime(
    creator: Mia,
    hooks: Callable[[Mia, AccountService], Hooks],
    rotates: bool,
    note: Callable[..., None],
    request: pytest.FixtureRequest,
) -> None:
    creator.sandbox.set_switches(refresh_rotates=rotates)
    spend_a_week(creator, hooks, creator.store())
    refreshes = refreshes_without_a_failed_call(creator)
    expected = expected_refreshes(TIKTOKS_LIFETIME)
    note(TITLE, request.node.callspec.id, "24 h", f"{expected:.2f}", refreshes)
    assert refreshes == pytest.approx(expected, abs=1)


def test_a_week_of_shorter_lifetimes_takes_more_refreshes(
    creator: Mia, note: Callable[..., None], request: pytest.FixtureRequest
) -> None:
    lifetime = timedelta(hours=8)
    seconds = lifetime // timedelta(seconds=1)

    async def with_shorter_lifetimes(base_url: str, call: Call[T]) -> T:
        answer = await call_tiktok(base_url, call)
        assert isinstance(answer, TokenResponse)
        return answer.model_copy(update={"expires_in": seconds})

    creator.define(creator.issue(expires_in=seconds))
    spend_a_week(creator, new_hooks, creator.store(call=with_shorter_lifetimes))
    refreshes = refreshes_without_a_failed_call(creator)
    expected = expected_refreshes(lifetime)
    note(TITLE, request.node.callspec.id, "8 h", f"{expected:.2f}", refreshes)
    assert refreshes == pytest.approx(expected, abs=1)
