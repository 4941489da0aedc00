"""Can this account publish?"""

from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from types import TracebackType
from typing import Self

from tiktok_provider.api.redirect_uri import platform_of
from tiktok_provider.doctor.checks import Check, CheckWarningError
from tiktok_provider.exceptions import ConnectionSettingsError
from tiktok_provider.hooks.store_access import open_store
from tiktok_provider.hooks.tiktok import TikTokHook
from tiktok_provider.store.client import HttpStore
from tiktok_provider.store.errors import AccountDeadError, AccountNotConnectedError, connect_again_before
from tiktok_provider.store.token_sets import EXPIRING, TokenState

_PUBLISHING = ("video.publish", "video.upload")


class ExaminedAccount:
    """An account under examination. Close it after use, or use it in a ``with`` statement.

    :param redirect_uri: as registered at TikTok.
    """

    def __init__(self, conn_id: str, redirect_uri: str = "") -> None:
        self.conn_id = conn_id
        self.redirect_uri = redirect_uri
        self.hook = TikTokHook(conn_id)

    @cached_property
    def state(self) -> TokenState:
        """What the store knows of its tokens."""
        with open_store(self.conn_id, self.hook.account.client_secret) as store:
            return store.look()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hook.close()


def connection(account: ExaminedAccount) -> str:
    """Is the Connection there, and complete?"""
    return f"The API is at {account.hook.account.base_url}."


def redirect_uri(account: ExaminedAccount) -> str:
    """Would TikTok take the redirect URI?"""
    platform = platform_of(account.redirect_uri)
    return f"{account.redirect_uri} fits a {platform} app; it must be registered at TikTok to the letter."


def client_secret(account: ExaminedAccount) -> str:
    """Does TikTok know the app?"""
    account.hook.check_app()
    return "TikTok accepts the client key and the client secret."


def same_connection(account: ExaminedAccount) -> str:
    """Does the API server read the same Connection? It authenticates requests by the client secret."""
    # What it says of the account comes after that; the next check asks for it.
    about_the_account = (AccountNotConnectedError, AccountDeadError)
    with (
        HttpStore(account.conn_id, account.hook.account.client_secret) as store,
        suppress(*about_the_account),
    ):
        store.look()
    return "The API server reads the same connection."


def tokens(account: ExaminedAccount) -> str:
    """Are there tokens?"""
    state = account.state
    if state.closed:
        raise CheckWarningError(state.closed)
    return f"Generation {state.generation}; the access token ends on {_day(state.access_expires_at)}."


def consent_end(account: ExaminedAccount) -> str:
    """How long will the account live without a person?"""
    end = account.state.refresh_expires_at
    if end - datetime.now(UTC) < EXPIRING:
        raise CheckWarningError(
            f"The refresh token ends on {_day(end)}.\n{connect_again_before(account.conn_id)}"
        )
    return f"The account lives until {_day(end)} without a person."


def scopes(account: ExaminedAccount) -> str:
    """Was enough granted to publish?"""
    granted = sorted(account.state.scope.replace(",", " ").split())
    missing = [scope for scope in _PUBLISHING if scope not in granted]
    if granted and missing == list(_PUBLISHING):
        raise ConnectionSettingsError(
            f"Neither video.publish nor video.upload was granted.\nGranted: {', '.join(granted)}. The owner of the"
            " account"
            f" grants it: airflow tiktok connect {account.conn_id}"
        )
    if "video.publish" in missing and granted:
        raise CheckWarningError(
            f"video.publish was not granted: drafts only.\nGranted: {', '.join(granted)}."
        )
    return f"Granted: {', '.join(granted) or 'unknown'}."


def token_works(account: ExaminedAccount) -> str:
    """Does TikTok take the token? Refreshes it if it must be."""
    if "video.publish" in account.state.scope:
        info = account.hook.creator_info()
        return f"@{info.creator_username} may post as {', '.join(info.privacy_level_options)}."
    return (
        f"TikTok knows the account as {account.hook.user_info(('open_id', 'display_name')).display_name!r}."
    )


def _day(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


CONNECTION = Check("connection", connection)
REDIRECT_URI = Check("redirect URI", redirect_uri)
AT_TIKTOK: tuple[Check[ExaminedAccount], ...] = (
    Check("client secret", client_secret, needs=("connection",)),
    Check("same connection", same_connection, needs=("connection", "API server", "tables", "Fernet key")),
    Check("tokens", tokens, needs=("connection", "tables", "Fernet key")),
    Check("consent's end", consent_end, needs=("tokens",)),
    Check("scopes", scopes, needs=("tokens",)),
    Check("token works", token_works, needs=("client secret", "tokens", "scopes")),
)
