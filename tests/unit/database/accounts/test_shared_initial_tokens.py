"""Two Connections with the same initial tokens: the second is refused before their refreshes end each other's."""

import asyncio
import json
from dataclasses import asdict, replace

import pytest
from airflow.models import Connection
from sqlalchemy import select

from tests.unit.database.accounts.refreshing import refresh
from tests.unit.database.posts.posting import KEY, wish
from tests.unit.databases import Mia
from tiktok_provider.api.oauth import TokenResponse
from tiktok_provider.database.posts.service import PostService
from tiktok_provider.database.session import transaction
from tiktok_provider.database.tables import AccountRecord, PostRow
from tiktok_provider.exceptions import ConnectionSettingsError
from tiktok_provider.store.errors import AccountNotConnectedError
from tiktok_provider.store.token_sets import TokenState
from tiktok_sandbox.client import Tokens

run = asyncio.run


def define_too(mia: Mia, initial_tokens: Tokens | None) -> None:
    """Define the Connection ``mia2`` for the same account."""
    mia.monkeypatch.setenv("AIRFLOW_CONN_MIA2", json.dumps(mia.fields(initial_tokens)))


@pytest.fixture
def first(mia: Mia) -> Tokens:
    """The initial tokens of ``mia``, which the store has seen, and of ``mia2``, which it has not."""
    mia.sandbox.set_switches(old_refresh_token="kills_all")
    mia.define(first := mia.issue())
    define_too(mia, first)
    run(mia.store().look("mia"))
    return first


def stored() -> tuple[list[str], list[str]]:
    with transaction() as session:
        records = session.scalars(select(AccountRecord.conn_id)).all()
        return list(records), list(session.scalars(select(Connection.conn_id)))


@pytest.mark.usefixtures("first")
def test_a_second_connection_with_the_same_initial_tokens_is_refused_and_names_the_first(mia: Mia) -> None:
    before, log = stored(), mia.audit_log()
    asks = (
        lambda: run(mia.store().look("mia2")),
        lambda: run(mia.store().refresh("mia2", 1)),
        lambda: run(PostService(clock=mia.clock).claim("mia2", KEY, wish())),
    )
    for ask in asks:
        with pytest.raises(
            ConnectionSettingsError, match=r"(?s)'mia2' has the same.*'mia'.*tiktok connect mia2"
        ):
            ask()
    assert (stored(), mia.audit_log(), mia.refreshes()) == (before, log, 0)
    with transaction() as session:
        assert session.scalars(select(PostRow)).all() == []


def test_a_second_connection_with_the_refresh_token_alone_is_refused_too(mia: Mia, first: Tokens) -> None:
    define_too(mia, replace(first, access_token=""))
    with pytest.raises(ConnectionSettingsError, match="same initial tokens"):
        run(mia.store().look("mia2"))


@pytest.mark.usefixtures("first")
def test_the_first_connection_lives_on(mia: Mia) -> None:
    for generation in (1, 2):
        with pytest.raises(ConnectionSettingsError):
            run(mia.store().look("mia2"))
        mia.clock.advance(days=1, seconds=1)
        assert isinstance(refresh(mia, generation), TokenState)
    assert mia.works()


@pytest.mark.usefixtures("first")
def test_the_second_connection_can_be_connected_by_itself(mia: Mia) -> None:
    tokens = TokenResponse.model_validate(asdict(mia.issue()))
    run(mia.store().connect("mia2", tokens, actor="anna"))
    assert run(mia.store().look("mia2")).generation == 1
    assert run(mia.store().look("mia")).generation == 1


@pytest.mark.usefixtures("first")
def test_the_second_connection_can_be_disconnected(mia: Mia) -> None:
    assert run(mia.store().disconnect("mia2", actor="anna")).initial_tokens_remain
    with pytest.raises(AccountNotConnectedError):
        run(mia.store().look("mia2"))
    assert run(mia.store().look("mia")).generation == 1
    assert mia.works()


def test_a_initial_tokens_of_its_own_is_taken_over(mia: Mia, first: Tokens) -> None:
    define_too(mia, mia.issue())
    assert run(mia.store().look("mia2")).generation == 1
    define_too(mia, first)
    with pytest.raises(ConnectionSettingsError, match="the same initial tokens"):
        run(mia.store().look("mia2"))


@pytest.mark.usefixtures("first")
def test_after_a_disconnect_the_set_may_be_used_under_another_id(mia: Mia) -> None:
    mia.monkeypatch.delenv("AIRFLOW_CONN_MIA")
    assert not run(mia.store().disconnect("mia", actor="anna")).revoked
    assert run(mia.store().look("mia2")).generation == 1


def test_the_same_connection_may_bring_its_initial_tokens_again(mia: Mia, first: Tokens) -> None:
    for _ in range(11):
        mia.define(mia.issue())
        run(mia.store().look("mia"))
    mia.define(first)
    assert run(mia.store().look("mia")).generation == 13


def test_a_lone_access_token_may_be_shared_for_nobody_refreshes_it(mia: Mia) -> None:
    token = {"access_token": mia.issue().access_token}
    for name in ("MIA", "MIA2"):
        fields = {**mia.fields(None), "extra": token}
        mia.monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps(fields))
    assert [run(mia.store().look(conn_id)).generation for conn_id in ("mia", "mia2")] == [1, 1]
