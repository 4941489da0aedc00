"""The DAG of the README runs as it is written there."""

from pathlib import Path

import pytest

from tests.integration.alone import run_alone
from tests.unit.test_readme import dag_of_the_readme
from tiktok_sandbox.client import Sandbox
from tiktok_sandbox.clips import make_clip

pytestmark = pytest.mark.integration

# The bucket that the README names is in memory here, and holds the video of one day.
SCRIPT = """
import json, sys
from datetime import datetime, timezone
from airflow.sdk.io import attach
from fsspec.implementations.memory import MemoryFileSystem
sys.path.insert(0, sys.argv[1])
bucket = MemoryFileSystem()
bucket.pipe("/launches/2026-11-20.mp4", open(sys.argv[2], "rb").read())
attach("s3", conn_id="aws_default", fs=bucket)
from readme_dag import dag
run = dag.test(logical_date=datetime(2026, 11, 20, tzinfo=timezone.utc))
print(json.dumps({"state": str(run.state), "returned": run.get_task_instance("publish").xcom_pull("publish")}))
"""


def test_the_dag_publishes_the_video_of_its_day(sandbox: Sandbox, tmp_path: Path) -> None:
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "readme_dag.py").write_text(dag_of_the_readme())
    clip = make_clip(tmp_path / "clip.mp4", seconds=1)
    result = run_alone(SCRIPT, sandbox, tmp_path / "airflow", str(clip), dags=dags)
    [post] = sandbox.feed()
    assert result["state"] == "success"
    assert (result["returned"]["publish_id"], result["returned"]["post_ids"]) == (
        post["publish_id"],
        [post["post_id"]],
    )
    assert (post["title"], post["privacy_level"]) == ("Today's drop #launch", "PUBLIC_TO_EVERYONE")
