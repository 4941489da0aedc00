"""``dag.test()``, with which people try their DAGs without a scheduler."""

from pathlib import Path

import pytest

from tests.integration.alone import run_alone
from tiktok_sandbox.client import Sandbox
from tiktok_sandbox.clips import make_clip

pytestmark = pytest.mark.integration

SCRIPT = """
import json, sys
sys.path.insert(0, sys.argv[1])
from publishing_cases import chain
run = chain.test(run_conf={"video": sys.argv[2]})
results = {ti.task_id: ti.xcom_pull(ti.task_id) for ti in run.get_task_instances()}
print(json.dumps({"state": str(run.state), "found": results["find"]}))
"""


def test_a_chain_that_defers_runs_to_its_end(sandbox: Sandbox, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", seconds=1)
    result = run_alone(SCRIPT, sandbox, tmp_path / "airflow", str(clip))
    [post] = sandbox.feed()
    assert result["state"] == "success"
    assert (result["found"]["publish_id"], result["found"]["post_ids"]) == (
        post["publish_id"],
        [post["post_id"]],
    )
