"""What it costs a triggerer to wait for many posts, beside as many of Airflow's own time triggers.

    PYTHONPATH=scripts:benchmarks python benchmarks/waiting.py [--posts 2000] [--accounts 134] [--seconds 240]

The sandbox, the API server with the store, and the triggerer are processes of their own. Posts are uploaded first and
stay in moderation for as long as is measured.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx

import child_processes
from airflow_client import AirflowClient
from local_airflow import airflow_environment
from local_ports import free_port
from tiktok_sandbox.client import Account, App, Sandbox, Tokens
from tiktok_sandbox.clips import make_clip

STATUS = "/v2/post/publish/status/fetch/"
WINDOW, PER_WINDOW = 60.0, 30
IDLE_ROUNDS, READY_AFTER = 12, 30.0
MODERATIONS, ROUNDS = {"1 minute": 60, "1 hour": 3600, "6 hours": 6 * 3600}, 5


@dataclass
class Stage:
    """The sandbox with its creators, and what Airflow's processes need to know of them."""

    sandbox: Sandbox
    folder: Path
    clip: bytes
    env: dict[str, str] = field(default_factory=dict)
    creators: dict[str, tuple[App, Account]] = field(default_factory=dict)
    tokens: dict[str, Tokens] = field(default_factory=dict)
    consents: list[dict[str, Any]] = field(default_factory=list)

    def new_creator(self, conn_id: str, app: App) -> None:
        """Make a creator who has consented."""
        account = self.sandbox.create_account(username=conn_id)
        self.creators[conn_id] = app, account
        tokens = self.issue_tokens(conn_id)
        connection = {
            "conn_id": conn_id,
            "login": app.client_key,
            "password": app.client_secret,
            "host": self.sandbox.url,
        }
        self.consents.append({"connection": connection, "tokens": asdict(tokens), "username": conn_id})

    def issue_tokens(self, conn_id: str) -> Tokens:
        """Give the benchmark tokens of its own to upload with; they live for a day."""
        tokens = self.tokens[conn_id] = self.sandbox.issue_tokens(*self.creators[conn_id])
        return tokens

    def run(self, *command: str, given: object = None) -> None:
        """Run a Python command in Airflow's environment.

        :param given: for its standard input, as JSON.
        """
        body = json.dumps(given).encode()
        done = subprocess.run(
            [sys.executable, *command], env=self.env, input=body, capture_output=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr.decode()[-3000:]}")

    def upload(self, conn_id: str) -> dict[str, Any]:
        """Start a post and send its bytes, as our operator does."""
        size = len(self.clip)
        source = {"source": "FILE_UPLOAD", "video_size": size, "chunk_size": size, "total_chunk_count": 1}
        with httpx.Client(base_url=self.sandbox.url, timeout=60, trust_env=False) as client:
            answer = client.post(
                "/v2/post/publish/video/init/",
                headers={"Authorization": f"Bearer {self.tokens[conn_id].access_token}"},
                json={"post_info": {"privacy_level": "PUBLIC_TO_EVERYONE"}, "source_info": source},
            )
            started = answer.raise_for_status().json()["data"]
            span = {"Content-Type": "video/mp4", "Content-Range": f"bytes 0-{size - 1}/{size}"}
            client.put(started["upload_url"], content=self.clip, headers=span).raise_for_status()
        return {"conn_id": conn_id, "publish_id": started["publish_id"]}

    def triggerer(self, **order: Any) -> Any:
        """Run a triggerer in processes of its own, and return what it found."""
        output = self.folder / f"{order['kind']}.json"
        command = [sys.executable, str(Path(__file__).with_name("waiting_triggerer.py"))]
        log = self.folder / f"{order['kind']}.log"
        with log.open("wb") as log_file:
            done = subprocess.run(
                command,
                env=self.env,
                input=json.dumps({**order, "output": str(output)}).encode(),
                stdout=log_file,
                stderr=log_file,
                check=False,
            )
        if done.returncode:
            raise SystemExit(f"The triggerer failed:\n{log.read_text()[-3000:]}")
        return json.loads(output.read_text())


