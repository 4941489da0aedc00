"""The commands that look after accounts."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import update

from tests.unit.cli.conftest import Terminal, stored
from tests.unit.conftest import CONN_ID, Creator
from tiktok_provider.database.accounts.service import AccountService
from tiktok_provider.database.rate_limits.service import RateLimitService
from tiktok_provider.database.session import transaction
from tiktok_provider.database.tables import AccountRecord, NonceRecord
from tiktok_provider.store.rate_limits import Cap


def refreshes(creator: Creator) -> int:
    return len(creator.calls("/v2/oauth/token/"))


@pytest.fixture
def connected(creator: Creator, terminal: Terminal) -> Creator:
    """The creator's account, known to the store in generation 2."""
    assert terminal.run("refresh", CONN_ID).code == 0
    return creator


def test_refresh_gets_a_new_set_and_accounts_lists_it(creator: Creator, terminal: Terminal) -> None:
    done = terminal.run("refresh", CONN_ID)
    assert (done.code, done.rows[0]["generation"], refreshes(creator)) == (0, 2, 1)
    assert "encrypted_access_token" not in done.rows[0]
    [account] = terminal.run("accounts").rows
    assert (account["conn_id"], account["state"], account["username"]) == (CONN_ID, "ok", "mia")
    assert "video.publish" in account["scopes"]
    assert account["access_expires_at"] == done.rows[0]["access_expires_at"]


@pytest.mark.parametrize("output", ["json", "yaml", "plain", "table"])
def test_every_output_names_the_account(connected: Creator, terminal: Terminal, output: str) -> None:
    assert connected.open_id[:8] in terminal.run("accounts", output=output).out


def test_no_account_is_an_empty_list(terminal: Terminal) -> None:
    assert terminal.run("accounts").rows == []


