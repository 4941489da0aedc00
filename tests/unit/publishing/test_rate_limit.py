"""How a try takes its calls from the account's rate limits, and what a 429 or a cap does to the other tasks."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest

from tiktok_provider.error_table import api_error
from tiktok_provider.exceptions import (
    AccountClosedError,
    ApiError,
    CapReachedError,
)
from tiktok_provider.publishing.deferral import DeferTask
from tiktok_provider.publishing.rate_limit import CAP_OF_CODE, RateLimiter
from tiktok_provider.store.client import Store
from tiktok_provider.store.errors import StoreUnreachableError
from tiktok_provider.store.rate_limits import (
    LONG_PAUSE,
    SHORT_WAIT,
    SHORTEST_LEAVE,
    WHOSE_CAP,
    WINDOW,
    Cap,
    Endpoint,
    Granted,
    Wait,
)
from tiktok_provider.store.requests import CloseAccount, EndCalls, PauseCalls, StoreRequest, TakeCalls

T = TypeVar("T")

INIT, TASK = Endpoint.INIT, "spring/1/publish"
UNTIL = datetime(2030, 1, 31, 12, tzinfo=UTC)
AWAY = StoreUnreachableError("The store is away.", maybe_processed=False)


class ScriptedStore(Store):
    """A store that gives the next answer of its kind, or raises it; without one it grants and accepts everything."""

    def __init__(self) -> None:
        super().__init__("mia")
        self.requests: list[StoreRequest[Any]] = []
        self.answers: dict[type[StoreRequest[Any]], Iterator[object]] = {}

    def script(self, kind: type[StoreRequest[Any]], answers: Sequence[object]) -> None:
        self.answers[kind] = iter(answers)

    def run(self, request: StoreRequest[T]) -> T:
        self.requests.append(request)
        usual = Granted() if isinstance(request, TakeCalls) else None
        answer: Any = next(self.answers.get(type(request), iter(())), usual)
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]


@dataclass
class Desk:
    """A rate limiter, what it asks of the store, and how long it sleeps."""

    store: ScriptedStore = field(default_factory=ScriptedStore)
    slept: list[float] = field(default_factory=list)

    def limiter(self, **options: Any) -> RateLimiter:
        return RateLimiter(self.store, TASK, sleep=self.slept.append, **options)

    def waits(self, *seconds: float) -> None:
        self.store.script(TakeCalls, [Wait(retry_in=one) for one in seconds])

    def deferral(self, limiter: RateLimiter, error: Exception | None = None) -> DeferTask:
        """Make a call, which raises the error if one is given, and return how the task defers."""
        with pytest.raises(DeferTask) as caught:
            _call(limiter, error)
        return caught.value


def _call(limiter: RateLimiter, error: Exception | None) -> None:
    with limiter.call(INIT):
        if error is not None:
            raise error


@pytest.fixture
def desk() -> Desk:
    return Desk()


def too_many_calls(retry_after: float | None = None) -> ApiError:
    return api_error("rate_limit_exceeded", 429, retry_after=retry_after)


@pytest.mark.parametrize("draft", [False, True])
def test_a_call_is_taken_before_it_is_made_and_ended_after_it(desk: Desk, draft: bool) -> None:
    with desk.limiter(draft=draft).call(INIT):
        assert desk.store.requests == [TakeCalls(INIT, TASK, draft=draft)]
    assert desk.store.requests[1:] == [EndCalls(INIT, TASK)]


def test_a_call_that_fails_is_ended_too(desk: Desk) -> None:
    with pytest.raises(ZeroDivisionError), desk.limiter().call(INIT):
        raise ZeroDivisionError
    assert desk.store.requests[-1] == EndCalls(INIT, TASK)


def test_a_call_whose_end_cannot_be_reported_has_been_made_all_the_same(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.store.script(EndCalls, [AWAY])
    with desk.limiter().call(INIT):
        pass
    assert "The end of a call could not be reported to the store" in caplog.text


def test_no_call_is_made_without_the_store(desk: Desk) -> None:
    desk.store.script(TakeCalls, [AWAY])
    with pytest.raises(StoreUnreachableError), desk.limiter().call(INIT):
        pytest.fail("made")
    assert desk.store.requests == [TakeCalls(INIT, TASK)], "there is nothing to end"


def test_a_short_wait_is_slept_on_the_worker(desk: Desk) -> None:
    desk.waits(0.5, SHORT_WAIT)
    with desk.limiter().call(INIT):
        assert desk.slept == [0.5, SHORT_WAIT]
    assert desk.store.requests == [TakeCalls(INIT, TASK)] * 3 + [EndCalls(INIT, TASK)]


def test_a_longer_wait_is_spent_off_the_worker_for_as_long_as_the_store_says(desk: Desk) -> None:
    desk.waits(SHORT_WAIT + 0.1)
    deferral = desk.deferral(desk.limiter())
    assert (deferral.seconds, desk.slept) == (SHORT_WAIT + 0.1, [])
    assert deferral.reason == "the account's 6 init calls of a minute are used up"
    assert desk.store.requests == [TakeCalls(INIT, TASK)], "there is nothing to end"


def test_a_task_that_has_slept_often_enough_leaves_its_worker(desk: Desk) -> None:
    desk.waits(*[SHORT_WAIT] * 30)
    deferral = desk.deferral(desk.limiter())
    assert (deferral.seconds, desk.slept) == (SHORTEST_LEAVE, [SHORT_WAIT] * 20)
    assert "are used up" in deferral.reason


@pytest.mark.parametrize(
    ("retry_after", "least", "most"),
    [
        (30.0, 30.0, 33.0),
        (None, WINDOW, 1.1 * WINDOW),
        (86_300.0, 86_300.0, 86_400.0),
        (1e6, 86_400.0, 86_400.0),
    ],
)
def test_a_429_pauses_all_tasks_of_the_account_for_as_long_as_tiktok_asks(
    desk: Desk, retry_after: float | None, least: float, most: float
) -> None:
    deferral = desk.deferral(desk.limiter(), too_many_calls(retry_after))
    assert least <= deferral.seconds <= most
    assert deferral.cap == (INIT if least > LONG_PAUSE else None)
    assert desk.store.requests[1:] == [PauseCalls(INIT, deferral.seconds), EndCalls(INIT, TASK)]


def test_pauses_after_a_429_are_not_all_of_the_same_length(desk: Desk) -> None:
    assert len({desk.deferral(desk.limiter(), too_many_calls(30)).seconds for _ in range(5)}) == 5


def test_a_429_is_waited_for_although_the_store_cannot_be_told(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.store.script(PauseCalls, [AWAY])
    assert 30 <= desk.deferral(desk.limiter(), too_many_calls(30)).seconds <= 33
    assert "The pause of the account's calls could not be reported to the store" in caplog.text


@pytest.mark.parametrize(("code", "cap"), CAP_OF_CODE.items())
def test_a_cap_that_an_answer_names_closes_the_account_until_it_ends(desk: Desk, code: str, cap: Cap) -> None:
    desk.store.script(CloseAccount, [Wait(retry_in=7200.0, cap=cap, until=UNTIL)])
    deferral = desk.deferral(desk.limiter(), api_error(code, 403))
    assert deferral.seconds == 7200
    assert deferral.reason == f"{WHOSE_CAP[cap]} is reached"
    assert desk.store.requests[1:] == [CloseAccount(cap), EndCalls(INIT, TASK)]


def test_a_cap_fails_the_task_that_does_not_want_to_wait_and_closes_the_account_all_the_same(
    desk: Desk,
) -> None:
    desk.store.script(CloseAccount, [Wait(retry_in=7200.0, cap=Cap.POSTS, until=UNTIL)])
    with pytest.raises(CapReachedError), desk.limiter(on_cap="fail").call(INIT):
        raise api_error("spam_risk_too_many_posts", 403)
    assert CloseAccount(Cap.POSTS) in desk.store.requests


def test_a_cap_whose_end_the_store_cannot_tell_is_tried_again_in_ten_minutes(desk: Desk) -> None:
    desk.store.script(CloseAccount, [AWAY])
    deferral = desk.deferral(desk.limiter(), api_error("spam_risk_too_many_posts", 403))
    assert (deferral.seconds, deferral.cap) == (600, Cap.POSTS)


@pytest.mark.parametrize("seconds", [1.0, 7200.0])
def test_a_closed_account_is_waited_for_off_the_worker(desk: Desk, seconds: float) -> None:
    desk.store.script(TakeCalls, [Wait(retry_in=seconds, cap=Cap.DRAFTS, until=UNTIL)])
    deferral = desk.deferral(desk.limiter())
    assert (deferral.seconds, desk.slept) == (seconds, [])
    assert deferral.reason == f"{WHOSE_CAP[Cap.DRAFTS]} is reached"


def test_a_closed_account_fails_the_task_that_does_not_want_to_wait_before_anything_is_sent(
    desk: Desk,
) -> None:
    desk.store.script(TakeCalls, [Wait(retry_in=7200.0, cap=Cap.POSTS, until=UNTIL)])
    with pytest.raises(AccountClosedError) as caught, desk.limiter(on_cap="fail").call(INIT):
        pytest.fail("made")
    first, *rest = str(caught.value).splitlines()
    assert re.fullmatch(
        r"The account is closed until \d\d:\d\d UTC \(2 h 0 min\)\. Nothing was sent\.", first
    )
    assert WHOSE_CAP[Cap.POSTS][1:] in rest[0]
