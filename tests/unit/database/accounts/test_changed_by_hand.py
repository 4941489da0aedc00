"""A person edits or deletes the Connection with the current tokens: the account is connected again, and works."""

import asyncio
import json
from collections.abc import Callable

import pytest
from airflow.models import Connection
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from tests.unit.conftest import CONN_ID, Creator
from tiktok_provider.api.oauth import TokenResponse
from tiktok_provider.database.accounts.service import AccountService
from tiktok_provider.database.session import transaction
from tiktok_provider.exceptions import ConnectionSettingsError, TikTokError
from tiktok_provider.hooks.tiktok import TikTokHook

TOKENS = f"{CONN_ID}.tokens"


def stored(session: Session) -> Connection:
    return session.scalars(select(Connection).where(Connection.conn_id == TOKENS)).one()


def set_extra(text: str) -> Callable[[Session], None]:
    def change(session: Session) -> None:
        stored(session).extra = text

    return change


def mask_tokens(session: Session) -> None:
    """Save what Airflow's form shows in place of secrets."""
    tokens = stored(session)
    tokens.extra = json.dumps({**tokens.extra_dejson, "access_token": "***", "refresh_token": "***"})


def change_all(session: Session) -> None:
    tokens = stored(session)
    tokens.login, tokens.host, tokens.description, tokens.extra = "other", None, "mine", "{}"


def delete_it(session: Session) -> None:
    session.execute(delete(Connection).where(Connection.conn_id == TOKENS))


CHANGES = {
    "deleted": delete_it,
    "emptied": set_extra("{}"),
    "wrong types": set_extra('{"access_token": 7, "generation": "x"}'),
    "masked": mask_tokens,
}


@pytest.fixture
def connected(creator: Creator) -> Creator:
    """An account whose tokens the store keeps."""
    asyncio.run(AccountService().look(CONN_ID))
    return creator


def consent(creator: Creator) -> None:
    """Connect the account again."""
    given = creator.sandbox.issue_tokens(creator.app, creator.account)
    answer = TokenResponse(
        access_token=given.access_token,
        refresh_token=given.refresh_token,
        expires_in=86_400,
        refresh_expires_in=31_536_000,
        open_id=given.open_id,
        scope=given.scope,
    )
    asyncio.run(AccountService().connect(CONN_ID, answer, actor="anna"))


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_the_account_asks_to_be_connected_again_and_then_works(
    connected: Creator, change: Callable[[Session], None]
) -> None:
    with transaction() as session:
        change(session)
    with TikTokHook(CONN_ID) as hook, pytest.raises(TikTokError) as refusal:
        hook.creator_info()
    assert f"airflow tiktok connect {CONN_ID}" in str(refusal.value)
    assert asyncio.run(AccountService().accounts())[0].conn_id == CONN_ID
    consent(connected)
    with TikTokHook(CONN_ID) as hook:
        assert hook.creator_info().creator_username == "mia"


def test_a_connection_that_is_no_longer_the_stores_is_not_overwritten(connected: Creator) -> None:
    with transaction() as session:
        change_all(session)
    with pytest.raises(ConnectionSettingsError, match="was made or changed by a person"):
        consent(connected)
