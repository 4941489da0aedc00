"""After everything that can happen to a post, no secret is left where it does not belong."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from secrets import token_hex
from urllib.parse import urlencode

import httpx
import pytest

from local_airflow import LocalAirflow
from tests.integration.conftest import Connect, real_airflow
from tests.integration.secret_search import ARGUMENTS, ENCODINGS, Findings, Watch, needles
from tests.unit.databases import DATABASES
from tiktok_sandbox.client import Account, App, Sandbox
from tiktok_sandbox.clips import make_clip
from tiktok_sandbox.records import AccessToken, RefreshToken
from tiktok_sandbox.state import SandboxState

pytestmark = pytest.mark.integration

# Every sign here is written in another way by at least one encoding.
ODD = '/"+&%?=\\ é~'
INIT = "/v2/post/publish/video/init/"
Memory = Mapping[str, SandboxState]
# Where a task's log lies, and the API server's, which is its access log too.
TASK_LOG, ACCESS_LOG = "logs/dag_id=case_give_away", "logs/api-server.log"
PLACES = [
    ARGUMENTS,
    "dag_run.conf",
    "log.extra",
    "rendered_task_instance_fields.rendered_fields",
    "task_instance.next_kwargs",
    "task_state_store.value",
    "trigger.kwargs",
    "xcom.value",
    TASK_LOG,
    ACCESS_LOG,
]


@pytest.fixture(scope="module", params=DATABASES)
def airflow(
    request: pytest.FixtureRequest, sandbox_server: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalAirflow]:
    """The shared Airflow, and one of its own on the other database."""
    if request.param == DATABASES[-1]:
        yield request.getfixturevalue("airflow")
        return
    with real_airflow(tmp_path_factory.mktemp("airflow-alone"), sandbox_server, request.param) as airflow:
        yield airflow


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> dict[str, SandboxState]:
    """Holds the sandbox's memory under "state" as soon as it has given out an id: its routes tell no upload token."""
    found: dict[str, SandboxState] = {}
    text_id = SandboxState.text_id

    def remember(state: SandboxState, length: int) -> str:
        found["state"] = state
        return text_id(state, length)

    monkeypatch.setattr(SandboxState, "text_id", remember)
    return found


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("secret", ["act.Fake*1!23.sb", f"fake{ODD}secret"])
def test_the_search_knows_every_encoding(encoding: str, secret: str) -> None:
    written = f"before {ENCODINGS[encoding](secret)} after".encode()
    assert any(needle in written for needle in needles(secret))
    other = f"before {ENCODINGS[encoding](secret.replace('a', 'o'))} after".encode()
    assert not any(needle in other for needle in needles(secret))


def prepare(sandbox: Sandbox, connect: Connect, memory: Memory) -> App:
    """Make an account for each task; TikTok repeats in its refusals what it was sent."""
    app = sandbox.create_app(client_secret=f"fake{ODD.replace(' ', '')}-client-secret")
    accounts = {name: connect(f"secrets_{name}", app=app) for name in ("init_refused", "upload_refused")}
    accounts |= {name: connect(f"secrets_{name}", app=app, expires_in=-60) for name in ("refreshed", "dead")}
    refuse = partial(sandbox.add_fault, "status", status=400)
    tokens = memory["state"].tokens
    [access_token] = tokens_of(tokens.access, accounts["init_refused"])
    error = {"code": "invalid_params", "message": f"Bearer {access_token}", "log_id": "fake"}
    refuse(path=INIT, open_id=accounts["init_refused"].open_id, body={"data": {}, "error": error})
    refuse(path="/upload", open_id=accounts["upload_refused"].open_id, times=None)
    [refresh_token] = tokens_of(tokens.refresh, accounts["dead"])
    form = {"client_secret": app.client_secret, "refresh_token": refresh_token}
    grant = {"error": "invalid_grant", "error_description": f"{form} {urlencode(form)}", "log_id": "fake"}
    refuse(path="/v2/oauth/token/", open_id=accounts["dead"].open_id, body=grant)
    return app


