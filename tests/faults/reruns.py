"""Slots of a real Airflow that have been published and run again, in every way that Airflow offers."""

import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_fixed

from airflow_client import FINISHED, AirflowClient, AirflowError
from tests.faults.random_faults import make_unlike
from tests.integration.alone import connection_fields
from tiktok_sandbox.client import Sandbox
from tiktok_sandbox.clips import make_clip

INIT = "/v2/post/publish/video/init/"
ACCOUNTS = 10
TITLE = "Re-runs: database, case, slots, new posts, init calls, reused, what the log says"
# What a log says of a post that is on record, and of what differs from it.
_SAID = re.compile(r"(?:This post is not published again|Post key \S+ is on record).*")
_DIFFERS = re.compile(r"not published again, although (the media|\w+) (?:are|is) now")


@dataclass(frozen=True)
class Rerun:
    """What came of running all slots again.

    :param states: of the runs.
    :param reused: in how many slots the task returned the post on record.
    :param differs: what the logs say differs from the record, for all slots together.
    :param said: what the first slot's log says.
    """

    slots: int
    new_posts: int
    inits: int
    states: set[str]
    reused: int
    differs: set[str]
    said: str


class Slots:
    """The first days of a month, each the slot of a post.

    :param dag_id: of tests/integration/dags/rerun_cases.py.
    :param folder: for the videos.
    :param count: slots, at most 31.
    """

    def __init__(
        self, airflow: AirflowClient, sandbox: Sandbox, dag_id: str, folder: Path, count: int
    ) -> None:
        self._airflow, self._sandbox = airflow, sandbox
        self._dag_id, self._folder, self._count = dag_id, folder, count
        self._conf = {"folder": str(folder)}

    @cached_property
    def _clip(self) -> Path:
        return make_clip(self._folder / "clip.mp4", seconds=1)

    @cached_property
    def _partitioned(self) -> bool:
        return self._dag_id == "case_partitions"

    def render(self, seed: int) -> None:
        """Write all videos, as long as before, with other bytes for each seed."""
        for day in range(1, self._count + 1):
            make_unlike(self._clip, self._folder / f"{day}.mp4", 100 * seed + day)

    def publish(self) -> None:
        """Publish all slots for the first time."""
        self.render(1)
        for day in range(1, self._count + 1):
            date = f"2026-01-{day:02}T00:00:00"
            slot = {"partition_key": date} if self._partitioned else {"logical_date": f"{date}Z"}
            body = {"logical_date": None, "conf": self._conf, **slot}
            self._airflow.call("POST", f"/dags/{self._dag_id}/dagRuns", json=body)
        self._wait()
        states = [run["state"] for run in self._runs().values()]
        assert states == ["success"] * self._count

    def backfill(self, reprocess: str, **conf: str) -> None:
        """Let a backfill make or run again all slots.

        :param conf: more for the runs' configuration.
        """
        body = {
            "dag_id": self._dag_id,
            "from_date": "2026-01-01T00:00:00Z",
            "to_date": f"2026-01-{self._count:02}T00:00:00Z",
            "reprocess_behavior": reprocess,
            "dag_run_conf": {**self._conf, **conf},
            "max_active_runs": 16,
        }
        self._start_backfill(body)
        self._wait()
        # Airflow notices the end of a backfill within 30 s, and there cannot be a second one before. Once it is
        # cancelled its runs cannot be cleared: they stay queued.
        self._cancel_backfills()

    def clear(self) -> None:
        """Clear the tasks of all runs, as a person does."""
        for run_id in self._runs():
            self._airflow.clear(self._dag_id, run_id)
        self._wait()

    def delete(self) -> None:
        """Delete all runs."""
        for run_id in self._runs():
            self._airflow.call("DELETE", f"/dags/{self._dag_id}/dagRuns/{quote(run_id, safe='')}")

    def rerun(self, again: Callable[[], object]) -> Rerun:
        """Run all slots again in some way, and return what came of it."""
        before = self._runs()
        posts, inits = len(self._sandbox.feed()), len(self._sandbox.requests(INIT))
        again()
        after = self._runs()
        # Of a partition there is a new run beside the old one.
        runs = [run_id for run_id in after if run_id not in before] or list(after)
        logs = [self._log(run_id) for run_id in runs]
        results = [self._airflow.xcom(self._dag_id, run_id, "publish") for run_id in runs]
        return Rerun(
            slots=len(runs),
            new_posts=len(self._sandbox.feed()) - posts,
            inits=len(self._sandbox.requests(INIT)) - inits,
            states={after[run_id]["state"] for run_id in runs},
            reused=sum(result["reused"] for result in results),
            differs=set(_DIFFERS.findall("\n".join(logs))),
            said=" / ".join(_SAID.findall(logs[0])),
        )

    def _start_backfill(self, body: Mapping[str, object]) -> None:
        """Start one; where SQLite gave up half-way there is an empty one, which is taken away first."""
        patiently = Retrying(
            retry=retry_if_exception_type(AirflowError),
            wait=wait_fixed(1),
            stop=stop_after_attempt(5),
            before_sleep=lambda _: self._cancel_backfills(),
            reraise=True,
        )
        patiently(self._airflow.call, "POST", "/backfills", json=body)

    def _cancel_backfills(self) -> None:
        """Cancel until none is left: one that ends just now refuses to be cancelled."""
        deadline = time.monotonic() + 60
        while active := self._active_backfills():
            assert time.monotonic() < deadline, f"backfills {active} of {self._dag_id} cannot be cancelled"
            for backfill in active:
                with suppress(AirflowError):
                    self._airflow.call("PUT", f"/backfills/{backfill}/cancel")

    def _active_backfills(self) -> list[int]:
        backfills = self._airflow.get("/backfills", dag_id=self._dag_id)["backfills"]
        return [backfill["id"] for backfill in backfills if backfill["completed_at"] is None]

    def _log(self, run_id: str) -> str:
        """Return the log of the last try."""
        tries = self._airflow.task_instance(self._dag_id, run_id, "publish")["try_number"]
        return self._airflow.task_log(self._dag_id, run_id, "publish", tries)

    def _runs(self) -> Mapping[str, Any]:
        path = f"/dags/{self._dag_id}/dagRuns"
        runs = self._airflow.get(path, limit=100, order_by="run_after")["dag_runs"]
        return {run["dag_run_id"]: run for run in runs}

    def _wait(self, seconds_for_each: float = 60) -> None:
        deadline = time.monotonic() + 60 + seconds_for_each * self._count
        while unfinished := {run["state"] for run in self._runs().values()} - FINISHED:
            assert time.monotonic() < deadline, f"runs of {self._dag_id} are still {unfinished}"
            time.sleep(0.5)


