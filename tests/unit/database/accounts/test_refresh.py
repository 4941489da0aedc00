"""Refreshes one at a time: what TikTok answers, and what becomes of it."""

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from airflow._shared.secrets_masker import redact as in_core
from airflow.sdk._shared.secrets_masker import redact as in_sdk
from airflow.sdk.exceptions import AirflowFailException
from sqlalchemy import text

from tests.unit.database.accounts.refreshing import TOKEN, refresh, revoke_all
from tests.unit.databases import Mia
from tiktok_provider.database.session import transaction
from tiktok_provider.exceptions import OAuthError, TikTokError, UnexpectedAnswerError, UnreachableError
from tiktok_provider.store.errors import AccountDeadError
from tiktok_provider.store.token_sets import AccountState, Busy, TokenState

run = asyncio.run
DAY = timedelta(days=1)


def test_a_refresh_brings_a_token_that_works(expired: Mia) -> None:
    state = refresh(expired)
    assert isinstance(state, TokenState)
    assert (state.generation, expired.kept()["generation"]) == (2, 2)
    assert state.access_expires_at == expired.clock.now + DAY
    assert expired.works()


def test_a_refresh_is_in_the_audit_log(expired: Mia) -> None:
    refresh(expired)
    facts = {"conn_id": "mia", "outcome": "new tokens", "generation": 2}
    assert expired.audit_log()[-1] == ("tiktok_refresh", facts)


def test_a_caller_with_an_older_set_is_told_of_the_newer_one_without_a_call(expired: Mia) -> None:
    state = refresh(expired)
    assert refresh(expired) == state
    assert expired.refreshes() == 1


@pytest.mark.parametrize("lifetime", [100, 3600, 86400])
def test_the_lifetime_of_each_answer_is_believed(mia: Mia, lifetime: int) -> None:
    run(mia.store().look("mia"))
    body = {
        "access_token": "act.short",
        "expires_in": lifetime,
        "refresh_token": "rft.short",
        "refresh_expires_in": 2 * lifetime,
        "open_id": mia.account.open_id,
        "scope": "video.publish",
        "token_type": "Bearer",
    }
    mia.sandbox.add_fault("status", status=200, body=body, path=TOKEN)
    state = refresh(mia)
    assert isinstance(state, TokenState)
    assert state.access_expires_at == mia.clock.now + timedelta(seconds=lifetime)
    assert state.refresh_expires_at == mia.clock.now + timedelta(seconds=2 * lifetime)


@pytest.mark.parametrize("refresh_extends", [False, True])
def test_a_rotation_extends_the_year_only_where_tiktok_says_so(expired: Mia, refresh_extends: bool) -> None:
    expired.sandbox.set_switches(refresh_extends=refresh_extends)
    left = refresh(expired)
    assert isinstance(left, TokenState)
    full_year = left.refresh_expires_at == expired.clock.now + 365 * DAY
    assert full_year is refresh_extends


def test_a_refresh_token_that_does_not_rotate_serves_again(expired: Mia) -> None:
    expired.sandbox.set_switches(refresh_rotates=False)
    for generation in (1, 2, 3):
        state = refresh(expired, generation)
        assert isinstance(state, TokenState)
        assert state.generation == generation + 1
        expired.clock.advance(days=1, seconds=1)


def test_a_lost_answer_costs_nothing_where_the_old_token_lives(expired: Mia) -> None:
    expired.sandbox.set_switches(old_refresh_token="lives")
    expired.sandbox.add_fault("lost_answer", path=TOKEN)
    with pytest.raises(UnreachableError):
        refresh(expired)
    assert isinstance(refresh(expired), Busy)
    expired.clock.advance(seconds=5)
    assert isinstance(refresh(expired), TokenState)
    assert expired.works()


@pytest.mark.parametrize("old_refresh_token", ["dies", "kills_all"])
def test_a_lost_answer_that_took_the_old_token_with_it_ends_in_a_clear_sentence(
    expired: Mia, old_refresh_token: str
) -> None:
    expired.sandbox.set_switches(old_refresh_token=old_refresh_token)
    expired.sandbox.add_fault("lost_answer", path=TOKEN)
    with pytest.raises(UnreachableError):
        refresh(expired)
    expired.clock.advance(seconds=5)
    assert isinstance(refresh(expired), Busy)
    expired.clock.advance(seconds=116)
    with pytest.raises(AccountDeadError, match=r"Its owner, @mia, runs: airflow tiktok connect mia"):
        refresh(expired)


