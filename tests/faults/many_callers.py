"""Many callers in several processes with one expired token, while heartbeats are timed."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx

from tests.faults.api_servers import ApiServers, RunningTask

CHECKOUT = Path(__file__).resolve().parents[2]
BETWEEN_BEATS = 0.05
IDLE_SECONDS = 3
CALLERS, PROCESSES = 100, 8
Worker = subprocess.Popen[str]


@dataclass
class Heartbeats:
    """Seconds that each heartbeat took, and what was answered."""

    seconds: list[float] = field(default_factory=list)
    statuses: set[int] = field(default_factory=set)

    @property
    def p95(self) -> float:
        """The time that 95 of 100 did not exceed."""
        return sorted(self.seconds)[round(0.95 * (len(self.seconds) - 1))]


@contextmanager
def heartbeats(servers: ApiServers) -> Iterator[Heartbeats]:
    """Send heartbeats to the Execution API of both servers as long as the block lasts."""
    found, stop = Heartbeats(), Event()
    threads = [
        Thread(target=_beat, args=(url, task, servers.heartbeat, found, stop))
        for url, task in zip(servers.urls, servers.tasks, strict=True)
    ]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _beat(
    url: str, task: RunningTask, heartbeat: Mapping[str, object], found: Heartbeats, stop: Event
) -> None:
    headers = {"Authorization": f"Bearer {task.token}"}
    route = f"{url}/execution/task-instances/{task.id}/heartbeat"
    with httpx.Client(headers=headers, timeout=30, trust_env=False) as client:
        while not stop.wait(BETWEEN_BEATS):
            began = time.monotonic()
            answer = client.put(route, json=dict(heartbeat))
            found.seconds.append(time.monotonic() - began)
            found.statuses.add(answer.status_code)


@dataclass(frozen=True)
class Found:
    """What came of it.

    Attributes:
        callers: what each caller tells.
        idle: the heartbeats while nobody called.
        control: those while every caller read the Connection once from Airflow, all at once.
        beats: those while every caller got a token, all at once.
    """

    callers: list[dict[str, Any]]
    idle: Heartbeats
    control: Heartbeats
    beats: Heartbeats


def let_them_call(servers: ApiServers) -> Found:
    """Start the processes, and let all callers go at once: first the control, then for a token."""
    shares = [len(range(number, CALLERS, PROCESSES)) for number in range(PROCESSES)]
    workers = [
        subprocess.Popen(
            # Callers are on other machines as a rule: here they leave the cores to the servers.
            ["nice", "-n", "19", sys.executable, "-m", "tests.faults.worker_process", str(share)],
            cwd=CHECKOUT,
            env=_worker_environment(servers, servers.urls[number % 2]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number, share in enumerate(shares)
    ]
    try:
        _wait_until_ready(workers)
        with heartbeats(servers) as idle:
            time.sleep(IDLE_SECONDS)
        with heartbeats(servers) as control:
            _let_go(workers)
            _wait_until_ready(workers)
        with heartbeats(servers) as beats:
            _let_go(workers)
            outputs = [worker.communicate(timeout=120)[0] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    callers = [caller for output in outputs for caller in json.loads(output.splitlines()[-1])]
    return Found(callers, idle, control, beats)


def _wait_until_ready(workers: Sequence[Worker]) -> None:
    for worker in workers:
        assert worker.stdout
        while (line := worker.stdout.readline()) != "ready\n":
            assert line, "a worker ended before it was ready"


def _let_go(workers: Sequence[Worker]) -> None:
    for worker in workers:
        assert worker.stdin
        worker.stdin.write("go\n")
        worker.stdin.flush()


def _worker_environment(servers: ApiServers, url: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW__")}
    return {
        **inherited,
        "AIRFLOW__TIKTOK__STORE_URL": url,
        "EXECUTION_API": f"{url}/execution/",
        "TASK_TOKEN": servers.tasks[0].token,
        "NO_PROXY": "127.0.0.1",
    }
