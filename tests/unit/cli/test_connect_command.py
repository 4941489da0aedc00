"""airflow tiktok connect, through the sandbox's consent page."""

import io
import json
import socket
import struct
import sys
import webbrowser
from dataclasses import asdict
from functools import partial
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from airflow.models import Connection
from airflow.models.log import Log
from sqlalchemy import select, text, update

from tests.unit.cli.conftest import CLIENT_SECRET, Person, Terminal, stored
from tiktok_provider.cli import connect_command as connecting
from tiktok_provider.connect.authorization import AuthorizationRequest
from tiktok_provider.database.session import transaction
from tiktok_sandbox.client import Account, App, Sandbox


def events() -> list[str]:
    with transaction() as session:
        return [row.event for row in session.scalars(select(Log).order_by(Log.id))]


def test_a_consent_in_the_browser_makes_the_connection_and_keeps_the_tokens(
    terminal: Terminal, person: Person, new: list[str], tiktok_sandbox: Sandbox
) -> None:
    done = terminal.run(*new)
    assert (done.code, done.rows[0]["username"], done.rows[0]["made_connection"]) == (0, "mia", True)
    assert "encrypted_access_token" not in done.rows[0]
    user, tokens = stored("tiktok_mia"), stored("tiktok_mia.tokens")
    assert user is not None
    assert (user.conn_type, user.password, user.host) == ("tiktok", CLIENT_SECRET, tiktok_sandbox.url)
    assert tokens is not None
    header = {"Authorization": f"Bearer {tokens.extra_dejson['access_token']}"}
    assert httpx.get(f"{tiktok_sandbox.url}/v2/user/info/?fields=open_id", headers=header).status_code == 200
    assert "Close this page" in person.seen[0].text
    assert "tiktok_connect" in events()


def test_nothing_secret_is_printed_or_written_to_the_audit_log(
    terminal: Terminal, person: Person, new: list[str]
) -> None:
    printed = [
        terminal.run(*new),
        terminal.run("accounts"),
        terminal.run("refresh", "tiktok_mia", output="table"),
    ]
    extra = [found.extra_dejson for found in [stored("tiktok_mia.tokens")] if found]
    code = parse_qs(urlsplit(str(person.seen[0].url)).query)["code"][0]
    secrets = [CLIENT_SECRET, code, extra[0]["access_token"], extra[0]["refresh_token"]]
    assert all(secrets)
    with transaction() as session:
        logged = [f"{row.event} {row.extra}" for row in session.scalars(select(Log))]
        columns = str(session.execute(text("SELECT login, password, extra FROM connection")).all())
    everything = [*(ended.out + ended.said for ended in printed), *logged, columns, person.seen[0].text]
    assert "tiktok_mia" in str(everything)
    assert [secret for secret in secrets if secret in str(everything)] == []


def test_the_page_asks_with_a_hex_challenge_and_a_state_of_this_attempt(
    terminal: Terminal, person: Person, new: list[str]
) -> None:
    terminal.run(*new)
    terminal.run("connect", "tiktok_mia", "--scopes", "video.publish")
    first, second = (parse_qs(urlsplit(page).query) for page in person.pages)
    assert first["state"] != second["state"]
    assert first["code_challenge"] != second["code_challenge"]
    assert set(first["code_challenge"][0]) <= set("0123456789abcdef")
    assert first["scope"] == ["user.info.basic,video.publish,video.upload"]
    assert second["scope"] == ["video.publish"]


def test_an_account_that_is_there_is_connected_anew_without_naming_the_app(
    terminal: Terminal, person: Person, new: list[str]
) -> None:
    first = terminal.run(*new).rows[0]
    again = terminal.run("connect", "tiktok_mia")
    assert (again.code, again.rows[0]["made_connection"]) == (0, False)
    assert again.rows[0]["generation"] == first["generation"] + 1
    assert len(person.pages) == 2


