"""A triggerer for ``waiting.py``: Airflow's own supervisor and runner, fed with triggers by hand instead of tasks.

The runner is the process that is measured: a probe among the triggers sleeps for 10 ms again and again, and notes how
much later it woke.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
from airflow.executors.workloads.trigger import RunTrigger
from airflow.jobs.triggerer_job_runner import TriggerRunnerSupervisor
from airflow.models.trigger import Trigger
from airflow.triggers.base import BaseTrigger, TriggerEvent

PROBE_SLEEP = 0.01
# The probe alone, before the others come.
ALONE = 5.0


class LoopProbe(BaseTrigger):
    """Measures the event loop that it runs in.

    :param seconds: for so long, after the time alone.
    :param output: a file for what was found, as JSON.
    """

    def __init__(self, seconds: float, output: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seconds = seconds
        self.output = output

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments."""
        return "waiting_triggerer.LoopProbe", {"seconds": self.seconds, "output": self.output}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Probe, write, and fire."""
        await self._lags(ALONE)
        memory, begun = _memory(), time.time()
        lags = await self._lags(self.seconds)
        # In steady state: the second half, when all have begun.
        cpu, polled_for = time.process_time(), self.seconds / 2
        steady = await self._lags(polled_for)
        found = {
            "begun": begun,
            "lags": lags,
            "steady_lags": steady,
            "memory": _memory() - memory,
            "cpu_share": (time.process_time() - cpu) / polled_for,
        }
        await asyncio.to_thread(Path(self.output).write_text, json.dumps(found))
        yield TriggerEvent("measured")

    async def _lags(self, seconds: float) -> list[float]:
        lags, end = [], time.monotonic() + seconds
        while (begun := time.monotonic()) < end:
            await asyncio.sleep(PROBE_SLEEP)
            lags.append(time.monotonic() - begun - PROBE_SLEEP)
        return lags


def _memory() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


@attrs.define(kw_only=True)
class HandFed(TriggerRunnerSupervisor):
    """Runs what it is given, once, and ends after a number of events.

    :param first: begins at once; the others follow when the probe has been alone for a while.
    """

    first: list[RunTrigger] = attrs.field(factory=list)
    others: list[RunTrigger] = attrs.field(factory=list)
    events_wanted: int = 1
    fired: dict[int, float] = attrs.field(factory=dict)
    payloads: dict[int, Any] = attrs.field(factory=dict)
    begun_at: float = attrs.field(factory=time.monotonic)

    def load_triggers(self) -> None:
        """Hand over what is due."""
        self.creating_triggers.extend(self.first)
        self.first.clear()
        if time.monotonic() - self.begun_at > ALONE:
            self.creating_triggers.extend(self.others)
            self.others.clear()

    def on_trigger_event(self, trigger_id: int, event: TriggerEvent) -> None:
        """Note when it came."""
        self.fired[trigger_id] = time.time()
        self.payloads[trigger_id] = event.payload

    def on_trigger_failure(self, trigger_id: int, exc: list[str] | None) -> None:
        """Stop: nothing that fails here is worth measuring."""
        raise SystemExit(f"Trigger {trigger_id} failed: {''.join(exc or [])}")

    def should_stop(self) -> bool:
        """Whether there were events enough."""
        return len(self.fired) >= self.events_wanted

    def heartbeat(self) -> None:
        """There is no job."""

    def clean_unused(self) -> None:
        """There are no rows to clean."""

    def emit_metrics(self) -> None:
        """There are no metrics."""


def workload(number: int, trigger: BaseTrigger) -> RunTrigger:
    """Return a trigger as the supervisor sends it."""
    row = Trigger.from_object(trigger)
    return RunTrigger(id=number, classpath=row.classpath, encrypted_kwargs=row.encrypted_kwargs)


def our_triggers(posts: Iterable[dict[str, Any]], age: float) -> list[BaseTrigger]:
    """Return a trigger for each post.

    :param age: seconds that the last bytes are old.
    """
    from tiktok_provider.triggers.post_status import TikTokPostStatusTrigger

    now = time.time()
    return [
        TikTokPostStatusTrigger(post["conn_id"], post["publish_id"], "complete", now - age, now + 86_400)
        for post in posts
    ]


def stock_triggers(number: int) -> list[BaseTrigger]:
    """Return so many of Airflow's own, for a moment in an hour."""
    from airflow.providers.standard.triggers.temporal import DateTimeTrigger

    return [DateTimeTrigger(datetime.now(UTC) + timedelta(hours=1)) for _ in range(number)]


def measure(triggers: list[BaseTrigger], seconds: float, output: str) -> None:
    """Run the triggers beside the probe until it has measured."""
    supervisor = HandFed.start(
        capacity=len(triggers) + 1,
        first=[workload(1, LoopProbe(seconds, output))],
        others=[workload(number, trigger) for number, trigger in enumerate(triggers, start=2)],
    )
    _run(supervisor)


def notice(posts: list[dict[str, Any]], output: str) -> None:
    """Run a trigger for each post until all have fired; write when each did."""
    triggers = [workload(number, trigger) for number, trigger in enumerate(our_triggers(posts, 0.0), start=1)]
    supervisor = HandFed.start(capacity=len(posts), first=triggers, events_wanted=len(posts))
    _run(supervisor)
    fired = {post["publish_id"]: supervisor.fired[number] for number, post in enumerate(posts, start=1)}
    Path(output).write_text(json.dumps(fired))


def simulate(posts: list[dict[str, Any]], url: str, output: str) -> None:
    """Wait for the posts one after the other, on the sandbox's clock; write the outcomes."""
    from tiktok_provider.database.rate_limits.service import RateLimitService
    from tiktok_provider.publishing.waiting.polling import Watch
    from tiktok_provider.triggers import events, post_status
    from tiktok_sandbox.client import Sandbox
    from virtual_time import run_in_virtual_time

    sandbox = Sandbox(url)
    clock = SimpleNamespace(time=sandbox.now, monotonic=sandbox.now)
    vars(post_status)["time"] = vars(events)["time"] = clock
    defaults = {"clock": lambda: datetime.fromtimestamp(sandbox.now(), UTC)}
    RateLimitService.__init__.__kwdefaults__ = defaults
    kinds = []
    for post in posts:
        now = post["uploaded_at"]
        watch = Watch(post["publish_id"], "complete", now, now + 86_400)
        trigger = post_status.TikTokPostStatusTrigger(post["conn_id"], **asdict(watch))
        event = run_in_virtual_time(_only_event(trigger), sandbox.advance)
        kinds.append(event.payload["kind"])
    Path(output).write_text(json.dumps(kinds))


async def _only_event(trigger: BaseTrigger) -> TriggerEvent:
    [event] = [event async for event in trigger.run()]
    return event


def _run(supervisor: HandFed) -> None:
    try:
        supervisor.run()
    finally:
        supervisor.kill(escalation_delay=5, force=True)


def main() -> None:
    """Do what the arguments say, as JSON."""
    order = json.loads(sys.stdin.read())
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
    if order["kind"] == "notice":
        notice(order["posts"], order["output"])
    elif order["kind"] == "simulate":
        simulate(order["posts"], order["url"], order["output"])
    else:
        ours = order["kind"] == "ours"
        triggers = our_triggers(order["posts"], order["age"]) if ours else stock_triggers(len(order["posts"]))
        measure(triggers, order["seconds"], order["output"])


if __name__ == "__main__":
    # Under its own name, for the runner imports the probe by it.
    import waiting_triggerer

    waiting_triggerer.main()
