"""From the code of a redirect to tokens and the account that they belong to."""

from collections.abc import Callable
from typing import TypeVar

import httpx

from tiktok_provider.api.accounts import creator_info, user_info
from tiktok_provider.api.calls import Call
from tiktok_provider.api.drivers import TIMEOUT, SyncDriver
from tiktok_provider.api.oauth import TokenResponse, exchange_code
from tiktok_provider.connect.authorization import AuthorizationRequest, ConsentError
from tiktok_provider.database.accounts.service import AccountService
from tiktok_provider.database.accounts.token_endpoint import call_tiktok
from tiktok_provider.exceptions import OAuthError, TikTokError
from tiktok_provider.security.masking import mask
from tiktok_provider.security.redaction import redact
from tiktok_provider.store.connection import Account

T = TypeVar("T")
_NO_CODE = "airflow-asks-with-a-code-that-cannot-exist"
# Anything else than these says that TikTok has looked at the code, so knows the app.
_APP_IS_REFUSED = ("invalid_client", "unauthorized_client")
# Prints a sentence for the person who connects the account.
Report = Callable[[str], object]


async def exchanged(
    account: Account, code: str, attempt: AuthorizationRequest, *, actor: str, report: Report
) -> TokenResponse:
    """Exchange the code of a redirect for tokens, which are masked from here on.

    :param actor: who connects, for the audit log.
    :raises TikTokError: TikTok refuses the code or the client secret; the audit log says so.
    """
    mask(code, attempt.verifier)
    call = exchange_code(
        account.client_key, account.client_secret, code, attempt.redirect_uri, attempt.verifier
    )
    try:
        tokens = await call_tiktok(account.base_url, call)
    except TikTokError as error:
        redact(error, account.client_secret, code, attempt.verifier)
        await _audit_refusal(account.conn_id, error, actor, report)
        raise
    mask(tokens.access_token, tokens.refresh_token)
    return tokens


async def check_app(account: Account, attempt: AuthorizationRequest) -> None:
    """Ask for the tokens of a code that cannot exist, to learn whether TikTok knows the app before a person consents.

    :raises TikTokError: it does not take the client key or the client secret, or does not answer.
    """
    call = exchange_code(
        account.client_key, account.client_secret, _NO_CODE, attempt.redirect_uri, attempt.verifier
    )
    try:
        await call_tiktok(account.base_url, call)
    except OAuthError as error:
        redact(error, account.client_secret, attempt.verifier)
        if error.code in _APP_IS_REFUSED:
            raise


async def _audit_refusal(conn_id: str, error: TikTokError, actor: str, report: Report) -> None:
    """Write a refusal to the audit log; if that fails, the refusal itself is still raised for the person."""
    try:
        await AccountService().note_refused_connect(conn_id, error, actor=actor)
    except TikTokError as fault:
        report(f"The audit log could not be written: {fault}")


def with_open_id(account: Account, tokens: TokenResponse, *, report: Report) -> TokenResponse:
    """Ask TikTok whose tokens these are if its answer does not say so."""
    if tokens.open_id or "user.info.basic" not in tokens.scope.split(","):
        return tokens
    try:
        return tokens.model_copy(
            update={"open_id": _asked(account, tokens, user_info(("open_id",))).open_id or ""}
        )
    except TikTokError as error:
        report(f"The account's open id is not known yet: {error}")
        return tokens


def username_of(account: Account, tokens: TokenResponse, *, report: Report) -> str:
    """Ask for the @handle; links to posts need it, nothing else does."""
    if "video.publish" not in tokens.scope.split(","):
        return ""
    try:
        return _asked(account, tokens, creator_info()).creator_username
    except TikTokError as error:
        report(f"The account's name is not known yet: {error}")
        return ""


def _asked(account: Account, tokens: TokenResponse, call: Call[T]) -> T:
    with httpx.Client(base_url=account.base_url, timeout=TIMEOUT) as client:
        try:
            return SyncDriver(client, lambda rejected: None if rejected else tokens.access_token).run(call)
        except TikTokError as error:
            redact(error, tokens.access_token)
            raise


def other_account(conn_id: str) -> ConsentError:
    """Return the error of a consent by another TikTok account than the Connection's."""
    return ConsentError(
        f"Connection {conn_id!r} belongs to another TikTok account than has consented.\n"
        "It stays as it is. Log out of TikTok in the browser and begin again, or use --switch-account if the"
        " connection is to change to the other account."
    )


def unknown_account(conn_id: str) -> ConsentError:
    """Return the error of a consent for which TikTok names no account."""
    return ConsentError(
        "TikTok did not say which account has consented.\n"
        f"So connection {conn_id!r} stays as it is. Begin again with the scope user.info.basic, or use"
        " --switch-account if you are sure that it is the right one."
    )
