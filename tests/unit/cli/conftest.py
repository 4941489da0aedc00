"""The command line, run through Airflow's own parser, and a person with a browser."""

import json
import logging
import webbrowser
from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

import httpx
import pytest
from airflow.cli.cli_parser import get_parser
from airflow.jobs.job import Job, JobState
from airflow.models import Connection
from airflow.sdk.timezone import utcnow
from fastapi import FastAPI
from sqlalchemy import delete, select

from tests.unit.store.test_client import served
from tiktok_provider.database.services import Services
from tiktok_provider.database.session import transaction
from tiktok_provider.web.application import build_application
from tiktok_sandbox.client import App, Sandbox

CLIENT_SECRET = "fake-client-secret-of-the-cli"


@dataclass
class Ended:
    """How a command ended.

    :param code: the exit code.
    :param out: standard output.
    :param said: standard error, and the sentence of an exit.
    """

    code: int
    out: str
    said: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The data, from ``--output json``."""
        found: list[dict[str, Any]] = json.loads(self.out)
        return found


@dataclass
class Terminal:
    """Runs ``airflow tiktok ...`` in this process."""

    capsys: pytest.CaptureFixture[str]

    def run(self, *arguments: str, output: str = "json") -> Ended:
        """Run a command to its end."""
        self.capsys.readouterr()
        args = get_parser().parse_args(["tiktok", *arguments, "--output", output])
        code, last_words = 0, ""
        try:
            args.func(args)
        except SystemExit as end:
            # As the interpreter does at the end of a process.
            code, last_words = (end.code, "") if isinstance(end.code, int) else (1, str(end.code or ""))
        captured = self.capsys.readouterr()
        return Ended(code, captured.out, captured.err + last_words)


@dataclass
class Person:
    """Opens the page that a command shows and decides there, as TikTok leads a browser.

    :param decision: ``approve`` or ``deny``.
    """

    account: str = "mia"
    decision: str = "approve"
    scopes: list[str] = field(default_factory=lambda: ["user.info.basic", "video.publish", "video.upload"])
    pages: list[str] = field(default_factory=list)
    threads: list[Thread] = field(default_factory=list)
    _seen: list[httpx.Response] = field(default_factory=list)

    @property
    def seen(self) -> list[httpx.Response]:
        """What the browser shows at last; a command may have ended before it."""
        for thread in self.threads:
            thread.join(60)
        return self._seen

    def redirect(self, page: str) -> str:
        """Decide on the consent page; returns where TikTok leads to."""
        self.pages.append(page)
        form = {"account": self.account, "decision": self.decision, "scope": self.scopes}
        answer = httpx.post(page, data=form)
        location: str = answer.headers.get("location", "")
        return location

    def browse(self, page: str) -> bool:
        """Stand in for ``webbrowser.open``: the command goes on meanwhile."""
        thread = Thread(target=self._follow, args=(page,))
        thread.start()
        self.threads.append(thread)
        return True

    def _follow(self, page: str) -> None:
        self._seen.append(httpx.get(self.redirect(page)))


@pytest.fixture
def terminal(store: None, capsys: pytest.CaptureFixture[str]) -> Iterator[Terminal]:  # noqa: ARG001
    """The command line, with an empty store behind it."""
    yield Terminal(capsys)
    logging.disable(logging.NOTSET)


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> Iterator[Person]:
    """Mia, at a machine with a browser."""
    found = Person()
    monkeypatch.setattr(webbrowser, "open", found.browse)
    yield found
    assert len(found.seen) == len(found.threads)


@pytest.fixture
def app(tiktok_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> App:
    """A desktop app of the sandbox, whose secret is in the environment; and the creators mia and leo."""
    monkeypatch.setenv("AIRFLOW__TIKTOK__ALLOWED_HOSTS", tiktok_sandbox.url)
    monkeypatch.setenv("TIKTOK_CLIENT_SECRET", CLIENT_SECRET)
    for username in ("mia", "leo"):
        tiktok_sandbox.create_account(username=username)
    return tiktok_sandbox.create_app(
        client_secret=CLIENT_SECRET, platform="desktop", redirect_uris=["http://127.0.0.1:*/callback/"]
    )


@pytest.fixture
def new(tiktok_sandbox: Sandbox, app: App) -> list[str]:
    """The arguments that connect ``tiktok_mia``, whose Connection is not there yet."""
    sandbox = ["--host", tiktok_sandbox.url, "--authorize-url", f"{tiktok_sandbox.url}/v2/auth/authorize/"]
    return ["connect", "tiktok_mia", "--client-key", app.client_key, *sandbox]


def stored(conn_id: str) -> Connection | None:
    """Return a Connection of Airflow's database."""
    with transaction() as session:
        found = session.scalar(select(Connection).where(Connection.conn_id == conn_id))
        if found is not None:
            session.expunge(found)
        return found


@pytest.fixture
def api_server(store: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:  # noqa: ARG001
    """The plugin's routes as Airflow's API server mounts them; the configuration names its address."""
    outer = FastAPI()
    outer.mount("/tiktok", build_application(Services()))
    with served(outer) as address:
        monkeypatch.setenv("AIRFLOW__TIKTOK__STORE_URL", address)
        yield address


@pytest.fixture
def triggerer(store: None) -> Iterator[None]:  # noqa: ARG001
    """A triggerer that has just sent a heartbeat."""
    with transaction() as session:
        job = Job(job_type="TriggererJob", state=JobState.RUNNING, hostname="here", latest_heartbeat=utcnow())
        session.add(job)
    yield
    with transaction() as session:
        session.execute(delete(Job))
