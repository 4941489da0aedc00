"""How often an account's triggers may poll, against a store that does what the test says."""

import asyncio
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest

from tiktok_provider.exceptions import UnreachableError
from tiktok_provider.store.client import AsyncStore
from tiktok_provider.store.rate_limits import Granted, Wait
from tiktok_provider.store.requests import PauseCalls, StoreRequest, TakeCalls
from tiktok_provider.triggers.rate_limit import StatusCalls

AWAY = UnreachableError("The store is away", maybe_processed=False)


class AnsweringStore(AsyncStore):
    """Answers as the test says, in order; with the last answer for ever.

    ``asked`` are the counts of the calls that were asked for, ``paused`` the seconds.
    """

    def __init__(self, *answers: Granted | Wait | Exception) -> None:
        super().__init__("tiktok_default")
        self.answers = list(answers)
        self.asked: list[int] = []
        self.paused: list[float] = []

    async def run(self, request: StoreRequest[Any]) -> Any:
        if isinstance(request, PauseCalls):
            self.paused.append(request.seconds)
            return None
        assert isinstance(request, TakeCalls)
        self.asked.append(request.count)
        return await self.answer()

    async def answer(self) -> Granted | Wait:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Desk:
    """An account's calls and their clock."""

    def __init__(self, store: AnsweringStore) -> None:
        self.store = store
        self.now = 1000.0
        self.calls = StatusCalls(lambda: self.now)

    def pause(self, queued: int = 1) -> float:
        return asyncio.run(self.calls.pause(self.store, queued))

    def take(self, queued: int = 1) -> float:
        """Make a call if one may be made; return 0, or how long to wait."""
        if (pause := self.pause(queued)) == 0:
            self.calls.use()
        return pause

    def take_for(self, seconds: float) -> list[float]:
        """Make all calls that may be made for so long; return when, in seconds from the start."""
        start, taken = self.now, []
        while self.now < start + seconds:
            pause = self.take(10)
            if pause == 0:
                taken.append(self.now - start)
            self.now += pause
        return taken


def test_calls_are_taken_in_advance() -> None:
    desk = Desk(AnsweringStore(Granted(count=5)))
    assert [desk.take(queued=8) for _ in range(5)] == [0] * 5
    assert desk.store.asked == [5]


def test_not_more_are_taken_than_triggers_want() -> None:
    desk = Desk(AnsweringStore(Granted(count=2)))
    desk.take(queued=2)
    assert desk.store.asked == [2]


@pytest.mark.parametrize(("apart", "most"), [(2, 5), (8, 2), (16, 1)])
def test_one_post_takes_as_many_as_its_last_polls_let_expect(apart: float, most: int) -> None:
    desk = Desk(AnsweringStore(*(Granted(count=count) for count in (1, 2, 3, 4)), Granted(count=1)))
    for _ in range(20):
        desk.take()
        desk.now += apart
    assert max(desk.store.asked) == most


def test_calls_that_were_not_made_in_time_are_not_made_later() -> None:
    desk = Desk(AnsweringStore(Granted(count=5)))
    desk.take(queued=5)
    desk.now += 13.5
    desk.take(queued=5)
    assert desk.store.asked == [5]
    desk.now += 1
    desk.take(queued=5)
    assert desk.store.asked == [5, 5]


def test_the_time_in_which_calls_are_made_begins_when_they_are_asked_for() -> None:
    class Slow(AnsweringStore):
        async def answer(self) -> Granted | Wait:
            desk.now += 8
            return await super().answer()

    desk = Desk(Slow(Granted(count=5)))
    desk.take(queued=5)
    desk.now += 6.5
    desk.take(queued=5)
    assert desk.store.asked == [5, 5]


def test_a_call_that_was_not_made_is_there_for_the_next() -> None:
    desk = Desk(AnsweringStore(Granted(count=1), Wait(retry_in=30)))
    assert desk.pause() == 0
    assert desk.take() == 0
    assert desk.take() == 30


def test_while_there_are_none_the_store_is_left_alone() -> None:
    desk = Desk(AnsweringStore(Wait(retry_in=30), Granted(count=1)))
    pauses = []
    for _ in range(4):
        pauses.append(desk.take())
        desk.now += 10
    assert pauses == [30, 20, 10, 0]
    assert len(desk.store.asked) == 2


def test_a_burst_is_followed_by_calls_that_are_spread_evenly() -> None:
    taken = Desk(AnsweringStore(Granted(count=5))).take_for(300)
    assert taken[:10] == [0] * 10
    assert all(2.5 < later - earlier < 3.5 for earlier, later in pairwise(taken[10:]))
    assert len(taken) > 95


def test_while_the_store_is_away_there_are_ten_calls_a_minute_and_it_is_asked_seldom() -> None:
    desk = Desk(AnsweringStore(AWAY))
    taken = desk.take_for(600)
    assert all(later - earlier >= 60 for earlier, later in zip(taken, taken[10:], strict=False))
    assert 90 <= len(taken) <= 110
    assert 10 <= len(desk.store.asked) <= 21


def test_calls_that_the_store_granted_before_it_went_away_count_too() -> None:
    desk = Desk(AnsweringStore(Granted(count=5), Granted(count=5), AWAY))
    for _ in range(10):
        desk.take(queued=5)
    desk.now += 30
    assert desk.take() == pytest.approx(31)


def test_a_store_that_does_not_answer_holds_no_trigger_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tiktok_provider.triggers.rate_limit.PATIENCE", 0.01)

    class Silent(AnsweringStore):
        async def answer(self) -> Granted | Wait:
            await asyncio.Event().wait()
            raise AssertionError("It never answers")

    desk = Desk(Silent())
    assert [desk.take(), desk.take()] == [0, 0]
    assert desk.store.asked == [1]


@pytest.mark.parametrize("answers", [(Granted(count=5),), (Granted(count=5), AWAY)])
def test_a_pause_forgets_what_was_taken_and_is_for_all_processes(
    answers: Iterable[Granted | Exception],
) -> None:
    desk = Desk(AnsweringStore(*answers))
    desk.take(queued=5)
    asyncio.run(desk.calls.pause_account(desk.store, 65))
    assert desk.take(queued=5) == 65
    assert desk.store.paused == [65]
    desk.now += 65
    assert desk.take(queued=5) == 0


def test_a_call_that_the_store_has_not_given_is_taken_afterwards() -> None:
    desk = Desk(AnsweringStore(Granted(count=1), Granted(count=1), Granted(count=3)))
    assert desk.take() == 0
    # With a newer token TikTok is asked once more at once.
    desk.calls.use()
    assert desk.pause() > 0, "what was given is what was owed"
    desk.now += 5.0
    assert desk.take() == 0
    assert desk.store.asked == [1, 4, 3]
