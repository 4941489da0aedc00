"""Where `by_hand_compare` plays: a local Airflow, the sandbox, and a proxy between them that can kill a task."""

import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from local_airflow import LocalAirflow
from own_database import own_postgres_database
from tests.faults.owners import Owner
from tests.faults.proxy import Cell, Door, running_proxy
from tests.integration.alone import connection_fields
from tests.unit.databases import POSTGRES
from tiktok_sandbox.client import Account, Sandbox
from tiktok_sandbox.clips import make_clip
from tiktok_sandbox.server import running_sandbox

DAGS = Path(__file__).resolve().parent / "by_hand"
BEFORE_FIRST_DAY = date(2026, 1, 1)
# Seconds that TikTok needs in the sandbox from the last byte to the post, and from there to its public id.
PROCESSING, MODERATION = 5, 10
ACCOUNTS = 32


@dataclass(frozen=True)
class Approach:
    """A DAG to compare."""

    name: str
    dag_id: str


HAND = Approach("by hand", "by_hand")
NOTED = Approach("by hand, noted", "by_hand_noted")
PROVIDER = Approach("provider", "with_provider")


@dataclass(frozen=True)
class Slot:
    """A run that publishes the video of one day.

    :param account: connection id.
    :param cell: what goes wrong with the account's calls on their way.
    """

    approach: Approach
    account: str
    open_id: str
    day: date
    cell: Cell

    @property
    def run_id(self) -> str:
        """One name for the run and for those that take its place."""
        return f"slot_{self.day}"

    @property
    def title(self) -> str:
        """The caption of its post."""
        return f"The video of {self.day}"


@dataclass(frozen=True)
class Row:
    """What came of some slots.

    :param twice: posts beyond the first of each video.
    :param looks: status calls.
    """

    videos: int
    posts: int
    twice: int
    missing: int
    failed: int
    inits: int
    looks: int
    worker_seconds: float

    def since(self, before: "Row") -> "Row":
        """Return what has come since then."""
        return Row(
            self.videos,
            self.posts - before.posts,
            self.twice - before.twice,
            self.missing,
            self.failed,
            self.inits - before.inits,
            self.looks - before.looks,
            self.worker_seconds - before.worker_seconds,
        )


class Bench(LocalAirflow):
    """A local Airflow, with what happens to runs."""

    def put_variable(self, key: str, value: object) -> None:
        """Create a Variable."""
        self.call("POST", "/variables", json={"key": key, "value": json.dumps(value)})

    def start(self, slot: Slot, folder: Path) -> None:
        """Create the run of the slot."""
        body = {
            "dag_run_id": slot.run_id,
            "logical_date": _midnight(slot.day),
            "conf": {"account": slot.account, "folder": str(folder)},
        }
        self.call("POST", f"/dags/{slot.approach.dag_id}/dagRuns", json=body)

    def delete(self, slot: Slot) -> None:
        """Delete the slot's run."""
        self.call("DELETE", f"/dags/{slot.approach.dag_id}/dagRuns/{slot.run_id}")

    def backfill(self, slots: Sequence[Slot], folder: Path) -> None:
        """Backfill the days of the slots, those that are done as well, and wait for the end."""
        body = {
            "dag_id": slots[0].approach.dag_id,
            "from_date": _midnight(slots[0].day),
            "to_date": _midnight(slots[-1].day),
            "dag_run_conf": {"account": slots[0].account, "folder": str(folder)},
            "reprocess_behavior": "completed",
        }
        created = self.call("POST", "/backfills", json=body)
        deadline = time.monotonic() + 300
        while not self.get(f"/backfills/{created['id']}")["completed_at"]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the backfill of {slots[0].approach.dag_id} has not ended")
            time.sleep(0.5)

    def wait(self, slots: Sequence[Slot]) -> None:
        """Wait until the runs of all slots have ended."""
        for slot in slots:
            self.wait_for_run(slot.approach.dag_id, slot.run_id, timeout=400)

    def worker_seconds(self, slot: Slot) -> float:
        """Return how long tasks of the slot's runs were running on a worker, by the audit log."""
        begun: dict[str, datetime] = {}
        total = timedelta()
        for event in self._events(slot):
            task_id, when = event["task_id"], datetime.fromisoformat(event["when"])
            if event["event"] == "running":
                begun[task_id] = when
            elif task_id in begun:
                total += when - begun.pop(task_id)
        return total.total_seconds()

    def _events(self, slot: Slot) -> Iterator[dict[str, Any]]:
        """Yield what became of the tasks, oldest first."""
        seen = 0
        wanted = {"dag_id": slot.approach.dag_id, "run_id": slot.run_id, "order_by": "event_log_id"}
        while page := self.get("/eventLogs", **wanted, limit=100, offset=seen)["event_logs"]:
            seen += len(page)
            yield from (event for event in page if event["task_id"])


