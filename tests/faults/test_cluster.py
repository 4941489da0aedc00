"""The components of docker-compose.yaml, each as on a machine of its own: what is killed there posts once."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import psutil  # type: ignore[import-untyped]
import pytest
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from airflow_client import FINISHED, ServerError
from cluster import Cluster, copy_dags
from own_database import own_postgres_database
from tests.integration.alone import connection_fields
from tests.unit.databases import POSTGRES
from tiktok_sandbox.client import Sandbox
from tiktok_sandbox.clips import make_clip
from tiktok_sandbox.server import running_sandbox

DAGS = Path(__file__).parent / "dags"
CHUNK, CHUNKS = 5_242_880, 15
# Airflow takes minutes to notice that a machine is gone; here seconds.
QUICK = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "10",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    "AIRFLOW__TIKTOK__UPLOAD_CHUNK_SIZE": str(CHUNK),
}
PATIENCE = 240
# While API servers are away, the test itself waits for them, too.
STEADILY = Retrying(
    retry=retry_if_exception_type((httpx.TransportError, ServerError)),
    stop=stop_after_delay(90),
    wait=wait_fixed(0.5),
    reraise=True,
)

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not os.environ.get(POSTGRES), reason="it needs PostgreSQL"),
]
whole = pytest.mark.skipif(
    not os.environ.get("TIKTOK_RELIABILITY"), reason="minutes: run by scripts/reliability.sh"
)


@dataclass
class Site:
    """A cluster beside a sandbox."""

    cluster: Cluster
    sandbox: Sandbox

    def connect(self, conn_id: str) -> None:
        """Connect a creator of its own."""
        app = self.sandbox.create_app()
        account = self.sandbox.create_account(username=conn_id)
        tokens = self.sandbox.issue_tokens(app, account)
        fields = connection_fields(self.sandbox, app, account, tokens)
        STEADILY(self.cluster.put_connection, conn_id, **fields)

    def run(self, dag_id: str, **conf: object) -> str:
        """Begin a run and return its id."""
        run_id: str = STEADILY(self.cluster.trigger, dag_id, conf)
        return run_id

    def end_of(self, dag_id: str, run_id: str, patience: float = PATIENCE) -> str:
        """Wait until a run has ended, and return its state."""
        self.wait("no end", lambda: STEADILY(self.cluster.run_state, dag_id, run_id) in FINISHED, patience)
        state: str = STEADILY(self.cluster.run_state, dag_id, run_id)
        return state

    def task(self, run_id: str) -> dict[str, Any]:
        """Return the task that publishes one video."""
        found: dict[str, Any] = STEADILY(self.cluster.task_instance, "cluster_one", run_id, "publish")
        return found

    def wait(self, what: str, is_there: Callable[[], bool], patience: float = PATIENCE) -> None:
        """Wait until something has happened."""
        deadline = time.monotonic() + patience
        while not is_there():
            assert time.monotonic() < deadline, what
            time.sleep(0.1)

    def uploader(self) -> int:
        """Return the process that uploads."""
        port = int(self.sandbox.url.rpartition(":")[2])
        found = [
            connection.pid
            for connection in psutil.net_connections("tcp")
            if connection.raddr
            and connection.raddr.port == port
            and connection.pid not in (None, os.getpid())
        ]
        return found[0] if found else 0

    def machine_of(self, process: int) -> str:
        """Return the component that a process belongs to."""
        return self.cluster.machine_of(os.getsid(process))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("cluster")
    with ExitStack() as cleanup:
        database = cleanup.enter_context(own_postgres_database(os.environ[POSTGRES]))
        served = cleanup.enter_context(running_sandbox())
        sandbox = cleanup.enter_context(Sandbox(served.url))
        dags = copy_dags(folder / "dags", DAGS / "cluster_cases.py")
        cluster = cleanup.enter_context(Cluster(folder, dags, database, sandbox.url, QUICK))
        for dag_id in ("cluster_one", "cluster_many"):
            cluster.wait_for_dag(dag_id)
        yield Site(cluster, sandbox)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Long enough for more than one chunk, which a file has from 64 MB on."""
    return make_clip(tmp_path_factory.mktemp("video") / "clip.mp4", seconds=1, pad_to_bytes=CHUNK * CHUNKS)


def kill_worker(site: Site) -> None:
    """Its machine is gone, and another one comes in its place."""
    name = site.machine_of(site.uploader())
    site.cluster.kill(name)
    site.cluster.start(name)


def kill_pool_process(site: Site) -> None:
    """As when the kernel ends what takes too much memory: the task's process lives on without its supervisor."""
    psutil.Process(site.uploader()).parent().send_signal(signal.SIGKILL)


def kill_task(site: Site) -> None:
    """The process of the task alone."""
    os.kill(site.uploader(), signal.SIGKILL)