def test_refresh_waits_while_somebody_else_is_at_it(
    connected: Creator, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    paused: list[float] = []

    def pause(seconds: float) -> None:
        paused.append(seconds)
        lease(None, None)

    lease("somebody-else", datetime.now(UTC) + timedelta(seconds=30))
    monkeypatch.setattr(time, "sleep", pause)
    done = terminal.run("refresh", CONN_ID)
    assert (done.code, done.rows[0]["generation"], len(paused)) == (0, 3, 1)
    assert "Another process is refreshing" in done.said
    assert refreshes(connected) == 2


def test_refresh_does_not_wait_for_ever(
    connected: Creator, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease("somebody-else", datetime.now(UTC) + timedelta(seconds=50))
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    done = terminal.run("refresh", CONN_ID)
    assert (done.code, done.out, refreshes(connected)) == (1, "", 1)
    assert "Repeat the command" in done.said


def lease(holder: str | None, until: datetime | None) -> None:
    with transaction() as session:
        session.execute(update(AccountRecord).values(lease_holder=holder, busy_until=until))


def test_a_dead_account_is_told_with_who_must_connect_it(creator: Creator, terminal: Terminal) -> None:
    url = f"{creator.sandbox.url}/sandbox/accounts/{creator.open_id}/revoke"
    httpx.post(url, json={"client_key": creator.app.client_key}).raise_for_status()
    done = terminal.run("refresh", CONN_ID)
    assert done.code == 1
    assert f"airflow tiktok connect {CONN_ID}" in done.said
    assert terminal.run("accounts").rows[0]["state"] == "dead"


def test_an_account_that_ends_within_30_days_is_expiring(creator: Creator, terminal: Terminal) -> None:
    end = datetime.now(UTC) + timedelta(days=29)
    creator.connect(extra={"refresh_expires_at": end.isoformat()})
    asyncio.run(AccountService().look(CONN_ID))
    assert terminal.run("accounts").rows[0]["state"] == "expiring"


def test_disconnect_revokes_at_tiktok_and_wipes_the_tokens(connected: Creator, terminal: Terminal) -> None:
    done = terminal.run("disconnect", CONN_ID)
    assert (done.code, done.rows[0]["revoked"]) == (0, True)
    assert stored(f"{CONN_ID}.tokens") is None
    assert len(connected.calls("/v2/oauth/revoke/")) == 1
    assert "Delete the tokens from connection" in done.said


def test_disconnect_wipes_the_tokens_also_if_tiktok_refuses_and_says_so(
    connected: Creator, terminal: Terminal
) -> None:
    connected.sandbox.add_fault("status", path="/v2/oauth/revoke/", status=400)
    done = terminal.run("disconnect", CONN_ID)
    assert (done.code, done.rows[0]["revoked"]) == (1, False)
    assert "TikTok's settings" in done.said
    assert stored(f"{CONN_ID}.tokens") is None


def test_a_mistyped_disconnect_is_told_and_makes_no_account(connected: Creator, terminal: Terminal) -> None:
    done = terminal.run("disconnect", "tiktok_defualt")
    assert (done.code, done.out, "no account 'tiktok_defualt'" in done.said) == (1, "", True)
    assert [row["conn_id"] for row in terminal.run("accounts").rows] == [CONN_ID]
    assert connected.calls("/v2/oauth/revoke/") == []


def test_an_account_that_was_given_up_is_neither_listed_nor_examined(
    connected: Creator, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.run("disconnect", CONN_ID)
    monkeypatch.delenv(f"AIRFLOW_CONN_{CONN_ID.upper()}")
    assert terminal.run("accounts").rows == []
    assert CONN_ID not in terminal.run("doctor").out
    assert connected.open_id


def test_prune_deletes_old_nonces_alone(terminal: Terminal) -> None:
    now = datetime.now(UTC)
    with transaction() as session:
        session.add(NonceRecord(nonce="1" * 32, seen_at=now - timedelta(minutes=11)))
        session.add(NonceRecord(nonce="2" * 32, seen_at=now))
    kept = {"what": "attempts", "deleted": 0}
    assert terminal.run("prune").rows == [{"what": "nonces", "deleted": 1}, kept]
    assert terminal.run("prune").rows == [{"what": "nonces", "deleted": 0}, kept]


def test_a_connection_that_is_not_there_is_named(terminal: Terminal) -> None:
    done = terminal.run("refresh", "tiktok_missing")
    assert done.code == 1
    assert "tiktok_missing" in done.said


@pytest.mark.usefixtures("connected")
def test_a_closed_account_is_listed_with_its_end_and_why(terminal: Terminal) -> None:
    asyncio.run(RateLimitService().close(CONN_ID, Cap.POSTS, 7_000.0))
    [account] = terminal.run("accounts").rows
    [closure] = account["closures"]
    assert (closure["by"], datetime.fromisoformat(closure["until"]) > datetime.now(UTC)) == ("posts", True)
    shown = terminal.run("accounts", output="plain").out
    assert "closed until" in shown
    assert "cap of API posts in 24 hours is reached" in shown


@pytest.mark.usefixtures("connected")
def test_reopen_ends_a_cap_and_says_so(terminal: Terminal) -> None:
    asyncio.run(RateLimitService().close(CONN_ID, Cap.POSTS, 7_000.0))
    done = terminal.run("reopen", CONN_ID)
    assert (done.code, [row["by"] for row in done.rows]) == (0, ["posts"])
    assert "within minutes" in done.said
    assert terminal.run("accounts").rows[0]["closures"] == []
    again = terminal.run("reopen", CONN_ID)
    assert (again.code, again.rows, "is not closed" in again.said) == (0, [], True)


def test_an_account_that_is_mistyped_is_not_reopened(connected: Creator, terminal: Terminal) -> None:
    done = terminal.run("reopen", "tiktok_defualt")
    assert (done.code, "no account 'tiktok_defualt'" in done.said) == (1, True)
    assert connected.open_id
