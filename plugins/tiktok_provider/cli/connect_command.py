"""What ``airflow tiktok connect`` does, step by step."""

import sys
import webbrowser
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from airflow.utils.platform import getuser

from tiktok_provider.api.oauth import TokenResponse
from tiktok_provider.api.redirect_uri import platform_of, with_port
from tiktok_provider.cli.account_commands import tokens_row
from tiktok_provider.cli.redirect_server import RedirectServer
from tiktok_provider.cli.terminal import finish, report
from tiktok_provider.cli.user_connection import find_or_draft
from tiktok_provider.connect.authorization import AuthorizationRequest, ConsentError
from tiktok_provider.connect.flow import (
    check_app,
    exchanged,
    other_account,
    unknown_account,
    username_of,
    with_open_id,
)
from tiktok_provider.database.accounts.service import AccountService
from tiktok_provider.store.token_sets import AccountSummary

# Time enough to log in to TikTok, with a second factor too.
PATIENCE = 600.0
# Where nothing listens: the person copies the address.
_PASTE_PORT = 8400


def connect(args: Namespace) -> dict[str, Any]:
    """Lead a person through the consent and store the tokens; return the row to print.

    :param args: of ``airflow tiktok connect``.
    :raises TikTokError: with the sentence to print. Nothing is stored then.
    """
    is_desktop = platform_of(args.redirect_uri) == "desktop"
    account, draft = find_or_draft(args)
    accounts = {found.conn_id: found for found in finish(AccountService().accounts())}
    known = accounts[args.conn_id].open_id if args.conn_id in accounts else ""
    listens = is_desktop and args.redirect_uri.startswith("http:") and not args.paste
    with _redirects(args.redirect_uri, listens=listens) as (redirect_uri, wait):
        attempt = AuthorizationRequest(redirect_uri)
        finish(check_app(account, attempt))
        _show(
            attempt.page(account, args.scopes, switch_account=args.switch_account),
            # With --paste the browser is on another machine.
            browse=not (args.no_browser or args.paste),
        )
        code = wait(attempt)
    tokens = finish(exchanged(account, code, attempt, actor=getuser(), report=report))
    tokens = with_open_id(account, tokens, report=report)
    if known and tokens.open_id != known and not args.switch_account:
        raise other_account(args.conn_id) if tokens.open_id else unknown_account(args.conn_id)
    username = username_of(account, tokens, report=report)
    state = finish(
        AccountService().connect(args.conn_id, tokens, actor=getuser(), username=username, draft=draft)
    )
    _warn_of_missing_scopes(args.scopes, tokens)
    _warn_of_others([found for found in accounts.values() if found.conn_id != args.conn_id], tokens)
    return {**tokens_row(state), "username": username, "made_connection": draft is not None}


@contextmanager
def _redirects(
    redirect_uri: str, *, listens: bool
) -> Iterator[tuple[str, Callable[[AuthorizationRequest], str]]]:
    """Yield the redirect URI of this attempt, and a function that waits for the code."""
    if not listens:
        yield with_port(redirect_uri, _PASTE_PORT), _pasted
        return
    with RedirectServer(redirect_uri) as server:
        yield server.redirect_uri, lambda attempt: server.wait(attempt.code_in, PATIENCE)


def _show(page: str, *, browse: bool) -> None:
    report(f"The owner of the TikTok account opens this address and consents:\n\n{page}\n")
    if browse:
        webbrowser.open(page)


def _pasted(attempt: AuthorizationRequest) -> str:
    report(
        f"TikTok then leads to {attempt.redirect_uri}, which need not load. Copy its whole address from the browser,"
        " paste it here and press Enter:"
    )
    line = sys.stdin.readline()
    if not line.strip():
        raise ConsentError("No address was pasted. Begin again.")
    return attempt.code_in(line)


def _warn_of_missing_scopes(wanted: list[str], tokens: TokenResponse) -> None:
    granted = set(tokens.scope.split(","))
    if missing := sorted(set(wanted) - granted):
        report(f"Not granted: {', '.join(missing)}. Connect again to grant it.")
    if "video.publish" not in granted:
        report("Without video.publish this account takes no direct posts: every publishing task will fail.")


def _warn_of_others(others: Sequence[AccountSummary], tokens: TokenResponse) -> None:
    """Warn of a TikTok account that has two connections: neither knows what the other one has posted."""
    if names := [
        repr(other.conn_id) for other in others if tokens.open_id and other.open_id == tokens.open_id
    ]:
        report(
            f"The same TikTok account is connected as {', '.join(names)}, too. Have one connection for one account:"
            " each has records and rate limits of its own, so a post could go out twice."
        )
