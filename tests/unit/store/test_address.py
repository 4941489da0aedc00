"""Where a process finds the store."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from airflow.sdk.execution_time import supervisor, task_runner

from tests.unit.store.scripted import CONN_ID
from tiktok_provider.database.in_process import AsyncInProcessStore, InProcessStore
from tiktok_provider.hooks.store_access import open_async_store, open_store
from tiktok_provider.store.address import store_address
from tiktok_provider.store.client import AsyncHttpStore, AsyncStore, HttpStore, Store


@pytest.mark.parametrize(
    ("options", "address"),
    [
        ({}, "http://localhost:8080"),
        ({"API__BASE_URL": "https://air.example/flow/"}, "https://air.example/flow"),
        ({"API__BASE_URL": "/flow"}, "http://localhost:8080/flow"),
        (
            {
                "CORE__EXECUTION_API_SERVER_URL": "http://api:8080/flow/execution/",
                "API__BASE_URL": "https://air.example",
            },
            "http://api:8080/flow",
        ),
        ({"CORE__EXECUTION_API_SERVER_URL": "http://api:8080/execution"}, "http://api:8080"),
        (
            {"TIKTOK__STORE_URL": "http://store:8080/", "CORE__EXECUTION_API_SERVER_URL": "http://api:8080"},
            "http://store:8080",
        ),
    ],
)
def test_the_address_comes_from_the_configuration(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, str], address: str
) -> None:
    for name in ("API__BASE_URL", "CORE__EXECUTION_API_SERVER_URL", "TIKTOK__STORE_URL"):
        monkeypatch.delenv(f"AIRFLOW__{name}", raising=False)
    for name, value in options.items():
        monkeypatch.setenv(f"AIRFLOW__{name}", value)
    assert store_address() == address


def in_dag_test(monkeypatch: pytest.MonkeyPatch) -> None:
    comms = supervisor.InProcessSupervisorComms(supervisor=cast(Any, None))
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", comms, raising=False)


def in_the_cli(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(task_runner, "SUPERVISOR_COMMS", raising=False)


def in_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", SimpleNamespace(), raising=False)


def away_from_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    in_the_cli(monkeypatch)
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "airflow-db-not-allowed:///")


@pytest.mark.parametrize(
    ("place", "kinds"),
    [
        (in_dag_test, (InProcessStore, AsyncInProcessStore)),
        (in_the_cli, (InProcessStore, AsyncInProcessStore)),
        (in_a_worker, (HttpStore, AsyncHttpStore)),
        (away_from_the_database, (HttpStore, AsyncHttpStore)),
    ],
)
def test_the_store_is_in_process_where_there_is_no_api_server(
    monkeypatch: pytest.MonkeyPatch,
    place: Callable[[pytest.MonkeyPatch], None],
    kinds: tuple[type[Store], type[AsyncStore]],
) -> None:
    place(monkeypatch)
    assert (type(open_store(CONN_ID)), type(open_async_store(CONN_ID))) == kinds
