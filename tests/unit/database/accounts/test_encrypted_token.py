"""The access token in the store's answers: encrypted for readers of the user's Connection, and never an older one."""

import asyncio
import json
from typing import Any

import pytest
from airflow.models import Connection
from airflow.models.crypto import get_fernet
from cryptography.fernet import Fernet
from sqlalchemy import select, update

from tests.unit.database.accounts.refreshing import refresh
from tests.unit.databases import Mia
from tiktok_provider.database.session import transaction
from tiktok_provider.database.tables import AccountRecord
from tiktok_provider.exceptions import ConnectionUnreadableError
from tiktok_provider.security.encryption import Purpose, decrypt
from tiktok_provider.store.requests import GetTokens, adapter
from tiktok_provider.store.serialization import encode
from tiktok_provider.store.token_sets import Busy, TokenState

run = asyncio.run


def token_in(mia: Mia, state: TokenState | Busy) -> str | None:
    assert isinstance(state, TokenState)
    return decrypt(mia.app.client_secret, state.encrypted_access_token, Purpose.ACCESS_TOKEN)


def put_back(extra: dict[str, Any]) -> None:
    """Write an extra into the Connection of the tokens, as an import of connections does."""
    with transaction() as session:
        connection = session.scalar(select(Connection).where(Connection.conn_id == "mia.tokens"))
        assert connection is not None
        connection.extra = json.dumps(extra)


def test_a_look_and_a_refresh_answer_with_the_access_token_encrypted(mia: Mia) -> None:
    first = run(mia.store().look("mia"))
    assert token_in(mia, first) == mia.kept()["access_token"]
    renewed = refresh(mia, first.generation)
    assert token_in(mia, renewed) == mia.kept()["access_token"] != token_in(mia, first)
    assert token_in(mia, run(mia.store().look("mia"))) == token_in(mia, renewed)
    assert token_in(mia, refresh(mia, first.generation)) == token_in(mia, renewed), "newer than the one seen"


def test_no_token_is_readable_in_an_answer_and_the_refresh_token_is_not_in_it_at_all(mia: Mia) -> None:
    state = run(mia.store().look("mia"))
    _, document = encode(state, adapter(GetTokens.answer))
    assert set(document) == {
        *("conn_id", "generation", "access_expires_at", "refresh_expires_at", "open_id", "scope", "closed"),
        "encrypted_access_token",
    }
    text = json.dumps(document) + repr(state)
    for secret in (mia.kept()["access_token"], mia.kept()["refresh_token"], mia.app.client_secret):
        assert secret not in text
    assert mia.kept()["refresh_token"] not in str(token_in(mia, state))


def test_an_older_token_that_was_put_back_is_never_handed_out(mia: Mia) -> None:
    first = run(mia.store().look("mia"))
    older = mia.kept()
    renewed = refresh(mia, first.generation)
    put_back(older)
    state = run(mia.store().look("mia"))
    assert (state, state.encrypted_access_token) == (renewed, "")


def test_after_an_older_token_was_put_back_a_refresh_still_finds_the_way(mia: Mia) -> None:
    mia.sandbox.set_switches(refresh_rotates=False)
    first = run(mia.store().look("mia"))
    older = mia.kept()
    refresh(mia, first.generation)
    put_back(older)
    mia.clock.advance(days=1, seconds=1)
    state = refresh(mia, 2)
    assert token_in(mia, state) == mia.kept()["access_token"]
    assert mia.works()


def test_a_newer_token_than_the_record_says_comes_with_its_own_generation_and_end(mia: Mia) -> None:
    first = run(mia.store().look("mia"))
    renewed = refresh(mia, first.generation)
    assert isinstance(renewed, TokenState)
    with transaction() as session:
        session.execute(update(AccountRecord).values(generation=1, open_id="of the older one"))
    assert run(mia.store().look("mia")) == renewed


def test_tokens_without_an_access_token_are_refreshed_before_their_first_use(mia: Mia) -> None:
    mia.define(None, extra={"refresh_token": mia.issue().refresh_token})
    state = run(mia.store().look("mia"))
    assert (state.needs_refresh(mia.clock()), state.encrypted_access_token) == (True, "")
    assert token_in(mia, refresh(mia, state.generation)) == mia.kept()["access_token"]


def test_tokens_that_cannot_be_decrypted_are_an_error_of_the_store(mia: Mia) -> None:
    run(mia.store().look("mia"))
    mia.monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", Fernet.generate_key().decode())
    get_fernet.cache_clear()
    try:
        with pytest.raises(ConnectionUnreadableError, match=r"'mia\.tokens' cannot be decrypted"):
            run(mia.store().look("mia"))
    finally:
        mia.monkeypatch.undo()
        get_fernet.cache_clear()


def test_tokens_that_tiktok_gave_are_kept_even_if_they_cannot_be_read_for_the_answer(mia: Mia) -> None:
    first = run(mia.store().look("mia"))

    def away(*_: object) -> None:
        raise ConnectionUnreadableError("not now")

    with mia.monkeypatch.context() as patch:
        patch.setattr("tiktok_provider.database.accounts.service.read_tokens", away)
        with pytest.raises(ConnectionUnreadableError, match="not now"):
            refresh(mia, first.generation)
    state = run(mia.store().look("mia"))
    assert (state.generation, mia.kept()["generation"]) == (2, 2)
    assert token_in(mia, state) == mia.kept()["access_token"]
    assert mia.works()
