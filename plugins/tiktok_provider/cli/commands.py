"""The commands; their arguments are in ``definition``."""

import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict

from airflow.utils.platform import getuser

from tiktok_provider.cli import account_commands, post_commands
from tiktok_provider.cli.connect_command import connect
from tiktok_provider.cli.terminal import command, finish, print_rows, report
from tiktok_provider.database.accounts.service import AccountService
from tiktok_provider.database.in_process import InProcessStore
from tiktok_provider.database.posts.service import PostService
from tiktok_provider.doctor.run import examine_installation
from tiktok_provider.store.errors import StoreBusyError, StoreNotReadyError
from tiktok_provider.store.token_sets import TokenState

# Seconds; longer than the lease of a refresh, and than the pause after a suspicious answer.
LONGEST_WAIT = 180.0


@command()
def tiktok_connect(args: Namespace) -> None:
    """Connect an account."""
    print_rows([connect(args)], args.output)


@command()
def tiktok_accounts(args: Namespace) -> None:
    """List the accounts."""
    print_rows(account_commands.accounts(args), args.output)


@command()
def tiktok_reopen(args: Namespace) -> None:
    """End what closes an account."""
    print_rows(account_commands.reopen(args), args.output)


@command()
def tiktok_refresh(args: Namespace) -> None:
    """Get new tokens; waits while another process is refreshing."""
    with InProcessStore(args.conn_id) as store:
        seen = store.look().generation
        waited = 0.0
        while not isinstance(outcome := store.refresh(seen), TokenState):
            if waited >= LONGEST_WAIT:
                raise StoreBusyError(
                    f"Other processes have been refreshing {args.conn_id!r} for {waited:.0f} s.\nRepeat the command."
                )
            report(
                f"Another process is refreshing, or TikTok needs a pause: trying again in {outcome.retry_in:.0f} s."
            )
            time.sleep(outcome.retry_in)
            waited += outcome.retry_in
    print_rows([account_commands.tokens_row(outcome)], args.output)


@command()
def tiktok_disconnect(args: Namespace) -> None:
    """Revoke the access and wipe the tokens."""
    done = finish(AccountService().disconnect(args.conn_id, actor=getuser()))
    print_rows([asdict(done)], args.output)
    if done.initial_tokens_remain:
        report(
            f"Delete the tokens from connection {args.conn_id!r} where it is defined; the store cannot reach them."
        )
    if not done.revoked:
        known = "It is not known whether TikTok has" if done.maybe_revoked else "TikTok has not"
        raise SystemExit(
            f"{known} revoked the access.\nThe owner of the account removes the app in TikTok's settings."
        )


@command()
def tiktok_prune(args: Namespace) -> None:
    """Delete what is no longer needed."""
    deleted = {"nonces": finish(AccountService().prune()), "attempts": finish(PostService().prune())}
    print_rows([{"what": what, "deleted": count} for what, count in deleted.items()], args.output)


@command()
def tiktok_posts(args: Namespace) -> None:
    """List the posts on record."""
    print_rows(post_commands.posts(args), args.output)


@command()
def tiktok_resolve(args: Namespace) -> None:
    """Decide an uncertain post."""
    print_rows([post_commands.resolve(args)], args.output)


@command()
def tiktok_forget(args: Namespace) -> None:
    """Delete the record of a post."""
    print_rows([post_commands.forget(args)], args.output)


@command(check_db=False)
def tiktok_doctor(args: Namespace) -> None:
    """Check the installation."""
    conn_ids = [args.conn_id] if args.conn_id else _known_conn_ids()
    findings = examine_installation(conn_ids, args.redirect_uri)
    print_rows([asdict(finding) for finding in findings], args.output)
    if any(finding.failed for finding in findings):
        raise SystemExit(1)


def _known_conn_ids() -> Sequence[str]:
    try:
        return [account.conn_id for account in finish(AccountService().accounts())]
    except (StoreBusyError, StoreNotReadyError):
        # The check of the tables reports it.
        return ()
