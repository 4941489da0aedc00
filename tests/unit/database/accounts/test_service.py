"""Looking, connecting and disconnecting, in Airflow's own database and at the sandbox."""

import asyncio
import json
from dataclasses import asdict, replace
from datetime import timedelta

import pytest
from airflow.models import Connection
from airflow.models.crypto import get_fernet
from cryptography.fernet import Fernet
from sqlalchemy import delete, text, update

from tests.unit.database.accounts.refreshing import refresh
from tests.unit.databases import Mia
from tiktok_provider.api.oauth import TokenResponse
from tiktok_provider.database.session import transaction
from tiktok_provider.database.tables import AccountRecord, NonceRecord
from tiktok_provider.exceptions import ConnectionSettingsError, ConnectionUnreadableError, HostNotAllowedError
from tiktok_provider.store.errors import AccountNotConnectedError
from tiktok_provider.store.token_sets import AccountState, AccountSummary, TokenState

run = asyncio.run
PUBLISH = "video.publish"


def consent(mia: Mia, **changes: object) -> TokenResponse:
    """What TikTok gives when the creator consents once more."""
    return TokenResponse.model_validate({**asdict(mia.issue()), **changes})


def in_the_database(mia: Mia, **changes: object) -> None:
    """Define the user's Connection in Airflow's database instead of the environment."""
    mia.monkeypatch.delenv("AIRFLOW_CONN_MIA")
    fields = {**mia.fields(mia.issue()), **changes}
    fields["extra"] = json.dumps(fields["extra"])
    with transaction() as session:
        session.add(Connection("mia", **fields))  # type: ignore[arg-type]


def test_the_first_look_takes_the_initial_tokens_over(mia: Mia) -> None:
    first = mia.issue()
    mia.define(first)
    state = run(mia.store().look("mia"))
    assert state == TokenState(
        conn_id="mia",
        generation=1,
        access_expires_at=mia.clock.now + timedelta(days=1),
        refresh_expires_at=mia.clock.now + timedelta(days=365),
        open_id=mia.account.open_id,
        scope=first.scope,
    )
    kept = mia.kept()
    assert (kept["access_token"], kept["refresh_token"]) == (first.access_token, first.refresh_token)
    assert (kept["generation"], kept["username"]) == (1, "mia")
    assert mia.refreshes() == 0


def test_looking_again_changes_nothing(mia: Mia) -> None:
    first = run(mia.store().look("mia"))
    assert run(mia.store().look("mia")) == first
    assert [event for event, _ in mia.audit_log()] == ["tiktok_connect"]


def test_a_changed_initial_tokens_wins(mia: Mia) -> None:
    run(mia.store().look("mia"))
    mia.define(second := mia.issue())
    assert run(mia.store().look("mia")).generation == 2
    assert mia.kept()["refresh_token"] == second.refresh_token


def test_a_initial_tokens_that_was_seen_before_does_not_come_back(mia: Mia) -> None:
    old, new = mia.issue(), mia.issue()
    for initial_tokens in (old, new, old):
        mia.define(initial_tokens)
        run(mia.store().look("mia"))
    assert mia.kept()["refresh_token"] == new.refresh_token


def test_a_initial_tokens_that_has_lost_its_access_token_is_still_the_one_that_was_seen(mia: Mia) -> None:
    first = mia.issue()
    mia.define(first)
    run(mia.store().look("mia"))
    mia.clock.advance(days=2)
    refresh(mia, 1)
    kept = mia.kept()
    mia.define(replace(first, access_token=""))
    assert run(mia.store().look("mia")).generation == 2
    assert mia.kept() == kept


def test_a_initial_tokens_that_came_back_masked_changes_nothing(mia: Mia) -> None:
    state, kept = run(mia.store().look("mia")), mia.kept()
    mia.define(replace(mia.issue(), access_token="***", refresh_token="***"))
    assert run(mia.store().look("mia")) == state
    assert mia.kept() == kept


def test_a_initial_tokens_may_be_taken_away_once_it_was_seen(mia: Mia) -> None:
    state = run(mia.store().look("mia"))
    mia.define(None)
    assert run(mia.store().look("mia")) == state


