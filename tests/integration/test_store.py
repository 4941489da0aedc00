"""The store in a real API server: from outside, from a worker, and without any API server."""

import json
from pathlib import Path

import pytest

from local_airflow import LocalAirflow
from tests.integration.alone import run_alone
from tests.integration.conftest import Connect, RunDag
from tiktok_provider.exceptions import ConnectionUnreadableError
from tiktok_provider.store.client import HttpStore
from tiktok_provider.store.serialization import StoreAnswerError
from tiktok_provider.store.token_sets import TokenState
from tiktok_sandbox.client import Sandbox

pytestmark = pytest.mark.integration

TEST_DAG = """
import json, sys
sys.path.insert(0, sys.argv[1])
from store_cases import case_store
run = case_store.test()
print(json.dumps(run.get_task_instance("ask").xcom_pull("ask")))
"""


@pytest.fixture
def store_url(airflow: LocalAirflow, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AIRFLOW__TIKTOK__STORE_URL", airflow.url)
    return airflow.url


def refreshes(sandbox: Sandbox) -> int:
    return len(sandbox.requests("/v2/oauth/token/"))


@pytest.mark.usefixtures("store_url")
def test_a_look_and_a_refresh_from_outside(connect: Connect, sandbox: Sandbox, airflow: LocalAirflow) -> None:
    app = sandbox.create_app(client_secret="fake-secret-of-the-store-test")
    account = connect("tiktok_outside", app=app)
    with HttpStore("tiktok_outside", app.client_secret) as store:
        state = store.look()
        assert (state.generation, state.open_id) == (1, account.open_id)
        assert refreshes(sandbox) == 0
        renewed = store.refresh(state.generation)
        assert isinstance(renewed, TokenState)
        assert renewed.generation == state.generation + 1
        assert store.refresh(state.generation) == renewed == store.look()
    assert refreshes(sandbox) == 1
    kept = airflow.get("/connections/tiktok_outside.tokens")
    assert json.loads(kept["extra"])["generation"] == renewed.generation


@pytest.mark.usefixtures("store_url")
def test_another_secret_is_refused_and_written_to_the_audit_log(
    connect: Connect, airflow: LocalAirflow
) -> None:
    connect("tiktok_refused")
    with (
        HttpStore("tiktok_refused", "fake-secret-of-another-app") as store,
        # The test cannot read the Connection, so there is no newer secret to try.
        pytest.raises(ConnectionUnreadableError),
    ):
        store.look()
    [entry] = airflow.get("/eventLogs", event="tiktok_not_authenticated", order_by="-when", limit=1)[
        "event_logs"
    ]
    assert json.loads(entry["extra"])["conn_id"] == "tiktok_refused"
    assert json.loads(entry["extra"])["reason"] == "signature"


def test_a_worker_asks_over_http(connect: Connect, run_dag: RunDag, sandbox: Sandbox) -> None:
    connect("tiktok_worker")
    run = run_dag("case_store", {"conn_id": "tiktok_worker"})
    assert run.state == "success"
    assert run.xcom("ask") == {"sync": ["HttpStore", True], "async": ["AsyncHttpStore", 2, True]}
    assert refreshes(sandbox) == 1


def test_a_server_without_the_plugin_is_explained(
    airflow: LocalAirflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__TIKTOK__STORE_URL", f"{airflow.url}/elsewhere")
    with (
        HttpStore("tiktok_default", "fake-secret") as store,
        pytest.raises(StoreAnswerError, match=r"The API server has no TikTok store \(HTTP 405\)"),
    ):
        store.look()


def test_dag_test_needs_no_api_server(sandbox: Sandbox, tmp_path: Path) -> None:
    asked = run_alone(TEST_DAG, sandbox, tmp_path / "airflow")
    assert asked == {"sync": ["InProcessStore", True], "async": ["AsyncInProcessStore", 2, True]}
    assert refreshes(sandbox) == 1
