"""Publishing through a real Airflow: API server, scheduler, triggerer and LocalExecutor, over HTTP."""

import hashlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from local_airflow import LocalAirflow
from tests.integration.conftest import Connect, RunDag
from tiktok_sandbox.client import Sandbox
from tiktok_sandbox.clips import make_clip

pytestmark = pytest.mark.integration

INIT = "/v2/post/publish/video/init/"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", seconds=1)


@pytest.fixture(scope="module")
def large_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "large.mp4", seconds=1, pad_to_bytes=70_000_000)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def calls(sandbox: Sandbox, path: str) -> int:
    return sum(call["path"].startswith(path) for call in sandbox.requests())


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:g} s"
        time.sleep(0.1)


def test_asking_publishing_and_finding_work_as_a_chain_of_templates(
    connect: Connect, run_dag: RunDag, sandbox: Sandbox, airflow: LocalAirflow, large_clip: Path
) -> None:
    connect(username="chiara", nickname="Chiara")
    run = run_dag("case_chain", {"video": str(large_clip)})
    assert run.state == "success"
    [post] = sandbox.feed()
    assert (post["sha256"], post["privacy_level"]) == (sha256(large_clip), "PUBLIC_TO_EVERYONE")
    assert post["title"] == f"Chiara at {run.run_id}"

    found = run.xcom("find")
    assert found["publish_id"] == run.xcom("publish", "publish_id") == post["publish_id"]
    assert found["post_ids"] == [post["post_id"]]
    assert found["post_url"] == post["page_url"]
    assert httpx.get(found["post_url"], trust_env=False, timeout=60).status_code == 200
    path = f"/dags/case_chain/dagRuns/{run.run_id}/taskInstances/find/links"
    # Airflow stores a task's links after it has reported its success.
    wait_until(lambda: airflow.get(path)["extra_links"]["TikTok post"], "the link of the task")
    assert airflow.get(path)["extra_links"] == {"TikTok post": post["page_url"]}
    assert "Uploaded 70.0 of 70.0 MB (100 %)" in run.log("publish")


def test_no_secret_shows_in_logs_xcoms_or_rendered_fields_with_all_logging_on(
    connect: Connect, run_dag: RunDag, sandbox: Sandbox, airflow: LocalAirflow, clip: Path
) -> None:
    app = sandbox.create_app(client_secret="fake-secret-that-must-not-show")
    connect(app=app)
    run = run_dag("case_chain", {"video": str(clip)})
    assert run.state == "success"
    log = run.log("publish")
    assert "HTTP Request: PUT" in log, "httpx did not tell all"
    assert "send_request_headers.started" in log, "httpcore did not tell all"
    secrets = [app.client_secret, "upload_token=", "act.", "rft."]
    shown = [log, run.log("ask"), run.log("find")]
    shown += [str(run.task(name)["rendered_fields"]) for name in ("ask", "publish", "find")]
    shown += [str(run.xcom(name)) for name in ("ask", "publish", "find")]
    assert [secret for secret in secrets for text in shown if secret in text] == []
    files = [path for path in airflow.logs.rglob("*.log") if path.is_file()]
    assert [path for path in files if app.client_secret in path.read_text(errors="replace")] == []


def test_mapped_tasks_publish_and_wait_for_each_of_a_list(
    connect: Connect, run_dag: RunDag, sandbox: Sandbox, tmp_path: Path
) -> None:
    connect()
    clips = [make_clip(tmp_path / f"{seed}.mp4", seconds=1, seed=seed) for seed in (1, 2, 3)]
    run = run_dag("case_mapped", {"videos": [str(path) for path in clips]})
    assert run.state == "success"
    assert {post["sha256"] for post in sandbox.feed()} == {sha256(path) for path in clips}
    waited = {run.xcom("wait", map_index=index)["publish_id"] for index in range(3)}
    assert waited == {post["publish_id"] for post in sandbox.feed()}
    tasks = run.client.task_instances(run.dag_id, run.run_id)
    shown = {task["rendered_map_index"] for task in tasks if task["task_id"] == "send"}
    assert shown == {path.name for path in clips}, "not 0, 1, 2"


