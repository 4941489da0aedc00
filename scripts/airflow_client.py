"""A small client of Airflow's REST API: just what the demo and the integration tests ask for."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random

FINISHED = frozenset({"success", "failed"})


class AirflowError(Exception):
    """Airflow did not do what it was asked for; the message says what and why."""


class NotFoundError(AirflowError):
    """There is no such thing."""


class ServerError(AirflowError):
    """The API server failed, for now at least."""


class DatabaseLockedError(ServerError):
    """Another process was writing to SQLite; nothing was changed."""


@dataclass(frozen=True)
class FinishedRun:
    """A DAG run that has ended.

    :param state: success or failed.
    """

    client: "AirflowClient"
    dag_id: str
    run_id: str
    state: str

    def task(self, task_id: str) -> dict[str, Any]:
        """Return the task's instance: state, try_number, start_date and so on."""
        return self.client.task_instance(self.dag_id, self.run_id, task_id)

    def xcom(self, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """Return a value that the task has left."""
        return self.client.xcom(self.dag_id, self.run_id, task_id, key, map_index)

    def log(self, task_id: str, try_number: int = 1, map_index: int = -1) -> str:
        """Return the log of one try of the task."""
        return self.client.task_log(self.dag_id, self.run_id, task_id, try_number, map_index)


class AirflowClient:
    """Speaks to one API server whose user needs no credentials (SimpleAuthManager, all admins).

    :param url: the server's base URL, without a trailing slash.
    :param transport: carries the calls. Default: the network.
    """

    def __init__(self, url: str, transport: httpx.BaseTransport | None = None) -> None:
        self.url = url
        # The server is on this machine, and a proxy from the environment is not for it. It may wait half a minute
        # for its database.
        self._http = httpx.Client(base_url=f"{url}/api/v2", timeout=90, trust_env=False, transport=transport)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str, **params: Any) -> Any:
        """Return what `GET /api/v2{path}` answers."""
        return self.call("GET", path, params=params)

    def put_connection(self, connection_id: str, **fields: Any) -> None:
        """Create the connection, or replace all the fields of the one that is there.

        :param connection_id: its id.
        :param fields: of the API's connection body: conn_type, host, login, password, extra (a JSON string).
        """
        body = {"connection_id": connection_id, **fields}
        try:
            self.call("PATCH", f"/connections/{_quoted(connection_id)}", json=body)
        except NotFoundError:
            self.call("POST", "/connections", json=body)

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> str:
        """Start a run of the DAG and return its run id."""
        body = {"logical_date": None, "conf": dict(conf or {})}
        run: dict[str, str] = self.call("POST", f"/dags/{_quoted(dag_id)}/dagRuns", json=body)
        return run["dag_run_id"]

    def run(self, dag_id: str, conf: Mapping[str, Any] | None = None, timeout: float = 120) -> FinishedRun:
        """Start a run of the DAG and wait for its end, `timeout` seconds at most."""
        run_id = self.trigger(dag_id, conf)
        return FinishedRun(self, dag_id, run_id, self.wait_for_run(dag_id, run_id, timeout))

    def clear(self, dag_id: str, run_id: str) -> None:
        """Clear all tasks of the run, so that they run again."""
        body = {"dry_run": False, "dag_run_id": run_id, "only_failed": False, "reset_dag_runs": True}
        self.call("POST", f"/dags/{_quoted(dag_id)}/clearTaskInstances", json=body)

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return the state of the run: queued, running, success or failed."""
        return str(self.get(_run_path(dag_id, run_id))["state"])

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the task instances of the run, mapped ones as well."""
        instances: list[dict[str, Any]] = self.get(f"{_run_path(dag_id, run_id)}/taskInstances")[
            "task_instances"
        ]
        return instances

    def task_instance(self, dag_id: str, run_id: str, task_id: str) -> dict[str, Any]:
        """Return one task instance: state, try_number, start_date and so on."""
        instance: dict[str, Any] = self.get(_task_path(dag_id, run_id, task_id))
        return instance

    def xcom(
        self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = -1
    ) -> Any:
        """Return the value of one XCom."""
        path = f"{_task_path(dag_id, run_id, task_id)}/xcomEntries/{_quoted(key)}"
        return self.get(path, map_index=map_index)["value"]

    def task_log(
        self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = -1
    ) -> str:
        """Return the log of one try, a line for each event, with the errors' messages."""
        path = f"{_task_path(dag_id, run_id, task_id)}/logs/{try_number}"
        content = self.get(path, full_content=True, map_index=map_index)["content"]
        return "\n".join(log_line(entry) for entry in content)

    def wait_for_run(
        self,
        dag_id: str,
        run_id: str,
        timeout: float = 120,
        on_poll: Callable[[str], object] = str,
    ) -> str:
        """Wait for the run to finish and return its state.

        :param timeout: seconds, after which an ``AirflowError`` lists the states of the tasks.
        :param on_poll: called with the state every half second while it lasts.
        """
        deadline = time.monotonic() + timeout
        while (state := self.run_state(dag_id, run_id)) not in FINISHED:
            on_poll(state)
            if time.monotonic() > deadline:
                tasks = {task["task_id"]: task["state"] for task in self.task_instances(dag_id, run_id)}
                raise AirflowError(f"run {run_id} of {dag_id} is still {state} after {timeout:g} s: {tasks}")
            time.sleep(0.5)
        return state

    def import_errors(self, since: datetime) -> list[str]:
        """Return what went wrong in DAG files that were parsed since then."""
        errors = self.get("/importErrors")["import_errors"]
        return [
            f"{error['filename']}: {error['stack_trace']}"
            for error in errors
            if datetime.fromisoformat(error["timestamp"]) >= since
        ]

    def dag_parsed_since(self, dag_id: str, since: datetime) -> bool:
        """Tell whether the DAG is there as its file is now, and not only as it once was."""
        dags = self.get("/dags", dag_id_pattern=dag_id)["dags"]
        return any(
            dag["dag_id"] == dag_id and datetime.fromisoformat(dag["last_parsed_time"]) >= since
            for dag in dags
        )

    def unhealthy(self) -> list[str]:
        """Return the components that do not report for duty, all of them while there is no server."""
        try:
            health = self.get("/monitor/health")
        except (httpx.TransportError, AirflowError):
            return ["api-server"]
        names = ("metadatabase", "scheduler", "triggerer", "dag_processor")
        return [name for name in names if (health.get(name) or {}).get("status") != "healthy"]

    def call(self, method: str, path: str, **options: Any) -> Any:
        """Return what Airflow answers; while SQLite is locked it is asked again, for a minute at most.

        :param path: below /api/v2.
        :param options: for httpx: params, json.
        """
        # Airflow gives up where SQLite could wait: a change inside of a savepoint fails at once.
        patiently = Retrying(
            retry=retry_if_exception_type(DatabaseLockedError),
            wait=wait_random(0.2, 1),
            stop=stop_after_delay(60),
            reraise=True,
        )
        return patiently(self._call_once, method, path, **options)

    def _call_once(self, method: str, path: str, **options: Any) -> Any:
        response = self._http.request(method, path, **options)
        if response.is_error:
            hint = _HINTS.get(response.status_code, "")
            raise _kind_of_error(response)(
                f"{method} {response.url} answered {response.status_code}{hint}: {response.text[:500]}"
            )
        return response.json() if response.content else None


def _kind_of_error(response: httpx.Response) -> type[AirflowError]:
    if response.status_code == httpx.codes.NOT_FOUND:
        return NotFoundError
    if not response.is_server_error:
        return AirflowError
    return DatabaseLockedError if "database is locked" in response.text.lower() else ServerError


_HINTS = {
    401: " (not logged in: is another Airflow, with users of its own, listening there?)",
    403: " (not allowed)",
    404: " (not found)",
}


def log_line(entry: Mapping[str, Any]) -> str:
    """Return one structured log entry as a line of text; an error's type and message come along."""
    errors = entry.get("error_detail") or []
    reasons = [f"{error.get('exc_type')}: {error.get('exc_value')}" for error in errors]
    return " ".join([str(entry.get("level", "")), str(entry.get("event", "")), *reasons]).strip()


def _quoted(part: str) -> str:
    return quote(part, safe="")


def _run_path(dag_id: str, run_id: str) -> str:
    return f"/dags/{_quoted(dag_id)}/dagRuns/{_quoted(run_id)}"


def _task_path(dag_id: str, run_id: str, task_id: str) -> str:
    return f"{_run_path(dag_id, run_id)}/taskInstances/{_quoted(task_id)}"
