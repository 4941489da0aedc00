"""A poller's part of the budget, against a store that does what the test says."""

import asyncio
from collections.abc import Iterable
from itertools import pairwise

import pytest

from tiktok_provider.exceptions import UnreachableError
from tiktok_provider.store.rate_limits import Granted, Wait
from tiktok_provider.triggers.rate_limit import Allowance

AWAY = UnreachableError("The store is away", maybe_processed=False)


class Store:
    """Says what it is told to, in order; the last answer for ever. ``asked`` are the counts."""

    def __init__(self, *answers: Granted | Wait | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[int] = []
        self.held_back: list[float] = []

    async def take(self, count: int) -> Granted | Wait:
        self.asked.append(count)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def hold_back(self, seconds: float) -> None:
        self.held_back.append(seconds)


class Desk:
    """An allowance and its clock."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = 1000.0
        self.allowance = Allowance(lambda: self.now)

    def take(self, wanted: int = 1) -> float:
        return asyncio.run(self.allowance.take(self.store, wanted))

    def take_for(self, seconds: float) -> list[float]:
        """Take whatever there is for so long; return when, in seconds from the start."""
        start, taken = self.now, []
        while self.now < start + seconds:
            pause = self.take(10)
            if pause == 0:
                taken.append(self.now - start)
            self.now += pause
        return taken


def test_calls_are_taken_in_advance() -> None:
    desk = Desk(Store(Granted(count=5)))
    assert [desk.take(wanted=8) for _ in range(5)] == [0] * 5
    assert desk.store.asked == [5]


def test_not_more_are_taken_than_are_expected() -> None:
    desk = Desk(Store(Granted(count=2)))
    desk.take(wanted=2)
    assert desk.store.asked == [2]


def test_calls_that_were_not_made_in_time_are_not_made_later() -> None:
    desk = Desk(Store(Granted(count=5)))
    desk.take(wanted=5)
    desk.now += 14.5
    desk.take(wanted=5)
    assert desk.store.asked == [5, 5]


def test_a_call_that_was_not_made_is_there_for_the_next() -> None:
    desk = Desk(Store(Granted(count=1), Wait(retry_in=30)))
    desk.take()
    desk.allowance.give_back()
    assert desk.take() == 0
    assert desk.take() == 30


def test_while_there_are_none_the_store_is_left_alone() -> None:
    desk = Desk(Store(Wait(retry_in=30), Granted(count=1)))
    pauses = []
    for _ in range(4):
        pauses.append(desk.take())
        desk.now += 10
    assert pauses == [30, 20, 10, 0]
    assert len(desk.store.asked) == 2


def test_a_burst_is_followed_by_calls_that_are_spread_evenly() -> None:
    taken = Desk(Store(Granted(count=5))).take_for(300)
    assert taken[:10] == [0] * 10
    assert all(2.5 < later - earlier < 3.5 for earlier, later in pairwise(taken[10:]))
    assert len(taken) > 95


def test_while_the_store_is_away_there_are_ten_calls_a_minute_and_it_is_asked_seldom() -> None:
    desk = Desk(Store(AWAY))
    taken = desk.take_for(600)
    assert all(later - earlier >= 60 for earlier, later in zip(taken, taken[10:], strict=False))
    assert 90 <= len(taken) <= 110
    assert 10 <= len(desk.store.asked) <= 21


def test_calls_that_the_store_granted_before_it_went_away_count_too() -> None:
    desk = Desk(Store(Granted(count=5), Granted(count=5), AWAY))
    for _ in range(10):
        desk.take(wanted=5)
    desk.now += 30
    assert desk.take() == pytest.approx(31)


def test_a_store_that_does_not_answer_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tiktok_provider.triggers.rate_limit.PATIENCE", 0.01)

    class Silent(Store):
        async def take(self, count: int) -> Granted | Wait:
            self.asked.append(count)
            await asyncio.Event().wait()
            raise AssertionError("It never answers")

    desk = Desk(Silent())
    assert [desk.take(), desk.take()] == [0, 0]
    assert desk.store.asked == [1]


@pytest.mark.parametrize("answers", [(Granted(count=5),), (Granted(count=5), AWAY)])
def test_being_held_back_forgets_what_was_taken_and_tells_the_others(
    answers: Iterable[Granted | Exception],
) -> None:
    desk = Desk(Store(*answers))
    desk.take(wanted=5)
    asyncio.run(desk.allowance.hold_back(desk.store, 65))
    assert desk.take(wanted=5) == 65
    assert desk.store.held_back == [65]
    desk.now += 65
    assert desk.take(wanted=5) == 0
