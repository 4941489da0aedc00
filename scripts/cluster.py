"""The components of docker-compose.yaml on this machine, each as on a machine of its own, without containers.

Every component has its own AIRFLOW_HOME and no more of an environment than the compose file gives it. Two things
differ: names of containers become ports of this machine, and the user needs no password.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import redis

import child_processes
from airflow_client import AirflowClient, AirflowError
from compose_file import compose_document, read_variables
from local_ports import free_port
from one_address import one_address

CHECKOUT = Path(__file__).resolve().parent.parent
_WORKER_OPTIONS = ["--concurrency", "2", "--without-mingle", "--without-gossip", "--skip-serve-logs"]


@dataclass(frozen=True)
class Machine:
    """One component.

    :param service: its name in the compose file.
    :param options: more arguments for its command.
    """

    name: str
    service: str
    options: Sequence[str] = ()


MACHINES = (
    Machine("api-1", "airflow-apiserver"),
    Machine("api-2", "airflow-apiserver"),
    Machine("scheduler", "airflow-scheduler", ["--skip-serve-logs"]),
    Machine("dag-processor", "airflow-dag-processor"),
    Machine("triggerer-1", "airflow-triggerer", ["--skip-serve-logs"]),
    Machine("triggerer-2", "airflow-triggerer", ["--skip-serve-logs"]),
    Machine("worker-1", "airflow-worker", [*_WORKER_OPTIONS, "--celery-hostname", "worker-1"]),
    Machine("worker-2", "airflow-worker", [*_WORKER_OPTIONS, "--celery-hostname", "worker-2"]),
)


class Cluster(AirflowClient):
    """Context manager: two API servers behind one address, scheduler, DAG processor, two triggerers, two workers.

    :param folder: where everything goes that they write; removed by the caller.
    :param dags: a folder, which all of them read.
    :param database: URL of an empty PostgreSQL database.
    :param allowed_hosts: for ``[tiktok] allowed_hosts``.
    :param settings: more environment for all, such as shorter timeouts.
    :param say: gets what is going on, for a person who waits.
    """

    def __init__(
        self,
        folder: Path,
        dags: Path,
        database: str,
        allowed_hosts: str,
        settings: Mapping[str, str] | None = None,
        say: Callable[[str], object] = str,
    ) -> None:
        self.folder, self._dags, self._database, self._say = folder, dags, database, say
        self._settings = dict(settings or {})
        self._variables = self._make_variables(allowed_hosts)
        self._redis_port = free_port()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        self._started = datetime.now(UTC)
        with ExitStack() as cleanup:
            self._api_ports = {name: free_port() for name in ("api-1", "api-2")}
            port = cleanup.enter_context(one_address(list(self._api_ports.values())))
            super().__init__(f"http://127.0.0.1:{port}")
            cleanup.callback(self.close)
            self._services = compose_document({**self._variables, "AIRFLOW_BASE_URL": self.url})["services"]
            cleanup.callback(self._stop)
            self.start_redis()
            self._migrate()
            for machine in MACHINES:
                self.start(machine.name)
            self.wait_until_healthy()
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._cleanup.close()

    def environment(self, name: str, service: str) -> dict[str, str]:
        """Return the environment of a component: the compose file's, with the addresses of this machine."""
        home = self.folder / name
        given = {option: str(value) for option, value in self._services[service]["environment"].items()}
        local = {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__AUTH_MANAGER": (
                "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
            ),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self._database,
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{self._database}",
            "AIRFLOW__CELERY__BROKER_URL": given["AIRFLOW__CELERY__BROKER_URL"].replace(
                "@redis:6379", f"@127.0.0.1:{self._redis_port}"
            ),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": given[
                "AIRFLOW__CORE__EXECUTION_API_SERVER_URL"
            ].replace("http://airflow-apiserver:8080", self.url),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self._api_ports.get(name, 0) or free_port()),
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": str(free_port()),
            # What the compose file mounts into every container.
            "AIRFLOW__CORE__DAGS_FOLDER": str(self._dags),
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.folder / "logs"),
        }
        kept = {option: os.environ[option] for option in ("PATH", "HOME", "LANG") if option in os.environ}
        return {**kept, **given, **local, **self._settings, "NO_PROXY": "127.0.0.1,localhost"}

    def log_file(self, name: str) -> Path:
        """Return where the output of a component goes."""
        return self.folder / f"{name}.log"

    def start(self, name: str) -> None:
        """Start a component, or start it again."""
        machine = next(machine for machine in MACHINES if machine.name == name)
        command = str(self._services[machine.service]["command"]).split()
        self._processes[name] = child_processes.start(
            [sys.executable, "-m", "airflow", *command, *machine.options],
            log=self.log_file(name),
            env=self.environment(name, machine.service),
        )

    def machine_of(self, process_id: int) -> str:
        """Return the component whose first process this is."""
        return next(name for name, process in self._processes.items() if process.pid == process_id)

    def kill(self, name: str) -> None:
        """Kill a component with all its processes, as when its machine loses its power."""
        child_processes.stop([self._processes.pop(name)], grace=0.0)

    def start_redis(self) -> None:
        """Start Redis as the compose file does, or start it again on what it has kept."""
        command = [str(word) for word in self._services["redis"]["command"]]
        (self.folder / "redis").mkdir(parents=True, exist_ok=True)
        options = [
            "--port",
            str(self._redis_port),
            "--bind",
            "127.0.0.1",
            "--dir",
            str(self.folder / "redis"),
        ]
        self._processes["redis"] = child_processes.start([*command, *options], log=self.log_file("redis"))
        password = self._variables["REDIS_PASSWORD"]
        with redis.Redis(port=self._redis_port, password=password) as client:
            _wait("Redis", 10, lambda: _answers(client))

    def wait_for_dag(self, dag_id: str, timeout: float = 90) -> None:
        """Wait until the DAG has been parsed since the start, and let it run.

        :raises AirflowError: the DAG file cannot be imported.
        """

        def is_there() -> bool:
            if errors := self.import_errors(self._started):
                raise AirflowError("a DAG file cannot be imported: " + "\n".join(errors))
            return self.dag_parsed_since(dag_id, self._started)

        _wait(f"DAG {dag_id}", timeout, is_there)
        # The compose file makes new DAGs wait for a person.
        self.call("PATCH", f"/dags/{dag_id}", json={"is_paused": False})

    def wait_until_healthy(self, timeout: float = 180) -> None:
        """Wait until both API servers answer, all components report, and both workers take tasks."""
        for name, port in self._api_ports.items():
            _wait(name, timeout, lambda port=port: _is_up(port))  # type: ignore[misc]
        _wait("the components", timeout, lambda: not self.unhealthy())
        for name in ("worker-1", "worker-2"):
            _wait(name, timeout, lambda name=name: " ready." in self.log_file(name).read_text())  # type: ignore[misc]

    def _migrate(self) -> None:
        """Do what the service airflow-init does."""
        self._say("making the tables")
        process = child_processes.start(
            [sys.executable, "-m", "airflow", "db", "migrate"],
            log=self.log_file("init"),
            env=self.environment("init", "airflow-init"),
        )
        self._processes["init"] = process
        if process.wait() != 0:
            raise AirflowError(
                f"airflow db migrate ended with {process.returncode}, see {self.log_file('init')}"
            )

    def _make_variables(self, allowed_hosts: str) -> dict[str, str]:
        file = self.folder / "compose.env"
        script = CHECKOUT / "scripts" / "compose-env.sh"
        subprocess.run(["bash", str(script), str(file)], check=True, stdout=subprocess.DEVNULL)
        return {**read_variables(file), "TIKTOK_ALLOWED_HOSTS": allowed_hosts}

    def _stop(self) -> None:
        child_processes.stop(self._processes.values())


def _answers(client: "redis.Redis") -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def _is_up(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/api/v2/version", trust_env=False).is_success
    except httpx.TransportError:
        return False


def _wait(what: str, seconds: float, is_there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while not is_there():
        if time.monotonic() > deadline:
            raise AirflowError(f"{what} is not there after {seconds:g} s")
        time.sleep(0.25)


def copy_dags(folder: Path, *files: Path) -> Path:
    """Copy DAG files to a folder that is made, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        shutil.copy(file, folder)
    return folder