class Scene:
    """Accounts and videos for the asking, and the count of what was posted."""

    def __init__(
        self, airflow: Bench, sandbox: Sandbox, doors: Sequence[tuple[Door, Cell]], folder: Path
    ) -> None:
        self.airflow, self.sandbox, self.folder = airflow, sandbox, folder
        self._doors = iter(doors)
        self._days: Counter[Approach] = Counter()
        app = self._app = sandbox.create_app()
        # Tasks by hand have no other way to the app's credentials than one more connection.
        airflow.put_connection(
            "by_hand_app", conn_type="generic", login=app.client_key, password=app.client_secret
        )

    def slots(self, approach: Approach, count: int = 1, size: int | None = None) -> list[Slot]:
        """Return slots on consecutive days for one new account, with videos of `size` bytes."""
        door, cell = next(self._doors)
        account = self.sandbox.create_account()
        conn_id = f"{approach.dag_id}_{account.username}"
        self._connect(approach, conn_id, door.url, account)
        days = [self._next_day(approach, size) for _ in range(count)]
        return [Slot(approach, conn_id, account.open_id, day, cell) for day in days]

    def start(self, slots: Sequence[Slot]) -> None:
        """Create the runs."""
        for slot in slots:
            self.airflow.start(slot, self.folder)

    def calls(self, slots: Sequence[Slot], path: str) -> int:
        """Return how many calls the accounts of the slots made to the path."""
        accounts = {slot.open_id for slot in slots}
        return sum(path in call["path"] for call in self.sandbox.requests() if call["open_id"] in accounts)

    def row(self, slots: Sequence[Slot]) -> Row:
        """Count what came of the slots."""
        feed = Counter((post["open_id"], post["title"]) for post in self.sandbox.feed())
        posts = [feed[slot.open_id, slot.title] for slot in slots]
        states = [self.airflow.run_state(slot.approach.dag_id, slot.run_id) for slot in slots]
        return Row(
            videos=len(slots),
            posts=sum(posts),
            twice=sum(max(0, count - 1) for count in posts),
            missing=posts.count(0),
            failed=states.count("failed"),
            inits=self.calls(slots, "/init/"),
            looks=self.calls(slots, "/status/"),
            worker_seconds=sum(map(self.airflow.worker_seconds, slots)),
        )

    def _next_day(self, approach: Approach, size: int | None) -> date:
        self._days[approach] += 1
        day = BEFORE_FIRST_DAY + timedelta(days=self._days[approach])
        clip = self.folder / f"{day}.mp4"
        if not clip.exists() or clip.stat().st_size < (size or 0):
            make_clip(clip, seconds=1, seed=day.toordinal(), pad_to_bytes=size)
        return day

    def _connect(self, approach: Approach, conn_id: str, url: str, account: Account) -> None:
        tokens = self.sandbox.issue_tokens(self._app, account)
        if approach is PROVIDER:
            fields = connection_fields(self.sandbox, self._app, account, tokens)
            self.airflow.put_connection(conn_id, **{**fields, "host": url})
            return
        self.airflow.put_connection(conn_id, conn_type="http", host=url)
        kept = {"access_token": tokens.access_token, "refresh_token": tokens.refresh_token}
        self.airflow.put_variable(
            f"{conn_id}_tokens", {**kept, "expires_at": time.time() + tokens.expires_in}
        )


@contextmanager
def running_scene() -> Iterator[Scene]:
    """Start everything, and stop it at the end."""
    if not (server := os.environ.get(POSTGRES)):
        raise SystemExit(f"{POSTGRES} is not set: on SQLite Airflow creates no backfill while it is busy")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="by-hand-")))
        served = stack.enter_context(running_sandbox(port=0, storage=folder / "sandbox"))
        sandbox = stack.enter_context(Sandbox(served.url))
        sandbox.set_switches(
            caps=False, rate_limits=False, processing_seconds=PROCESSING, moderation_seconds=MODERATION
        )
        doors = [_door(served.url) for _ in range(ACCOUNTS)]
        stack.enter_context(running_proxy([door for door, _ in doors], role_of))
        database = stack.enter_context(own_postgres_database(server))
        config = {
            "database": {"sql_alchemy_conn": database},
            "tiktok": {"allowed_hosts": ",".join([served.url, *(door.url for door, _ in doors)])},
            "core": {"default_task_retry_delay": "2", "max_active_runs_per_dag": "30"},
            "dag_processor": {"min_file_process_interval": "600"},
        }
        airflow = stack.enter_context(Bench(folder / "airflow", [DAGS], config, port=0))
        for approach in (HAND, NOTED, PROVIDER):
            airflow.wait_for_dag(approach.dag_id)
        yield Scene(airflow, sandbox, doors, folder)


def role_of(owner: Owner) -> str:
    """Tell tasks from the triggerer."""
    commands = " ".join(" ".join(psutil.Process(pid).cmdline()) for pid in owner.pids[:4])
    return "triggerer" if "triggerer" in commands else "task"


def _door(target: str) -> tuple[Door, Cell]:
    cell = Cell()
    return Door(target, lambda _: cell), cell


def _midnight(day: date) -> str:
    return datetime(day.year, day.month, day.day, tzinfo=UTC).isoformat()
