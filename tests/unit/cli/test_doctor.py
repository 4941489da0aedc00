"""airflow tiktok doctor: each line is ok, or says what to do."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from airflow.jobs.job import Job
from airflow.models.crypto import get_fernet
from sqlalchemy import text, update

from tests.unit.cli.conftest import Ended, Terminal
from tests.unit.conftest import CONN_ID, Creator
from tests.unit.databases import airflow_on
from tiktok_provider.database.session import transaction
from tiktok_provider.hooks.store_access import open_store
from tiktok_provider.security.tls import tiktok_tls
from tiktok_provider.store.address import tls_context
from tiktok_provider.store.clock import utc_now

IN_ORDER = [
    *("package", "API server", "tables", "clocks", "Fernet key"),
    *("allowed hosts", "shared secrets", "visibility timeout"),
    *("connection", "redirect URI", "client secret", "same connection", "tokens", "consent's end", "scopes"),
    *("token works", "triggerer"),
]


def findings(ended: Ended) -> dict[str, tuple[str, str]]:
    return {row["check"]: (row["result"], row["detail"]) for row in ended.rows}


def results(ended: Ended, result: str) -> list[str]:
    return [row["check"] for row in ended.rows if row["result"] == result]


@pytest.fixture
def healthy(creator: Creator, api_server: str, triggerer: None) -> Creator:  # noqa: ARG001
    """A creator on an installation where nothing is wrong."""
    return creator


def test_a_good_installation_is_ok_in_every_line(healthy: Creator, terminal: Terminal) -> None:
    done = terminal.run("doctor", CONN_ID)
    assert [row["check"] for row in done.rows] == IN_ORDER
    assert results(done, "ok") == IN_ORDER
    assert done.code == 0
    assert "@mia" in findings(done)["token works"][1]
    assert len(healthy.calls("/v2/oauth/token/")) == 1


def test_a_client_secret_copied_with_a_line_break_works_at_tiktok_and_in_the_store(
    healthy: Creator, terminal: Terminal
) -> None:
    healthy.connect(password=f"{healthy.connection['password']}\n")
    done = terminal.run("doctor", CONN_ID)
    assert (done.code, results(done, "ok")) == (0, IN_ORDER)


def test_a_clock_that_differs_from_the_databases_is_a_warning(
    healthy: Creator, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert healthy
    ahead = utc_now() + timedelta(seconds=90)
    monkeypatch.setattr("tiktok_provider.doctor.database_checks.utc_now", lambda: ahead)
    [row] = [row for row in terminal.run("doctor").rows if row["check"] == "clocks"]
    assert (row["result"], "s ahead of the database's" in row["detail"]) == ("warning", True)


def test_without_an_account_all_known_ones_are_examined(healthy: Creator, terminal: Terminal) -> None:
    assert [row["check"] for row in terminal.run("doctor").rows] == [*IN_ORDER[:8], "triggerer"]
    terminal.run("refresh", CONN_ID)
    assert {row["conn_id"] for row in terminal.run("doctor").rows} == {"", CONN_ID}
    assert healthy.open_id


Break = Callable[[Creator, pytest.MonkeyPatch], None]


def no_api_server(_: Creator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__TIKTOK__STORE_URL", "http://127.0.0.1:1")


def no_plugin(creator: Creator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__TIKTOK__STORE_URL", creator.sandbox.url)


def bad_allowed_hosts(creator: Creator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__TIKTOK__ALLOWED_HOSTS", f"{creator.sandbox.url} example.com")


def bad_fernet_key(_: Creator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "no-key")
    get_fernet.cache_clear()


def no_fernet_key(_: Creator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "")
    get_fernet.cache_clear()


def no_secret(creator: Creator, _: pytest.MonkeyPatch) -> None:
    creator.connect(password="")


def wrong_secret(creator: Creator, _: pytest.MonkeyPatch) -> None:
    creator.connect(password="fake-wrong-secret")


def no_tokens(creator: Creator, _: pytest.MonkeyPatch) -> None:
    creator.connect(extra={"access_token": "", "refresh_token": ""})


def ends_soon(creator: Creator, _: pytest.MonkeyPatch) -> None:
    creator.connect(extra={"refresh_expires_at": (datetime.now(UTC) + timedelta(days=29)).isoformat()})


def only_drafts(creator: Creator, _: pytest.MonkeyPatch) -> None:
    scope = "user.info.basic,video.upload"
    tokens = creator.sandbox.issue_tokens(creator.app, creator.account, scope=scope)
    extra = {"access_token": tokens.access_token, "refresh_token": tokens.refresh_token, "scope": scope}
    creator.connect(extra=extra)


def nothing_to_post_with(creator: Creator, _: pytest.MonkeyPatch) -> None:
    creator.connect(extra={"scope": "user.info.basic"})


def removed_by_the_creator(creator: Creator, _: pytest.MonkeyPatch) -> None:
    url = f"{creator.sandbox.url}/sandbox/accounts/{creator.open_id}/revoke"
    httpx.post(url, json={"client_key": creator.app.client_key}).raise_for_status()


def another_app(creator: Creator, _: pytest.MonkeyPatch) -> None:
    with open_store(CONN_ID) as store:
        store.look()
    app = creator.sandbox.create_app()
    creator.connect(login=app.client_key, password=app.client_secret)


def no_heartbeat(_: Creator, __: pytest.MonkeyPatch) -> None:
    with transaction() as session:
        session.execute(update(Job).values(latest_heartbeat=datetime.now(UTC) - timedelta(minutes=5)))


@pytest.mark.parametrize(
    ("break_it", "wrong", "skipped", "advice"),
    [
        (no_api_server, ["API server"], ["same connection"], "store_url"),
        (no_plugin, ["API server"], ["same connection"], "airflow plugins"),
        (bad_allowed_hosts, ["allowed hosts", "connection"], IN_ORDER[10:16], "https://host"),
        (bad_fernet_key, ["Fernet key"], IN_ORDER[11:16], "no Fernet key"),
        (no_fernet_key, ["Fernet key"], IN_ORDER[11:16], "Set one"),
        (no_secret, ["connection"], IN_ORDER[10:16], "Client secret"),
        (wrong_secret, ["client secret"], ["token works"], "invalid_client"),
        (no_tokens, ["tokens"], ["consent's end", "scopes", "token works"], "airflow tiktok connect"),
        (nothing_to_post_with, ["scopes"], ["token works"], "airflow tiktok connect"),
        (removed_by_the_creator, ["token works"], [], "airflow tiktok connect"),
        (
            another_app,
            ["same connection", "tokens"],
            ["consent's end", "scopes", "token works"],
            "connect tiktok_default --switch-account",
        ),
        (no_heartbeat, ["triggerer"], [], "airflow triggerer"),
    ],
)
def test_what_is_wrong_is_named_with_what_to_do(
    healthy: Creator,
    terminal: Terminal,
    monkeypatch: pytest.MonkeyPatch,
    break_it: Break,
    wrong: list[str],
    skipped: list[str],
    advice: str,
) -> None:
    break_it(healthy, monkeypatch)
    done = terminal.run("doctor", CONN_ID)
    get_fernet.cache_clear()
    found = findings(done)
    assert done.code == 1
    assert (results(done, "wrong"), results(done, "skipped")) == (wrong, skipped)
    assert advice in found[wrong[0]][1]


@pytest.fixture
def certificates_read_anew() -> Iterator[None]:
    """Nothing of this process's certificates is remembered, before and after."""
    for remembered in (tls_context, tiktok_tls):
        remembered.cache_clear()
    yield
    for remembered in (tls_context, tiktok_tls):
        remembered.cache_clear()


