"""The doctor and the daily health check in a real Airflow."""

import json
import subprocess
import sys

import pytest

from local_airflow import LocalAirflow
from tests.integration.conftest import Connect, RunDag
from tiktok_sandbox.client import Sandbox

pytestmark = pytest.mark.integration


def test_the_doctor_visits_worker_and_triggerer(connect: Connect, run_dag: RunDag) -> None:
    connect("tiktok_doctor", username="mia")
    run = run_dag("tiktok_doctor", {"conn_id": "tiktok_doctor"})
    assert run.state == "success"
    rows = run.xcom("examine")
    assert {row["where"] for row in rows} == {"worker", "triggerer"}
    assert {(row["check"], row["result"]) for row in rows if row["result"] != "ok"} == set()


def test_the_doctor_on_the_command_line_finds_nothing_wrong(connect: Connect, airflow: LocalAirflow) -> None:
    connect("tiktok_cli", username="mia")
    command = [sys.executable, "-m", "airflow", "tiktok", "doctor", "tiktok_cli", "--output", "json"]
    # At level DEBUG Airflow itself writes to standard output before a command begins.
    env = {**airflow.env, "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert [row for row in json.loads(done.stdout) if row["result"] != "ok"] == []
    assert done.returncode == 0


def test_the_daily_check_refreshes_what_has_ended_and_warns_of_nobody(
    connect: Connect, run_dag: RunDag, sandbox: Sandbox
) -> None:
    connect(expires_in=-1)
    run = run_dag("tiktok_account_health")
    assert run.state == "success"
    [account] = run.xcom("check_accounts")
    assert (account["conn_id"], account["state"]) == ("tiktok_default", "ok")
    assert len(sandbox.requests("/v2/oauth/token/")) == 1
