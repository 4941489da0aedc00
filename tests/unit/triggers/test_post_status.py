"""The trigger, in an event loop of its own, against the sandbox."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.triggers.base import TriggerEvent

from tests.unit.conftest import CONN_ID, Creator, Task
from tests.unit.operators.test_publish_video import publish
from tests.unit.triggers.conftest import StartPost, Waits
from tiktok_provider.database.posts.service import PostService
from tiktok_provider.publishing.waiting.polling import Outcome, WaitFor, Watch
from tiktok_provider.store.posts import PostState
from tiktok_provider.triggers.post_status import TikTokPostStatusTrigger

Fire = Callable[..., dict[str, Any]]
STATUS = "/v2/post/publish/status/fetch/"


@pytest.fixture
def publish_id(start_post: StartPost) -> str:
    """A video under way."""
    return start_post()


@pytest.fixture
def fire(publish_id: str, waits: Waits) -> Fire:
    """Run a trigger to its one event, and return the event's payload."""

    def run(
        wait_for: WaitFor = "complete", timeout: float = 86_400, post_key: str | None = None
    ) -> dict[str, Any]:
        now = waits.now()
        trigger = TikTokPostStatusTrigger(
            CONN_ID, publish_id, wait_for, now, now + timeout, post_key=post_key
        )

        async def collect() -> list[TriggerEvent]:
            return [event async for event in trigger.run()]

        [event] = waits.run(collect())
        payload: dict[str, Any] = event.payload
        return payload

    return run


@pytest.mark.parametrize(("wait_for", "earliest"), [("complete", 600), ("post_id", 1200)])
def test_it_fires_once_when_the_post_has_what_is_waited_for(
    fire: Fire, creator: Creator, waits: Waits, wait_for: WaitFor, earliest: float
) -> None:
    event = fire(wait_for)
    assert (event["kind"], event["status"]["status"]) == ("done", "PUBLISH_COMPLETE")
    assert earliest <= waits.passed <= earliest * 1.3
    assert 10 < len(creator.calls(STATUS)) < 60
    if wait_for == "post_id":
        assert event["status"]["post_ids"] == [creator.sandbox.feed()[0]["post_id"]]


def test_an_event_is_held_until_airflow_has_noticed_that_the_task_has_left_its_worker(
    fire: Fire, creator: Creator, waits: Waits
) -> None:
    creator.sandbox.advance(600)
    assert fire()["kind"] == "done"
    assert waits.passed == pytest.approx(5), "as much as the waiting has not taken already"


def test_it_ends_at_the_deadline(fire: Fire, waits: Waits) -> None:
    assert fire(timeout=60)["kind"] == "deadline"
    assert 60 <= waits.passed < 70


def test_it_waits_out_faults_that_pass(fire: Fire, creator: Creator) -> None:
    creator.sandbox.add_fault("status", path=STATUS, status=502, times=9, skip=2)
    assert fire()["kind"] == "done"


def test_it_goes_on_with_the_token_at_hand_while_the_store_is_away(
    fire: Fire, creator: Creator, waits: Waits, monkeypatch: pytest.MonkeyPatch
) -> None:
    creator.sandbox.add_fault("status", path=STATUS, status=502, times=9, skip=2)

    def go_away(number: int) -> None:
        if number == 2:
            address = f"http://127.0.0.1:{closed_port()}"
            monkeypatch.setenv("AIRFLOW__TIKTOK__STORE_URL", address)
            monkeypatch.setattr("tiktok_provider.hooks.store_access.store_is_in_process", lambda: False)

    waits.before = go_away
    assert fire()["kind"] == "done"