@pytest.mark.parametrize("status", [200, 400])
def test_a_refused_refresh_token_is_dead_at_once_where_nobody_else_was_at_it(
    expired: Mia, status: int
) -> None:
    expired.sandbox.set_switches(oauth_error_status=status)
    revoke_all(expired)
    with pytest.raises(AccountDeadError) as caught:
        refresh(expired)
    assert isinstance(caught.value, AirflowFailException)
    assert "invalid_grant" in str(caught.value)
    event, facts = expired.audit_log()[-1]
    assert (event, facts["error"], facts["conn_id"]) == ("tiktok_token_failure", "invalid_grant", "mia")


def test_a_dead_account_is_not_asked_again_and_says_so_to_everybody(expired: Mia) -> None:
    revoke_all(expired)
    sentences = set()
    asks: list[Callable[[], object]] = [lambda: refresh(expired), lambda: run(expired.store().look("mia"))]
    for ask in [*asks, *asks]:
        with pytest.raises(AccountDeadError) as caught:
            ask()
        sentences.add(str(caught.value))
    assert len(sentences) == 1
    assert expired.refreshes() == 1
    [account] = run(expired.store().accounts())
    assert (account.state, account.last_error) == (AccountState.DEAD, sentences.pop())


def test_a_new_initial_tokens_revives_a_dead_account(expired: Mia) -> None:
    revoke_all(expired)
    with pytest.raises(AccountDeadError):
        refresh(expired)
    expired.define(expired.issue())
    assert run(expired.store().look("mia")).generation == 2
    assert expired.works()
    assert run(expired.store().accounts())[0].last_error is None


def test_a_refusal_shortly_after_somebody_elses_refresh_is_suspect(expired: Mia) -> None:
    refresh(expired)
    revoke_all(expired)
    expired.clock.advance(seconds=119)
    assert refresh(expired, 2) == Busy(15)
    expired.clock.advance(seconds=15)
    with pytest.raises(AccountDeadError):
        refresh(expired, 2)


def test_after_a_failure_the_others_pause_instead_of_calling_too(expired: Mia) -> None:
    expired.sandbox.add_fault("status", status=500, body={"error": "server_error"}, path=TOKEN)
    with pytest.raises(OAuthError):
        refresh(expired)
    assert refresh(expired) == Busy(5)
    expired.clock.advance(seconds=5)
    assert isinstance(refresh(expired), TokenState)
    assert expired.refreshes() == 2


def test_a_new_client_secret_takes_effect_with_the_next_refresh(expired: Mia) -> None:
    expired.define(None, password="fake-old-secret")
    with pytest.raises(OAuthError, match="client key or client secret"):
        refresh(expired)
    expired.define(None)
    expired.clock.advance(seconds=5)
    assert isinstance(refresh(expired), TokenState)


ANSWER = {
    "access_token": "act.new",
    "expires_in": 60,
    "refresh_token": "rft.new",
    "refresh_expires_in": 60,
    "open_id": "o",
}


@pytest.mark.parametrize("blank", ["", " "])
def test_a_blank_access_token_never_overwrites(expired: Mia, blank: str) -> None:
    before = expired.kept()
    expired.sandbox.add_fault("status", status=200, body={**ANSWER, "access_token": blank}, path=TOKEN)
    with pytest.raises(UnexpectedAnswerError):
        refresh(expired)
    assert expired.kept() == before


@pytest.mark.parametrize("blank", [{"refresh_token": ""}, {"refresh_token": " "}, {}], ids=str)
def test_without_a_new_refresh_token_the_old_one_stays(expired: Mia, blank: dict[str, str]) -> None:
    before = expired.kept()
    answer = {name: value for name, value in ANSWER.items() if name != "refresh_token"}
    expired.sandbox.add_fault("status", status=200, body={**answer, **blank}, path=TOKEN)
    refresh(expired)
    after = expired.kept()
    assert (after["access_token"], after["refresh_token"]) == ("act.new", before["refresh_token"])


