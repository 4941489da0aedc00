"""How the calls that TikTok allows are granted, in order and without a gap."""

import asyncio
import heapq
import json
import random
from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest
from airflow.models.log import Log
from sqlalchemy import select

from tiktok_provider.database.posts.transitions import ABANDONED
from tiktok_provider.database.rate_limits import call_log
from tiktok_provider.database.rate_limits.call_log import (
    EARLY,
    FIRST_LATENESS,
    JITTER,
    KEEP_CALL,
    KEEP_PLACE,
    LONGEST_CALL,
)
from tiktok_provider.database.rate_limits.service import RateLimitService
from tiktok_provider.database.session import transaction
from tiktok_provider.database.tables import AttemptRow, PostRow, RateLimitLog
from tiktok_provider.exceptions import ConnectionSettingsError
from tiktok_provider.store.posts import PostState
from tiktok_provider.store.rate_limits import (
    PER_MINUTE,
    SHORT_WAIT,
    SHORTEST_LEAVE,
    WINDOW,
    Cap,
    Closure,
    Endpoint,
    Granted,
    Wait,
)
from tiktok_provider.store.requests import TakeCalls

T = TypeVar("T")

START = datetime(2030, 1, 31, 12, tzinfo=UTC)
INIT, STATUS = Endpoint.INIT, Endpoint.STATUS

pytestmark = pytest.mark.usefixtures("database")


def run(work: Awaitable[T]) -> T:
    async def wait() -> T:
        return await work

    return asyncio.run(wait())


@dataclass
class Desk:
    """The service on a clock that the test turns."""

    now: datetime = START
    store: RateLimitService = field(init=False)

    def __post_init__(self) -> None:
        self.store = RateLimitService(clock=lambda: self.now)

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def take(self, holder: str, endpoint: Endpoint = INIT, **options: float) -> Granted | Wait:
        return run(self.store.take("mia", TakeCalls(endpoint, holder, **options)))  # type: ignore[arg-type]

    def end(self, holder: str, endpoint: Endpoint = INIT) -> None:
        run(self.store.end("mia", endpoint, holder))

    def call(self, holder: str, endpoint: Endpoint = INIT, seconds: float = 0.0) -> bool:
        """Take a call that ends after so many seconds; return whether it was granted."""
        granted = isinstance(self.take(holder, endpoint), Granted)
        self.advance(seconds)
        self.end(holder, endpoint)
        return granted

    def wait(self, holder: str, endpoint: Endpoint = INIT, **options: float) -> Wait:
        answer = self.take(holder, endpoint, **options)
        assert isinstance(answer, Wait)
        return answer

    def use_up(self, endpoint: Endpoint = INIT) -> None:
        every = PER_MINUTE[endpoint]
        assert self.take("user", endpoint, count=every) == Granted(count=every)
        self.end("user", endpoint)


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(call_log, "jitter", lambda: 0.0)
    return Desk()


@pytest.mark.parametrize("endpoint", Endpoint)
def test_an_account_has_its_calls_of_a_minute_and_no_more(desk: Desk, endpoint: Endpoint) -> None:
    granted = [desk.call(f"task {number}", endpoint) for number in range(PER_MINUTE[endpoint] + 2)]
    assert granted == [True] * PER_MINUTE[endpoint] + [False] * 2
    assert isinstance(run(desk.store.take("anna", TakeCalls(endpoint, "task"))), Granted), (
        "another account has its own"
    )


def test_the_first_call_of_all_keeps_no_caller_waiting_whose_clock_is_a_moment_behind(desk: Desk) -> None:
    desk.take("first")
    desk.advance(-0.5)
    assert desk.call("second")


def test_a_call_counts_for_a_minute_from_its_end(desk: Desk) -> None:
    for number in range(6):
        assert desk.call(f"task {number}", seconds=10)
    # The first call ended 50 s ago.
    desk.advance(WINDOW - 50 - 0.1)
    assert not desk.call("late")
    desk.advance(0.1)
    assert desk.call("late")
    assert not desk.call("later")