def test_a_initial_tokens_without_refresh_token_never_replaces_one_that_has_it(mia: Mia) -> None:
    state = run(mia.store().look("mia"))
    mia.define(None, extra={"access_token": "act.pasted"})
    assert run(mia.store().look("mia")) == state


def test_a_lone_access_token_serves_until_it_ends(mia: Mia) -> None:
    first = mia.issue()
    mia.define(None, extra={"access_token": first.access_token, "access_expires_at": first.access_expires_at})
    state = run(mia.store().look("mia"))
    assert state.access_expires_at == mia.clock.now + timedelta(days=1)
    with pytest.raises(AccountNotConnectedError, match="refresh_token"):
        run(mia.store().refresh("mia", state.generation))


def test_without_any_token_set_the_sentence_says_who_must_do_what(mia: Mia) -> None:
    mia.define(None)
    with pytest.raises(
        AccountNotConnectedError, match=r"owner of the TikTok account.*airflow tiktok connect mia"
    ):
        run(mia.store().look("mia"))


def test_a_deleted_token_set_is_never_replaced_by_the_old_initial_tokens(mia: Mia) -> None:
    run(mia.store().look("mia"))
    with transaction() as session:
        session.execute(delete(Connection))
    with pytest.raises(AccountNotConnectedError):
        run(mia.store().look("mia"))
    assert mia.kept() == {}


def test_the_kept_set_survives_the_loss_of_our_tables(mia: Mia) -> None:
    state = run(mia.store().look("mia"))
    mia.clock.advance(hours=1)
    run(mia.store().refresh("mia", state.generation))
    newest = mia.kept()["refresh_token"]
    with transaction() as session:
        session.execute(delete(AccountRecord))
    run(mia.store().look("mia"))
    assert mia.kept()["refresh_token"] == newest


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"login": None}, ConnectionSettingsError, "lacks its Client key"),
        ({"password": ""}, ConnectionSettingsError, "lacks its Client secret"),
        ({"conn_type": "http"}, ConnectionSettingsError, "'http', it must be 'tiktok'"),
        ({"extra": "[]"}, ConnectionUnreadableError, "malformed"),
        ({"host": "https://elsewhere.example"}, HostNotAllowedError, "elsewhere.example"),
    ],
    ids=str,
)
def test_a_connection_that_cannot_serve_says_why(
    mia: Mia, changes: dict[str, object], error: type[Exception], sentence: str
) -> None:
    mia.define(None, **changes)
    with pytest.raises(error, match=sentence):
        run(mia.store().look("mia"))


def test_a_connection_that_the_api_server_cannot_see_says_where_to_define_it(mia: Mia) -> None:
    with pytest.raises(ConnectionUnreadableError, match=r"metadata database.*secrets backend.*environment"):
        run(mia.store().look("nobody"))


def test_an_id_without_room_for_the_second_one_is_refused(mia: Mia) -> None:
    name = "m" * 244
    mia.monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(mia.fields(mia.issue())))
    with pytest.raises(ConnectionSettingsError, match="too long"):
        run(mia.store().look(name))


def test_somebody_elses_connection_is_not_overwritten(mia: Mia) -> None:
    with transaction() as session:
        session.add(Connection("mia.tokens", "http", extra={"mine": 1}))
    with pytest.raises(ConnectionSettingsError, match=r"'mia.tokens' was made or changed by a person"):
        run(mia.store().look("mia"))
    assert mia.kept() == {"mine": 1}


@pytest.mark.parametrize("extra", ["{}", '{"generation": "1"}', "unreadable"])
def test_a_connection_of_the_same_type_that_counts_no_generations_is_somebody_elses_too(
    mia: Mia, extra: str
) -> None:
    with transaction() as session:
        session.add(Connection("mia.tokens", "tiktok", extra="{}"))
        session.flush()
        written = {"extra": extra, "is_extra_encrypted": extra == "unreadable"}
        columns = ", ".join(f"{name} = :{name}" for name in written)
        session.execute(text(f"UPDATE connection SET {columns}"), written)
    with pytest.raises(ConnectionSettingsError, match="made or changed by a person"):
        run(mia.store().look("mia"))
    assert [account.conn_id for account in run(mia.store().accounts())] == ["mia.tokens"]


