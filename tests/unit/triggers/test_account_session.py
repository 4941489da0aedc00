"""The session that all triggers of an account share, against the sandbox."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import asdict
from itertools import accumulate
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.conftest import CONN_ID, Creator
from tests.unit.operators.test_sent_posts import go_over
from tests.unit.triggers.conftest import StartPost, Waits
from tiktok_provider.database.rate_limits.service import RateLimitService
from tiktok_provider.hooks.tiktok import AsyncSession, TikTokHook
from tiktok_provider.publishing.waiting.polling import Outcome, Watch, on_status
from tiktok_provider.store.rate_limits import Granted, Wait
from tiktok_provider.store.requests import TakeCalls
from tiktok_provider.triggers import account_session, post_status
from tiktok_provider.triggers.post_status import TikTokPostStatusTrigger

STATUS = "/v2/post/publish/status/fetch/"
WHOSE_LOG: ContextVar[str] = ContextVar("whose_log", default="the triggerer's")


def watch(publish_id: str, timeout: float = 86_400, age: float = 0.0) -> Watch:
    now: float = vars(post_status)["time"].time()
    return Watch(publish_id, "complete", now - age, now + timeout)


async def outcome_of(one: Watch, conn_id: str = CONN_ID) -> Outcome:
    """Run a trigger to its one event."""
    trigger = TikTokPostStatusTrigger(conn_id, **asdict(one))
    [event] = [event async for event in trigger.run()]
    return Outcome.from_event(event.payload)


async def outcomes(*watches: Watch) -> list[Outcome]:
    return list(await asyncio.gather(*map(outcome_of, watches)))


async def polls(creator: Creator, number: int) -> None:
    """Let the others run until TikTok was asked so often; a minute at most."""
    async with asyncio.timeout(60):
        while len(creator.calls(STATUS)) < number:  # noqa: ASYNC110  (the sandbox sends no word)
            await asyncio.sleep(0.1)


async def cancel(*tasks: asyncio.Task[Outcome]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was opened and closed, in order."""
    found: list[str] = []
    original = TikTokHook.async_session

    @asynccontextmanager
    async def noted(hook: TikTokHook) -> AsyncIterator[AsyncSession]:
        found.append(f"open {hook.tiktok_conn_id}")
        async with original(hook) as session:
            yield session
        found.append(f"close {hook.tiktok_conn_id}")

    monkeypatch.setattr(TikTokHook, "async_session", noted)
    return found


def status_times(creator: Creator) -> list[float]:
    return [call["time"] for call in creator.sandbox.requests(STATUS)]


def refusals(creator: Creator) -> int:
    return sum(call["status"] == 400 for call in creator.sandbox.requests(STATUS))


def test_all_posts_of_an_account_share_one_session(
    start_post: StartPost, waits: Waits, sessions: list[str]
) -> None:
    found = waits.run(outcomes(*(watch(start_post()) for _ in range(3))))
    assert [outcome.kind for outcome in found] == ["done"] * 3
    assert sessions == [f"open {CONN_ID}", f"close {CONN_ID}"]


def test_an_account_with_many_posts_stays_within_tiktoks_rate_limit(
    start_post: StartPost, creator: Creator, waits: Waits
) -> None:
    creator.sandbox.set_switches(rate_limits=False)
    posts = [start_post() for _ in range(12)]
    found = waits.run(outcomes(*map(watch, posts)))
    assert [outcome.kind for outcome in found] == ["done"] * 12
    times = status_times(creator)
    assert all(later - earlier >= 60 for earlier, later in zip(times, times[30:], strict=False))
    assert waits.passed < 800


def test_no_post_of_an_account_is_passed_over_for_the_others(
    start_post: StartPost, creator: Creator, waits: Waits
) -> None:
    """Twelve fresh posts want more calls than there are: they take turns."""
    creator.sandbox.set_switches(rate_limits=False)
    posts = [start_post() for _ in range(12)]
    waits.run(outcomes(*(watch(post, timeout=300) for post in posts)))
    counts = [sum(call["publish_id"] == post for call in creator.sandbox.requests(STATUS)) for post in posts]
    assert max(counts) - min(counts) <= 3


def test_the_first_looks_after_a_restart_are_spread_over_some_seconds(
    start_post: StartPost, creator: Creator, waits: Waits
) -> None:
    creator.sandbox.set_switches(rate_limits=False)
    posts = [start_post() for _ in range(8)]
    begun = creator.sandbox.now()
    waits.run(outcomes(*(watch(post, timeout=60, age=7200) for post in posts)))
    first = [time - begun for time in status_times(creator)[:8]]
    assert first[-1] - first[0] > 1
    assert first[-1] <= 8


