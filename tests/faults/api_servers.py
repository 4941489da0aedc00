"""Two real API servers of Airflow on one database, and for each a task that counts as running, for its heartbeats."""

import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import jwt
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from cryptography.fernet import Fernet
from sqlalchemy import create_engine

import child_processes
from airflow_client import AirflowClient
from local_airflow import airflow_environment
from local_ports import free_port

START_SECONDS = 180
PID = 4711


@dataclass(frozen=True)
class RunningTask:
    """A task instance that is running, as far as Airflow knows.

    Attributes:
        token: the JWT that its worker has, for the Execution API.
    """

    id: UUID
    token: str


@dataclass(frozen=True)
class ApiServers:
    """What is running.

    Attributes:
        urls: of both servers, without a slash at the end.
        tasks: one for each server, since two heartbeats of one task would wait for each other's lock on its row.
    """

    urls: tuple[str, str]
    tasks: tuple[RunningTask, RunningTask]

    @property
    def heartbeat(self) -> dict[str, object]:
        """What the worker of the task sends to its heartbeat route."""
        return {"hostname": socket.gethostname(), "pid": PID}


@contextmanager
def two_api_servers(home: Path, database: str, allowed_hosts: str) -> Iterator[ApiServers]:
    """Start both and wait until they answer.

    Args:
        home: AIRFLOW_HOME, empty.
        database: URL of an empty database.
        allowed_hosts: for `[tiktok]`.
    """
    jwt_secret = secrets.token_hex(32)
    config = {
        "core": {"fernet_key": Fernet.generate_key().decode()},
        "database": {"sql_alchemy_conn": database},
        "api": {"secret_key": secrets.token_hex(32)},
        "api_auth": {"jwt_secret": jwt_secret},
        "tiktok": {"allowed_hosts": allowed_hosts},
    }
    (home / "dags").mkdir()
    ports = (free_port(), free_port())
    environments = [airflow_environment(home, [home / "dags"], port, config) for port in ports]
    subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"],
        env=environments[0],
        check=True,
        capture_output=True,
    )
    with ExitStack() as cleanup:
        for port, environment in zip(ports, environments, strict=True):
            environment["AIRFLOW__API__PORT"] = str(port)
            process = child_processes.start(
                [sys.executable, "-m", "airflow", "api-server"],
                log=home / f"api-server-{port}.log",
                env=environment,
            )
            cleanup.callback(child_processes.stop, [process])
        urls = (f"http://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}")
        for url in urls:
            _wait_for(url)
        first, second = _running_tasks(database)
        tasks = (
            RunningTask(first, _task_token(first, jwt_secret)),
            RunningTask(second, _task_token(second, jwt_secret)),
        )
        yield ApiServers(urls, tasks)


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    client = AirflowClient(url)
    # Without the other components, these three are all that can be missing.
    while "api-server" in client.unhealthy():
        assert time.monotonic() < deadline, f"{url} does not answer"
        time.sleep(0.25)
    client.close()


def _running_tasks(database: str) -> tuple[UUID, UUID]:
    """Make a run and two task instances that are running here, as a worker's report would."""
    ids, now = (uuid4(), uuid4()), datetime.now(UTC)
    where = {"dag_id": "beating", "run_id": "once"}
    run = {**where, "run_type": "manual", "state": "running", "run_after": now, "start_date": now}
    task = {
        **where,
        "map_index": -1,
        "state": "running",
        "hostname": socket.gethostname(),
        "pid": PID,
        "pool": "default_pool",
        "pool_slots": 1,
    }
    tasks = [{**task, "id": task_id, "task_id": f"beat_{n}"} for n, task_id in enumerate(ids)]
    engine = create_engine(database)
    with engine.begin() as connection:
        connection.execute(DagRun.__table__.insert().values(**run))
        connection.execute(TaskInstance.__table__.insert(), tasks)
    engine.dispose()
    return ids


def _task_token(task_id: UUID, secret: str) -> str:
    now = datetime.now(UTC)
    claims = {
        "sub": str(task_id),
        "jti": uuid4().hex,
        "aud": "urn:airflow.apache.org:task",
        "iat": now,
        "nbf": now,
        "exp": now + timedelta(hours=1),
    }
    return jwt.encode(claims, secret, algorithm="HS512")