def test_it_waits_until_a_connection_can_be_read_again(
    fire: Fire, creator: Creator, waits: Waits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(f"AIRFLOW_CONN_{CONN_ID.upper()}")
    waits.before = lambda number: creator.connect() if number == 3 else None
    assert fire()["kind"] == "done"


def test_a_token_that_tiktok_no_longer_accepts_is_refreshed_while_waiting(
    fire: Fire, creator: Creator
) -> None:
    creator.sandbox.add_fault("revoke_token", path=STATUS, skip=1)
    assert fire()["kind"] == "done"
    assert len(creator.calls("/v2/oauth/token/")) == 1


def test_an_account_that_lost_its_access_ends_the_waiting_and_the_post_is_uncertain(
    fire: Fire, creator: Creator
) -> None:
    creator.take_access_away()
    event = fire()
    assert event["kind"] == "refused"
    assert CONN_ID in event["refusal"]["message"]
    assert creator.connection["extra"]["access_token"] not in str(event)


def test_its_arguments_survive_the_way_through_the_database(publish_id: str) -> None:
    trigger = TikTokPostStatusTrigger(
        CONN_ID, publish_id, "inbox", 1.5, 2.5, 1000, "spring-sale", 600.0, "try 1"
    )
    path, arguments = trigger.serialize()
    assert path == "tiktok_provider.triggers.post_status.TikTokPostStatusTrigger"
    assert arguments == {
        "tiktok_conn_id": CONN_ID,
        "publish_id": publish_id,
        "wait_for": "inbox",
        "started_at": 1.5,
        "deadline": 2.5,
        "size": 1000,
        "post_key": "spring-sale",
        "id_patience": 600.0,
        "cancel_for": "try 1",
    }
    assert TikTokPostStatusTrigger(**arguments).serialize() == (path, arguments)


def test_a_trigger_that_an_older_version_has_put_into_the_database_still_begins() -> None:
    """It lacks the arguments that are newer than it."""
    arguments: dict[str, Any] = {
        "publish_id": "p.1",
        "wait_for": "complete",
        "started_at": 1.5,
        "deadline": 2.5,
    }
    trigger = TikTokPostStatusTrigger(tiktok_conn_id=CONN_ID, **arguments)
    assert trigger.watch == Watch("p.1", "complete", 1.5, 2.5, size=None, post_key=None)


@pytest.fixture
def awaited_id(
    creator: Creator, task: Task, clip: Path, waits: Waits, monkeypatch: pytest.MonkeyPatch
) -> TikTokPostStatusTrigger:
    """A trigger for a post on record: TikTok takes ten minutes for it, and ten more for its id."""
    monkeypatch.setattr(PostService.__init__, "__kwdefaults__", {"clock": lambda: moment(waits)})
    creator.sandbox.freeze()
    creator.sandbox.set_switches(processing_seconds=600, moderation_seconds=600)
    publish(clip, wait=False).execute(task.context)
    record = task.record
    assert record
    now = waits.now()
    return TikTokPostStatusTrigger(
        CONN_ID, str(record.publish_id), "post_id", now, now + 86_400, None, record.post_key, 300.0
    )


async def only_event(trigger: TikTokPostStatusTrigger) -> Outcome:
    [event] = [event async for event in trigger.run()]
    return Outcome.from_event(event.payload)


def test_a_published_post_whose_id_is_late_is_a_success_without_it(
    awaited_id: TikTokPostStatusTrigger, task: Task, waits: Waits
) -> None:
    outcome = waits.run(only_event(awaited_id))
    assert (outcome.kind, outcome.status["status"], outcome.status["post_ids"]) == (
        "done",
        "PUBLISH_COMPLETE",
        [],
    )
    assert 900 <= waits.passed < 1050, "ten minutes until it is out, and five for its id"
    assert task.record
    assert task.record.state == PostState.OUT, "it is on record before the task knows"


def test_a_restart_of_the_triggerer_does_not_wait_for_the_id_anew(
    awaited_id: TikTokPostStatusTrigger, waits: Waits
) -> None:
    _, arguments = awaited_id.serialize()
    restarts: list[float] = []

    async def restarted() -> Outcome:
        with suppress(TimeoutError):
            await asyncio.wait_for(only_event(TikTokPostStatusTrigger(**arguments)), 800)
        restarts.append(waits.passed)
        return await only_event(TikTokPostStatusTrigger(**arguments))

    assert waits.run(restarted()).kind == "done"
    assert 750 < restarts[0] < 850, "it was stopped while it waited for the id"
    assert 900 <= waits.passed < 1050


def moment(waits: Waits) -> datetime:
    return datetime.fromtimestamp(waits.now(), UTC)


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
