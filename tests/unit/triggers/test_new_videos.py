"""The watch for new public videos, against the sandbox; its asset's state is a dict."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse

from tests.unit.conftest import CONN_ID, Creator, Task
from tests.unit.operators.test_publish_video import publish
from tests.unit.triggers.conftest import Waits
from tiktok_provider.store.rate_limits import PER_MINUTE, Endpoint
from tiktok_provider.triggers.new_videos import PUBLIC_WITHIN, TikTokNewVideosTrigger

LIST = "/v2/video/list/"
MINUTES = 60.0


class State:
    """What Airflow keeps for the watched asset."""

    def __init__(self) -> None:
        self.stored: dict[str, Any] = {}
        self.away = False

    async def aget(self, key: str) -> Any:
        self._refuse_if_away()
        return self.stored.get(key)

    async def aset(self, key: str, value: Any) -> None:
        self._refuse_if_away()
        self.stored[key] = value

    def _refuse_if_away(self) -> None:
        if self.away:
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR))


class Watch:
    """A watch that is stopped and started again; what it has told is kept."""

    def __init__(self, waits: Waits) -> None:
        self.state = State()
        self.told: list[dict[str, Any]] = []
        self._waits = waits

    def run(self, seconds: float) -> list[str]:
        """Watch in a new triggerer for so long, and return the ids of the videos that it tells of."""
        before = len(self.told)

        async def limited() -> None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._collect(), seconds)

        self._waits.run(limited())
        return [payload["video_id"] for payload in self.told[before:]]

    async def _collect(self) -> None:
        trigger = TikTokNewVideosTrigger(CONN_ID)
        trigger.asset_state_store = self.state  # type: ignore[assignment]
        async for event in trigger.run():
            self.told.append(event.payload)


@pytest.fixture
def watch(waits: Waits) -> Watch:
    return Watch(waits)


@pytest.fixture
def post(creator: Creator, task: Task, clip: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """Return a function that makes a public video and returns its id."""
    for endpoint in Endpoint:
        monkeypatch.setitem(PER_MINUTE, endpoint, 1000)
    creator.sandbox.set_switches(caps=False, rate_limits=False)

    def post() -> str:
        other = replace(task, run_id=str(uuid4()), logical_date=None, id=str(uuid4()))
        return publish(clip, allow_duplicate=True).execute(other.context)["post_ids"][0]

    return post


Post = Callable[[], str]


def test_each_video_that_appears_is_told_of_once_with_its_link(
    watch: Watch, post: Post, creator: Creator, waits: Waits
) -> None:
    post()
    made: list[str] = []
    # Between the looks, and not during one.
    waits.before = lambda number: made.append(post()) if number in (1, 4) else None
    told = watch.run(60 * MINUTES)
    assert told == made
    assert len(made) == 2
    [first, _] = watch.told
    assert first["account"] == CONN_ID
    assert str(first["url"]).endswith(f"/@mia/video/{made[0]}")
    assert "?" not in str(first["url"])
    assert 10 <= len(creator.calls(LIST)) <= 14, "every five minutes"


def test_a_restart_tells_nothing_twice_and_what_has_come_meanwhile(watch: Watch, post: Post) -> None:
    assert watch.run(10 * MINUTES) == []
    before = post()
    assert watch.run(10 * MINUTES) == [before]
    assert watch.run(10 * MINUTES) == []
    meanwhile = [post(), post()]
    assert sorted(watch.run(10 * MINUTES)) == sorted(meanwhile)


def test_a_triggerer_that_dies_right_after_an_event_tells_it_again_rather_than_never(
    watch: Watch, post: Post
) -> None:
    watch.run(10 * MINUTES)
    made = post()
    assert watch.run(5) == [made]
    assert watch.run(10 * MINUTES) == [made]
    assert watch.run(10 * MINUTES) == []


def test_it_waits_out_faults_of_tiktok_and_of_airflow(watch: Watch, post: Post, creator: Creator) -> None:
    watch.run(10 * MINUTES)
    made = post()
    creator.sandbox.add_fault("status", path=LIST, status=502, times=9)
    creator.sandbox.add_fault("status", path=LIST, status=400, times=1, skip=9)
    watch.state.away = True
    assert watch.run(60 * MINUTES) == []
    watch.state.away = False
    assert watch.run(60 * MINUTES) == [made]


def test_a_watch_that_cannot_read_what_it_knows_does_not_begin_anew(watch: Watch, post: Post) -> None:
    watch.run(10 * MINUTES)
    made = post()
    watch.state.away = True
    watch.run(10 * MINUTES)
    watch.state.away = False
    assert watch.run(10 * MINUTES) == [made]


def test_more_than_a_page_of_new_videos_is_told_of_in_their_order(watch: Watch, post: Post) -> None:
    watch.run(10 * MINUTES)
    made = [post() for _ in range(23)]
    told = watch.run(10 * MINUTES)
    assert sorted(told) == sorted(made)
    assert [p["made_at"] for p in watch.told] == sorted(p["made_at"] for p in watch.told)


def test_what_is_kept_does_not_grow_for_ever(watch: Watch, post: Post, creator: Creator) -> None:
    post()
    watch.run(10 * MINUTES)
    [kept] = watch.state.stored.values()
    assert len(kept["videos"]) == 1
    creator.sandbox.advance(PUBLIC_WITHIN)
    watch._waits.start += PUBLIC_WITHIN
    watch.run(10 * MINUTES)
    [kept] = watch.state.stored.values()
    assert kept["videos"] == {}


def test_without_its_scope_it_asks_nothing_and_says_why(
    watch: Watch, creator: Creator, caplog: pytest.LogCaptureFixture
) -> None:
    creator.connect(extra={"scope": "user.info.basic,video.publish"})
    assert watch.run(10 * MINUTES) == []
    assert creator.calls(LIST) == []
    assert "video.list" in caplog.text


def test_its_arguments_survive_the_way_through_the_database() -> None:
    path, arguments = TikTokNewVideosTrigger(CONN_ID, 120).serialize()
    assert path == "tiktok_provider.triggers.new_videos.TikTokNewVideosTrigger"
    assert TikTokNewVideosTrigger(**arguments).serialize() == (path, arguments)


def test_looks_that_would_be_too_frequent_are_refused() -> None:
    with pytest.raises(ValueError, match="poll_interval is 5, allowed: 60 seconds"):
        TikTokNewVideosTrigger(CONN_ID, 5)