def test_a_pasted_address_does_for_a_machine_without_a_browser(
    terminal: Terminal, person: Person, new: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", _Pasting(person, terminal))
    done = terminal.run(*new, "--paste")
    assert (done.code, done.rows[0]["username"]) == (0, "mia")
    assert not person.threads


class _Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


class _Pasting(io.StringIO):
    """A person who reads the address from the terminal, opens it elsewhere, and pastes where it led."""

    def __init__(self, person: Person, terminal: Terminal, *, instead: str = "") -> None:
        super().__init__()
        self.person, self.terminal, self.instead = person, terminal, instead

    def readline(self, _size: int | None = -1, /) -> str:  # type: ignore[override]
        printed = self.terminal.capsys.readouterr().err
        page = next(line for line in printed.splitlines() if line.startswith("http"))
        redirect = self.person.redirect(page)
        return f"{self.instead or redirect}\n"


@pytest.mark.parametrize(
    ("pasted", "sentence"),
    [
        ("http://127.0.0.1:8400/callback/?code=stolen&state=of-another-attempt", "state differs"),
        ("http://127.0.0.1:8400/callback/?code=stolen", "not the whole address"),
        ("http://127.0.0.1:8400/callback/?error=access_denied&state=of-another-attempt", "state differs"),
        (
            "http://127.0.0.1:8400/callback/?error=server_error&error_description=Oops",
            'TikTok says: "Oops"',
        ),
        ("http://[x", "not the whole address"),
        ("a-code-and-no-more*1!2", "not the whole address"),
        ("http://127.0.0.1:8400/callback/", "not the whole address"),
        ("http://127.0.0.1:8400/callback/?code=a&state=\udcff", "state differs"),
        (" ", "No address was pasted"),
    ],
)
def test_an_address_that_is_not_the_answer_to_this_attempt_stores_nothing(
    terminal: Terminal,
    person: Person,
    new: list[str],
    monkeypatch: pytest.MonkeyPatch,
    pasted: str,
    sentence: str,
) -> None:
    monkeypatch.setattr(sys, "stdin", _Pasting(person, terminal, instead=pasted))
    done = terminal.run(*new, "--paste")
    assert done.code == 1
    assert sentence in done.said
    assert stored("tiktok_mia") is None


def test_what_a_forged_redirect_says_cannot_steer_the_terminal(
    terminal: Terminal, person: Person, new: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    forged = "error=x%1b]0;pwned%07&error_description=%1b[2J%1b[H%E2%80%AEall%0d%0ais%C2%9bwell"
    pasting = _Pasting(person, terminal, instead=f"http://127.0.0.1:8400/callback/?{forged}")
    monkeypatch.setattr(sys, "stdin", pasting)
    done = terminal.run(*new, "--paste")
    assert (done.code, "(x]0;pwned)" in done.said) == (1, True)
    assert 'TikTok says: "[2J[Hall iswell"' in done.said


def test_a_refusal_by_the_person_is_said_and_stores_nothing(
    terminal: Terminal, person: Person, new: list[str]
) -> None:
    person.decision = "deny"
    done = terminal.run(*new)
    assert (done.code, done.out) == (1, "")
    assert "The consent was refused" in done.said
    assert (stored("tiktok_mia"), stored("tiktok_mia.tokens")) == (None, None)


def test_strangers_at_the_port_do_not_end_the_attempt(
    terminal: Terminal, person: Person, new: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    follow = person.redirect
    strangers: list[httpx.Response] = []

    def disturbed(page: str) -> str:
        redirect = follow(page)
        address = redirect.partition("?")[0]
        strangers.extend(
            httpx.get(f"{address}{more}") for more in ("?code=x&state=guessed", "elsewhere", "?code=x")
        )
        return redirect

    monkeypatch.setattr(person, "redirect", disturbed)
    assert terminal.run(*new).code == 0
    assert [answer.status_code for answer in strangers] == [400, 404, 400]
    assert all(answer.headers["referrer-policy"] == "no-referrer" for answer in strangers)


def test_a_browser_that_hangs_up_before_the_answer_has_brought_the_code(
    terminal: Terminal, person: Person, new: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang_up(page: str) -> bool:
        redirect = urlsplit(person.redirect(page))
        with socket.create_connection((redirect.hostname, redirect.port)) as browser:
            # Linger for no time: the other side finds the connection reset.
            browser.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            request = f"GET {redirect.path}?{redirect.query} HTTP/1.1\r\nHost: {redirect.netloc}\r\n\r\n"
            browser.sendall(request.encode())
        return True

    monkeypatch.setattr(webbrowser, "open", hang_up)
    monkeypatch.setattr(connecting, "PATIENCE", 5.0)
    done = terminal.run(*new)
    assert (done.code, done.rows[0]["username"]) == (0, "mia")
    assert "Traceback" not in done.said


def test_nobody_coming_back_ends_the_attempt(
    terminal: Terminal, new: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "PATIENCE", 0.01)
    done = terminal.run(*new, "--no-browser")
    assert done.code == 1
    assert "did not lead back" in done.said


def test_scopes_that_were_not_granted_are_named(terminal: Terminal, person: Person, new: list[str]) -> None:
    person.scopes = ["user.info.basic", "video.publish"]
    done = terminal.run(*new)
    assert done.code == 0
    assert "Not granted: video.upload" in done.said


def test_another_account_does_not_take_a_connection_over_by_accident(
    terminal: Terminal, person: Person, new: list[str]
) -> None:
    mia = terminal.run(*new).rows[0]["open_id"]
    person.account = "leo"
    refused = terminal.run("connect", "tiktok_mia")
    assert refused.code == 1
    assert "--switch-account" in refused.said
    assert terminal.run("accounts").rows[0]["open_id"] == mia
    meant = terminal.run("connect", "tiktok_mia", "--switch-account")
    assert (meant.rows[0]["username"], meant.rows[0]["open_id"] != mia) == ("leo", True)
    assert "disable_auto_auth=1" in person.pages[-1]


def without_open_id(sandbox: Sandbox, app: App, account: Account, scope: str) -> str:
    """Let TikTok's next answer to a code leave out whose tokens these are; returns the access token in it."""
    tokens = sandbox.issue_tokens(app, account, scope=scope)
    body = {"access_token": tokens.access_token, "refresh_token": tokens.refresh_token, "expires_in": 86400}
    # The first call only asks whether TikTok knows the app.
    fault = {**body, "scope": scope}
    sandbox.add_fault("status", status=200, body=fault, path="/v2/oauth/token/", skip=1)
    return tokens.access_token


@pytest.mark.parametrize("is_the_same", [True, False])
def test_an_answer_that_does_not_say_whose_tokens_it_gives_is_asked_about(
    terminal: Terminal, person: Person, new: list[str], tiktok_sandbox: Sandbox, app: App, is_the_same: bool
) -> None:
    zoe, ida = (tiktok_sandbox.create_account(username=username) for username in ("zoe", "ida"))
    person.account = "zoe"
    known = terminal.run(*new).rows[0]["open_id"]
    without_open_id(tiktok_sandbox, app, zoe if is_the_same else ida, "user.info.basic,video.publish")
    done = terminal.run("connect", "tiktok_mia")
    assert done.code == (0 if is_the_same else 1)
    assert ("belongs to another TikTok account" in done.said) is not is_the_same
    assert terminal.run("accounts").rows[0]["open_id"] == known


def test_tokens_of_which_nobody_can_tell_whose_they_are_need_the_persons_word(
    terminal: Terminal, person: Person, new: list[str], tiktok_sandbox: Sandbox, app: App
) -> None:
    zoe = tiktok_sandbox.create_account(username="zoe")
    person.account = "zoe"
    known = terminal.run(*new).rows[0]["open_id"]
    without_open_id(tiktok_sandbox, app, zoe, "video.upload")
    refused = terminal.run("connect", "tiktok_mia")
    assert (refused.code, "did not say which account" in refused.said) == (1, True)
    assert terminal.run("accounts").rows[0]["open_id"] == known
    without_open_id(tiktok_sandbox, app, zoe, "video.upload")
    assert terminal.run("connect", "tiktok_mia", "--switch-account").rows[0]["open_id"] == ""


def test_a_connection_that_goes_over_to_another_app_is_connected_anew(
    terminal: Terminal, person: Person, new: list[str], tiktok_sandbox: Sandbox
) -> None:
    terminal.run(*new)
    other = tiktok_sandbox.create_app(
        client_secret=CLIENT_SECRET, platform="desktop", redirect_uris=["http://127.0.0.1:*/callback/"]
    )
    with transaction() as session:
        session.execute(
            update(Connection).where(Connection.conn_id == "tiktok_mia").values(login=other.client_key)
        )
    refused = terminal.run("refresh", "tiktok_mia")
    assert (refused.code, "connect tiktok_mia --switch-account" in refused.said) == (1, True)
    assert terminal.run("connect", "tiktok_mia", "--switch-account").code == 0
    assert f"client_key={other.client_key}" in person.pages[-1]
    assert terminal.run("refresh", "tiktok_mia").code == 0


def test_a_secret_that_tiktok_does_not_take_is_said_before_anybody_consents(
    terminal: Terminal, person: Person, new: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIKTOK_CLIENT_SECRET", "fake-wrong-secret")
    done = terminal.run(*new)
    assert done.code == 1
    assert "invalid_client" in done.said
    assert stored("tiktok_mia") is None
    assert person.pages == []


def test_what_tiktok_repeats_of_the_exchange_is_not_printed(
    terminal: Terminal,
    person: Person,
    new: list[str],
    tiktok_sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    verifier = "fake-verifier-that-the-sandbox-repeats"
    monkeypatch.setattr(connecting, "AuthorizationRequest", partial(AuthorizationRequest, verifier=verifier))
    follow, sent = person.redirect, [CLIENT_SECRET, verifier]

    def repeating(page: str) -> str:
        redirect = follow(page)
        sent.append(parse_qs(urlsplit(redirect).query)["code"][0])
        body = {"error": "invalid_request", "error_description": " ".join(["not", *sent]), "log_id": "fake"}
        tiktok_sandbox.add_fault("status", status=400, body=body, path="/v2/oauth/token/")
        return redirect

    monkeypatch.setattr(person, "redirect", repeating)
    done = terminal.run(*new)
    assert (done.code, len(sent)) == (1, 3)
    assert "not *** *** ***" in done.said
    assert [secret for secret in sent if secret in done.out + done.said] == []
    with transaction() as session:
        extra = session.scalars(select(Log.extra).where(Log.event == "tiktok_token_failure")).one()
    reported = json.loads(extra or "{}")
    assert (reported["conn_id"], reported["error"]) == ("tiktok_mia", "invalid_request")


def test_an_access_token_that_tiktok_repeats_when_asked_for_the_name_is_not_printed(
    terminal: Terminal, person: Person, app: App, new: list[str], tiktok_sandbox: Sandbox
) -> None:
    mia = tiktok_sandbox.create_account(username="mia_of_milan")
    tokens = asdict(tiktok_sandbox.issue_tokens(app, mia))
    given = {**tokens, "expires_in": 86400, "refresh_expires_in": 31_536_000, "token_type": "Bearer"}
    tiktok_sandbox.add_fault("status", status=200, body=given, path="/v2/oauth/token/", skip=1)
    error = {
        "code": "invalid_params",
        "message": f"not with Bearer {tokens['access_token']}",
        "log_id": "fake",
    }
    path = "/v2/post/publish/creator_info/query/"
    tiktok_sandbox.add_fault("status", status=400, body={"data": {}, "error": error}, path=path)
    done = terminal.run(*new)
    assert (done.code, len(person.pages)) == (0, 1)
    assert "not with Bearer ***" in done.said
    assert tokens["access_token"] not in done.out + done.said


def test_an_access_token_that_tiktok_repeats_when_asked_whose_it_is_is_not_printed(
    terminal: Terminal, person: Person, app: App, new: list[str], tiktok_sandbox: Sandbox
) -> None:
    zoe = tiktok_sandbox.create_account(username="zoe")
    person.account = "zoe"
    token = without_open_id(tiktok_sandbox, app, zoe, "user.info.basic,video.upload")
    error = {"code": "invalid_params", "message": f"not with Bearer {token}", "log_id": "fake"}
    tiktok_sandbox.add_fault("status", status=400, body={"data": {}, "error": error}, path="/v2/user/info/")
    done = terminal.run(*new)
    assert (done.code, len(person.pages)) == (0, 1)
    assert "not with Bearer ***" in done.said
    assert token not in done.out + done.said


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--redirect-uri", "https://localhost/callback/"], "must name a port"),
        (["--redirect-uri", "http://airflow.example.com/callback/"], "must begin with https://"),
        (["--redirect-uri", "https://airflow.example.com/callback/?a=1"], "has a query"),
        (["--host", "http://127.0.0.1:1"], "allowed_hosts"),
        (["--authorize-url", "https://phishing.example.com/"], "allowed_hosts"),
        (["--client-key", ""], "--client-key"),
    ],
)
def test_what_cannot_work_is_said_before_anybody_is_sent_to_tiktok(
    terminal: Terminal, person: Person, new: list[str], more: list[str], sentence: str
) -> None:
    done = terminal.run(*new, *more)
    assert done.code == 1
    assert sentence in done.said
    assert person.pages == []


def test_a_host_that_does_not_answer_is_said_before_anybody_consents(
    terminal: Terminal, person: Person, new: list[str], tiktok_sandbox: Sandbox
) -> None:
    tiktok_sandbox.add_fault("lost_answer", path="/v2/oauth/token/")
    done = terminal.run(*new)
    assert (done.code, "No answer from" in done.said, person.pages) == (1, True, [])


def test_another_refusal_of_the_code_than_that_of_the_app_stops_nobody(
    terminal: Terminal, person: Person, new: list[str], tiktok_sandbox: Sandbox
) -> None:
    tiktok_sandbox.add_fault(
        "status", status=400, body={"error": "invalid_request", "log_id": "fake"}, path="/v2/oauth/token/"
    )
    assert (terminal.run(*new).code, len(person.pages)) == (0, 1)


def test_nobody_is_led_to_tiktok_for_an_app_of_another_host(
    terminal: Terminal, person: Person, new: list[str], tiktok_sandbox: Sandbox
) -> None:
    done = terminal.run(*new[: new.index("--authorize-url")])
    assert (done.code, person.pages) == (1, [])
    assert f"a sandbox's is {tiktok_sandbox.url}/v2/auth/authorize/" in done.said
    assert stored("tiktok_mia") is None


def test_tiktoks_own_page_may_be_named_for_another_host(
    terminal: Terminal, person: Person, new: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n"))
    own = ["--authorize-url", "https://www.tiktok.com/v2/auth/authorize/", "--paste"]
    done = terminal.run(*new[: new.index("--authorize-url")], *own)
    assert "https://www.tiktok.com/v2/auth/authorize/?client_key=" in done.said
    assert person.pages == []


def test_a_connection_that_connect_has_made_says_whose_it_is_until_when_and_with_what(
    terminal: Terminal, person: Person, new: list[str]
) -> None:
    def description() -> str:
        found = stored("tiktok_mia")
        return str(found.description) if found else ""

    terminal.run(*new)
    [account] = terminal.run("accounts").rows
    end = account["refresh_expires_at"][:10]
    scopes = "user.info.basic, video.publish, video.upload"
    assert description() == f"TikTok account @mia, connected until {end} with {scopes}"
    person.scopes = ["user.info.basic", "video.publish"]
    terminal.run("connect", "tiktok_mia")
    assert description().endswith("with user.info.basic, video.publish")
    with transaction() as session:
        session.execute(update(Connection).values(description="Ours"))
    terminal.run("connect", "tiktok_mia")
    assert description() == "Ours"


def test_an_account_that_another_connection_has_already_is_named(
    terminal: Terminal, person: Person, new: list[str]
) -> None:
    assert "The same TikTok account" not in terminal.run(*new).said
    done = terminal.run("connect", "tiktok_mia_too", *new[2:])
    assert done.code == 0
    assert "The same TikTok account is connected as 'tiktok_mia', too" in done.said
    assert len(person.pages) == 2


def test_an_account_that_takes_no_direct_posts_is_named(
    terminal: Terminal, person: Person, new: list[str]
) -> None:
    person.scopes = ["user.info.basic", "video.upload"]
    assert "Without video.publish this account takes no direct posts" in terminal.run(*new).said


def test_a_secret_is_asked_for_on_a_terminal_and_missed_elsewhere(
    terminal: Terminal, person: Person, new: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TIKTOK_CLIENT_SECRET")
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert "TIKTOK_CLIENT_SECRET" in terminal.run(*new).said
    monkeypatch.setattr(sys, "stdin", _Tty())
    monkeypatch.setattr("tiktok_provider.cli.user_connection.getpass", lambda _prompt: CLIENT_SECRET)
    assert terminal.run(*new).code == 0
    assert len(person.pages) == 1


def test_options_that_contradict_the_connection_that_is_there_are_refused(
    terminal: Terminal, person: Person, new: list[str]
) -> None:
    terminal.run(*new)
    done = terminal.run("connect", "tiktok_mia", "--client-key", "fake-other-key")
    assert done.code == 1
    assert "differ in --client-key. Leave that away" in done.said
    assert len(person.pages) == 1


def test_what_a_copy_brings_along_at_the_ends_is_dropped_everywhere(
    terminal: Terminal, person: Person, new: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIKTOK_CLIENT_SECRET", f"\ufeff{CLIENT_SECRET}\r\n")
    copied = [new[0], new[1], *(f" {word}\n" if not word.startswith("--") else word for word in new[2:])]
    assert terminal.run(*copied).code == 0
    user = stored("tiktok_mia")
    assert user is not None
    assert [user.login, user.password, user.host] == [new[3], CLIENT_SECRET, new[5]]
    assert user.extra_dejson["authorize_url"] == new[7]
    assert terminal.run(*copied).code == 0, "the same words contradict nothing"
    assert len(person.pages) == 2


def test_a_connection_of_the_environment_is_connected_without_being_copied(
    terminal: Terminal,
    person: Person,
    app: App,
    tiktok_sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fields = {
        "conn_type": "tiktok",
        "login": app.client_key,
        "password": CLIENT_SECRET,
        "host": tiktok_sandbox.url,
        "extra": {"authorize_url": f"{tiktok_sandbox.url}/v2/auth/authorize/"},
    }
    monkeypatch.setenv("AIRFLOW_CONN_TIKTOK_ENV", json.dumps(fields))
    done = terminal.run("connect", "tiktok_env")
    assert (done.code, done.rows[0]["made_connection"]) == (0, False)
    assert stored("tiktok_env") is None
    assert stored("tiktok_env.tokens") is not None
    assert len(person.pages) == 1


def test_a_port_that_is_in_use_is_named(terminal: Terminal, new: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = terminal.run(*new, "--redirect-uri", f"http://127.0.0.1:{port}/callback/")
    assert done.code == 1
    assert "--paste" in done.said
