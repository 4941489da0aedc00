"""What an API server answers, and log entries as a person reads them."""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from airflow_client import AirflowClient, AirflowError, DatabaseLockedError, log_line

# As Airflow says it of most calls, and of backfills.
LOCKED = [
    (500, {"detail": {"reason": "Database error", "orig_error": "database is locked"}}),
    (503, {"detail": "Database is locked. Backfill creation is not supported on SQLite."}),
]


@pytest.fixture(autouse=True)
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses between calls: they pass at once, and with them the time."""
    passed: list[float] = []
    monkeypatch.setattr("tenacity.nap.time", SimpleNamespace(sleep=passed.append))
    monkeypatch.setattr("tenacity.time", SimpleNamespace(monotonic=lambda: sum(passed)))
    return passed


def answering(answers: Iterable[tuple[int, Any]]) -> AirflowClient:
    """Return a client that gets these answers, one for each call."""
    left = iter(answers)

    def answer(_: httpx.Request) -> httpx.Response:
        status, body = next(left)
        return httpx.Response(status, json=body)

    return AirflowClient("http://airflow.example", httpx.MockTransport(answer))


def test_a_locked_database_is_asked_again() -> None:
    client = answering([*LOCKED, (200, {"dag_run_id": "manual"})])
    assert client.trigger("some_dag") == "manual"


def test_a_database_that_stays_locked_is_an_error_after_a_minute(seconds: list[float]) -> None:
    client = answering(LOCKED[:1] * 1000)
    with pytest.raises(DatabaseLockedError, match="database is locked"):
        client.trigger("some_dag")
    assert 60 <= sum(seconds) < 70


@pytest.mark.parametrize("there", [True, False])
def test_a_connection_is_replaced_if_it_is_there_and_else_made(there: bool) -> None:
    client = answering([(200, {})] if there else [(404, {"detail": "no such connection"}), (201, {})])
    client.put_connection("mia", conn_type="tiktok")


def test_another_error_is_told_at_once(seconds: list[float]) -> None:
    client = answering([(500, {"detail": "no such table"}), (200, {})])
    with pytest.raises(AirflowError, match=r"answered 500.*no such table"):
        client.trigger("some_dag")
    assert not seconds


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ({"level": "info", "event": "Uploaded 5 MB"}, "info Uploaded 5 MB"),
        ({"event": "::group::Pre Execute"}, "::group::Pre Execute"),
        (
            {
                "level": "error",
                "event": "Task failed with exception",
                "error_detail": [{"exc_type": "InvalidInputError", "exc_value": "video codec mpeg4"}],
            },
            "error Task failed with exception InvalidInputError: video codec mpeg4",
        ),
        ({"level": "error", "event": "Task failed", "error_detail": None}, "error Task failed"),
    ],
)
def test_a_log_entry_is_one_line_with_its_error(entry: dict[str, Any], line: str) -> None:
    assert log_line(entry) == line