def test_a_post_that_tiktok_does_not_know_disturbs_no_other(start_post: StartPost, waits: Waits) -> None:
    unknown, known = waits.run(outcomes(watch("v_pub_file~v2-1.404"), watch(start_post())))
    assert (unknown.kind, known.kind) == ("refused", "done")


def test_a_429_pauses_all_posts_of_the_account(start_post: StartPost, creator: Creator, waits: Waits) -> None:
    creator.sandbox.add_fault("error", path=STATUS, code="rate_limit_exceeded", skip=4)
    waits.run(outcomes(*(watch(start_post()) for _ in range(3))))
    times = status_times(creator)
    assert 60 <= times[5] - times[4] < 80


def test_a_host_that_is_down_is_asked_by_a_few_probes_only(
    start_post: StartPost, creator: Creator, waits: Waits
) -> None:
    posts = [start_post() for _ in range(5)]
    down = creator.sandbox.now(), creator.sandbox.now() + 550
    creator.sandbox.add_fault("status", path=STATUS, status=503, times=None)
    waits.before = lambda _: creator.sandbox.clear_faults() if waits.passed > 550 else None
    found = waits.run(outcomes(*map(watch, posts)))
    assert [outcome.kind for outcome in found] == ["done"] * 5
    assert 5 < len([at for at in status_times(creator) if down[0] <= at < down[1]]) < 15


def connect_leo(creator: Creator) -> str:
    """Connect a second account, and return its open id."""
    leo = creator.sandbox.issue_tokens(creator.app, creator.sandbox.create_account(username="leo"))
    extra = {**creator.connection["extra"], "open_id": leo.open_id, "username": "leo"}
    extra |= {"access_token": leo.access_token, "refresh_token": leo.refresh_token}
    creator.monkeypatch.setenv("AIRFLOW_CONN_LEO", json.dumps({**creator.connection, "extra": extra}))
    return leo.open_id


@pytest.mark.parametrize("body", ["no JSON", "[" * 100_000, {"data": {"status": 7}, "error": {"code": "ok"}}])
def test_an_account_that_gets_odd_answers_does_not_delay_the_others(
    start_post: StartPost, creator: Creator, waits: Waits, caplog: pytest.LogCaptureFixture, body: Any
) -> None:
    leo = connect_leo(creator)
    creator.sandbox.add_fault("wrong_answer", path=STATUS, open_id=leo, status=200, body=body, times=None)

    async def both() -> tuple[list[Outcome], float]:
        odd = [
            asyncio.create_task(outcome_of(watch(f"v_pub_file~v2-1.{number}"), "leo")) for number in range(20)
        ]
        done = await outcomes(watch(start_post()))
        passed = waits.passed
        await cancel(*odd)
        return done, passed

    done, passed = waits.run(both())
    assert [outcome.kind for outcome in done] == ["done"]
    # TikTok takes ten minutes; by then it is asked for every 90 seconds.
    assert passed < 710
    assert "seems to be down" not in caplog.text


def test_all_accounts_of_a_host_that_is_down_share_the_probes(creator: Creator, waits: Waits) -> None:
    """Two accounts; alone, each would make more than ten calls in that time."""

    async def both() -> list[Outcome]:
        unknown = [watch(f"v_pub_file~v2-1.{number}") for number in range(6)]
        pairs = zip(unknown, [CONN_ID, "leo"] * 3, strict=True)
        return await asyncio.gather(*(outcome_of(one, conn_id) for one, conn_id in pairs))

    creator.sandbox.freeze()
    connect_leo(creator)
    creator.sandbox.add_fault("status", path=STATUS, status=503, times=None)
    waits.before = lambda _: creator.sandbox.clear_faults() if waits.passed > 300 else None
    assert [outcome.kind for outcome in waits.run(both())] == ["refused"] * 6
    failed = [call for call in creator.sandbox.requests(STATUS) if call["status"] == 503]
    assert len(failed) < 16


