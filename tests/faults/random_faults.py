"""A site where every call may fail by chance, seeded."""

import json
import multiprocessing
import os
import random
import struct
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

import child_processes
from local_ports import free_port
from tests.faults.owners import Owner
from tests.faults.proxy import Cell, Door, HangUpError, Point, Seen, UnavailableError, running_proxy
from tests.faults.publishing_site import CHUNK_BYTES
from tests.faults.task_tries import Ended, Job, run, use_environment
from tests.integration.alone import connection_fields
from tiktok_sandbox.client import Account, Sandbox

CHECKOUT = Path(__file__).resolve().parents[2]
PROCESSES = multiprocessing.get_context("forkserver")
# One of these hits each call with a tenth of a chance in all; the rest is the sandbox's.
_API, _UPLOAD, _TOKEN = "/v2/post/publish/", "/upload", "/v2/oauth/token/"


@dataclass
class DiceShot:
    """Lets calls fail by chance: cut, lost, or answered 503."""

    share: float
    dice: random.Random
    fired: int = 0

    def hits(self, seen: Seen, point: Point) -> bool:  # noqa: ARG002
        """Whether this call fails here; two of three points each get half of the share, so 503 gets none."""
        due = point in (Point.BEFORE, Point.AFTER) and self.dice.random() < self.share / 2
        self.fired += due
        return due

    async def blow(self, owner: Owner) -> None:  # noqa: ARG002
        """MarkFailed."""
        raise self.dice.choice([HangUpError, HangUpError, UnavailableError])


def add_random_faults(sandbox: Sandbox, share: float) -> None:
    """Let this share of TikTok's calls fail for ever."""

    def add(path: str, parts: int, action: Mapping[str, object]) -> None:
        sandbox.add_fault(dict(action), path=path, times=None, probability=share / parts)

    unavailable = {"type": "status", "status": 503}
    too_many = {"type": "status", "status": 429, "headers": {"Retry-After": "1"}}
    lost = {"type": "lost_answer"}
    for action in (unavailable, too_many, {"type": "cut", "after_bytes": 0}, lost, {"type": "revoke_token"}):
        add(_API, 5, action)
    for action in (unavailable, {"type": "cut", "after_bytes": 5000}, lost, {"type": "expire_upload_url"}):
        add(_UPLOAD, 4, action)
    # An answer with new tokens that is lost can cost the account: docs/evidence/reliability.md
    for action in (unavailable, {"type": "cut", "after_bytes": 0}):
        add(_TOKEN, 2, action)


@dataclass
class RandomSite:
    """Where jobs are run.

    :param accounts: by connection id.
    """

    sandbox: Sandbox
    pool: ProcessPoolExecutor
    accounts: Mapping[str, Account]
    cell: Cell
    shot: DiceShot
    began: float = field(default_factory=time.monotonic)

    def run(self, jobs: Sequence[Job]) -> list[Ended]:
        """Run all jobs."""
        return list(self.pool.map(run, jobs))

    def seconds(self) -> float:
        """Return how long it has taken so far."""
        return time.monotonic() - self.began


@contextmanager
def random_site(
    sandbox: Sandbox,
    home: Path,
    *,
    accounts: int = 1,
    store_share: float = 0.0,
    speed: float = 20.0,
    seed: int = 1,
    chunk_bytes: int = CHUNK_BYTES,
    outage_patience: int = 0,
) -> Iterator[RandomSite]:
    """Serve the store through a proxy, and start workers; Airflow's database is the one of this process.

    :param accounts: how many; each has a connection.
    :param store_share: so much of the store's calls fails. Default: none.
    :param speed: how much faster than real time the rate limits' clock and all pauses go by.
    :param chunk_bytes: for uploads. Default: a third of what is cut.
    :param outage_patience: seconds for which a try waits faults out. Default: it ends, and the next one follows.
    """
    shot = DiceShot(store_share, random.Random(seed))
    cell = Cell(shots=[shot])
    # Its own port first, or it could be the one that is thought to be free.
    door = Door("", lambda path: cell)  # noqa: ARG005
    port = free_port()
    door.target = f"http://127.0.0.1:{port}"
    found = {
        f"faulty_{number}": sandbox.create_account(username=f"faulty.{number}") for number in range(accounts)
    }
    environment = {
        **_environment(sandbox, found, door.url),
        "AIRFLOW__TIKTOK__UPLOAD_CHUNK_SIZE": str(chunk_bytes),
        "AIRFLOW__TIKTOK__OUTAGE_PATIENCE": str(outage_patience),
    }
    process = child_processes.start(
        [sys.executable, "-m", "tests.faults.store_server", str(port), str(speed)],
        log=home / "store.log",
        env={**os.environ, **environment, "PYTHONPATH": os.pathsep.join([str(CHECKOUT), *_inherited_path()])},
    )
    pool = ProcessPoolExecutor(
        4, mp_context=PROCESSES, initializer=use_environment, initargs=({**_airflow(), **environment}, speed)
    )
    try:
        with running_proxy([door]), pool:
            _wait_for(port)
            yield RandomSite(sandbox, pool, found, cell, shot)
    finally:
        child_processes.stop([process])


def _environment(sandbox: Sandbox, accounts: Mapping[str, Account], store_url: str) -> dict[str, str]:
    app = sandbox.create_app()
    fields = {
        f"AIRFLOW_CONN_{conn_id.upper()}": json.dumps(
            connection_fields(sandbox, app, account, sandbox.issue_tokens(app, account))
        )
        for conn_id, account in accounts.items()
    }
    return {
        **fields,
        "_AIRFLOW_PROCESS_CONTEXT": "server",
        "AIRFLOW__TIKTOK__ALLOWED_HOSTS": sandbox.url,
        "AIRFLOW__TIKTOK__STORE_URL": store_url,
    }


def _airflow() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(("AIRFLOW", "_AIRFLOW"))}


def _inherited_path() -> list[str]:
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            httpx.get(f"http://127.0.0.1:{port}/", trust_env=False)
        except httpx.TransportError:
            assert time.monotonic() < deadline, "the store does not answer"
            time.sleep(0.1)
        else:
            return


def make_unlike(clip: Path, path: Path, number: int, size: int | None = None) -> Path:
    """Write a video that differs from all others with another number; a larger one is sparse.

    :param clip: the video to begin with.
    :param size: bytes; None adds only what makes it differ.
    """
    content = clip.read_bytes()
    mark = struct.pack(">I4sQ", 16, b"free", number)
    with path.open("wb") as file:
        file.write(content + mark)
        if size is not None:
            rest = size - len(content) - len(mark)
            file.write(struct.pack(">I4s", rest, b"free"))
            file.truncate(size)
    return path
