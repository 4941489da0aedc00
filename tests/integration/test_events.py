"""Other DAGs react to posts: through a real Airflow, whose scheduler starts them."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster import copy_dags
from local_airflow import LocalAirflow
from tests.integration.conftest import CHECKOUT, Connect, RunDag, real_airflow
from tests.unit.databases import DATABASES
from tiktok_sandbox.client import Sandbox
from tiktok_sandbox.clips import make_clip

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        not os.environ.get("TIKTOK_RELIABILITY"),
        reason="when Airflow hands an event on is its own affair: run by scripts/reliability.sh",
    ),
]


@pytest.fixture(scope="module")
def events_airflow(
    sandbox_server: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalAirflow]:
    """An Airflow of its own, whose scheduler starts DAGs by their schedules, with no other DAGs than these."""
    home = tmp_path_factory.mktemp("events")
    dags = copy_dags(
        home / "dags",
        CHECKOUT / "dags" / "tiktok_on_new_post.py",
        Path(__file__).parent / "dags" / "event_cases.py",
    )
    with real_airflow(home, sandbox_server, DATABASES[-1], scheduled=True, dags=[dags]) as airflow:
        yield airflow


@pytest.fixture
def airflow(events_airflow: LocalAirflow) -> LocalAirflow:
    """Let the fixtures of all tests use it."""
    return events_airflow


def extras(airflow: LocalAirflow) -> list[dict[str, Any]]:
    """Return what the events on the asset of all posts say, with the task instance that has sent each."""
    events = airflow.get("/assets/events", source_dag_id="case_events")["asset_events"]
    found = [event["extra"] | {"index": event["source_map_index"]} for event in events]
    return sorted(found, key=lambda extra: int(extra["index"]))


def told(airflow: LocalAirflow, count: int, seconds: float = 60) -> list[str]:
    """Return the sentences of the example DAG, once it has told of so many posts."""
    deadline = time.monotonic() + seconds
    while True:
        runs = airflow.get("/dags/tiktok_on_new_post/dagRuns")["dag_runs"]
        done = [run["dag_run_id"] for run in runs if run["state"] == "success"]
        sentences = [line for run_id in done for line in airflow.xcom("tiktok_on_new_post", run_id, "tell")]
        if len(sentences) >= count:
            return sentences
        assert time.monotonic() < deadline, f"only {sentences} after {seconds:g} s, of {runs}"
        time.sleep(0.5)


def test_each_post_is_one_event_and_a_rerun_is_none(
    connect: Connect, run_dag: RunDag, sandbox: Sandbox, airflow: LocalAirflow, tmp_path: Path
) -> None:
    connect()
    airflow.wait_for_dag("tiktok_on_new_post")
    clips = [str(make_clip(tmp_path / f"{seed}.mp4", seconds=1, seed=seed)) for seed in (1, 2)]
    run = run_dag("case_events", {"videos": clips})
    assert run.state == "success", [run.log("publish", map_index=index) for index in range(2)]
    results = [run.xcom("publish", map_index=index) for index in range(2)]
    expected = [
        {
            **{name: result[name] for name in ("account", "publish_id", "post_ids", "post_url", "post_key")},
            "late": False,
            "index": index,
        }
        for index, result in enumerate(results)
    ]
    assert extras(airflow) == expected
    links = {post["page_url"] for post in sandbox.feed()}
    # Of events within one moment, Airflow hands on some only with the next event.
    assert {sentence.rpartition(" ")[2] for sentence in told(airflow, 1)} <= links

    airflow.clear(run.dag_id, run.run_id)
    assert airflow.wait_for_run(run.dag_id, run.run_id) == "success"
    assert run_dag("case_events", {"videos": clips}).state == "success"
    assert len(extras(airflow)) == 2
    assert len(sandbox.feed()) == 2