@pytest.mark.usefixtures("certificates_read_anew")
@pytest.mark.parametrize(
    ("name", "value", "wrong", "skipped", "advice"),
    [
        ("AIRFLOW__TIKTOK__STORE_URL", "http://host:80a", "API server", "same connection", "http://host:80a"),
        ("AIRFLOW__API__SSL_CA_FILE", "/nowhere/ca.pem", "API server", "same connection", "ssl_ca_file"),
        ("SSL_CERT_FILE", "/nowhere/ca.pem", "client secret", "token works", "SSL_CERT_FILE"),
    ],
)
def test_a_setting_that_cannot_be_used_at_all_is_wrong_and_the_rest_goes_on(
    healthy: Creator,
    terminal: Terminal,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
    wrong: str,
    skipped: str,
    advice: str,
) -> None:
    monkeypatch.setenv(name, value)
    done = terminal.run("doctor", CONN_ID)
    assert (done.code, results(done, "wrong"), results(done, "skipped")) == (1, [wrong], [skipped])
    assert advice in findings(done)[wrong][1]
    assert healthy.open_id


@pytest.mark.parametrize(
    ("break_it", "check", "advice"),
    [(ends_soon, "consent's end", "connects it again"), (only_drafts, "scopes", "drafts only")],
)
def test_what_will_not_do_for_long_or_not_for_all_is_a_warning(
    healthy: Creator,
    terminal: Terminal,
    monkeypatch: pytest.MonkeyPatch,
    break_it: Break,
    check: str,
    advice: str,
) -> None:
    break_it(healthy, monkeypatch)
    done = terminal.run("doctor", CONN_ID)
    assert (done.code, results(done, "warning")) == (0, [check])
    assert advice in findings(done)[check][1]


