"""How soon the task of an idle account is done when its post is ready."""

import os
import statistics
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from tests.faults.whole_airflow import Whole, whole_airflow
from tests.integration.alone import connection_fields
from tiktok_sandbox.clips import make_clip

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif("TIKTOK_RELIABILITY" not in os.environ, reason="takes long: scripts/reliability.sh"),
]
DAG_ID = "fault_file"
POSTS, APART, READY_AFTER = 12, 8.0, 30.0
TITLE = "Noticing: database, posts, seconds from ready to the task's success: least, median, most"


def test_a_task_is_done_within_ten_seconds_after_its_post_is_ready(
    tmp_path: Path, note: Callable[..., None]
) -> None:
    dags = Path(__file__).parent / "dags"
    with whole_airflow(tmp_path / "airflow", parallelism=4, dags=dags) as whole:
        whole.airflow.wait_for_dag(DAG_ID)
        whole.sandbox.set_switches(processing_seconds=READY_AFTER)
        clip = make_clip(tmp_path / "clip.mp4", seconds=1)
        runs = []
        for number in range(POSTS):
            runs.append(_publish(whole, f"account_{number}", clip))
            time.sleep(APART)
        ended = [_end(whole, run_id) for run_id in runs]
        ready = sorted(row["delivered_at"] for row in whole.sandbox.publishes())
    delays = [end - moment for end, moment in zip(sorted(ended), ready, strict=True)]
    note(TITLE, whole.database, POSTS, *(f"{f(delays):.1f}" for f in (min, statistics.median, max)))
    assert statistics.median(delays) <= 10


def _publish(whole: Whole, conn_id: str, clip: Path) -> str:
    app, account = whole.sandbox.create_app(), whole.sandbox.create_account(username=conn_id)
    fields = connection_fields(whole.sandbox, app, account, whole.sandbox.issue_tokens(app, account))
    whole.airflow.put_connection(conn_id, **fields)
    return whole.airflow.trigger(DAG_ID, {"conn_id": conn_id, "video": str(clip)})


def _end(whole: Whole, run_id: str) -> float:
    assert whole.airflow.wait_for_run(DAG_ID, run_id, 120) == "success"
    task = whole.airflow.task_instance(DAG_ID, run_id, "publish")
    return datetime.fromisoformat(task["end_date"]).timestamp()
