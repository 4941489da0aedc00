"""What ``airflow tiktok connect`` does, step by step."""

import sys
import webbrowser
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, TypeVar

import httpx
from airflow.utils.platform import getuser

from tiktok_provider.api.accounts import creator_info, user_info
from tiktok_provider.api.calls import Call
from tiktok_provider.api.drivers import TIMEOUT, SyncDriver
from tiktok_provider.api.oauth import TokenSet, exchange_code
from tiktok_provider.api.redirect_uri import platform_of, with_port
from tiktok_provider.cli.consent import Attempt, ConsentError
from tiktok_provider.cli.loopback import RedirectCatcher
from tiktok_provider.cli.terminal import finish, tell
from tiktok_provider.cli.user_connection import account_in, find_or_draft
from tiktok_provider.exceptions import TikTokError
from tiktok_provider.hooks.account import Account
from tiktok_provider.store.accounts import AccountStore
from tiktok_provider.store.calling import call_tiktok
from tiktok_provider.store.masking import mask
from tiktok_provider.store.redaction import redact

T = TypeVar("T")

# Time enough to log in to TikTok, with a second factor too.
PATIENCE = 600.0
# Where nothing listens: the person copies the address.
_PASTE_PORT = 8400


def connect(args: Namespace) -> dict[str, Any]:
    """Lead a person through the consent and keep the tokens; return what is told of the account.

    :param args: of ``airflow tiktok connect``.
    :raises TikTokError: with the sentence to print. Nothing is stored then.
    """
    is_desktop = platform_of(args.redirect_uri) == "desktop"
    connection, is_new = find_or_draft(args)
    account = account_in(connection)
    known = _known_open_id(args.conn_id)
    listens = is_desktop and args.redirect_uri.startswith("http:") and not args.paste
    with _redirects(args.redirect_uri, listens=listens) as (redirect_uri, wait):
        attempt = Attempt(redirect_uri)
        _show(
            attempt.page(account, args.scopes, switch_account=args.switch_account),
            # Who pastes has the browser elsewhere.
            browse=not (args.no_browser or args.paste),
        )
        code = wait(attempt)
    tokens = _with_open_id(account, finish(_exchanged(args.conn_id, account, code, attempt)))
    if known and tokens.open_id != known and not args.switch_account:
        raise _other_account(args.conn_id) if tokens.open_id else _unknown_account(args.conn_id)
    username = _username(account, tokens)
    draft = connection if is_new else None
    state = finish(
        AccountStore().connect(args.conn_id, tokens, actor=getuser(), username=username, draft=draft)
    )
    _warn_of_missing_scopes(args.scopes, tokens)
    return {**asdict(state), "username": username, "made_connection": is_new}


@contextmanager
def _redirects(redirect_uri: str, *, listens: bool) -> Iterator[tuple[str, Callable[[Attempt], str]]]:
    """Yield the redirect URI of this attempt, and what waits for the code."""
    if not listens:
        yield with_port(redirect_uri, _PASTE_PORT), _pasted
        return
    with RedirectCatcher(redirect_uri) as catcher:
        yield catcher.redirect_uri, lambda attempt: catcher.wait(attempt.code_in, PATIENCE)


def _show(page: str, *, browse: bool) -> None:
    tell(f"The owner of the TikTok account opens this address and consents:\n\n{page}\n")
    if browse:
        webbrowser.open(page)


def _pasted(attempt: Attempt) -> str:
    tell(
        f"TikTok then leads to {attempt.redirect_uri}, which need not load. Copy its whole address from the browser,"
        " paste it here and press Enter:"
    )
    line = sys.stdin.readline()
    if not line.strip():
        raise ConsentError("No address was pasted. Begin anew.")
    return attempt.code_in(line)


async def _exchanged(conn_id: str, account: Account, code: str, attempt: Attempt) -> TokenSet:
    mask(code, attempt.verifier)
    call = exchange_code(
        account.client_key, account.client_secret, code, attempt.redirect_uri, attempt.verifier
    )
    try:
        tokens = await call_tiktok(account.base_url, call)
    except TikTokError as error:
        redact(error, account.client_secret, code, attempt.verifier)
        await _noted(conn_id, error)
        raise
    mask(tokens.access_token, tokens.refresh_token)
    return tokens


async def _noted(conn_id: str, error: TikTokError) -> None:
    """Write a refusal to the audit log; where that fails, the refusal itself still is what the person must know."""
    try:
        await AccountStore().note_refused_connect(conn_id, error, actor=getuser())
    except TikTokError as fault:
        tell(f"The audit log could not be told: {fault}")


def _with_open_id(account: Account, tokens: TokenSet) -> TokenSet:
    """Ask whose tokens these are if TikTok's answer does not say so."""
    if tokens.open_id or "user.info.basic" not in tokens.scope.split(","):
        return tokens
    try:
        return tokens.model_copy(
            update={"open_id": _asked(account, tokens, user_info(("open_id",))).open_id or ""}
        )
    except TikTokError as error:
        tell(f"The account's open id is not known yet: {error}")
        return tokens


def _username(account: Account, tokens: TokenSet) -> str:
    """Ask for the @handle; links to posts need it, nothing else does."""
    if "video.publish" not in tokens.scope.split(","):
        return ""
    try:
        return _asked(account, tokens, creator_info()).creator_username
    except TikTokError as error:
        tell(f"The account's name is not known yet: {error}")
        return ""


def _asked(account: Account, tokens: TokenSet, call: Call[T]) -> T:
    with httpx.Client(base_url=account.base_url, timeout=TIMEOUT) as client:
        try:
            return SyncDriver(client, lambda spent: None if spent else tokens.access_token).run(call)
        except TikTokError as error:
            redact(error, tokens.access_token)
            raise


def _known_open_id(conn_id: str) -> str:
    accounts = finish(AccountStore().accounts())
    return next((account.open_id for account in accounts if account.conn_id == conn_id), "")


def _other_account(conn_id: str) -> ConsentError:
    return ConsentError(
        f"Connection {conn_id!r} belongs to another TikTok account than the one that has consented, so it stays as"
        " it is. Log out of TikTok in the browser and begin anew, or use --switch-account if the connection shall go"
        " over to the other account."
    )


def _unknown_account(conn_id: str) -> ConsentError:
    return ConsentError(
        f"TikTok did not say which account has consented, so connection {conn_id!r} stays as it is. Begin anew with"
        " the scope user.info.basic, or use --switch-account if you are sure that it is the right one."
    )


def _warn_of_missing_scopes(wanted: list[str], tokens: TokenSet) -> None:
    if missing := sorted(set(wanted) - set(tokens.scope.split(","))):
        tell(f"Not granted: {', '.join(missing)}. Connect again to grant it.")