@contextmanager
def stage(accounts: int, database: str | None, folder: Path | None) -> Iterator[Stage]:
    """Start the sandbox and the API server."""
    with ExitStack() as cleanup:
        folder = folder or Path(cleanup.enter_context(tempfile.TemporaryDirectory()))
        process = child_processes.start(
            [sys.executable, "-m", "tiktok_sandbox", "--port", "0"],
            log=folder / "sandbox.log",
            stdout=child_processes.PIPE,
        )
        cleanup.callback(child_processes.stop, [process])
        assert process.stdout is not None
        sandbox = cleanup.enter_context(Sandbox(json.loads(process.stdout.readline())["url"]))
        clip = make_clip(folder / "clip.mp4", seconds=1).read_bytes()
        found = Stage(sandbox, folder, clip)
        app = sandbox.create_app()
        for number in range(accounts + IDLE_ROUNDS):
            found.new_creator(f"tiktok_{number}", app)
        _start_api_server(found, database, cleanup)
        yield found


def _start_api_server(found: Stage, database: str | None, cleanup: ExitStack) -> None:
    port, home = free_port(0), found.folder / "airflow"
    home.mkdir()
    config = {
        "tiktok": {"allowed_hosts": found.sandbox.url},
        "triggerer": {"capacity": "5000"},
        **({"database": {"sql_alchemy_conn": database}} if database else {}),
    }
    paths = os.pathsep.join(path for path in sys.path if path)
    found.env = {**airflow_environment(home, [home], port, config), **found.env, "PYTHONPATH": paths}
    found.run("-m", "airflow", "db", "migrate")
    found.run(str(Path(__file__).with_name("waiting_accounts.py")), given=found.consents)
    server = [sys.executable, "-m", "airflow", "api-server"]
    process = child_processes.start(server, log=found.folder / "api-server.log", env=found.env)
    cleanup.callback(child_processes.stop, [process])
    client = AirflowClient(f"http://127.0.0.1:{port}")
    cleanup.callback(client.close)
    _wait_until_up(client)


def _wait_until_up(client: AirflowClient) -> None:
    for _ in range(240):
        try:
            client.get("/version")
            return
        except httpx.TransportError:
            time.sleep(0.5)
    raise SystemExit("The API server did not start")


def most_in_a_window(requests: list[dict[str, Any]]) -> int:
    """Return the most calls of one account within any 60 seconds."""
    times = defaultdict(list)
    for call in requests:
        times[call["open_id"]].append(call["time"])
    return max(_most(sorted(calls)) for calls in times.values()) if times else 0


def _most(times: list[float]) -> int:
    first, most = 0, 0
    for last, at in enumerate(times):
        while at - times[first] >= WINDOW:
            first += 1
        most = max(most, last - first + 1)
    return most


def first_poll_of_each(calls: list[dict[str, Any]]) -> list[float]:
    """Return when each account was polled first, in seconds since the epoch."""
    first: dict[str, float] = {}
    for call in calls:
        first.setdefault(call["open_id"], call["time"])
    return list(first.values())


