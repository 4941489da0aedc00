"""The user's Connection as ``airflow tiktok connect`` needs it: found, or made."""

import os
import sys
from argparse import Namespace
from getpass import getpass

from airflow.models import Connection
from airflow.models.base import ID_LEN
from airflow.models.connection import sanitize_conn_id
from airflow.sdk.exceptions import AirflowNotFoundException
from sqlalchemy import select

from tiktok_provider.database.accounts.connections import read_masked_account
from tiktok_provider.database.session import transaction
from tiktok_provider.exceptions import ConnectionSettingsError, ConnectionUnreadableError
from tiktok_provider.store.clock import utc_now
from tiktok_provider.store.connection import Account, base_url, trimmed
from tiktok_provider.store.token_sets import tokens_conn_id

SECRET_VARIABLE = "TIKTOK_CLIENT_SECRET"


def find_or_draft(args: Namespace) -> tuple[Account, Connection | None]:
    """Return the account, and its Connection if that is new, so not stored yet. The secrets are masked.

    :param args: of ``airflow tiktok connect``.
    :raises ConnectionSettingsError: a field is missing or malformed, or an option contradicts the Connection.
    """
    try:
        connection = Connection.get_connection_from_secrets(args.conn_id)
    except AirflowNotFoundException:
        _refuse_unreadable(args.conn_id)
        draft = _draft(args)
        return read_masked_account(draft, utc_now()), draft
    account = read_masked_account(connection, utc_now())
    _refuse_contradictions(account, args)
    return account, None


def _refuse_unreadable(conn_id: str) -> None:
    """Refuse a Connection that Airflow cannot decrypt, which it calls not defined: it could not be stored again."""
    with transaction() as session:
        if session.scalar(select(Connection.id).where(Connection.conn_id == conn_id)) is not None:
            raise ConnectionUnreadableError(
                f"Connection {conn_id!r} is in Airflow's database and cannot be read there: another [core] fernet_key"
                " has encrypted it. Run this with that key, or delete the connection under Admin > Connections and"
                " begin again."
            )


def _draft(args: Namespace) -> Connection:
    if sanitize_conn_id(args.conn_id, ID_LEN - len(tokens_conn_id(""))) is None:
        raise ConnectionSettingsError(
            f"{args.conn_id!r} cannot be a connection id: it may hold letters, digits and # ! - _ . : / ( ), and must"
            " be short enough for the id of the connection with the tokens."
        )
    if not args.client_key:
        raise ConnectionSettingsError(
            f"Connection {args.conn_id!r} is not there yet: name the TikTok app with --client-key to make it."
        )
    extra = {"authorize_url": trimmed(args.authorize_url)} if args.authorize_url else {}
    return Connection(
        conn_id=args.conn_id,
        conn_type="tiktok",
        login=trimmed(args.client_key),
        password=_client_secret(),
        host=trimmed(args.host) or None,
        extra=extra or None,
    )


def _client_secret() -> str:
    """Read the client secret, which is never an argument: those show in the list of processes."""
    secret = trimmed(os.environ.get(SECRET_VARIABLE))
    if not secret and sys.stdin.isatty():
        secret = trimmed(getpass("Client secret of the TikTok app: "))
    if not secret:
        raise ConnectionSettingsError(
            f"The app's Client secret is missing: set the environment variable {SECRET_VARIABLE}, or run this on a"
            " terminal to be asked for it."
        )
    return secret


def _refuse_contradictions(account: Account, args: Namespace) -> None:
    options = {
        "--client-key": (trimmed(args.client_key), account.client_key),
        "--host": (args.host and base_url(args.host, None), account.base_url),
        "--authorize-url": (trimmed(args.authorize_url), account.authorize_url),
    }
    differing = [option for option, (given, stored) in options.items() if given and given != stored]
    if differing:
        raise ConnectionSettingsError(
            f"Connection {args.conn_id!r} exists and has another value for {', '.join(differing)}. Leave that"
            " away, or change the connection under Admin > Connections first."
        )
