"""The doctor's visit to a worker and to a triggerer."""

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from fastapi import FastAPI

from tests.unit.conftest import CONN_ID, Creator, Task
from tests.unit.store.test_client import served
from tiktok_provider.database.services import Services
from tiktok_provider.operators.doctor import TikTokDoctorOperator
from tiktok_provider.triggers.doctor import TikTokDoctorTrigger
from tiktok_provider.web.application import build_application


@pytest.fixture
def api_server(store: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:  # noqa: ARG001
    """The plugin's routes as Airflow's API server mounts them; the configuration names its address."""
    outer = FastAPI()
    outer.mount("/tiktok", build_application(Services()))
    with served(outer) as address:
        monkeypatch.setenv("AIRFLOW__TIKTOK__STORE_URL", address)
        yield


@pytest.fixture(autouse=True)
def held(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """For how many seconds the trigger has held its event; it takes no real time."""
    seconds: list[float] = []

    async def sleep(pause: float) -> None:
        seconds.append(pause)

    monkeypatch.setattr("tiktok_provider.triggers.events.asyncio", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr("tiktok_provider.triggers.events.SHORTEST_DEFERRAL", 10_000.0)
    return seconds


def visit(task: Task) -> list[dict[str, str]]:
    """Run the task, then its trigger as a triggerer rebuilds it, then the task's second half."""
    operator = TikTokDoctorOperator(task_id="examine", tiktok_conn_id=CONN_ID)
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(task.context)
    assert isinstance(deferred.value.trigger, TikTokDoctorTrigger)
    path, arguments = deferred.value.trigger.serialize()
    assert path == f"{TikTokDoctorTrigger.__module__}.{TikTokDoctorTrigger.__name__}"
    event = asyncio.run(_event(TikTokDoctorTrigger(**arguments)))
    assert deferred.value.method_name == "execute_complete"
    return operator.execute_complete(task.context, event=event, **(deferred.value.kwargs or {}))


async def _event(trigger: TikTokDoctorTrigger) -> Any:
    [event] = [event async for event in trigger.run()]
    return event.payload


@pytest.mark.usefixtures("creator", "api_server")
def test_worker_and_triggerer_are_examined_alike(task: Task, held: list[float]) -> None:
    rows = visit(task)
    assert 5_000 < held[0] < 10_000, "until Airflow has noticed that the task has left its worker"
    checks = {
        where: [row["check"] for row in rows if row["where"] == where] for where in ("worker", "triggerer")
    }
    assert checks["worker"] == checks["triggerer"]
    assert checks["worker"][0] == "package"
    assert checks["worker"][-1] == "token works"
    assert {row["result"] for row in rows} == {"ok"}


def test_what_is_wrong_fails_the_task_with_place_and_advice(creator: Creator, task: Task) -> None:
    creator.monkeypatch.setenv("AIRFLOW__TIKTOK__STORE_URL", "http://127.0.0.1:1")
    with pytest.raises(AirflowFailException) as failure:
        visit(task)
    assert "On the worker, API server: " in str(failure.value)
    assert "On the triggerer, API server: " in str(failure.value)
    assert "store_url" in str(failure.value)


@pytest.mark.usefixtures("creator", "api_server")
def test_a_triggerer_that_cannot_read_what_the_api_server_can_is_told_what_to_share(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = TikTokDoctorOperator(task_id="examine", tiktok_conn_id=CONN_ID)
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(task.context)
    trigger = deferred.value.trigger
    monkeypatch.delenv(f"AIRFLOW_CONN_{CONN_ID.upper()}")
    event = asyncio.run(_event(trigger))
    with pytest.raises(AirflowFailException, match=r"triggerer, shared settings: .*API server can"):
        operator.execute_complete(task.context, event=event, **(deferred.value.kwargs or {}))