def kill_component(name: str) -> Callable[[Site], None]:
    def kill(site: Site) -> None:
        site.cluster.kill(name)
        site.cluster.start(name)

    return kill


def kill_api_servers(site: Site) -> None:
    """All of them: the store and the Execution API are away until they are back."""
    for name in ("api-1", "api-2"):
        site.cluster.kill(name)
    for name in ("api-1", "api-2"):
        site.cluster.start(name)


def kill_redis(site: Site) -> None:
    site.cluster.kill("redis")
    site.cluster.start_redis()


@pytest.mark.parametrize(
    "blow",
    [
        pytest.param(kill_worker, id="worker"),
        pytest.param(kill_redis, id="Redis"),
        pytest.param(kill_pool_process, id="pool process", marks=whole),
        pytest.param(kill_task, id="task process", marks=whole),
        pytest.param(kill_component("api-1"), id="one API server", marks=whole),
        pytest.param(kill_api_servers, id="both API servers", marks=whole),
        pytest.param(kill_component("scheduler"), id="scheduler", marks=whole),
    ],
)
def test_an_upload_whose_cluster_loses_a_part_is_out_once(
    site: Site,
    video: Path,
    blow: Callable[[Site], None],
    note: Callable[..., None],
    request: pytest.FixtureRequest,
) -> None:
    name = request.node.callspec.id
    conn_id = name.replace(" ", "_").lower()
    site.sandbox.reset(seed=abs(hash(name)) % 1_000_000)
    site.connect(conn_id)
    site.sandbox.add_fault("delay", path="/upload", seconds=0.6, times=None)
    run_id = site.run("cluster_one", conn_id=conn_id, video=str(video))
    site.wait("no upload", lambda: sent_bytes(site) >= 2 * CHUNK)
    blow(site)
    begun = time.monotonic()
    state = site.end_of("cluster_one", run_id)
    seconds = time.monotonic() - begun
    tries = site.task(run_id)["try_number"]
    assert state == "success"
    [post] = site.sandbox.feed()
    assert post["sha256"] == sha256(video.read_bytes()).hexdigest()
    chunks = [call for call in site.sandbox.requests("/upload") if call["method"] == "PUT"]
    assert len(chunks) <= CHUNKS + 1
    assert len(site.sandbox.publishes()) == 1
    assert not [call for call in site.sandbox.requests() if call["status"] == 429]
    note("A cluster that loses a part during an upload", name, f"{seconds:.0f} s", tries, len(chunks))


def sent_bytes(site: Site) -> int:
    posts = site.sandbox.publishes()
    return int(posts[-1]["uploaded_bytes"] or 0) if posts else 0


@whole
def test_a_post_whose_triggerer_is_gone_is_waited_for_by_the_other_one(
    site: Site, video: Path, note: Callable[..., None]
) -> None:
    site.sandbox.reset(seed=7)
    site.connect("triggerer")
    site.sandbox.set_switches(processing_seconds=20)
    run_id = site.run("cluster_one", conn_id="triggerer", video=str(video))
    site.wait("not deferred", lambda: site.task(run_id)["state"] == "deferred")
    site.wait("not asked for", lambda: bool(site.sandbox.requests("/v2/post/publish/status/fetch/")))
    kill_component(site.machine_of(site.uploader()))(site)
    begun = time.monotonic()
    assert site.end_of("cluster_one", run_id) == "success"
    assert len(site.sandbox.feed()) == 1
    tries = site.task(run_id)["try_number"]
    note(
        "A cluster that loses a part during an upload",
        "triggerer, while it waits",
        f"{time.monotonic() - begun:.0f} s",
        tries,
        CHUNKS,
    )


@whole
def test_twenty_videos_of_two_accounts_are_out_once_each(
    site: Site, tmp_path: Path, note: Callable[..., None]
) -> None:
    site.sandbox.reset(seed=11)
    for conn_id in ("mia", "leo"):
        site.connect(conn_id)
    videos = [
        {
            "video": str(make_clip(tmp_path / f"{number}.mp4", seconds=1, text=str(number))),
            "tiktok_conn_id": conn_id,
        }
        for number in range(10)
        for conn_id in ("mia", "leo")
    ]
    begun = time.monotonic()
    run_id = site.run("cluster_many", videos=videos)
    assert site.end_of("cluster_many", run_id, 2 * PATIENCE) == "success"
    assert len(site.sandbox.feed()) == 20
    tries = {task["try_number"] for task in site.cluster.task_instances("cluster_many", run_id)}
    refused = [call for call in site.sandbox.requests() if call["status"] == 429]
    assert (tries, refused) == ({1}, [])
    note("Twenty mapped videos of two accounts", f"{time.monotonic() - begun:.0f} s", len(refused))
