"""A complete Airflow on this machine: what `airflow standalone` runs, under our control.

The four components are started by themselves rather than through ``airflow standalone``, which leaves them
behind when it is ended by anything but Ctrl-C, and hides which of them failed.
"""

import fcntl
import importlib.metadata
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import child_processes
import tiktok_provider
from airflow_client import AirflowClient, AirflowError
from local_ports import free_port

COMPONENTS = {
    "api-server": ["api-server"],
    # Task logs are read from the disk; their servers would listen on all interfaces.
    "scheduler": ["scheduler", "--skip-serve-logs"],
    "triggerer": ["triggerer", "--skip-serve-logs"],
    "dag-processor": ["dag-processor"],
}
Config = Mapping[str, Mapping[str, str]]
# Seconds to wait for SQLite's only lock.
PATIENCE, API_PATIENCE = 30, 3
DATABASE, EMPTY_DATABASE = "airflow.db", "empty.db"
_DATABASE = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"


class LocalAirflow(AirflowClient):
    """Context manager: API server, scheduler, triggerer and DAG processor with LocalExecutor on SQLite.

    It is an ``AirflowClient`` of its own API server. Everybody who reaches that server is an admin, so it
    listens on the loopback interface only.

    :param home: AIRFLOW_HOME, made if missing; database, configuration and logs live there and are used again
        by the next run. Only one Airflow may run on it.
    :param dag_folders: where the DAGs are.
    :param config: more options, by section and name.
    :param port: wanted for the API server. Default: 8080; if it is in use, another one.
    :param say: gets what is going on, for a person who waits.
    :param empty: begin without the runs, records and connections of an earlier run.
    """

    def __init__(
        self,
        home: Path,
        dag_folders: Sequence[Path],
        config: Config | None = None,
        port: int = 8080,
        say: Callable[[str], object] = str,
        *,
        empty: bool = False,
    ) -> None:
        self.port = free_port(port)
        super().__init__(f"http://127.0.0.1:{self.port}")
        self.home = home.absolute()
        self.logs = self.home / "logs"
        self.env = airflow_environment(self.home, dag_folders, self.port, config or {})
        self._say = say
        self._empty = empty
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        self._started = datetime.now(UTC)
        with ExitStack() as cleanup:
            self._lock_home(cleanup)
            cleanup.callback(self.close)
            cleanup.callback(self._stop)
            self._migrate()
            for name, arguments in COMPONENTS.items():
                self._processes[name] = self._run(name, arguments)
            self._wait_until_healthy()
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._cleanup.close()

    def log_file(self, name: str) -> Path:
        """Return where the output of a component goes."""
        return self.logs / f"{name}.log"

    def process_id(self, name: str) -> int:
        """Return the id of a component's first process."""
        return self._processes[name].pid

    def wait_for_dag(self, dag_id: str, timeout: float = 60) -> None:
        """Wait until the DAG has been parsed since the start; a broken DAG file is an error at once."""
        deadline = time.monotonic() + timeout
        while not self.dag_parsed_since(dag_id, self._started):
            if errors := self.import_errors(self._started):
                raise AirflowError("a DAG file cannot be imported: " + "\n".join(errors))
            self.check_components()
            if time.monotonic() > deadline:
                raise AirflowError(
                    f"no DAG {dag_id} after {timeout:g} s, see {self.log_file('dag-processor')}"
                )
            time.sleep(0.25)

    def check_components(self) -> None:
        """Raise an `AirflowError` if a component has ended."""
        for name, process in self._processes.items():
            if process.poll() is not None:
                raise AirflowError(f"{name} ended with {process.returncode}, see {self.log_file(name)}")

    def task_log_file(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1) -> Path:
        """Return where the log of one try of a task is."""
        return self.logs / f"dag_id={dag_id}/run_id={run_id}/task_id={task_id}/attempt={try_number}.log"

    def _lock_home(self, cleanup: ExitStack) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        lock = cleanup.enter_context((self.home / "lock").open("w"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AirflowError(f"another Airflow is running on {self.home}: stop it first") from None

    def _migrate(self) -> None:
        wanted, done = database_version(), self.home / "migrated"
        is_done = done.is_file() and done.read_text() == wanted
        if self._empty:
            is_done = is_done and (self.home / EMPTY_DATABASE).is_file()
            begin_empty(self.home, tables=is_done)
        if is_done:
            return
        self._say("preparing the database")
        process = self._processes["db-migrate"] = self._run("db-migrate", ["db", "migrate"])
        if process.wait() != 0:
            raise AirflowError(
                f"airflow db migrate ended with {process.returncode}, see {self.log_file('db-migrate')}"
                f" (without anything worth keeping in {self.home}, remove that folder and try again)"
            )
        del self._processes["db-migrate"]
        if self._empty:
            # Before anything is in it: a copy is there at once, and new tables take half a minute.
            copy_database(self.home / DATABASE, self.home / EMPTY_DATABASE)
        done.write_text(wanted)

    def _run(self, name: str, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        self.log_file(name).unlink(missing_ok=True)
        command = [sys.executable, "-m", "airflow", *arguments]
        env = impatient(self.env) if name == "api-server" else self.env
        return child_processes.start(command, log=self.log_file(name), env=env)

    def _wait_until_healthy(self, timeout: float = 180) -> None:
        deadline = time.monotonic() + timeout
        while missing := self.unhealthy():
            self._say(f"waiting for {', '.join(missing)}")
            self.check_components()
            if time.monotonic() > deadline:
                raise AirflowError(f"{', '.join(missing)} not healthy after {timeout:g} s, see {self.logs}")
            time.sleep(0.25)

    def _stop(self) -> None:
        child_processes.stop(self._processes.values())


def begin_empty(home: Path, *, tables: bool) -> None:
    """Remove database and task logs of earlier runs.

    :param tables: put the copy of the empty tables in their place.
    """
    for path in home.glob(f"{DATABASE}*"):
        path.unlink()
    for folder in (home / "logs").glob("dag_id=*"):
        shutil.rmtree(folder)
    if tables:
        copy_database(home / EMPTY_DATABASE, home / DATABASE)


def copy_database(source: Path, target: Path) -> None:
    """Copy an SQLite database, whatever of it is still in its journal included."""
    with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(target)) as written:
        read.backup(written)


def database_version() -> str:
    """Return what the tables depend on: all that is installed, and the migrations of our own working copy.

    Only to skip a migration that has nothing to do, which takes as long as starting a component.
    """
    packages = sorted(f"{package.name} {package.version}" for package in importlib.metadata.distributions())
    migrations = sorted(Path(tiktok_provider.__path__[0]).rglob("migrations/**/*.py"))
    return "\n".join([*packages, *(path.read_text() for path in migrations)])


def impatient(env: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of an API server, which must not wait long for SQLite.

    It writes its audit log on the event loop, and may wait there for a request of its own that cannot commit while
    the loop stands still. That ends only with its patience; who asks may ask again.
    """
    return {**env, _DATABASE: env[_DATABASE].replace(f"?timeout={PATIENCE}", f"?timeout={API_PATIENCE}")}


def airflow_environment(home: Path, dag_folders: Sequence[Path], port: int, config: Config) -> dict[str, str]:
    """Return the environment of all components: ours without any setting of another Airflow, plus theirs."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    options = {
        f"AIRFLOW__{section.upper()}__{option.upper()}": value
        for settings in (default_config(home, dag_folders, port), config)
        for section, options in settings.items()
        for option, value in options.items()
    }
    # Airflow's parts and the tasks speak to servers on this machine.
    no_proxy = ",".join(
        filter(None, [inherited.get("NO_PROXY"), inherited.get("no_proxy"), "127.0.0.1", "localhost"])
    )
    return {**inherited, **options, "AIRFLOW_HOME": str(home), "NO_PROXY": no_proxy, "no_proxy": no_proxy}


def default_config(home: Path, dag_folders: Sequence[Path], port: int) -> dict[str, dict[str, str]]:
    """Return the options of a small, quick Airflow that serves this machine only."""
    bundles = [
        {
            "name": f"dags-{number}",
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": str(folder.absolute())},
        }
        for number, folder in enumerate(dag_folders, start=1)
    ]
    url = f"http://127.0.0.1:{port}"
    return {
        # Who asks is who must act: an error says what the database said.
        "api": {"host": "127.0.0.1", "port": str(port), "base_url": url, "expose_stacktrace": "True"},
        "core": {
            "execution_api_server_url": f"{url}/execution/",
            "simple_auth_manager_all_admins": "True",
            "executor": "LocalExecutor",
            # Workers are forked at once, and two cores serve few.
            "parallelism": "4",
            "load_examples": "False",
            "dags_are_paused_at_creation": "False",
            "dags_folder": str(dag_folders[0].absolute()),
            "plugins_folder": str(home / "plugins"),
        },
        "dag_processor": {
            "dag_bundle_config_list": json.dumps(bundles),
            "refresh_interval": "5",
            "bundle_refresh_check_interval": "1",
            "parsing_processes": "1",
        },
        # Seconds to wait for each other's writes; the driver's own 5 are few on a busy machine.
        "database": {"sql_alchemy_conn": f"sqlite:///{home}/{DATABASE}?timeout={PATIENCE}"},
        "logging": {"base_log_folder": str(home / "logs"), "colored_console_log": "False"},
        "scheduler": {
            "scheduler_heartbeat_sec": "1",
            "scheduler_idle_sleep_time": "0.5",
            # Only what is triggered runs here.
            "use_job_schedule": "False",
        },
        "usage_data_collection": {"enabled": "False"},
        "workers": {
            # A supervisor notices the end of its task at its next heartbeat.
            "min_heartbeat_interval": "1",
            # The first request that an API server gets takes it ten seconds on a busy machine.
            "execution_api_timeout": "60",
        },
    }