def test_missing_tables_are_wrong_and_the_rest_goes_on(
    healthy: Creator, terminal: Terminal, airflow_database: str
) -> None:
    with transaction() as session:
        session.execute(text("ALTER TABLE tiktok_nonce RENAME TO tiktok_nonce_away"))
    try:
        done = terminal.run("doctor", CONN_ID)
    finally:
        with airflow_on(airflow_database), transaction() as session:
            session.execute(text("ALTER TABLE tiktok_nonce_away RENAME TO tiktok_nonce"))
    assert results(done, "wrong") == ["tables"]
    assert "airflow db migrate" in findings(done)["tables"][1]
    assert findings(done)["client secret"][0] == "ok"
    assert healthy.open_id


def test_a_server_with_another_secret_is_not_the_same_connection(
    healthy: Creator, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "tiktok_provider.web.store_auth._client_secret"
    monkeypatch.setattr(secret, lambda _conn_id: "fake-secret-of-the-server")
    done = terminal.run("doctor", CONN_ID)
    assert (done.code, results(done, "wrong")) == (1, ["same connection"])
    assert healthy.connection["password"] not in done.out


def test_a_connection_that_the_server_does_not_find_says_where_to_define_it(
    healthy: Creator, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tiktok_provider.web.store_auth._find", lambda _conn_id: None)
    done = terminal.run("doctor", CONN_ID)
    assert (done.code, results(done, "wrong")) == (1, ["same connection"])
    said = findings(done)["same connection"][1]
    assert "finds no connection" in said
    assert f"AIRFLOW_CONN_{CONN_ID.upper()}" in said
    assert healthy.open_id


@pytest.mark.parametrize(
    "uri", ["http://example.com/callback", "https://localhost/x", "https://example.com/x#y"]
)
def test_a_redirect_uri_that_tiktok_refuses_is_wrong(healthy: Creator, terminal: Terminal, uri: str) -> None:
    done = terminal.run("doctor", CONN_ID, "--redirect-uri", uri)
    assert results(done, "wrong") == ["redirect URI"]
    assert healthy.open_id


def test_names_in_brackets_survive_the_table(healthy: Creator, terminal: Terminal) -> None:
    healthy.monkeypatch.setenv("AIRFLOW__TIKTOK__STORE_URL", "http://127.0.0.1:1")
    done = terminal.run("doctor", output="table")
    assert "[tiktok]" in done.out.replace("\n", " ")


def test_a_client_secret_that_tiktok_repeats_is_not_in_what_it_says(
    healthy: Creator, terminal: Terminal
) -> None:
    secret = healthy.connection["password"]
    body = {"error": "invalid_client", "error_description": f"not {secret}", "log_id": "fake"}
    healthy.sandbox.add_fault("status", status=401, body=body, path="/v2/oauth/token/", times=None)
    done = terminal.run("doctor", CONN_ID)
    assert results(done, "wrong") == ["client secret"]
    assert "not ***" in findings(done)["client secret"][1]
    assert secret not in done.out + done.said


def test_no_token_and_no_secret_is_in_what_it_says(healthy: Creator, terminal: Terminal) -> None:
    done = terminal.run("doctor", CONN_ID)
    extra = healthy.connection["extra"]
    secrets = [healthy.connection["password"], extra["access_token"], extra["refresh_token"]]
    assert [secret for secret in secrets if secret in done.out + done.said] == []
    assert json.loads(done.out)