def test_a_call_whose_end_is_never_reported_counts_as_a_long_one(desk: Desk) -> None:
    for number in range(6):
        desk.take(f"killed {number}")
    desk.advance(60 + WINDOW - 1)
    assert not desk.call("next", seconds=1)
    assert desk.call("next")


def test_a_caller_can_promise_that_its_calls_are_short(desk: Desk) -> None:
    for number in range(6):
        desk.take(f"poller {number}", within=15.0)
    desk.advance(20 + WINDOW - 1)
    assert not desk.call("next", seconds=1)
    assert desk.call("next")


def test_a_call_whose_grant_was_lost_ends_with_the_others_of_its_holder(desk: Desk) -> None:
    desk.take("task")
    desk.take("task")
    desk.end("task")
    desk.advance(WINDOW)
    assert [desk.call(f"task {number}") for number in range(7)] == [True] * 6 + [False]


def test_the_end_of_a_call_is_not_put_off_when_it_is_reported_again(desk: Desk) -> None:
    for number in range(6):
        desk.take(f"task {number}")
        desk.end(f"task {number}")
    desk.advance(30)
    desk.end("task 0")
    desk.advance(WINDOW - 30)
    assert [desk.call(f"next {number}") for number in range(6)] == [True] * 6


def test_a_poller_takes_many_and_leaves_some(desk: Desk) -> None:
    assert desk.take("poller", STATUS, count=10, leave=3) == Granted(count=10)
    assert desk.take("poller", STATUS, count=10, leave=3) == Granted(count=10)
    assert desk.take("poller", STATUS, count=10, leave=3) == Granted(count=7)
    assert isinstance(desk.take("poller", STATUS, count=10, leave=3), Wait)
    assert [desk.call(f"task {number}", STATUS) for number in range(4)] == [True] * 3 + [False]


def test_a_poller_has_no_place_among_those_that_wait(desk: Desk) -> None:
    desk.use_up(STATUS)
    assert desk.wait("poller", STATUS, count=5).retry_in == WINDOW
    assert desk.wait("modest poller", STATUS, leave=3).retry_in == WINDOW
    assert waiting(desk, STATUS) == []


def test_the_caller_that_waited_first_is_served_first(desk: Desk) -> None:
    desk.use_up()
    waits = [desk.wait(f"task {number}").retry_in for number in range(8)]
    assert waits == sorted(waits)
    assert waits[7] - waits[0] == WINDOW, "the seventh and the eighth wait for the second round"
    desk.advance(WINDOW)
    assert not desk.call("newcomer"), "six calls are free, and eight callers are before it"
    assert not desk.call("task 6")
    assert [desk.call(f"task {number}") for number in (5, 0, 4, 1, 3, 2)] == [True] * 6
    desk.advance(WINDOW)
    assert desk.call("task 6")
    assert desk.call("task 7")
    assert desk.call("newcomer")


def test_asking_again_keeps_the_place(desk: Desk) -> None:
    desk.use_up()
    desk.wait("first")
    desk.wait("second")
    for _ in range(3):
        desk.advance(15)
        desk.wait("first")
    assert waiting(desk) == ["first", "second"]


def test_a_call_is_kept_for_a_caller_that_is_expected_but_not_for_one_that_is_late(desk: Desk) -> None:
    desk.use_up()
    given = [desk.wait(f"late {number}").retry_in for number in range(6)][-1]
    desk.advance(given + FIRST_LATENESS + KEEP_CALL)
    assert not desk.call("newcomer")
    desk.advance(0.1)
    assert [desk.call(f"newcomer {number}") for number in range(5)] == [True] * 5


def test_a_late_caller_keeps_its_place_and_is_first_when_it_asks_again(desk: Desk) -> None:
    desk.use_up()
    given = [desk.wait(f"late {number}").retry_in for number in range(6)][-1]
    desk.advance(given + KEEP_PLACE)
    assert [desk.call(f"newcomer {number}") for number in range(5)] == [True] * 5
    assert desk.call("late 3")
    assert waiting(desk) == ["late 0", "late 1", "late 2", "late 4", "late 5"]