def compare(found: Stage, posts: int, accounts: int, seconds: float) -> None:
    """Print what our triggers cost beside stock ones."""
    found.sandbox.set_switches(caps=False, rate_limits=False, processing_seconds=86_000)
    with ThreadPoolExecutor(4) as pool:
        uploaded = list(pool.map(found.upload, [f"tiktok_{number % accounts}" for number in range(posts)]))
    found.sandbox.set_switches(rate_limits=True)
    stock = found.triggerer(kind="stock", posts=uploaded, seconds=seconds)
    ours = found.triggerer(kind="ours", posts=uploaded, seconds=seconds, age=0.0)
    calls = found.sandbox.requests(STATUS)
    print(f"{posts} posts of {accounts} accounts beside {posts} DateTimeTriggers, {seconds * 1.5:.0f} s:\n")
    print("| | ours / stock | ours | stock |\n|---|---|---|---|")
    for name, lags in (("from the start", "lags"), ("when all have begun", "steady_lags")):
        for share in (50, 95, 99, 100):
            _row(
                f"loop lag {name}, p{share}",
                _percentile(ours[lags], share),
                _percentile(stock[lags], share),
                "ms",
            )
    _row("memory per post", ours["memory"] / posts / 1000, stock["memory"] / posts / 1000, "kB")
    _row("CPU of the runner", ours["cpu_share"] * 100, stock["cpu_share"] * 100, "%")
    first_polls = first_poll_of_each(calls)
    print(
        f"\n{len(first_polls)} of {accounts} accounts polled; the last one first did so"
        f" {max(first_polls, default=0.0) - ours['begun']:.0f} s after the triggers had come."
    )
    refused = sum(call["status"] == 429 for call in calls)
    print(
        f"\n{len(calls)} polls, at most {most_in_a_window(calls)} of an account in any 60 s (TikTok allows"
        f" {PER_WINDOW}), {refused} answers 429."
    )


def _percentile(values: list[float], share: int) -> float:
    ordered = sorted(values)
    return 1000 * ordered[min(len(ordered) * share // 100, len(ordered) - 1)]


def _row(name: str, ours: float, stock: float, unit: str) -> None:
    ratio = f"{ours / stock:.2f}" if stock else "-"
    print(f"| {name} | {ratio} | {ours:.2f} {unit} | {stock:.2f} {unit} |")


def notice(found: Stage, accounts: int) -> None:
    """Print how soon a post is noticed on an idle account."""
    found.sandbox.set_switches(processing_seconds=READY_AFTER)
    conn_ids = [f"tiktok_{accounts + number}" for number in range(IDLE_ROUNDS)]
    posts = [found.upload(conn_id) for conn_id in conn_ids]
    fired = found.triggerer(kind="notice", posts=posts)
    delays = [
        fired[row["publish_id"]] - row["delivered_at"]
        for row in found.sandbox.publishes()
        if row["publish_id"] in fired
    ]
    print(
        f"\nA post that is ready after {READY_AFTER:.0f} s on an idle account is noticed after"
        f" {statistics.median(delays):.1f} s (median of {len(delays)}, {min(delays):.1f} to {max(delays):.1f})."
    )


def polls(found: Stage, accounts: int) -> None:
    """Print how often a post is asked for, on a clock that jumps from poll to poll."""
    found.sandbox.freeze()
    print("\n| moderation | polls per post: median (min to max) |\n|---|---|")
    for name, seconds in MODERATIONS.items():
        found.sandbox.set_switches(processing_seconds=seconds)
        counts = []
        for number in range(ROUNDS):
            conn_id = f"tiktok_{accounts + number}"
            found.issue_tokens(conn_id)
            post = {**found.upload(conn_id), "uploaded_at": found.sandbox.now()}
            assert found.triggerer(kind="simulate", posts=[post], url=found.sandbox.url) == ["done"]
            calls = found.sandbox.requests(STATUS)
            counts.append(sum(call["publish_id"] == post["publish_id"] for call in calls))
        print(f"| {name} | {statistics.median(counts):.0f} ({min(counts)} to {max(counts)}) |")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--posts", type=int, default=2000)
    parser.add_argument("--accounts", type=int, default=134)
    parser.add_argument("--seconds", type=float, default=240)
    parser.add_argument("--database", help="URL of an empty database for Airflow (default: SQLite)")
    parser.add_argument(
        "--folder", type=Path, help="an empty folder to keep the logs (default: a temporary one)"
    )
    arguments = parser.parse_args()
    with stage(arguments.accounts, arguments.database, arguments.folder) as found:
        compare(found, arguments.posts, arguments.accounts, arguments.seconds)
        notice(found, arguments.accounts)
        polls(found, arguments.accounts)


if __name__ == "__main__":
    main()
