"""A whole Airflow of its own beside a sandbox, on PostgreSQL where there is a server."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from types import MappingProxyType

import child_processes
from local_airflow import COMPONENTS, Config, LocalAirflow
from own_database import own_postgres_database
from tests.unit.databases import POSTGRES
from tiktok_sandbox.client import Sandbox
from tiktok_sandbox.server import running_sandbox

NO_CONFIG: Config = MappingProxyType({})
DAGS = Path(__file__).resolve().parents[1] / "integration" / "dags"


@dataclass(frozen=True)
class Whole:
    """What is running.

    :param database: its name for tables.
    """

    airflow: LocalAirflow
    sandbox: Sandbox
    database: str


def one_more(airflow: LocalAirflow, component: str) -> Popen[bytes]:
    """Start a component that is there already once more; `child_processes.stop` ends it."""
    command = [sys.executable, "-m", "airflow", *COMPONENTS[component]]
    return child_processes.start(command, log=airflow.log_file(f"{component}-more"), env=airflow.env)


@contextmanager
def whole_airflow(
    home: Path, parallelism: int, hosts: int = 1, dags: Path = DAGS, config: Config = NO_CONFIG
) -> Iterator[Whole]:
    """Start everything.

    :param home: AIRFLOW_HOME, empty.
    :param parallelism: so many worker processes in all.
    :param hosts: so many schedulers, each with a LocalExecutor and its part of the worker processes, like machines;
        SQLite allows only one.
    :param dags: the folder with the DAGs.
    :param config: more options.
    """
    with ExitStack() as cleanup:
        server = os.environ.get(POSTGRES)
        database = cleanup.enter_context(own_postgres_database(server)) if server else ""
        served = cleanup.enter_context(running_sandbox())
        sandbox = cleanup.enter_context(Sandbox(served.url))
        hosts = hosts if database else 1
        options = {
            **config,
            "core": {"parallelism": str(parallelism // hosts)},
            "tiktok": {"allowed_hosts": served.url},
            **({"database": {"sql_alchemy_conn": database}} if database else {}),
        }
        airflow = cleanup.enter_context(LocalAirflow(home, [dags], options, port=0))
        others = [one_more(airflow, "scheduler") for _ in range(hosts - 1)]
        cleanup.callback(child_processes.stop, others)
        yield Whole(airflow, sandbox, "PostgreSQL" if database else "SQLite")