def test_a_caller_that_does_not_ask_again_loses_its_place(desk: Desk) -> None:
    desk.use_up()
    given = [desk.wait(f"gone {number}").retry_in for number in range(6)][-1]
    desk.advance(given + KEEP_PLACE + 1)
    assert desk.call("next")
    assert waiting(desk) == []


def waiting(desk: Desk, endpoint: Endpoint = INIT) -> list[str]:
    """Return who waits, the first to be served first, after a caller has asked that gets no place."""
    desk.take("poller", endpoint, count=2, leave=PER_MINUTE[endpoint])
    with transaction() as session:
        return [caller["holder"] for caller in session.get_one(RateLimitLog, ("mia", endpoint)).waiting]


@pytest.mark.parametrize("left", [2.0, 9.0, 13.0])
def test_a_task_that_has_little_to_wait_does_not_leave_its_worker(desk: Desk, left: float) -> None:
    desk.use_up()
    desk.advance(WINDOW - left)
    assert desk.wait("task").retry_in <= SHORT_WAIT


def test_a_task_that_leaves_its_worker_leaves_it_for_long_enough_that_airflow_notices(desk: Desk) -> None:
    desk.use_up()
    desk.advance(WINDOW - SHORTEST_LEAVE - FIRST_LATENESS - EARLY)
    assert desk.wait("task").retry_in == SHORTEST_LEAVE


def test_an_early_task_waits_the_last_seconds_on_its_worker(desk: Desk) -> None:
    desk.use_up()
    desk.wait("task")
    desk.advance(WINDOW - 1.5)
    assert desk.wait("task").retry_in == pytest.approx(1.5)
    desk.advance(1.5)
    assert desk.call("task")


@pytest.mark.parametrize("start_takes", [0.0, 4.0, 9.0])
def test_tasks_are_called_back_as_much_earlier_as_they_are_mostly_late(
    desk: Desk, start_takes: float
) -> None:
    for number in range(12):
        desk.use_up()
        given = desk.wait(f"task {number}").retry_in
        desk.advance(given + start_takes)
        early = WINDOW - given - start_takes
        assert desk.call(f"task {number}") == (early <= 0)
        desk.advance(2 * WINDOW)
        desk.call(f"task {number}")
        desk.advance(2 * WINDOW)
    assert early == pytest.approx(1.0, abs=0.3)


