"""A real Airflow that publishes to the sandbox through the proxy, and one cell of a table played in it."""

import itertools
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from types import MappingProxyType

import httpx
from sqlalchemy import Engine, create_engine, text
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from airflow_client import FINISHED, ServerError
from local_airflow import COMPONENTS, LocalAirflow
from own_database import own_postgres_database
from tests.faults.owners import Owner
from tests.faults.proxy import Cell, Door, Seen, Shot, running_proxy, store_cells
from tests.integration.alone import connection_fields
from tests.unit.databases import POSTGRES
from tiktok_sandbox.client import Sandbox
from tiktok_sandbox.server import running_sandbox

DAGS = Path(__file__).parent / "dags"
PATIENCE = 360
# What a task does when it wakes up, it does within so many seconds.
LAST_WORDS = 10.0
# A file is cut from 64 MB on, and three of these are more.
CHUNK_BYTES = 22_000_000
NO_SWITCHES: Mapping[str, object] = MappingProxyType({})
# Another cell may have killed the API server.
_STEADILY = Retrying(
    retry=retry_if_exception_type((httpx.TransportError, ServerError)),
    stop=stop_after_delay(90),
    wait=wait_fixed(0.5),
)
INIT = "/v2/post/publish/video/init/"
# Airflow takes minutes to notice that a whole worker is gone; here seconds.
QUICK_TO_NOTICE = {
    "task_instance_heartbeat_timeout": "15",
    "task_instance_heartbeat_timeout_detection_interval": "3",
    "orphaned_tasks_check_interval": "5",
    "scheduler_health_check_threshold": "10",
}


class FragileAirflow(LocalAirflow):
    """An Airflow whose components can be killed and started again."""

    def kill(self, name: str) -> None:
        """End a component and all its children at once."""
        os.killpg(self.process_id(name), signal.SIGKILL)

    def mend(self) -> None:
        """Start again what has ended, as a platform does; only the main thread may do so.

        It need not have been killed: on PostgreSQL Airflow's scheduler ends when two of its transactions deadlock.
        """
        for name, process in self._processes.items():
            if process.poll() is not None:
                self._processes[name] = self._run(name, COMPONENTS[name])

    def role_of(self, owner: Owner) -> str:
        """Return what kind of process a caller is."""
        for name in ("triggerer", "api-server"):
            if self.process_id(name) in owner.pids:
                return name
        return "task"


@dataclass(frozen=True)
class Played:
    """What has become of one intent.

    :param runs: run ids.
    :param state: of the task instance; of several, the states that there are.
    :param tries: of all task instances.
    :param posts: sha256 of each post that is out.
    :param inits: how often init reached TikTok.
    :param record: the state in the store; empty without one.
    """

    conn_id: str
    runs: Sequence[str]
    state: str
    tries: int
    posts: Sequence[str]
    inits: int
    record: str
    calls: Sequence[Seen]


