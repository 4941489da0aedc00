"""Disconnecting an account of which little can be read: what can is wiped, and none of it comes back."""

import asyncio
import json
from collections.abc import Mapping

import pytest
from airflow.models import Connection
from cryptography.fernet import Fernet
from sqlalchemy import func, select, text

from tests.unit.databases import Mia
from tiktok_provider.database.session import transaction
from tiktok_provider.database.tables import AccountRecord
from tiktok_provider.exceptions import ConnectionSettingsError
from tiktok_provider.store.errors import AccountNotConnectedError
from tiktok_provider.store.token_sets import Disconnected
from tiktok_sandbox.client import Tokens

run = asyncio.run

BROKEN = [
    pytest.param({"password": ""}, {}, id="no client secret"),
    pytest.param({"host": "https://evil.example"}, {}, id="a host that is not allowed"),
    pytest.param({}, {"access_expires_at": "tomorrow"}, id="a time that is none"),
]


def fields(
    mia: Mia, first: Tokens, connection: Mapping[str, str], extra: Mapping[str, str]
) -> dict[str, str]:
    """What a user's Connection with initial tokens says, with something broken in it."""
    given = {**mia.fields(first), **connection}
    return {**given, "extra": json.dumps({**given["extra"], **extra})}  # type: ignore[dict-item]


def in_the_database(mia: Mia, **columns: str) -> None:
    mia.monkeypatch.delenv("AIRFLOW_CONN_MIA", raising=False)
    with transaction() as session:
        session.add(Connection("mia", **columns))  # type: ignore[arg-type]


def disconnect(mia: Mia) -> Disconnected:
    return run(mia.store().disconnect("mia", actor="anna"))


def tokens_in_the_database() -> list[str]:
    with transaction() as session:
        extra = session.scalars(select(Connection).where(Connection.conn_id == "mia")).one().extra_dejson
        return [name for name in extra if name.endswith(("_token", "_at"))]


@pytest.mark.parametrize(("connection", "extra"), BROKEN)
def test_a_broken_connection_loses_its_initial_tokens_too(
    mia: Mia, connection: Mapping[str, str], extra: Mapping[str, str]
) -> None:
    in_the_database(mia, **fields(mia, mia.issue(), connection, extra))
    done = disconnect(mia)
    assert (done.revoked, done.initial_tokens_remain, done.problem != "") == (False, False, True)
    assert tokens_in_the_database() == []


@pytest.mark.parametrize(("connection", "extra"), BROKEN)
def test_the_initial_tokens_of_a_broken_connection_out_of_reach_is_not_used_once_that_is_mended(
    mia: Mia, connection: Mapping[str, str], extra: Mapping[str, str]
) -> None:
    first = mia.issue()
    mia.monkeypatch.setenv("AIRFLOW_CONN_MIA", json.dumps(fields(mia, first, connection, extra)))
    assert disconnect(mia).initial_tokens_remain
    mia.define(first)
    with pytest.raises(AccountNotConnectedError):
        run(mia.store().look("mia"))


def test_a_set_in_the_database_behind_one_of_the_environment_is_wiped_and_the_other_one_is_told(
    mia: Mia,
) -> None:
    hidden, seen = mia.issue(), mia.issue()
    in_the_database(mia, **fields(mia, hidden, {}, {}))
    mia.define(seen)
    assert disconnect(mia).initial_tokens_remain
    assert tokens_in_the_database() == []
    for initial_tokens in (hidden, seen):
        mia.define(initial_tokens)
        with pytest.raises(AccountNotConnectedError):
            run(mia.store().look("mia"))


def test_a_connection_that_cannot_be_decrypted_is_told_to_have_its_tokens_still(mia: Mia) -> None:
    run(mia.store().look("mia"))
    in_the_database(mia, **fields(mia, mia.issue(), {}, {}))
    encrypted = Fernet(Fernet.generate_key()).encrypt(b"fake-secret").decode()
    with transaction() as session:
        change = text("UPDATE connection SET password = :password WHERE conn_id = 'mia'")
        session.execute(change, {"password": encrypted})
    done = disconnect(mia)
    assert (done.revoked, done.initial_tokens_remain) == (False, True)
    assert mia.kept() == {}


