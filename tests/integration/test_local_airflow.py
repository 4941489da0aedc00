"""How the local Airflow says that something is wrong."""

import os
import signal
from pathlib import Path

import pytest

from airflow_client import AirflowError
from local_airflow import LocalAirflow

pytestmark = pytest.mark.integration


def test_what_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "broken.py").write_text("from airflow.sdk import dag\nraise RuntimeError('this DAG is broken')\n")
    home = tmp_path / "home"
    with LocalAirflow(home, [dags], port=0) as airflow:
        with pytest.raises(AirflowError, match="this DAG is broken"):
            airflow.wait_for_dag("broken", timeout=120)
        with pytest.raises(AirflowError, match="not found"):
            airflow.trigger("broken")
        with pytest.raises(AirflowError, match="another Airflow is running"), LocalAirflow(home, [dags]):
            pass
        scheduler = airflow.process_id("scheduler")
        os.kill(scheduler, signal.SIGKILL)
        os.waitid(os.P_PID, scheduler, os.WEXITED | os.WNOWAIT)
        with pytest.raises(AirflowError, match=r"scheduler ended with -9, see .*/logs/scheduler\.log"):
            airflow.check_components()
