"""Thirty published slots that are run again post nothing; two slots: tests/integration/test_reruns.py."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.reruns import TITLE, Slots, connect_accounts, ways
from tests.faults.whole_airflow import Whole, whole_airflow

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif("TIKTOK_RELIABILITY" not in os.environ, reason="takes long: scripts/reliability.sh"),
]
SLOTS = 30


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    """An Airflow with ten connected accounts."""
    with whole_airflow(tmp_path_factory.mktemp("airflow"), parallelism=4) as running:
        connect_accounts(running.airflow, running.sandbox)
        yield running


@pytest.mark.parametrize("dag_id", ["case_dates", "case_partitions"])
def test_thirty_slots_that_are_run_again_in_any_way_post_nothing_and_say_what_differs(
    whole: Whole, tmp_path: Path, dag_id: str, note: Callable[..., None]
) -> None:
    posts_before = len(whole.sandbox.feed())
    whole.airflow.wait_for_dag(dag_id)
    slots = Slots(whole.airflow, whole.sandbox, dag_id, tmp_path, SLOTS)
    slots.publish()
    assert len(whole.sandbox.feed()) - posts_before == SLOTS
    for way, (again, differs) in ways(slots).items():
        played = slots.rerun(again)
        counts = (played.slots, played.new_posts, played.inits, played.reused)
        note(TITLE, whole.database, f"{dag_id}: {way}", *counts, played.said)
        assert counts == (SLOTS, 0, 0, SLOTS), way
        assert (played.states, played.differs) == ({"success"}, differs), way