def ways(slots: Slots) -> dict[str, tuple[Callable[[], object], set[str]]]:
    """Return the ways of running slots again, each with what the log must say differs."""

    def delete_and_backfill() -> None:
        slots.delete()
        slots.backfill("none")

    def render_and_backfill() -> None:
        slots.render(2)
        slots.backfill("completed")

    return {
        "cleared by hand": (slots.clear, set()),
        "backfilled with reprocess": (lambda: slots.backfill("completed"), set()),
        "deleted and backfilled again": (delete_and_backfill, set()),
        "another caption, backfilled": (lambda: slots.backfill("completed", title="Good evening"), {"title"}),
        "media rendered again, backfilled": (render_and_backfill, {"the media"}),
    }


def connect_accounts(airflow: AirflowClient, sandbox: Sandbox) -> None:
    """Make the accounts that take turns; nothing but our own rate limits holds them up."""
    # A task that is back before the scheduler has noticed that it had left would cost a try: that is Airflow's.
    sandbox.set_switches(rate_limits=False, caps=False, processing_seconds=5, moderation_seconds=0.2)
    app = sandbox.create_app()
    for number in range(ACCOUNTS):
        account = sandbox.create_account(username=f"rerun{number}")
        fields = connection_fields(sandbox, app, account, sandbox.issue_tokens(app, account))
        airflow.put_connection(f"rerun_{number}", **fields)