@pytest.mark.parametrize("description", ["", None, "the tokens of mia"])
def test_a_changed_description_does_not_make_the_kept_set_somebody_elses(
    mia: Mia, description: str | None
) -> None:
    state = run(mia.store().look("mia"))
    with transaction() as session:
        session.execute(update(Connection).values(description=description))
    assert run(mia.store().look("mia")) == state
    assert [account.conn_id for account in run(mia.store().accounts())] == ["mia"]
    run(mia.store().refresh("mia", state.generation))
    assert (mia.works(), mia.kept()["generation"]) == (True, 2)
    with transaction() as session:
        assert "Do not edit" in str(session.query(Connection).one().description)


def test_the_kept_set_is_encrypted_by_airflow(mia: Mia) -> None:
    state = run(mia.store().look("mia"))
    run(mia.store().refresh("mia", state.generation))
    assert get_fernet().is_encrypted
    kept = mia.kept()
    with transaction() as session:
        tables = ("connection", "log", "tiktok_account")
        rows = str(
            [tuple(row) for table in tables for row in session.execute(text(f"SELECT * FROM {table}"))]
        )
    assert "mia.tokens" in rows
    for secret in (kept["access_token"], kept["refresh_token"], mia.app.client_secret):
        assert secret not in rows


@pytest.mark.parametrize("key", [Fernet.generate_key().decode(), ""], ids=["another", "none"])
def test_a_lost_fernet_key_is_called_by_its_name(mia: Mia, key: str) -> None:
    state = run(mia.store().look("mia"))
    mia.monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", key)
    get_fernet.cache_clear()
    try:
        with pytest.raises(ConnectionUnreadableError, match=r"(?s)'mia.tokens'.*fernet_key"):
            run(mia.store().refresh("mia", state.generation))
    finally:
        mia.monkeypatch.undo()
        get_fernet.cache_clear()


def test_a_connect_wins_over_what_is_stored(mia: Mia) -> None:
    run(mia.store().look("mia"))
    tokens = consent(mia)
    state = run(mia.store().connect("mia", tokens, actor="anna"))
    assert state.generation == 2
    assert mia.kept()["refresh_token"] == tokens.refresh_token
    assert mia.kept()["username"] == "mia"
    event, facts = mia.audit_log()[-1]
    assert (event, facts["conn_id"], facts["source"]) == ("tiktok_connect", "mia", "consent")


def test_the_initial_tokens_that_was_there_before_a_connect_is_not_taken_over_afterwards(mia: Mia) -> None:
    tokens = consent(mia)
    run(mia.store().connect("mia", tokens, actor="anna", username="mia_of_milan"))
    assert run(mia.store().look("mia")).generation == 1
    assert mia.kept()["refresh_token"] == tokens.refresh_token
    assert mia.kept()["username"] == "mia_of_milan"


def test_a_blank_answer_of_a_connect_overwrites_nothing(mia: Mia) -> None:
    run(mia.store().look("mia"))
    before = mia.kept()
    with pytest.raises(Exception, match="blank"):
        run(mia.store().connect("mia", consent(mia, refresh_token="  "), actor="anna"))
    assert mia.kept() == before


def test_a_disconnect_revokes_and_wipes(mia: Mia) -> None:
    in_the_database(mia)
    run(mia.store().look("mia"))
    token = mia.kept()["access_token"]
    done = run(mia.store().disconnect("mia", actor="anna"))
    assert (done.revoked, done.problem, done.initial_tokens_remain) == (True, "", False)
    assert mia.kept() == {}
    assert mia.sandbox.requests("/v2/oauth/revoke/")[-1]["code"] == "ok"
    with transaction() as session:
        user = session.query(Connection).one()
        assert user.extra_dejson == {
            "open_id": mia.account.open_id,
            "scope": user.extra_dejson["scope"],
            "username": "mia",
        }
        assert user.password == mia.app.client_secret
        assert token not in str(user.extra)
    with pytest.raises(AccountNotConnectedError):
        run(mia.store().look("mia"))


def test_a_disconnect_wipes_even_if_tiktok_is_away(mia: Mia) -> None:
    run(mia.store().look("mia"))
    mia.sandbox.add_fault("cut", after_bytes=0, path="/v2/oauth/revoke/", times=None)
    done = run(mia.store().disconnect("mia", actor="anna"))
    assert not done.revoked
    assert "No answer" in done.problem
    assert mia.kept() == {}


