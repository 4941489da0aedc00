"""Connects the sandbox's creator to an Airflow, by ``airflow tiktok connect`` and the sandbox's consent page."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx

import child_processes
from local_airflow import LocalAirflow
from local_sandbox import LocalSandbox

PATIENCE_SECONDS = 90.0


class ConsentFailedError(Exception):
    """The account could not be connected; the message says why."""


def connect(airflow: LocalAirflow, sandbox: LocalSandbox, conn_id: str, log: Path) -> None:
    """Connect the creator: the command line waits at a loopback port, the creator approves in the browser.

    :param log: file for what the command says.
    :raises ConsentFailedError: with the command's own last word.
    """
    log.unlink(missing_ok=True)
    airflow.put_connection(
        conn_id,
        conn_type="tiktok",
        login=sandbox.credentials["client_key"],
        password=sandbox.credentials["client_secret"],
        host=sandbox.url,
        extra=json.dumps({"authorize_url": f"{sandbox.url}/v2/auth/authorize/"}),
    )
    # The sandbox is another one each time, and so is its creator.
    command = ["tiktok", "connect", conn_id, "--switch-account", "--no-browser"]
    process = child_processes.start([sys.executable, "-m", "airflow", *command], log=log, env=airflow.env)
    try:
        approve(_consent_page(process, log), sandbox.credentials["username"])
        if process.wait(PATIENCE_SECONDS):
            raise ConsentFailedError(_last_line(log))
    finally:
        child_processes.stop([process])


def approve(page: str, username: str) -> None:
    """Do what the creator does in the browser: grant all that is asked for, and follow the way back."""
    scopes = parse_qs(urlsplit(page).query)["scope"][0].split(",")
    form = {"account": username, "decision": "approve", "scope": scopes}
    with httpx.Client(trust_env=False, timeout=30) as browser:
        answer = browser.post(page, data=form)
        if answer.next_request is None:
            raise ConsentFailedError(f"the consent page answered {answer.status_code}")
        browser.send(answer.next_request).raise_for_status()


def _consent_page(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if found := re.search(r"^https?://\S+/v2/auth/authorize/\?\S+$", _text(log), re.MULTILINE):
            return found[0]
        if process.poll() is not None:
            raise ConsentFailedError(_last_line(log))
        time.sleep(0.1)
    raise ConsentFailedError(f"no consent page within {PATIENCE_SECONDS:.0f} s")


def _text(log: Path) -> str:
    return log.read_text(errors="replace") if log.exists() else ""


def _last_line(log: Path) -> str:
    return (_text(log).strip().splitlines() or ["it said nothing"])[-1]