class Lane:
    """A sandbox behind a door of its own, for one cell at a time.

    :param sandbox: the clock and the switches are the cell's alone.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.cell: Cell | None = None
        self.door = Door(sandbox.url, lambda path: self.cell)  # noqa: ARG005

    def clean(self, cell: Cell, switches: Mapping[str, object]) -> dict[str, str]:
        """Begin a new cell, and return the fields of its connection."""
        self.cell = cell
        self.sandbox.reset(seed=secrets.randbits(31))
        self.sandbox.set_switches(caps=False, processing_seconds=0.5, moderation_seconds=0.5, **switches)
        app = self.sandbox.create_app()
        account = self.sandbox.create_account(username="mia")
        tokens = self.sandbox.issue_tokens(app, account)
        return {**connection_fields(self.sandbox, app, account, tokens), "host": self.door.url}


@dataclass(frozen=True)
class Media:
    """A folder, and the address at which it is served."""

    folder: Path
    url: str


@dataclass
class PublishingSite:
    """What is running; ``play`` may be called from as many threads as there are lanes.

    :param media: where files are published from, and where TikTok can pull them.
    """

    airflow: FragileAirflow
    engine: Engine
    media: "Media"
    cells: dict[str, Cell]
    lanes: "SimpleQueue[Lane]"
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def play(
        self,
        dag_id: str,
        conf: Mapping[str, object],
        shots: Callable[[Cell], Sequence[Shot]] = lambda cell: (),  # noqa: ARG005
        switches: Mapping[str, object] = NO_SWITCHES,
    ) -> Played:
        """Publish once with an account of its own, and return what came of it.

        :param shots: what goes wrong in the cell that this is played in.
        :param switches: of the sandbox.
        """
        lane, conn_id, cell = self.lanes.get(), f"cell_{next(self._numbers)}", Cell()
        try:
            cell.shots = shots(cell)
            self.cells[conn_id] = cell
            _STEADILY(self.airflow.put_connection, conn_id, **lane.clean(cell, switches))
            runs = self._run_to_the_end(dag_id, {**conf, "conn_id": conn_id}, cell)
            assert all(shot.fired for shot in cell.shots), f"nothing went wrong: {cell.shots} in {cell.calls}"
            assert not cell.missed
            return self._played(runs, conn_id, lane)
        finally:
            self.lanes.put(lane)

    def _run_to_the_end(self, dag_id: str, conf: Mapping[str, object], cell: Cell) -> list[str]:
        """Return the runs, when all have ended; one that never ends shows by its task's state."""
        deadline = time.monotonic() + PATIENCE
        runs = [_STEADILY(self.airflow.trigger, dag_id, conf)]
        while not self._have_ended(runs) and time.monotonic() < deadline:
            if cell.followed:
                cell.followed = False
                runs.append(_STEADILY(self.airflow.trigger, dag_id, conf))
            time.sleep(0.5)
        self._let_the_stopped_speak(cell)
        return runs

    def _let_the_stopped_speak(self, cell: Cell) -> None:
        """Wait until who stood still has done what it still would, though another one has long finished the work."""
        while cell.open_calls:
            time.sleep(0.5)
            if not cell.open_calls:
                time.sleep(LAST_WORDS)

    def _have_ended(self, runs: Sequence[str]) -> bool:
        # From the database: the API server may be dead.
        query = "select state from dag_run where run_id = :key"
        return all(self._value(query, run_id) in FINISHED for run_id in runs)

    def _value(self, query: str, key: str) -> str:
        with self.engine.connect() as connection:
            return str(connection.execute(text(query), {"key": key}).scalar() or "")

    def _played(self, runs: Sequence[str], conn_id: str, lane: Lane) -> Played:
        task = "from task_instance where task_id = 'publish' and run_id = :key"
        return Played(
            conn_id=conn_id,
            runs=runs,
            state=" and ".join({self._value(f"select state {task}", run_id) for run_id in runs}),
            tries=sum(int(self._value(f"select try_number {task}", run_id)) for run_id in runs),
            posts=[post["sha256"] for post in lane.sandbox.feed()],
            inits=len(lane.sandbox.requests(INIT)),
            record=self._value("select state from tiktok_post where conn_id = :key", conn_id),
            calls=tuple(self.cells[conn_id].calls),
        )


@contextmanager
def publishing_site(home: Path, lanes: int) -> Iterator[PublishingSite]:
    """Start everything.

    :param home: AIRFLOW_HOME, empty.
    :param lanes: how many runs there may be at a time.
    """
    with ExitStack() as cleanup:
        database = f"sqlite:///{home}/airflow.db?timeout=30"
        if server := os.environ.get(POSTGRES):
            database = cleanup.enter_context(own_postgres_database(server))
        ways = [Lane(cleanup.enter_context(_sandbox())) for _ in range(lanes)]
        media = cleanup.enter_context(_media(home / "media"))
        cells: dict[str, Cell] = {}
        store = Door("", store_cells(cells))
        airflow = FragileAirflow(home, [DAGS], _config(ways, store, media, database), port=0)
        store.target = airflow.url
        cleanup.enter_context(running_proxy([store, *(way.door for way in ways)], airflow.role_of))
        cleanup.enter_context(airflow)
        airflow.wait_for_dag("fault_file")
        engine = create_engine(database)
        cleanup.callback(engine.dispose)
        free: SimpleQueue[Lane] = SimpleQueue()
        for way in ways:
            free.put(way)
        yield PublishingSite(airflow, engine, media, cells, free)


@contextmanager
def _sandbox() -> Iterator[Sandbox]:
    with running_sandbox() as served, Sandbox(served.url) as sandbox:
        yield sandbox


@contextmanager
def _media(folder: Path) -> Iterator[Media]:
    folder.mkdir(parents=True)
    handler = partial(_QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield Media(folder, f"http://127.0.0.1:{server.server_port}")
        server.shutdown()


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing on the terminal."""


def _config(ways: Sequence[Lane], store: Door, media: Media, database: str) -> dict[str, dict[str, str]]:
    hosts = [url for way in ways for url in (way.door.url, way.sandbox.url)]
    return {
        "core": {"parallelism": str(len(ways) + 2), "max_active_runs_per_dag": "64"},
        "database": {"sql_alchemy_conn": database},
        "scheduler": QUICK_TO_NOTICE,
        "tiktok": {
            "allowed_hosts": " ".join([media.url, *hosts]),
            "store_url": store.url,
            "upload_chunk_size": str(CHUNK_BYTES),
        },
    }
