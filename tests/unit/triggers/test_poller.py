"""One poller for all posts of an account, against the sandbox."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from itertools import accumulate
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest

from tests.unit.conftest import CONN_ID, Creator
from tests.unit.operators.test_sent_posts import go_over
from tests.unit.triggers.conftest import StartPost, Waits
from tiktok_provider.hooks.tiktok import AsyncSession, TikTokHook
from tiktok_provider.publishing.waiting.polling import Outcome, Watch
from tiktok_provider.triggers import poller
from tiktok_provider.triggers.poller import Clock, outcome_of

T = TypeVar("T")
STATUS = "/v2/post/publish/status/fetch/"
WHOSE_LOG: ContextVar[str] = ContextVar("whose_log", default="the triggerer's")


def watch(publish_id: str, timeout: float = 86_400) -> Watch:
    now = poller.CLOCK.now()
    return Watch(publish_id, "complete", now, now + timeout)


async def outcomes(*watches: Watch) -> list[Outcome]:
    return list(await asyncio.gather(*(outcome_of(CONN_ID, one) for one in watches)))


async def polls(creator: Creator, number: int) -> None:
    """Let the others run until TikTok was asked so often; a real minute at most."""
    async with asyncio.timeout(60):
        while len(creator.calls(STATUS)) < number:  # noqa: ASYNC110  (the sandbox tells nobody)
            await asyncio.sleep(0.01)


async def nobody_left() -> bool:
    """Whether all tasks end soon but the one that asks."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    return not others or not (await asyncio.wait(others, timeout=60))[1]