def test_a_connection_of_another_type_is_left_as_it_is(mia: Mia) -> None:
    run(mia.store().look("mia"))
    in_the_database(mia, conn_type="http", extra=json.dumps({"access_token": "of-another-service"}))
    assert not disconnect(mia).initial_tokens_remain
    assert tokens_in_the_database() == ["access_token"]
    assert mia.kept() == {}


def test_an_id_that_nobody_knows_is_refused_and_leaves_nothing_behind(mia: Mia) -> None:
    with pytest.raises(ConnectionSettingsError, match=r"(?s)'miaa'.*airflow tiktok accounts"):
        run(mia.store().disconnect("miaa", actor="anna"))
    with transaction() as session:
        assert session.scalar(select(func.count()).select_from(AccountRecord)) == 0
    assert mia.audit_log() == []


def test_a_connection_alone_can_be_disconnected_before_anybody_has_used_it(mia: Mia) -> None:
    first = mia.issue()
    mia.define(first)
    assert disconnect(mia).initial_tokens_remain
    with pytest.raises(AccountNotConnectedError):
        run(mia.store().look("mia"))


@pytest.mark.parametrize("defined", [True, False])
def test_a_disconnected_account_is_listed_while_there_is_a_connection_of_it(mia: Mia, defined: bool) -> None:
    run(mia.store().look("mia"))
    disconnect(mia)
    if not defined:
        mia.monkeypatch.delenv("AIRFLOW_CONN_MIA")
    listed = [account.conn_id for account in run(mia.store().accounts())]
    assert listed == (["mia"] if defined else [])


def test_a_disconnected_account_with_a_connection_in_the_database_is_listed(mia: Mia) -> None:
    run(mia.store().look("mia"))
    in_the_database(mia, **fields(mia, mia.issue(), {}, {}))
    disconnect(mia)
    assert [account.conn_id for account in run(mia.store().accounts())] == ["mia"]


REVOKE = "/v2/oauth/revoke/"


def faulty(mia: Mia, *faults: dict[str, object]) -> Disconnected:
    """Disconnect a connected account while TikTok has these faults, one after the other."""
    run(mia.store().look("mia"))
    for fault in faults:
        mia.sandbox.add_fault(path=REVOKE, **fault)  # type: ignore[arg-type]
    return disconnect(mia)


def test_a_fault_that_passes_costs_no_revocation(mia: Mia) -> None:
    done = faulty(mia, {"action": "status", "status": 503, "times": 2})
    assert (done.revoked, done.maybe_revoked, done.problem) == (True, False, "")
    assert len(mia.sandbox.requests(REVOKE)) == 3


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "lost_answer", "times": None},
        {"action": "status", "status": 503, "times": None},
        {"action": "error", "code": "something_new", "times": None},
    ],
    ids=["lost answers", "faults", "an undocumented answer"],
)
def test_what_nobody_can_know_is_not_called_refused(mia: Mia, fault: dict[str, object]) -> None:
    done = faulty(mia, fault)
    assert (done.revoked, done.maybe_revoked) == (False, True)
    assert mia.audit_log()[-1][1]["revoked"] == "perhaps"
    assert mia.kept() == {}


def test_a_refusal_after_a_lost_answer_does_not_prove_that_the_access_is_still_there(mia: Mia) -> None:
    done = faulty(
        mia,
        {"action": "lost_answer", "times": 1},
        {"action": "error", "code": "invalid_grant", "times": None},
    )
    assert (done.revoked, done.maybe_revoked) == (False, True)


def test_a_refusal_that_tiktok_documents_is_one(mia: Mia) -> None:
    done = faulty(mia, {"action": "error", "code": "invalid_client", "times": None})
    assert (done.revoked, done.maybe_revoked) == (False, False)
