"""A hundred callers with one expired token, and callers without a valid token, at two real API servers."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from airflow_client import AirflowClient
from own_database import own_postgres_database
from tests.faults.api_servers import ApiServers, two_api_servers
from tests.faults.many_callers import CALLERS, PROCESSES, let_them_call
from tests.unit.databases import DATABASES, POSTGRES, SET_FIELDS
from tiktok_provider.store.requests import MOUNT
from tiktok_provider.store.signing import SignedRequest
from tiktok_sandbox.client import App, Sandbox
from tiktok_sandbox.server import running_sandbox

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        "TIKTOK_RELIABILITY" not in os.environ, reason="takes minutes: scripts/reliability.sh"
    ),
]
ROUTE = "/store/accounts/mia/tokens/refresh"


@dataclass
class Site:
    """Two API servers and the sandbox, with a creator whose token expired an hour ago."""

    database: str
    servers: ApiServers
    sandbox: Sandbox
    app: App

    def airflow(self) -> AirflowClient:
        """A client of the first server."""
        return AirflowClient(self.servers.urls[0])


@pytest.fixture(scope="module", params=DATABASES)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("airflow")
    with running_sandbox() as served, Sandbox(served.url) as sandbox:
        if request.param == "sqlite":
            with two_api_servers(home, f"sqlite:///{home}/airflow.db", sandbox.url) as servers:
                yield _site("SQLite", servers, sandbox)
        else:
            with (
                own_postgres_database(os.environ[POSTGRES]) as url,
                two_api_servers(home, url, sandbox.url) as servers,
            ):
                yield _site("PostgreSQL", servers, sandbox)


def _site(database: str, servers: ApiServers, sandbox: Sandbox) -> Site:
    app, creator = sandbox.create_app(), sandbox.create_account(username="mia")
    tokens = sandbox.issue_tokens(app, creator, expires_in=-3600)
    extra = {name: getattr(tokens, name) for name in SET_FIELDS}
    site = Site(database, servers, sandbox, app)
    site.airflow().put_connection(
        "mia",
        conn_type="tiktok",
        login=app.client_key,
        password=app.client_secret,
        host=sandbox.url,
        extra=json.dumps(extra),
    )
    return site


@pytest.mark.wall_clock
def test_a_hundred_callers_cause_one_refresh_and_heartbeats_go_on(
    site: Site, note: Callable[..., None]
) -> None:
    # So long that all callers come while the refresh is under way.
    site.sandbox.add_fault("delay", seconds=2, path="/v2/oauth/token/")
    found = let_them_call(site.servers)
    refreshes = len(site.sandbox.requests("/v2/oauth/token/"))
    slowest = max(caller["seconds"] for caller in found.callers)
    title = f"{CALLERS} callers in {PROCESSES} processes"
    note(title, site.database, f"{refreshes} refresh", len(found.callers), f"slowest caller {slowest:.1f} s")
    for name, beats in {"idle": found.idle, "control": found.control, "tokens": found.beats}.items():
        note(
            title,
            site.database,
            name,
            len(beats.seconds),
            f"{beats.p95 * 1000:.0f} ms",
            f"{max(beats.seconds) * 1000:.0f} ms",
            sum(seconds >= 1 for seconds in beats.seconds),
        )
    assert refreshes == 1
    assert [caller["generation"] for caller in found.callers] == [2] * CALLERS
    assert found.beats.statuses == {204}
    assert max(found.beats.seconds) < 1


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("a body changed by one blank", "another request"),
        ("a token of six minutes ago", "clock"),
        ("a nonce used before, at the other server", "replay"),
        ("the secret of another app", "signature"),
    ],
)
def test_a_request_that_is_not_authenticated_is_refused_and_audited(
    site: Site, case: str, reason: str, note: Callable[..., None]
) -> None:
    before = len(_refusals(site))
    body = b'{"seen_generation":0}'
    secret = site.sandbox.create_app().client_secret if "another" in case else site.app.client_secret
    made_at = datetime.now(UTC) - timedelta(minutes=6 if "ago" in case else 0)
    headers = SignedRequest("POST", "mia", ROUTE, body=body).sign(secret, made_at)
    if "changed" in case:
        body += b" "
    answers = [
        httpx.post(f"{url}{MOUNT}{ROUTE}", content=body, headers=headers, trust_env=False)
        for url in (reversed(site.servers.urls) if reason == "replay" else site.servers.urls[:1])
    ]
    refusals = _refusals(site)
    note(
        "Refused",
        site.database,
        case,
        answers[-1].status_code,
        answers[-1].json()["error"],
        refusals[0]["reason"],
    )
    assert [answer.status_code for answer in answers] == [200, 401][-len(answers) :]
    assert len(refusals) == before + 1
    assert (refusals[0]["conn_id"], refusals[0]["reason"]) == ("mia", reason)


def _refusals(site: Site) -> list[dict[str, str]]:
    """What the audit log says of refused requests, newest first."""
    rows = site.airflow().get("/eventLogs", event="tiktok_not_authenticated", order_by="-when", limit=100)
    return [json.loads(row["extra"]) for row in rows["event_logs"]]