def run(test: Awaitable[T]) -> T:
    async def alone() -> T:
        found = await test
        assert await nobody_left()
        return found

    return asyncio.run(alone())


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The connections that were read and opened, in order."""
    opened: list[str] = []
    original = TikTokHook.async_session

    @asynccontextmanager
    async def counted(hook: TikTokHook) -> AsyncIterator[AsyncSession]:
        opened.append(hook.tiktok_conn_id)
        async with original(hook) as session:
            yield session

    monkeypatch.setattr(TikTokHook, "async_session", counted)
    return opened


def status_times(creator: Creator) -> list[float]:
    return [call["time"] for call in creator.sandbox.requests(STATUS)]


@pytest.mark.usefixtures("waits")
def test_all_posts_of_an_account_share_one_session(start_post: StartPost, sessions: list[str]) -> None:
    found = run(outcomes(*(watch(start_post()) for _ in range(3))))
    assert [outcome.kind for outcome in found] == ["done"] * 3
    assert sessions == [CONN_ID]


def test_an_account_with_many_posts_stays_within_tiktoks_budget(
    start_post: StartPost, creator: Creator, waits: Waits
) -> None:
    creator.sandbox.set_switches(rate_limits=False)
    posts = [start_post() for _ in range(12)]
    found = run(outcomes(*map(watch, posts)))
    assert [outcome.kind for outcome in found] == ["done"] * 12
    times = status_times(creator)
    assert all(later - earlier >= 60 for earlier, later in zip(times, times[30:], strict=False))
    assert waits.passed < 800


@pytest.mark.usefixtures("waits")
def test_a_post_that_tiktok_does_not_know_disturbs_no_other(start_post: StartPost) -> None:
    unknown, known = run(outcomes(watch("v_pub_file~v2-1.404"), watch(start_post())))
    assert (unknown.kind, known.kind) == ("refused", "done")


@pytest.mark.usefixtures("waits")
def test_a_refused_call_holds_all_posts_of_the_account_back(start_post: StartPost, creator: Creator) -> None:
    creator.sandbox.add_fault("error", path=STATUS, code="rate_limit_exceeded", skip=4)
    run(outcomes(*(watch(start_post()) for _ in range(3))))
    times = status_times(creator)
    assert 60 <= times[5] - times[4] < 80


def test_a_host_that_is_down_is_asked_by_a_few_probes_only(
    start_post: StartPost, creator: Creator, waits: Waits
) -> None:
    posts = [start_post() for _ in range(5)]
    down = creator.sandbox.now(), creator.sandbox.now() + 550
    creator.sandbox.add_fault("status", path=STATUS, status=503, times=None)
    waits.before = lambda _: creator.sandbox.clear_faults() if waits.passed > 550 else None
    found = run(outcomes(*map(watch, posts)))
    assert [outcome.kind for outcome in found] == ["done"] * 5
    assert 5 < len([at for at in status_times(creator) if down[0] <= at < down[1]]) < 15


def test_at_the_deadline_a_host_that_is_down_leaves_what_was_known_last(
    start_post: StartPost, creator: Creator, waits: Waits
) -> None:
    creator.sandbox.add_fault("status", path=STATUS, status=503, times=None, skip=3)
    [outcome] = run(outcomes(watch(start_post(), timeout=100)))
    assert outcome.kind == "deadline"
    assert outcome.status["status"] == "PROCESSING_UPLOAD"
    assert 100 <= waits.passed < 100 + 330


@pytest.mark.parametrize("timeouts", [(1000, 100), (100, 1000)])
def test_who_comes_to_the_deadline_while_the_account_is_held_back_waits_two_minutes_more_at_most(
    start_post: StartPost,
    creator: Creator,
    waits: Waits,
    monkeypatch: pytest.MonkeyPatch,
    timeouts: tuple[int, int],
) -> None:
    # The first one asks first, and is told to come back after its deadline.
    monkeypatch.setattr("tiktok_provider.triggers.poller.random", SimpleNamespace(uniform=min))
    creator.sandbox.add_fault("status", path=STATUS, status=429, headers={"Retry-After": "3000"}, times=None)
    found = run(outcomes(*(watch(start_post(), timeout=timeout) for timeout in timeouts)))
    assert [outcome.kind for outcome in found] == ["deadline"] * 2
    woken = list(accumulate(waits.taken))
    assert any(220 <= moment < 230 for moment in woken)
    assert 1120 <= waits.passed < 1130, "the poller ends with the last who waits"


def test_a_cancelled_trigger_leaves_the_others_waiting(start_post: StartPost, creator: Creator) -> None:
    async def cancel_one() -> str:
        first, second = (asyncio.create_task(outcome_of(CONN_ID, watch(start_post()))) for _ in range(2))
        await polls(creator, 2)
        first.cancel()
        await asyncio.wait({first})
        await asyncio.to_thread(creator.sandbox.advance, 600)
        return (await second).kind

    assert run(cancel_one()) == "done"


def test_the_last_trigger_that_is_cancelled_ends_the_poller_and_the_next_begins_a_new_one(
    start_post: StartPost, creator: Creator, sessions: list[str]
) -> None:
    async def cancel_all() -> str:
        publish_id = start_post()
        task = asyncio.create_task(outcome_of(CONN_ID, watch(publish_id)))
        await polls(creator, 1)
        task.cancel()
        await asyncio.wait({task})
        assert await nobody_left()
        await asyncio.to_thread(creator.sandbox.advance, 600)
        return (await outcome_of(CONN_ID, watch(publish_id))).kind

    assert run(cancel_all()) == "done"
    assert sessions == [CONN_ID] * 2


def test_a_poller_that_wakes_just_before_its_cancelled_trigger_ends_in_peace(
    start_post: StartPost, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Gate(Clock):
        async def wait(self, changed: asyncio.Event, seconds: float) -> None:  # noqa: ARG002
            waking.set()
            await gate.wait()

    async def cancel() -> None:
        task = asyncio.create_task(outcome_of(CONN_ID, watch(start_post())))
        await waking.wait()
        gate.set()
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()

    gate, waking = asyncio.Event(), asyncio.Event()
    monkeypatch.setattr("tiktok_provider.triggers.poller.CLOCK", Gate())
    run(cancel())
    assert "broke" not in caplog.text


@pytest.mark.usefixtures("waits")
def test_what_breaks_the_poller_reaches_all_who_wait_and_the_next_begins_anew(
    start_post: StartPost, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ArithmeticError("A fault of ours")

    async def fail() -> str:
        posts = [start_post() for _ in range(2)]
        with monkeypatch.context() as patch:
            patch.setattr("tiktok_provider.triggers.poller.on_status", broken)
            waiting = [outcome_of(CONN_ID, watch(post)) for post in posts]
            errors = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(error) for error in errors] == [ArithmeticError] * 2
        return (await outcome_of(CONN_ID, watch(posts[0]))).kind

    assert run(fail()) == "done"


@pytest.mark.usefixtures("waits")
def test_what_is_said_of_a_post_is_in_the_log_of_its_own_task(
    start_post: StartPost, caplog: pytest.LogCaptureFixture
) -> None:
    said: set[tuple[str, str]] = set()

    def note(record: logging.LogRecord) -> bool:
        if record.msg == "%s is %s":
            said.add((WHOSE_LOG.get(), str(record.args[0]) if isinstance(record.args, tuple) else ""))
        return True

    async def named(publish_id: str) -> None:
        WHOSE_LOG.set(publish_id)
        await outcome_of(CONN_ID, watch(publish_id))

    async def both() -> None:
        await asyncio.gather(*(asyncio.create_task(named(post)) for post in posts))

    posts = [start_post() for _ in range(2)]
    caplog.set_level(logging.INFO, "tiktok_provider.triggers.poller")
    caplog.handler.addFilter(note)
    try:
        run(both())
    finally:
        caplog.handler.removeFilter(note)
    assert said == {(post, post) for post in posts}


@pytest.mark.usefixtures("waits")
def test_a_process_may_have_several_event_loops_over_its_life(start_post: StartPost) -> None:
    assert [run(outcomes(watch(start_post())))[0].kind for _ in range(2)] == ["done", "done"]


@pytest.mark.usefixtures("waits")
def test_a_post_of_the_account_that_a_connection_has_gone_over_to_is_asked_for_with_its_token(
    start_post: StartPost, creator: Creator
) -> None:
    """While a post of the account before still waits, with the token that was at hand."""

    async def both() -> list[str]:
        first = asyncio.create_task(outcome_of(CONN_ID, watch(mias)))
        await polls(creator, 1)
        await asyncio.to_thread(go_over, creator, "leo")
        leos = await asyncio.to_thread(start_post)
        return [(await outcome_of(CONN_ID, watch(leos))).kind, (await first).kind]

    mias = start_post()
    assert run(both()) == ["done", "refused"]


@pytest.mark.usefixtures("waits")
def test_a_refusal_is_believed_at_once_if_the_connection_was_read_just_before(
    start_post: StartPost, creator: Creator
) -> None:
    creator.sandbox.add_fault("error", path=STATUS, code="invalid_publish_id", times=None)
    [outcome] = run(outcomes(watch(start_post())))
    assert (outcome.kind, len(creator.calls(STATUS))) == ("refused", 1)


@pytest.mark.usefixtures("waits")
@pytest.mark.parametrize("others", [1, 6])
def test_a_refusal_is_asked_for_once_more_and_not_again_and_again(
    start_post: StartPost, creator: Creator, others: int
) -> None:
    """Although posts of the same account open the session that it is asked with."""

    async def story() -> str:
        waiting = [asyncio.create_task(outcome_of(CONN_ID, watch(post))) for post in posts]
        await asyncio.sleep(0)
        refused = await outcome_of(CONN_ID, watch("v_pub_file~v2-1.404"))
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        return refused.kind

    posts = [start_post() for _ in range(others)]
    assert run(story()) == "refused"
    assert len([call for call in creator.sandbox.requests(STATUS) if call["status"] == 400]) <= 2