def test_waiting_on_the_worker_works_too(
    connect: Connect, run_dag: RunDag, sandbox: Sandbox, clip: Path
) -> None:
    connect()
    run = run_dag("case_on_worker", {"video": str(clip)})
    assert (run.state, run.xcom("publish")["status"]) == ("success", "PUBLISH_COMPLETE")
    assert run.xcom("publish")["post_ids"] == [], "what only the creator may see gets no post id"
    assert len(sandbox.feed()) == 1


def test_bad_input_fails_at_once_with_one_clear_error(
    connect: Connect, run_dag: RunDag, sandbox: Sandbox, tmp_path: Path
) -> None:
    connect()
    small = make_clip(tmp_path / "small.mp4", seconds=1, width=320, height=320, fps=12)
    run = run_dag("case_on_worker", {"video": str(small)})
    assert (run.state, run.task("publish")["try_number"]) == ("failed", 1)
    log = run.log("publish")
    assert "video width is 320 px, allowed: 360 to 4096 px" in log
    assert "video frame rate is 12 fps, allowed: 23 to 60 fps" in log
    assert calls(sandbox, "/v2/") == 0


def test_a_refusal_that_no_retry_can_help_fails_at_once(
    connect: Connect, run_dag: RunDag, sandbox: Sandbox, clip: Path
) -> None:
    connect()
    sandbox.add_fault("error", path=INIT, code="invalid_params")
    run = run_dag("case_on_worker", {"video": str(clip)})
    assert (run.state, run.task("publish")["try_number"]) == ("failed", 1)
    assert "invalid_params" in run.log("publish")
    assert calls(sandbox, INIT) == 1


def test_a_task_killed_in_mid_upload_goes_on_in_its_next_try(
    connect: Connect, airflow: LocalAirflow, sandbox: Sandbox, large_clip: Path, tmp_path: Path
) -> None:
    connect()
    sandbox.add_fault("delay", path="/upload", seconds=20, skip=1)
    pid_file = tmp_path / "pid"
    airflow.wait_for_dag("case_killed")
    run_id = airflow.trigger("case_killed", {"video": str(large_clip), "pid_file": str(pid_file)})
    # The second chunk may have begun by now: it is held for 20 s.
    wait_until(lambda: calls(sandbox, "/upload") >= 1, "the first chunk")
    os.kill(int(pid_file.read_text()), signal.SIGKILL)
    assert airflow.wait_for_run("case_killed", run_id) == "success"
    assert airflow.task_instance("case_killed", run_id, "publish")["try_number"] == 2
    assert calls(sandbox, INIT) == 1
    assert [post["sha256"] for post in sandbox.feed()] == [sha256(large_clip)]


def test_a_cleared_task_returns_the_post_that_is_out(
    connect: Connect, airflow: LocalAirflow, run_dag: RunDag, sandbox: Sandbox, clip: Path
) -> None:
    connect()
    run = run_dag("case_on_worker", {"video": str(clip)})
    asked = calls(sandbox, "/v2/")
    airflow.clear("case_on_worker", run.run_id)
    assert airflow.wait_for_run("case_on_worker", run.run_id) == "success"
    again = run.xcom("publish")
    assert (again["reused"], again["post_key"]) == (True, run.xcom("publish")["post_key"])
    assert "it is not sent again" in airflow.task_log("case_on_worker", run.run_id, "publish", 2)
    assert (calls(sandbox, "/v2/"), len(sandbox.feed())) == (asked, 1)


def test_the_connection_form_has_our_fields_with_labels_and_hides_secrets(
    airflow: LocalAirflow, connect: Connect
) -> None:
    connect("tiktok_form")
    answer = httpx.get(f"{airflow.url}/ui/connections/hook_meta", trust_env=False, timeout=60)
    [form] = [hook for hook in answer.json() if hook["connection_type"] == "tiktok"]
    assert form["hook_name"] == "TikTok"
    assert form["standard_fields"]["login"]["title"] == "Client key"
    assert form["standard_fields"]["password"]["title"] == "Client secret"
    assert form["standard_fields"]["port"]["hidden"]
    assert form["extra_fields"]["access_token"]["schema"]["title"] == "Access token"
    assert form["extra_fields"]["refresh_token"]["schema"]["format"] == "password"
    shown = airflow.get("/connections/tiktok_form")
    assert "***" in shown["extra"]
    assert "act." not in shown["extra"]
    assert "rft." not in shown["extra"]
