"""Slots that are run again post nothing; with 30 slots: tests/faults/test_reruns.py."""

from pathlib import Path

import pytest

from local_airflow import LocalAirflow
from tests.faults.reruns import ACCOUNTS, Slots, connect_accounts, ways
from tests.integration.conftest import forget_calls
from tiktok_sandbox.client import Sandbox

pytestmark = pytest.mark.integration
SLOTS = 2


@pytest.mark.parametrize("dag_id", ["case_dates", "case_partitions"])
def test_slots_that_are_run_again_in_any_way_post_nothing_and_say_what_differs(
    airflow: LocalAirflow, sandbox: Sandbox, tmp_path: Path, dag_id: str
) -> None:
    connect_accounts(airflow, sandbox)
    for number in range(ACCOUNTS):
        forget_calls(airflow, f"rerun_{number}")
    airflow.wait_for_dag(dag_id)
    slots = Slots(airflow, sandbox, dag_id, tmp_path, SLOTS)
    slots.publish()
    assert len(sandbox.feed()) == SLOTS
    for way, (again, differs) in ways(slots).items():
        played = slots.rerun(again)
        seen = (played.new_posts, played.inits, played.states, played.differs)
        assert seen == (0, 0, {"success"}, differs), way
        assert played.reused == played.slots, way
        assert "it is not sent again" in played.said, way