def tokens_of(book: Mapping[str, AccessToken | RefreshToken], account: Account) -> list[str]:
    """Return the tokens of an account."""
    return [value for value, token in book.items() if token.authorization.open_id == account.open_id]


def run_all(airflow: LocalAirflow, clip: Path, planted: str) -> dict[str, str]:
    """Run both DAGs at the same time and return how their tasks ended."""
    confs = {"case_give_away": {"shown": planted}, "case_secrets": {"video": str(clip)}}
    for dag_id in confs:
        airflow.wait_for_dag(dag_id)
    runs = {dag_id: airflow.trigger(dag_id, conf) for dag_id, conf in confs.items()}
    httpx.get(f"{airflow.url}/api/v2/version", params={"shown": planted}, trust_env=False, timeout=60)
    for dag_id, run_id in runs.items():
        airflow.wait_for_run(dag_id, run_id)
    tasks = [task for dag_id, run_id in runs.items() for task in airflow.task_instances(dag_id, run_id)]
    return {task["task_id"]: task["state"] for task in tasks}


def given_out(state: SandboxState) -> dict[str, str]:
    """Return every token that the sandbox has given out, with a name."""
    tokens = state.tokens
    uploads = [publish.upload.token for publish in state.publishes.values() if publish.upload]
    kinds = {
        "access token": [*tokens.access],
        "refresh token": [*tokens.refresh],
        "upload token": uploads,
    }
    return {f"{kind} {n}": value for kind, values in kinds.items() for n, value in enumerate(values, start=1)}


def test_secrets_are_found_where_they_were_planted_and_nowhere_else(
    airflow: LocalAirflow, sandbox: Sandbox, connect: Connect, memory: Memory, tmp_path: Path
) -> None:
    app = prepare(sandbox, connect, memory)
    planted = {encoding: f"fake{ODD}{token_hex(8)}" for encoding in ENCODINGS}
    shown = "\n".join(ENCODINGS[encoding](secret) for encoding, secret in planted.items())
    clip = make_clip(tmp_path / "clip.mp4", seconds=1)
    with Watch(airflow) as watch:
        ends = run_all(airflow, clip, shown)
    assert ends == {
        **dict.fromkeys(["refreshed", "found"], "success"),
        **dict.fromkeys(["dead", "init_refused", "upload_refused", "give_away"], "failed"),
    }
    assert_all_was_watched(watch.violations)
    for encoding, secret in planted.items():
        places = watch.violations.places_of(secret)
        missed = [place for place in PLACES if not any(name.startswith(place) for name in places)]
        assert not missed, f"the search is blind there for what is {encoding}"

    secrets = {"client secret": app.client_secret, **given_out(memory["state"])}
    assert len(secrets) == 1 + 5 + 5 + 2, "four times initial tokens, once new ones, two uploads"
    leaks = {name: places for name, value in secrets.items() if (places := watch.violations.places_of(value))}
    assert leaks == {}


def assert_all_was_watched(violations: Findings) -> None:
    """Check that what could give secrets away did happen, and was seen."""

    def seen(place: str, what: str) -> bool:
        return any(
            what.encode() in content
            for name, contents in violations.seen.items()
            if name.startswith(place)
            for content in contents
        )

    assert seen("trigger.classpath", "TikTokPostStatusTrigger")
    assert seen("trigger.kwargs", "secrets_refreshed")
    assert seen("tiktok_post.publish_id", "v_pub_file")
    assert seen("log.event", "tiktok_refresh")
    assert seen("log.event", "tiktok_token_failure")
    assert seen(ACCESS_LOG, "/tiktok/store/accounts/secrets_refreshed/tokens/refresh")
    assert seen("logs/dag_id=case_secrets", "HTTP Request: PUT")
    assert seen("logs/dag_id=case_secrets", "send_request_headers.started")