@pytest.mark.parametrize(
    "absent", [["refresh_expires_in"], ["open_id"], ["refresh_expires_in", "open_id"]], ids=str
)
def test_an_answer_that_leaves_something_out_is_kept_all_the_same(expired: Mia, absent: list[str]) -> None:
    before = run(expired.store().look("mia"))
    body = {name: value for name, value in ANSWER.items() if name not in absent}
    expired.sandbox.add_fault("status", status=200, body=body, path=TOKEN)
    state = refresh(expired)
    assert isinstance(state, TokenState)
    assert (expired.kept()["access_token"], expired.kept()["refresh_token"]) == ("act.new", "rft.new")
    assert state.open_id == (before.open_id if "open_id" in absent else "o")
    a_year = expired.clock.now + 365 * DAY
    assert (state.refresh_expires_at == a_year) is ("refresh_expires_in" in absent)


def test_no_answer_within_twenty_seconds_is_no_answer(monkeypatch: pytest.MonkeyPatch, expired: Mia) -> None:
    monkeypatch.setattr("tiktok_provider.database.accounts.token_endpoint.TOTAL_TIMEOUT", 0.05)
    monkeypatch.setattr("tiktok_provider.database.accounts.token_endpoint.GRACE", 0.05)
    expired.sandbox.add_fault("delay", seconds=10, path=TOKEN)
    with pytest.raises(UnreachableError) as caught:
        refresh(expired)
    assert caught.value.maybe_processed


@pytest.mark.parametrize("error", ["server_error", "invalid_grant"])
def test_no_secret_shows_in_logs_errors_and_records(
    expired: Mia, caplog: pytest.LogCaptureFixture, error: str
) -> None:
    caplog.set_level(logging.DEBUG)
    old = expired.kept()
    said = f"no token {old['refresh_token']} with secret {expired.app.client_secret}"
    body = {"error": error, "error_description": said}
    expired.sandbox.add_fault("status", status=400, body=body, path=TOKEN)
    with pytest.raises(TikTokError, match=r"no token \*\*\* with") as caught:
        refresh(expired)
    with transaction() as session:
        tables = ("tiktok_account", "log")
        rows = [tuple(row) for table in tables for row in session.execute(text(f"SELECT * FROM {table}"))]
    shown = f"{caplog.text} {rows} {caught.value!r} {vars(caught.value)}"
    assert "no token ***" in str(rows)
    for secret in (old["refresh_token"], old["access_token"], expired.app.client_secret):
        assert secret not in shown


def test_tokens_are_masked_before_anything_can_log_them(expired: Mia) -> None:
    old = expired.kept()
    refresh(expired)
    for secret in (*token_values(old), *token_values(expired.kept()), expired.app.client_secret):
        for form in (secret, quote(secret, safe="")):
            assert in_sdk(f"found {form}") == "found ***"
            assert in_core(f"found {form}") == "found ***"


def token_values(extra: dict[str, Any]) -> tuple[str, str]:
    return extra["access_token"], extra["refresh_token"]


class TestLastToken:
    """A refresh is refused while the access token still lives, as some of TikTok's sandboxes do it."""

    @pytest.fixture
    def refused(self, mia: Mia) -> Mia:
        generation = run(mia.store().look("mia")).generation
        mia.sandbox.add_fault("error", path="/v2/oauth/token/", code="invalid_grant", times=None)
        with pytest.raises(AccountDeadError) as caught:
            run(mia.store().refresh("mia", generation))
        end = mia.clock.now + timedelta(days=1)
        assert f"Until {end:%Y-%m-%d %H:%M} UTC its access token is still used." in str(caught.value)
        return mia

    def test_it_is_used_to_its_end_with_the_reason_beside_it(self, refused: Mia) -> None:
        state = run(refused.store().look("mia"))
        assert "airflow tiktok connect mia" in state.closed
        assert not state.needs_refresh(state.access_expires_at - timedelta(seconds=1))
        assert refused.works()
        refused.clock.advance(days=1)
        with pytest.raises(AccountDeadError):
            run(refused.store().look("mia"))

    def test_a_caller_whose_token_tiktok_refuses_is_told_at_once(self, refused: Mia) -> None:
        calls = refused.refreshes()
        with pytest.raises(AccountDeadError):
            run(refused.store().refresh("mia", 1))
        assert refused.refreshes() == calls, "TikTok is not asked again"

    def test_people_see_the_account_as_dead_with_the_moment(self, refused: Mia) -> None:
        [account] = run(refused.store().accounts())
        assert account.state == AccountState.DEAD
        assert "its access token is still used" in str(account.last_error)
