"""What ``airflow tiktok accounts`` and ``reopen`` do."""

from argparse import Namespace
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from airflow.utils.platform import getuser

from tiktok_provider.cli.terminal import finish, report
from tiktok_provider.database.accounts.service import AccountService
from tiktok_provider.database.rate_limits.service import RateLimitService
from tiktok_provider.publishing.deferral import moment_in
from tiktok_provider.store.clock import utc_now
from tiktok_provider.store.rate_limits import Closure
from tiktok_provider.store.token_sets import TokenState

Row = Mapping[str, object]


def accounts(args: Namespace) -> Sequence[Row]:
    """Return all accounts, with what closes them for a while."""
    closures = defaultdict(list)
    for closure in finish(RateLimitService().closures()):
        closures[closure.conn_id].append(closure)
    found = finish(AccountService().accounts())
    return [{**asdict(account), **_closed(closures[account.conn_id], args.output)} for account in found]


def reopen(args: Namespace) -> Sequence[Row]:
    """End what closes an account, and return what that was.

    :raises ConnectionSettingsError: there is no account of this id.
    """
    ended = finish(RateLimitService().reopen(args.conn_id, actor=getuser()))
    if ended:
        report(
            "Tasks that wait for it notice it within minutes. If TikTok names the cap again, it is closed again."
        )
    else:
        report(f"Account {args.conn_id!r} is not closed: nothing has changed.")
    return [{"conn_id": was.conn_id, "by": was.by, "until": was.until, "why": was.why} for was in ended]


def tokens_row(state: TokenState) -> Row:
    """Return what a person may see of tokens."""
    return {name: value for name, value in asdict(state).items() if name != "encrypted_access_token"}


def closed_until(closure: Closure) -> str:
    """Return a clause for people."""
    now = utc_now()
    return f"closed until {moment_in((closure.until - now).total_seconds(), now)}: {closure.why}"


def _closed(closures: Sequence[Closure], output: str) -> Row:
    if output in ("json", "yaml"):
        return {"closures": [{"by": str(found.by), "until": found.until.isoformat()} for found in closures]}
    return {"closed": "\n".join(map(closed_until, closures))}
