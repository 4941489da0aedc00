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

from tiktok_provider.api.hosts import API_BASE_URL
from tiktok_provider.database.accounts.connections import read_masked_account
from tiktok_provider.database.session import transaction
from tiktok_provider.exceptions import ConnectionSettingsError, ConnectionUnreadableError
from tiktok_provider.store.clock import utc_now
from tiktok_provider.store.connection import Account, base_url, read_extra, trimmed
from tiktok_provider.store.token_sets import tokens_conn_id

SECRET_VARIABLE = "TIKTOK_CLIENT_SECRET"


def find_or_draft(args: Namespace) -> tuple[Account, Connection | None]:
    """Return the account, and its Connection if that is new, so not stored yet. The secrets are masked.

    :param args: of ``airflow tiktok connect``.
    :raises ConnectionSettingsError: a field is missing or malformed, or an option contradicts the Connection.
    """
    draft = None
    try:
        connection = Connection.get_connection_from_secrets(args.conn_id)
    except AirflowNotFoundException:
        _refuse_unreadable(args.conn_id)
        connection = draft = _draft(args)
    account = read_masked_account(connection, utc_now())
    _refuse_contradictions(account, args)
    _refuse_foreign_consent(account, connection)
    return account, draft


def _refuse_foreign_consent(account: Account, connection: Connection) -> None:
    """Refuse to lead a person to TikTok for an app of another host, such as a sandbox."""
    named = str(read_extra(account.conn_id, connection.extra).get("authorize_url") or "").strip()
    if account.base_url != API_BASE_URL and not named:
        raise ConnectionSettingsError(
            f"Connection {account.conn_id!r} names a host of its own, but no consent page.\n"
            f"TikTok's page does not know the apps of {account.base_url}. Name the page with --authorize-url, or in"
            f" the connection; a sandbox's is {account.base_url}/v2/auth/authorize/"
        )


def _refuse_unreadable(conn_id: str) -> None:
    """Refuse a Connection that Airflow cannot decrypt, which it calls not defined: it could not be stored again."""
    with transaction() as session:
        if session.scalar(select(Connection.id).where(Connection.conn_id == conn_id)) is not None:
            raise ConnectionUnreadableError(
                f"Connection {conn_id!r} in Airflow's database cannot be decrypted.\n"
                "Another [core] fernet_key has encrypted it. Run this with that key, or delete the connection under"
                " Admin > Connections and begin again."
            )


def _draft(args: Namespace) -> Connection:
    if sanitize_conn_id(args.conn_id, ID_LEN - len(tokens_conn_id(""))) != args.conn_id:
        raise ConnectionSettingsError(
            f"{args.conn_id!r} cannot be a connection id.\n"
            "It may hold letters, digits and # ! - _ . : / ( ), and must be short enough for the id of the connection"
            " with the tokens."
        )
    if not args.client_key:
        raise ConnectionSettingsError(
            f"Connection {args.conn_id!r} is not there yet.\nName the TikTok app with --client-key to make it."
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
            "The app's Client secret is missing.\n"
            f"Set the environment variable {SECRET_VARIABLE}, or run this on a terminal to be asked for it."
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
            f"Connection {args.conn_id!r} exists and has other values than the options.\n"
            f"They differ in {', '.join(differing)}. Leave that away, or change the connection under"
            " Admin > Connections first."
        )