def test_tasks_that_get_a_call_at_the_same_moment_are_called_back_one_after_the_other(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.use_up()
    desk.use_up(STATUS)
    shares = iter([0.0, 0.25, 1.0, 0.0, 0.5])
    monkeypatch.setattr(call_log, "jitter", lambda: next(shares))
    first, second, third = (desk.wait(f"task {number}").retry_in for number in range(3))
    assert (first - second, first - third) == (0.25 * JITTER, JITTER)
    pollers = [desk.wait(f"poller {number}", STATUS, leave=3).retry_in for number in range(2)]
    assert pollers == [WINDOW, WINDOW + 0.5 * JITTER]


def test_the_jitter_is_another_each_time_and_never_more_than_a_whole_one() -> None:
    shares = [call_log.jitter() for _ in range(20)]
    assert len(set(shares)) == 20
    assert all(0 <= share <= 1 for share in shares)


@pytest.mark.parametrize(("limit", "more"), [(9, 3), (7, 1)])
def test_a_raised_limit_holds_at_once_for_an_account_that_exists(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, limit: int, more: int
) -> None:
    desk.use_up()
    assert not desk.call("before")
    monkeypatch.setitem(PER_MINUTE, INIT, limit)
    granted = [desk.call(holder) for holder in ("before", "after", "later", "last")]
    assert granted == [number < more for number in range(4)]


def test_a_lowered_limit_holds_at_once_for_an_account_that_exists(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        assert desk.call(f"task {number}")
        desk.advance(5)
    monkeypatch.setitem(PER_MINUTE, INIT, 2)
    # Calls leave the window 31, 36, 41, 46, 51 and 56 s from now, and the fifth of them leaves the first one free.
    assert desk.wait("poller", leave=1).retry_in == 56
    assert desk.wait("poller", count=2).retry_in == 51
    desk.advance(51 - 0.1)
    assert not desk.call("early", seconds=0.1)
    assert desk.call("early")
    assert not desk.call("next")


def test_after_a_429_no_call_is_granted_for_a_while(desk: Desk) -> None:
    run(desk.store.pause("mia", INIT, 70))
    assert desk.wait("task").retry_in == 70 - FIRST_LATENESS - EARLY
    run(desk.store.pause("mia", INIT, 30))
    desk.advance(69)
    assert not desk.call("task")
    assert desk.call("task", STATUS), "the other endpoints go on"
    desk.advance(1)
    assert desk.call("task")


def test_tasks_that_wait_for_the_end_of_a_pause_are_called_back_a_minutes_calls_at_a_time(desk: Desk) -> None:
    run(desk.store.pause("mia", INIT, 300))
    waits = [desk.wait(f"task {number}").retry_in for number in range(13)]
    assert waits[:6] == [300 - FIRST_LATENESS - EARLY] * 6
    assert waits[6:12] == [waits[0] + WINDOW] * 6
    assert waits[12] == waits[0] + 2 * WINDOW
    assert desk.wait("poller", count=2).retry_in == 300 + 2 * WINDOW


@pytest.mark.parametrize(
    ("cap", "closes"),
    [
        (Cap.POSTS, {False: True, True: False}),
        (Cap.DRAFTS, {False: False, True: True}),
        (Cap.ACTIVE_USERS, {False: True, True: True}),
    ],
)
def test_a_cap_closes_what_it_is_about(desk: Desk, cap: Cap, closes: dict[bool, bool]) -> None:
    closed = run(desk.store.close("mia", cap))
    assert (closed.cap, closed.until) == (cap, START + timedelta(hours=1))
    for draft, is_closed in closes.items():
        answer = desk.take("task", draft=draft)
        assert answer == closed if is_closed else isinstance(answer, Granted)
    assert isinstance(desk.take("task", STATUS), Granted)
    desk.advance(3600)
    assert isinstance(desk.take("task"), Granted)


def test_a_cap_ends_when_the_oldest_post_no_longer_counts(desk: Desk) -> None:
    ages: list[tuple[float, str, str | None]] = [
        (25, PostState.OUT, "p1"),
        (23.9, ABANDONED, "p5"),
        (23, PostState.FAILED, "p2"),
        (22, "", None),
        (20, PostState.OUT, "p3"),
        (4, "", "p4"),
    ]
    attempts(desk, ages)
    assert run(desk.store.close("mia", Cap.POSTS)).retry_in == 4 * 3600
    desk.advance(4 * 3600 + 1)
    assert isinstance(desk.take("task"), Granted)
    assert run(desk.store.close("mia", Cap.POSTS)).retry_in == 16 * 3600 - 1
    assert run(desk.store.close("anna", Cap.POSTS)).retry_in == 3600
    assert run(desk.store.close("zoe", Cap.POSTS, retry_in=90)).retry_in == 90


def test_a_cap_that_is_named_although_all_our_posts_stop_counting_is_tried_again_after_a_minute(
    desk: Desk,
) -> None:
    attempts(desk, [(24 - 30 / 3600, PostState.OUT, "p1")])
    assert run(desk.store.close("mia", Cap.POSTS)).retry_in == 60


def test_a_cap_that_is_named_again_ends_at_the_later_time(desk: Desk) -> None:
    ends = [run(desk.store.close("mia", Cap.POSTS, retry_in=seconds)).retry_in for seconds in (90, 30, 120)]
    assert ends == [90, 90, 120]


@pytest.mark.parametrize(("posts", "users"), [(90, 120), (120, 90)])
def test_an_account_that_two_caps_close_opens_with_the_later_one(desk: Desk, posts: int, users: int) -> None:
    run(desk.store.close("mia", Cap.POSTS, retry_in=posts))
    run(desk.store.close("mia", Cap.ACTIVE_USERS, retry_in=users))
    assert desk.wait("task").retry_in == 120


def test_the_audit_log_records_which_cap_has_closed_an_account(desk: Desk) -> None:
    run(desk.store.close("mia", Cap.POSTS, retry_in=90))
    with transaction() as session:
        entry = session.scalars(select(Log)).one()
    assert entry.event == "tiktok_account_closed"
    assert json.loads(entry.extra or "") == {
        "conn_id": "mia",
        "cap": "posts",
        "until": (START + timedelta(seconds=90)).isoformat(),
    }


def test_what_closes_an_account_is_shown_until_it_ends(desk: Desk) -> None:
    run(desk.store.close("mia", Cap.POSTS, retry_in=7200.0))
    run(desk.store.close("leo", Cap.DRAFTS, retry_in=60.0))
    posts = Closure(conn_id="mia", by=Cap.POSTS, until=START + timedelta(hours=2))
    drafts = Closure(conn_id="leo", by=Cap.DRAFTS, until=START + timedelta(minutes=1))
    assert run(desk.store.closures()) == (drafts, posts)
    assert run(desk.store.closures("mia")) == (posts,)
    desk.advance(7200)
    assert run(desk.store.closures()) == ()


def test_a_long_pause_after_a_429_closes_an_account_too_and_a_short_one_does_not(desk: Desk) -> None:
    run(desk.store.pause("mia", INIT, 3600.0))
    run(desk.store.pause("mia", STATUS, 61.0))
    assert [found.by for found in run(desk.store.closures("mia"))] == [INIT]


def test_a_reopened_account_may_call_at_once_and_the_audit_log_names_who_has_reopened_it(desk: Desk) -> None:
    run(desk.store.close("mia", Cap.POSTS, retry_in=7200.0))
    run(desk.store.pause("mia", INIT, 3600.0))
    ended = run(desk.store.reopen("mia", actor="anna"))
    assert [found.by for found in ended] == [INIT, Cap.POSTS]
    assert run(desk.store.closures("mia")) == ()
    assert isinstance(desk.take("a"), Granted)
    with transaction() as session:
        entries = session.execute(
            select(Log.owner, Log.extra).where(Log.event == "tiktok_account_reopened").order_by(Log.id)
        ).all()
    assert [(owner, json.loads(extra or "")["by"]) for owner, extra in entries[-2:]] == [
        ("anna", "init"),
        ("anna", "posts"),
    ]


def test_the_other_account_stays_closed(desk: Desk) -> None:
    for conn_id in ("mia", "leo"):
        run(desk.store.close(conn_id, Cap.POSTS, retry_in=7200.0))
    run(desk.store.reopen("mia", actor="anna"))
    assert [found.conn_id for found in run(desk.store.closures())] == ["leo"]


def test_an_account_that_is_mistyped_cannot_be_reopened(desk: Desk) -> None:
    with pytest.raises(ConnectionSettingsError, match="no account 'miaa'"):
        run(desk.store.reopen("miaa", actor="anna"))


def attempts(desk: Desk, ages: list[tuple[float, str, str | None]]) -> None:
    """Let Mia have made attempts so many hours ago."""
    with transaction() as session:
        post = PostRow(
            conn_id="mia",
            post_key="k",
            state="out",
            kind="video",
            source="file",
            fingerprint="f",
            content={},
            origin={},
            created_at=desk.now,
            updated_at=desk.now,
        )
        session.add(post)
        session.flush()
        for number, (hours, outcome, publish_id) in enumerate(ages):
            session.add(
                AttemptRow(
                    post_id=post.id,
                    number=number,
                    intent_id="i",
                    publish_id=publish_id,
                    outcome=outcome,
                    started_at=desk.now - timedelta(hours=hours),
                )
            )


def ahead(desk: Desk) -> Desk:
    """The desk of a machine whose clock is a month ahead."""
    return Desk(desk.now + timedelta(days=30))


@pytest.mark.parametrize(("ended", "seconds"), [(True, WINDOW), (False, LONGEST_CALL + WINDOW)])
@pytest.mark.parametrize("within", [None, 15.0, 86400.0])
def test_calls_of_a_clock_that_was_ahead_are_free_again_when_any_would_be(
    desk: Desk, ended: bool, seconds: float, within: float | None
) -> None:
    wrong = ahead(desk)
    for number in range(6):
        run(wrong.store.take("mia", TakeCalls(INIT, f"task {number}", within=within)))
        if ended:
            wrong.end(f"task {number}")
    desk.wait("early")
    desk.advance(seconds - 0.1)
    assert not desk.call("early")
    desk.advance(0.1)
    assert desk.call("early")


def test_a_promise_of_more_than_a_minute_counts_as_one(desk: Desk) -> None:
    for number in range(6):
        desk.take(f"poller {number}", within=86400.0)
    desk.advance(LONGEST_CALL + WINDOW)
    assert desk.call("next")


def test_a_429_on_a_clock_that_was_ahead_pauses_for_a_day_at_most(desk: Desk) -> None:
    run(ahead(desk).store.pause("mia", INIT, 70))
    assert desk.wait("task").retry_in <= 86400
    desk.advance(86400)
    assert desk.call("task")


@pytest.mark.parametrize("named_again", [False, True])
def test_a_cap_of_a_clock_that_was_ahead_closes_for_a_day_at_most(desk: Desk, named_again: bool) -> None:
    run(ahead(desk).store.close("mia", Cap.POSTS))
    if named_again:
        run(desk.store.close("mia", Cap.POSTS))
    assert desk.wait("task").until == START + timedelta(days=1)
    desk.advance(86400)
    assert isinstance(desk.take("task"), Granted)


def test_a_post_of_a_clock_that_was_ahead_counts_for_a_day(desk: Desk) -> None:
    attempts(desk, [(-720, PostState.OUT, "p1")])
    assert run(desk.store.close("mia", Cap.POSTS)).retry_in == 86400


def test_a_caller_that_waits_by_a_clock_that_was_ahead_does_not_keep_the_others_waiting(desk: Desk) -> None:
    wrong = ahead(desk)
    wrong.use_up()
    for number in range(7):
        wrong.wait(f"gone {number}")
    desk.wait("next")
    desk.advance(LONGEST_CALL + 2 * WINDOW + KEEP_PLACE + 1)
    assert desk.call("newcomer")
    assert waiting(desk) == []


@pytest.mark.parametrize("spread", [0.0, 2.0])
def test_sixty_posts_from_eight_tasks_use_the_minute_almost_fully_and_never_too_much(
    desk: Desk, spread: float
) -> None:
    calls, slept = simulate(desk, posts=60, tasks=8, start_takes=5.0, spread=spread)
    assert len(calls) == 60
    for number in range(len(calls) - 6):
        assert calls[number + 6] - calls[number] > 60, "seven calls within a minute"
    # 60 calls take nine windows after the first six.
    assert 9 * 60 / (calls[-1] - calls[0]) >= 0.95
    assert slept / 60 < 3, "seconds that a worker is held by waiting, per post"


def simulate(
    desk: Desk, *, posts: int, tasks: int, start_takes: float, spread: float
) -> tuple[list[float], float]:
    """Let tasks publish one post after the other, leaving their worker while they wait.

    Returns when the calls were made, and for how many seconds workers were held by waiting.
    """
    chance = random.Random(7)
    coming: list[tuple[float, int]] = [(0.0, number) for number in range(tasks)]
    calls: list[float] = []
    slept, begun = 0.0, tasks
    while coming:
        at, post = heapq.heappop(coming)
        desk.now = START + timedelta(seconds=at)
        answer = desk.take(f"post {post}")
        if isinstance(answer, Wait) and answer.retry_in <= SHORT_WAIT:
            slept += answer.retry_in
            heapq.heappush(coming, (at + answer.retry_in, post))
        elif isinstance(answer, Wait):
            late = start_takes + chance.uniform(-spread, spread)
            heapq.heappush(coming, (at + answer.retry_in + late, post))
        else:
            calls.append(at)
            desk.now += timedelta(seconds=0.1)
            desk.end(f"post {post}")
            if begun < posts:
                heapq.heappush(coming, (at + start_takes, begun))
                begun += 1
    return calls, slept
