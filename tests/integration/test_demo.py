"""The demo as a person runs it: what it prints, how it fails, and that nothing of it stays behind."""

import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]
import pytest

from airflow_client import AirflowClient
from tiktok_sandbox.clips import make_clip

pytestmark = pytest.mark.integration
DAG_ID = "tiktok_publish_video"
DEMO = [sys.executable, str(Path(__file__).resolve().parents[2] / "scripts" / "demo.py")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's folder, the same for all runs here: only the first one has to make the database."""
    return tmp_path_factory.mktemp("demo")


@pytest.fixture
def occupied_ports() -> Iterator[None]:
    """The usual ports of Airflow and the sandbox are taken."""
    with ExitStack() as stack:
        for port in (8080, 9080):
            with suppress(OSError):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
        yield


@contextmanager
def running_demo(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run the demo with both outputs in one pipe, and interrupt it if the test has not done so."""
    process = subprocess.Popen(
        [*DEMO, "--folder", str(folder), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    with process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def output_until(process: subprocess.Popen[str], text: str) -> str:
    """Return the demo's output up to the first line with the text."""
    assert process.stdout
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return "".join(lines)
    pytest.fail(f"no {text!r} in the output:\n{''.join(lines)}")


def check_the_form(url: str) -> None:
    """The one run is that of this demo; the form has the video filled in, and takes the other account, too."""
    airflow = AirflowClient(url)
    with closing(airflow):
        assert len(airflow.get(f"/dags/{DAG_ID}/dagRuns")["dag_runs"]) == 1
        assert airflow.get(f"/dags/{DAG_ID}/details")["params"]["video"]["value"].endswith("clip.mp4")
        choices = {"conn_id": "tiktok_other", "privacy_level": "SELF_ONLY", "allow_comment": True}
        finished = airflow.run(DAG_ID, choices)
        assert (finished.state, finished.xcom("publish")["account"]) == ("success", "tiktok_other")


def left_behind(folder: Path) -> list[str]:
    """Return the processes that have to do with the demo in this folder."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            words = [*process.cmdline(), process.environ().get("AIRFLOW_HOME", "")]
            if any(str(folder) in word for word in words):
                found.append(" ".join(process.cmdline()))
    return found


@pytest.mark.usefixtures("occupied_ports")
def test_a_video_of_ones_own_goes_out_with_the_usual_ports_taken(folder: Path, tmp_path: Path) -> None:
    video = make_clip(tmp_path / "my own video.mov", seconds=3, seed=7)
    result = subprocess.run(
        [*DEMO, video.name, "--once", "--folder", str(folder)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    published = json.loads(result.stdout.splitlines()[-1])
    assert published["sha256"] == hashlib.sha256(video.read_bytes()).hexdigest()
    assert published["status"] == "PUBLISH_COMPLETE"
    assert re.fullmatch(r"\d{19}", published["post_id"])
    assert published["publish_id"].startswith("v_pub_file~")
    assert 0 < published["seconds"] < 300
    assert published["post_id"] in result.stderr
    assert left_behind(folder) == []


def test_what_was_posted_can_be_looked_at_until_ctrl_c(folder: Path) -> None:
    with running_demo(folder) as process:
        output = output_until(process, "Serve until Ctrl-C")
        pages = re.findall(r"^(?:Sandbox|Airflow|Posts) +(http\S+)$", output, re.MULTILINE)
        assert len(pages) == 4
        for page in pages:
            assert httpx.get(page, trust_env=False, follow_redirects=True, timeout=60).status_code == 200
        check_the_form(re.findall(r"^Airflow +(http://[^/]+)/", output, re.MULTILINE)[0])
        process.send_signal(signal.SIGINT)
        assert process.wait(90) == 0
    assert left_behind(folder) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_it_starts_stops_everything(folder: Path, number: signal.Signals) -> None:
    with running_demo(folder) as process:
        output_until(process, "waiting for api-server")
        process.send_signal(number)
        assert process.wait(90) == 128 + number
    assert left_behind(folder) == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "does not exist"), (b"", "is empty"), (b"no video at all" * 100, "not a video")],
)
def test_a_video_that_is_none_is_refused_before_anything_starts(
    folder: Path, tmp_path: Path, content: bytes | None, reason: str
) -> None:
    video = tmp_path / "video.mp4"
    if content is not None:
        video.write_bytes(content)
    result = subprocess.run(
        [*DEMO, str(video), "--once", "--folder", str(folder)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert result.stdout == ""
    assert "error: Check the video:" in result.stderr
    assert reason in result.stderr
    assert f"log: {folder / 'demo.log'}" in result.stderr
    assert "Airflow" not in result.stderr
