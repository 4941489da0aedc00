"""Waiting for the end of a cap, or for a person who reopens the account."""

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path

import pytest
from airflow.triggers.base import TriggerEvent

from tests.unit.conftest import CONN_ID, Creator, Task
from tests.unit.operators.test_upload_video import post_draft
from tests.unit.triggers.conftest import Waits
from tiktok_provider.database.rate_limits.service import RateLimitService
from tiktok_provider.operators.upload_video import TikTokUploadVideoOperator
from tiktok_provider.store.errors import StoreUnreachableError
from tiktok_provider.store.rate_limits import MAX_PENDING_DRAFTS, Cap, ClosedBy, Closure, Endpoint
from tiktok_provider.triggers.account_session import DRAFTS_EVERY
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


def test_it_asks_tiktok_what_became_of_the_drafts_and_fires_minutes_after_one_was_posted(
    creator: Creator, task: Task, clip: Path, waits: Waits
) -> None:
    creator.sandbox.freeze()
    creator.sandbox.set_switches(rate_limits=False)
    for place in range(MAX_PENDING_DRAFTS):
        TikTokUploadVideoOperator(
            task_id="draft", video=clip, wait=False, post_key=f"draft {place}", allow_duplicate=True
        ).execute(task.context)
    creator.sandbox.advance(10)

    async def posted() -> list[TriggerEvent]:
        waiting = asyncio.create_task(Closed(waits).wait(Cap.DRAFTS))
        await asyncio.sleep(600)
        assert not waiting.done()
        post_draft(creator, creator.sandbox.publishes()[2]["publish_id"])
        return await waiting

    assert len(waits.run(posted())) == 1
    assert 600 < waits.passed < 600 + DRAFTS_EVERY + 2 * LOOK_EVERY


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