def test_an_account_whose_connection_cannot_be_read_tries_it_seldom_however_many_wait(
    start_post: StartPost,
    creator: Creator,
    waits: Waits,
    sessions: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    posts = [start_post() for _ in range(5)]
    monkeypatch.delenv(f"AIRFLOW_CONN_{CONN_ID.upper()}")
    waits.before = lambda _: creator.connect() if waits.passed > 100 else None
    found = waits.run(outcomes(*map(watch, posts)))
    assert [outcome.kind for outcome in found] == ["done"] * 5
    assert 5 < sessions.count(f"open {CONN_ID}") < 25


def test_a_call_that_was_not_made_as_the_host_went_down_meanwhile_is_there_when_it_is_up_again(
    start_post: StartPost, creator: Creator, waits: Waits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another account's failures open the breaker while the store answers."""
    taken: list[int] = []
    take = RateLimitService.take

    async def take_meanwhile(service: RateLimitService, conn_id: str, wanted: TakeCalls) -> Granted | Wait:
        taken.append(wanted.count)
        if len(taken) == 1:
            breaker = account_session._loops[asyncio.get_running_loop()].breakers[host]
            for _ in range(5):
                breaker.failed(asyncio.get_running_loop().time(), probe=False)
        return await take(service, conn_id, wanted)

    host = creator.sandbox.url.removeprefix("http://")
    monkeypatch.setattr(RateLimitService, "take", take_meanwhile)
    monkeypatch.setattr("tiktok_provider.triggers.account_session.random", SimpleNamespace(uniform=min))
    post = start_post()
    creator.sandbox.advance(600)
    begun = creator.sandbox.now()
    [outcome] = waits.run(outcomes(watch(post)))
    assert (outcome.kind, taken) == ("done", [1])
    assert 5 <= status_times(creator)[0] - begun < 8


def test_at_the_deadline_a_host_that_is_down_leaves_what_was_known_last(
    start_post: StartPost, creator: Creator, waits: Waits
) -> None:
    creator.sandbox.add_fault("status", path=STATUS, status=503, times=None, skip=3)
    [outcome] = waits.run(outcomes(watch(start_post(), timeout=100)))
    assert outcome.kind == "deadline"
    assert outcome.status["status"] == "PROCESSING_UPLOAD"
    assert 100 <= waits.passed < 100 + 330


@pytest.mark.parametrize("timeouts", [(1000, 100), (100, 1000)])
def test_at_the_deadline_a_post_of_a_paused_account_waits_two_minutes_more_at_most(
    start_post: StartPost,
    creator: Creator,
    waits: Waits,
    monkeypatch: pytest.MonkeyPatch,
    timeouts: tuple[int, int],
) -> None:
    # The first one asks first, and has to wait until after its deadline.
    for module in ("account_session", "post_status"):
        monkeypatch.setattr(f"tiktok_provider.triggers.{module}.random", SimpleNamespace(uniform=min))
    creator.sandbox.add_fault("status", path=STATUS, status=429, headers={"Retry-After": "3000"}, times=None)
    found = waits.run(outcomes(*(watch(start_post(), timeout=timeout) for timeout in timeouts)))
    assert [outcome.kind for outcome in found] == ["deadline"] * 2
    woken = [round(moment) for moment in accumulate(waits.all)]
    assert any(220 <= moment < 230 for moment in woken)
    assert 1120 <= woken[-1] < 1130, "nothing goes on after the last one has ended"


def test_a_post_whose_deadline_passed_while_no_triggerer_was_up_is_asked_for_once_more(
    start_post: StartPost, creator: Creator, waits: Waits
) -> None:
    post = start_post()
    creator.sandbox.advance(600)
    [outcome] = waits.run(outcomes(watch(post, timeout=-500, age=1000)))
    assert (outcome.kind, len(creator.calls(STATUS))) == ("done", 1)


@pytest.mark.parametrize("cancelled", [0, 1])
def test_a_cancelled_trigger_leaves_the_others_waiting(
    start_post: StartPost, creator: Creator, waits: Waits, cancelled: int
) -> None:
    async def cancel_one() -> str:
        tasks = [asyncio.create_task(outcome_of(watch(post))) for post in posts]
        await polls(creator, 2)
        await cancel(tasks.pop(cancelled))
        return (await tasks[0]).kind

    posts = [start_post() for _ in range(2)]
    assert waits.run(cancel_one()) == "done"


def test_a_trigger_that_is_cancelled_while_the_account_is_paused_gives_its_turn_away(
    start_post: StartPost, creator: Creator, waits: Waits
) -> None:
    async def cancel_the_first() -> str:
        first = asyncio.create_task(outcome_of(watch(posts[0])))
        await polls(creator, 1)
        second = asyncio.create_task(outcome_of(watch(posts[1])))
        await asyncio.sleep(20)
        await cancel(first)
        return (await second).kind

    posts = [start_post() for _ in range(2)]
    creator.sandbox.add_fault("error", path=STATUS, code="rate_limit_exceeded")
    assert waits.run(cancel_the_first()) == "done"


def test_the_last_trigger_that_is_cancelled_closes_the_session_and_the_next_opens_a_new_one(
    start_post: StartPost, creator: Creator, waits: Waits, sessions: list[str]
) -> None:
    async def cancel_all() -> str:
        task = asyncio.create_task(outcome_of(watch(post)))
        await polls(creator, 1)
        await cancel(task)
        assert sessions == [f"open {CONN_ID}", f"close {CONN_ID}"]
        return (await outcome_of(watch(post))).kind

    post = start_post()
    assert waits.run(cancel_all()) == "done"
    assert sessions == [f"open {CONN_ID}", f"close {CONN_ID}"] * 2


def test_a_bug_reaches_the_trigger_that_meets_it_and_no_other(
    start_post: StartPost, waits: Waits, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(one: Watch, *arguments: Any) -> Any:
        if one.publish_id == posts[0]:
            raise ArithmeticError("A bug of ours")
        return on_status(one, *arguments)

    monkeypatch.setattr(post_status, "on_status", broken)
    posts = [start_post() for _ in range(2)]

    async def both() -> list[Outcome | BaseException]:
        return await asyncio.gather(*(outcome_of(watch(post)) for post in posts), return_exceptions=True)

    first, second = waits.run(both())
    assert isinstance(first, ArithmeticError)
    assert isinstance(second, Outcome)
    assert second.kind == "done"


def test_what_is_said_of_a_post_is_in_the_log_of_its_own_task(
    start_post: StartPost, waits: Waits, caplog: pytest.LogCaptureFixture
) -> None:
    said: set[tuple[str, str]] = set()

    def note(record: logging.LogRecord) -> bool:
        if record.msg == "%s is %s":
            said.add((WHOSE_LOG.get(), str(record.args[0]) if isinstance(record.args, tuple) else ""))
        return True

    async def named(publish_id: str) -> None:
        WHOSE_LOG.set(publish_id)
        await outcome_of(watch(publish_id))

    async def both() -> None:
        await asyncio.gather(*(asyncio.create_task(named(post)) for post in posts))

    posts = [start_post() for _ in range(2)]
    caplog.set_level(logging.INFO, "tiktok_provider.triggers.post_status")
    caplog.handler.addFilter(note)
    try:
        waits.run(both())
    finally:
        caplog.handler.removeFilter(note)
    assert said == {(post, post) for post in posts}


def test_a_process_may_have_several_event_loops_over_its_life(start_post: StartPost, waits: Waits) -> None:
    assert [waits.run(outcomes(watch(start_post())))[0].kind for _ in range(2)] == ["done", "done"]


def test_a_post_of_the_account_that_a_connection_has_gone_over_to_is_asked_for_with_its_token(
    start_post: StartPost, creator: Creator, waits: Waits
) -> None:
    """While a post of the account before still waits, with the token that was at hand."""

    async def both() -> list[str]:
        first = asyncio.create_task(outcome_of(watch(mias)))
        await polls(creator, 1)
        await asyncio.to_thread(go_over, creator, "leo")
        leos = await asyncio.to_thread(start_post)
        return [(await outcome_of(watch(leos))).kind, (await first).kind]

    mias = start_post()
    assert waits.run(both()) == ["done", "refused"]


def test_a_refusal_is_believed_at_once_if_the_connection_was_read_just_before(
    start_post: StartPost, creator: Creator, waits: Waits
) -> None:
    creator.sandbox.add_fault("error", path=STATUS, code="invalid_publish_id", times=None)
    [outcome] = waits.run(outcomes(watch(start_post())))
    assert (outcome.kind, len(creator.calls(STATUS))) == ("refused", 1)


@pytest.mark.parametrize("others", [1, 6])
def test_a_refusal_is_asked_for_once_more_and_not_again_and_again(
    start_post: StartPost, creator: Creator, waits: Waits, others: int
) -> None:
    """Although posts of the same account open the session that it is asked with."""

    async def story() -> str:
        waiting = [asyncio.create_task(outcome_of(watch(post))) for post in posts]
        await asyncio.sleep(0)
        refused = await outcome_of(watch("v_pub_file~v2-1.404"))
        await cancel(*waiting)
        return refused.kind

    posts = [start_post() for _ in range(others)]
    assert waits.run(story()) == "refused"
    assert refusals(creator) <= 2


def test_each_refusal_is_asked_for_once_more(
    start_post: StartPost, creator: Creator, waits: Waits, sessions: list[str]
) -> None:
    """A post that was refused and then not is given its second chance the next time, too."""
    for skip in (3, 10):
        creator.sandbox.add_fault("error", path=STATUS, code="invalid_publish_id", skip=skip)
    [outcome] = waits.run(outcomes(watch(start_post())))
    assert (outcome.kind, refusals(creator)) == ("done", 2)
    assert sessions.count(f"open {CONN_ID}") == 3
