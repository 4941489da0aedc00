"""Many posts of one account in a real Airflow, and how its rate limit and its workers were used meanwhile."""

import statistics
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from threading import Event, Thread

from sqlalchemy import Engine, create_engine, text

from local_airflow import LocalAirflow
from tests.integration.alone import connection_fields
from tiktok_sandbox.client import Sandbox
from tiktok_sandbox.clips import make_clip

INIT = "/v2/post/publish/video/init/"
DAG_ID, CONN_ID = "case_rate_limit", "rate_limit"
# TikTok's rate limit: so many inits of an account within any so many seconds.
CALLS, WINDOW = 6, 60.0
_STATES = (
    "select state, count(*) from task_instance where dag_id = 'case_rate_limit' and task_id = 'publish'"
    " and run_id = :run_id group by state"
)


@dataclass
class Use:
    """What was seen.

    :param inits: when each init came to TikTok, in seconds.
    :param answers: how often TikTok gave each status, over all its routes.
    :param seconds: from the run's start to its end.
    :param running: how many of the tasks were on a worker, at each look.
    :param waiting: how many had left it.
    :param looks_apart: mean seconds between two looks.
    :param tries: the try numbers of all tasks.
    """

    posts: int
    inits: list[float]
    answers: Counter[int]
    seconds: float
    tries: set[int]
    running: list[int] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)
    looks_apart: float = 0.0

    @property
    def soonest(self) -> float:
        """Seconds from the first init to the last one that TikTok's rule allows at best."""
        return (len(self.inits) - 1) // CALLS * WINDOW

    @property
    def rate_used(self) -> float:
        """The share of TikTok's allowed rate, 1.0 at best."""
        return self.soonest / (self.inits[-1] - self.inits[0])

    @property
    def worker_seconds(self) -> float:
        """How long tasks were on workers, in all."""
        return sum(self.running) * self.looks_apart

    @property
    def waiting_seconds(self) -> float:
        """How long tasks were away from workers, in all."""
        return sum(self.waiting) * self.looks_apart

    @property
    def idle_share(self) -> float:
        """The share of the looks at which some task waited and none was on a worker."""
        idle = [not running for running, waiting in zip(self.running, self.waiting, strict=True) if waiting]
        return sum(idle) / len(idle)

    @property
    def gaps(self) -> list[float]:
        """Seconds from each init to the one that takes its place in the window."""
        return [later - first for first, later in zip(self.inits, self.inits[CALLS:], strict=False)]

    def gaps_shown(self) -> str:
        """Return how long the calls of a window were apart, for people."""
        if not self.gaps:
            return "-"
        return f"{min(self.gaps):.1f} / {statistics.median(self.gaps):.1f} / {max(self.gaps):.1f} s"


def publish_many(airflow: LocalAirflow, sandbox: Sandbox, folder: Path, posts: int, patience: float) -> Use:
    """Publish so many videos of one account at once, and watch.

    :param patience: seconds until all have to be out.
    """
    _connect(airflow, sandbox)
    airflow.wait_for_dag(DAG_ID)
    clip = make_clip(folder / "clip.mp4", seconds=1)
    run_id = airflow.trigger(DAG_ID, {"video": str(clip), "posts": posts})
    began = time.monotonic()
    with _watched(airflow, run_id) as looks:
        state = airflow.wait_for_run(DAG_ID, run_id, patience)
    seconds = time.monotonic() - began
    assert state == "success"
    tasks = [task for task in airflow.task_instances(DAG_ID, run_id) if task["task_id"] == "publish"]
    calls = sandbox.requests()
    return Use(
        posts=len(sandbox.feed()),
        inits=[call["time"] for call in calls if call["path"] == INIT],
        answers=Counter(call["status"] for call in calls),
        seconds=seconds,
        tries={task["try_number"] for task in tasks},
        running=[look.get("running", 0) for _, look in looks],
        waiting=[look.get("deferred", 0) for _, look in looks],
        looks_apart=statistics.mean(later - first for (first, _), (later, _) in pairwise(looks)),
    )


def _connect(airflow: LocalAirflow, sandbox: Sandbox) -> None:
    # A task that is back before the scheduler has noticed that it had left would cost a try: that is Airflow's.
    sandbox.set_switches(caps=False, processing_seconds=15, moderation_seconds=0.2)
    app, account = sandbox.create_app(), sandbox.create_account(username="busy")
    fields = connection_fields(sandbox, app, account, sandbox.issue_tokens(app, account))
    airflow.put_connection(CONN_ID, **fields)


Look = tuple[float, dict[str, int]]


@contextmanager
def _watched(airflow: LocalAirflow, run_id: str) -> Iterator[list[Look]]:
    """Look twice a second how many tasks are in which state."""
    engine = create_engine(airflow.env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    looks: list[Look] = []
    done = Event()
    thread = Thread(target=_watch, args=(engine, run_id, looks, done))
    thread.start()
    try:
        yield looks
    finally:
        done.set()
        thread.join()
        engine.dispose()


def _watch(engine: Engine, run_id: str, looks: list[Look], done: Event) -> None:
    while not done.wait(0.5):
        with engine.connect() as connection:
            rows = connection.execute(text(_STATES), {"run_id": run_id}).all()
        looks.append((time.monotonic(), {str(state): int(count) for state, count in rows}))
