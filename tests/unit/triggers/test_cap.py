"""Waiting for the end of a cap, or for a person who reopens the account."""

import asyncio
import logging
from dataclasses import dataclass

import pytest
from airflow.triggers.base import TriggerEvent

from tests.unit.conftest import CONN_ID, Creator
from tests.unit.triggers.conftest import Waits
from tiktok_provider.database.rate_limits.service import RateLimitService
from tiktok_provider.store.errors import StoreUnreachableError
from tiktok_provider.store.rate_limits import Cap, ClosedBy, Closure, Endpoint
from tiktok_provider.triggers.cap import LOOK_EVERY, TikTokCapTrigger

LONG = 3_600.0
pytestmark = pytest.mark.usefixtures("creator")


@dataclass
class Closed:
    """An account that a cap has closed for an hour."""

    waits: Waits

    async def wait(self, cap: ClosedBy = Cap.POSTS) -> list[TriggerEvent]:
        trigger = TikTokCapTrigger(CONN_ID, cap, self.waits.now() + LONG)
        return [event async for event in trigger.run()]

    async def reopened(self, cap: ClosedBy = Cap.POSTS) -> list[TriggerEvent]:
        """Wait, while a person reopens the account after ten minutes."""
        waiting = asyncio.create_task(self.wait(cap))
        await asyncio.sleep(600)
        assert not waiting.done()
        await RateLimitService().reopen(CONN_ID, actor="anna")
        return await waiting


@pytest.fixture
def closed(waits: Waits) -> Closed:
    asyncio.run(RateLimitService().close(CONN_ID, Cap.POSTS, LONG))
    return Closed(waits)


def test_it_fires_once_when_the_cap_ends(closed: Closed, waits: Waits) -> None:
    assert len(waits.run(closed.wait())) == 1
    assert waits.passed >= LONG - 1


def test_it_fires_minutes_after_a_person_has_reopened_the_account(closed: Closed, waits: Waits) -> None:
    assert len(waits.run(closed.reopened())) == 1
    assert 600 < waits.passed < 600 + 2 * LOOK_EVERY


def test_it_fires_minutes_after_a_person_has_ended_a_long_pause_of_an_endpoint(
    closed: Closed, waits: Waits
) -> None:
    asyncio.run(RateLimitService().pause(CONN_ID, Endpoint.INIT, LONG))
    assert len(waits.run(closed.reopened(Endpoint.INIT))) == 1
    assert 600 < waits.passed < 600 + 2 * LOOK_EVERY


def test_another_cap_than_its_own_does_not_hold_it(closed: Closed, waits: Waits) -> None:
    waits.run(closed.wait(Cap.DRAFTS))
    assert waits.passed < 2 * LOOK_EVERY


def test_while_the_store_is_away_the_account_counts_as_closed(
    closed: Closed, waits: Waits, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def away(*_: object) -> tuple[Closure, ...]:
        raise StoreUnreachableError("The store is away.", maybe_processed=False)

    monkeypatch.setattr(RateLimitService, "closures", away)
    with caplog.at_level(logging.WARNING):
        assert len(waits.run(closed.wait())) == 1
    assert waits.passed >= LONG - 1
    assert "could not be asked whether the account is closed" in caplog.text


def test_the_tasks_of_an_account_share_the_answers(
    closed: Closed, waits: Waits, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    original = RateLimitService.closures

    async def counted(service: RateLimitService, conn_id: str | None = None) -> tuple[Closure, ...]:
        asked.append(waits.now())
        return await original(service, conn_id)

    async def many() -> None:
        await asyncio.gather(*(closed.wait() for _ in range(5)))

    monkeypatch.setattr(RateLimitService, "closures", counted)
    waits.run(many())
    assert len(asked) <= LONG / 60 + 1


def test_a_restart_of_the_triggerer_loses_nothing(creator: Creator) -> None:
    assert creator.open_id
    path, arguments = TikTokCapTrigger(CONN_ID, Cap.DRAFTS, 1_900_000_000.0).serialize()
    assert path.endswith("cap.TikTokCapTrigger")
    assert TikTokCapTrigger(**arguments).serialize() == (path, arguments)
    assert [type(value) for value in arguments.values()] == [str, str, float]
