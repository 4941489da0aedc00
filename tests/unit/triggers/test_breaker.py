"""The circuit breaker, on a clock of its own."""

import pytest

from tiktok_provider.triggers.breaker import Breaker

NOW = 1000.0


def broken(now: float = NOW) -> Breaker:
    """A breaker that five failures in a row have just opened."""
    breaker = Breaker()
    for _ in range(5):
        breaker.failed(now, probe=breaker.begin(now))
    return breaker


def probe_fails(breaker: Breaker, now: float) -> None:
    breaker.failed(now, probe=breaker.begin(now))


def test_failures_of_one_call_or_another_stop_no_call() -> None:
    breaker = Breaker()
    for _ in range(20):
        for _ in range(4):
            assert not breaker.failed(NOW, probe=breaker.begin(NOW))
        breaker.answered()
    assert breaker.pause(NOW) == 0


def test_five_failures_in_a_row_stop_all_calls_for_a_while() -> None:
    assert [broken().pause(NOW + passed) for passed in (0, 2, 4)] == [5, 3, 1]


def test_what_fails_for_one_of_several_accounts_alone_stops_no_call() -> None:
    breaker = Breaker()
    assert not any(breaker.failed(NOW, "leo", accounts=2, probe=breaker.begin(NOW)) for _ in range(20))
    assert breaker.failed(NOW, "mia", accounts=2, probe=breaker.begin(NOW))


def test_only_the_failure_that_opens_it_begins_a_pause() -> None:
    breaker = Breaker()
    assert [breaker.failed(NOW, probe=breaker.begin(NOW)) for _ in range(4)] == [False] * 4
    assert breaker.failed(NOW, probe=False)
    assert not breaker.failed(NOW, probe=False)


def test_one_probe_asks_for_all() -> None:
    breaker = broken()
    assert breaker.pause(NOW + 5) == 0
    assert breaker.begin(NOW + 5)
    assert breaker.pause(NOW + 5) > 0
    assert breaker.pause(NOW + 30) > 0


def test_each_probe_that_fails_makes_the_pause_longer_up_to_three_minutes() -> None:
    breaker, now, pauses = broken(), NOW, []
    for _ in range(8):
        pauses.append(breaker.pause(now))
        now += pauses[-1]
        probe_fails(breaker, now)
    assert pauses == [5, 10, 20, 40, 80, 160, 180, 180]


def test_calls_that_were_under_way_when_it_opened_do_not_make_the_pause_longer() -> None:
    breaker = broken()
    for _ in range(100):
        breaker.failed(NOW + 1, probe=False)
    assert breaker.pause(NOW + 1) == 4


@pytest.mark.parametrize("under_way", ["probe", "an older call"])
def test_any_answer_lets_all_go_on(under_way: str) -> None:
    breaker = broken()
    if under_way == "probe":
        breaker.begin(NOW + 5)
    breaker.answered()
    assert breaker.pause(NOW + 5) == 0
    assert not breaker.begin(NOW + 5)


def test_it_starts_with_a_short_pause_again_after_it_was_closed() -> None:
    breaker = broken()
    probe_fails(breaker, NOW + 5)
    breaker.answered()
    for _ in range(5):
        breaker.failed(NOW + 100, probe=breaker.begin(NOW + 100))
    assert breaker.pause(NOW + 100) == 5


def test_a_probe_that_was_cancelled_with_its_task_is_replaced() -> None:
    breaker = broken()
    breaker.begin(NOW + 5)
    assert breaker.pause(NOW + 64) > 0
    assert breaker.pause(NOW + 65) == 0
