"""The sandbox, served by a process of its own."""

import json
import secrets
import select
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

import child_processes
from local_ports import free_port

READY_SECONDS = 60
# Where ``airflow tiktok connect`` listens.
REDIRECT_URI = "http://127.0.0.1:*/callback/"


class SandboxProcessError(Exception):
    """The sandbox did not start, or did not answer; the message says why."""


@dataclass(frozen=True)
class LocalSandbox:
    """A sandbox that is being served.

    :param url: its origin.
    :param credentials: the app, the creator and the tokens that it began with, as in its ready line.
    """

    url: str
    credentials: Mapping[str, str]

    def publishes(self) -> list[dict[str, Any]]:
        """Return every publish id given so far, in any state, oldest first."""
        return self._get("/sandbox/publishes")

    def feed(self) -> list[dict[str, Any]]:
        """Return what was really posted, oldest first."""
        return self._get("/sandbox/feed")

    def another_creator(self, username: str) -> dict[str, str]:
        """Make a creator who has authorized the same app, and return username and tokens."""
        creator = self._post("/sandbox/accounts", {"username": username})
        app = {"client_key": self.credentials["client_key"]}
        tokens = self._post(f"/sandbox/accounts/{creator['open_id']}/tokens", app)
        names = (
            "access_token",
            "refresh_token",
            "access_expires_at",
            "refresh_expires_at",
            "scope",
            "open_id",
        )
        return {"username": username, **{name: tokens[name] for name in names}}

    def _post(self, path: str, body: Mapping[str, str]) -> dict[str, Any]:
        answer = httpx.post(f"{self.url}{path}", json=dict(body), timeout=30, trust_env=False)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def _get(self, path: str) -> list[dict[str, Any]]:
        answer = httpx.get(f"{self.url}{path}", timeout=30, trust_env=False)
        answer.raise_for_status()
        rows: list[dict[str, Any]] = answer.json()
        return rows


@contextmanager
def local_sandbox(folder: Path, log: Path, port: int = 9080) -> Iterator[LocalSandbox]:
    """Serve a sandbox with a demo creator, and stop it at the end.

    :param folder: where a temporary folder for the uploaded media is made.
    :param log: file for its output.
    :param port: wanted; if it is in use, another one. Default: 9080.
    """
    log.unlink(missing_ok=True)
    with ExitStack() as cleanup:
        storage = cleanup.enter_context(tempfile.TemporaryDirectory(prefix="sandbox-", dir=folder))
        # Airflow's database outlives the sandbox, and ids must not come twice.
        seed = str(secrets.randbits(31))
        command = [sys.executable, "-m", "tiktok_sandbox", "--demo", "--redirect-uri", REDIRECT_URI]
        options = ["--storage", storage, "--seed", seed, "--port", str(free_port(port))]
        process = child_processes.start([*command, *options], log=log, stdout=child_processes.PIPE)
        cleanup.callback(child_processes.stop, [process])
        assert process.stdout
        cleanup.enter_context(process.stdout)
        if not select.select([process.stdout], [], [], READY_SECONDS)[0]:
            raise SandboxProcessError(f"the sandbox did not start within {READY_SECONDS} s")
        if not (line := process.stdout.readline()):
            raise SandboxProcessError(f"the sandbox ended while it started: {_last_line(log)}")
        ready = json.loads(line)
        yield LocalSandbox(ready["url"], ready)


def _last_line(log: Path) -> str:
    return (log.read_text(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