def test_what_tiktok_repeats_of_secret_and_token_is_not_in_the_problem_of_a_disconnect(mia: Mia) -> None:
    run(mia.store().look("mia"))
    sent = (mia.app.client_secret, mia.kept()["access_token"])
    body = {"error": "invalid_request", "error_description": "not {} for {}".format(*sent), "log_id": "fake"}
    mia.sandbox.add_fault("status", status=400, body=body, path="/v2/oauth/revoke/")
    problem = run(mia.store().disconnect("mia", actor="anna")).problem
    assert "not *** for ***" in problem
    assert [secret for secret in sent if secret in problem] == []


def test_a_disconnect_wipes_even_if_the_users_connection_is_gone(mia: Mia) -> None:
    run(mia.store().look("mia"))
    mia.monkeypatch.delenv("AIRFLOW_CONN_MIA")
    done = run(mia.store().disconnect("mia", actor="anna"))
    assert "not defined" in done.problem
    assert mia.kept() == {}


def test_a_initial_tokens_out_of_reach_is_told_and_not_used_again(mia: Mia) -> None:
    run(mia.store().look("mia"))
    assert run(mia.store().disconnect("mia", actor="anna")).initial_tokens_remain
    with pytest.raises(AccountNotConnectedError):
        run(mia.store().look("mia"))


def test_a_initial_tokens_that_nobody_looked_at_is_not_taken_over_after_a_disconnect(mia: Mia) -> None:
    run(mia.store().look("mia"))
    mia.define(mia.issue())
    run(mia.store().disconnect("mia", actor="anna"))
    with pytest.raises(AccountNotConnectedError):
        run(mia.store().look("mia"))


def test_a_disconnected_account_can_be_connected_again(mia: Mia) -> None:
    state = run(mia.store().look("mia"))
    run(mia.store().disconnect("mia", actor="anna"))
    again = run(mia.store().connect("mia", consent(mia), actor="anna"))
    assert again.generation > state.generation
    assert mia.works()


def test_the_audit_log_tells_who_disconnected_and_whether_tiktok_knows(mia: Mia) -> None:
    run(mia.store().look("mia"))
    run(mia.store().disconnect("mia", actor="anna"))
    event, facts = mia.audit_log()[-1]
    assert event == "tiktok_disconnect"
    assert facts == {"conn_id": "mia", "open_id": mia.account.open_id, "revoked": "yes"}


@pytest.mark.parametrize(
    ("days", "state"),
    [(0, AccountState.OK), (334, AccountState.OK), (336, AccountState.EXPIRING), (365, AccountState.DEAD)],
)
def test_an_account_is_shown_as_expiring_thirty_days_ahead(mia: Mia, days: int, state: AccountState) -> None:
    run(mia.store().look("mia"))
    mia.clock.advance(days=days)
    [account] = run(mia.store().accounts())
    assert account.state is state
    assert (account.conn_id, account.username, account.open_id) == ("mia", "mia", mia.account.open_id)
    assert PUBLISH in account.scopes
    assert account.access_expires_at is not None


def test_accounts_that_nobody_used_yet_are_listed_too(mia: Mia) -> None:
    run(mia.store().look("mia"))
    with transaction() as session:
        session.add(Connection("ben", "tiktok", login="key", password="fake-secret"))
    assert run(mia.store().accounts())[0] == AccountSummary(conn_id="ben", state=AccountState.UNKNOWN)
    assert [account.conn_id for account in run(mia.store().accounts())] == ["ben", "mia"]


def test_an_account_whose_token_set_somebody_deleted_is_unknown(mia: Mia) -> None:
    run(mia.store().look("mia"))
    with transaction() as session:
        session.execute(delete(Connection).where(Connection.conn_id == "mia.tokens"))
    [account] = run(mia.store().accounts())
    assert (account.conn_id, account.username, account.state) == ("mia", "mia", AccountState.UNKNOWN)


def test_nonces_are_pruned_once_no_replay_could_pass(mia: Mia) -> None:
    with transaction() as session:
        for age in (0, 599, 601, 9000):
            session.add(NonceRecord(nonce=f"n{age}", seen_at=mia.clock.now - timedelta(seconds=age)))
    assert run(mia.store().prune()) == 2
    assert run(mia.store().prune()) == 0
