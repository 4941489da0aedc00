"""The user's Connection as ``airflow tiktok connect`` needs it: found, or made."""

import os
import sys
from argparse import Namespace
from getpass import getpass

from airflow.configuration import conf
from airflow.models import Connection
from airflow.models.base import ID_LEN
from airflow.models.connection import sanitize_conn_id
from airflow.sdk.exceptions import AirflowNotFoundException
from sqlalchemy import select

from tiktok_provider.api.hosts import HostPolicy
from tiktok_provider.database.session import transaction
from tiktok_provider.exceptions import ConnectionSettingsError, ConnectionUnreadableError
from tiktok_provider.hooks.connection import Account, account_of
from tiktok_provider.security.masking import mask
from tiktok_provider.store.token_sets import tokens_conn_id

SECRET_VARIABLE = "TIKTOK_CLIENT_SECRET"


def find_or_draft(args: Namespace) -> tuple[Connection, bool]:
    """Return the user's Connection and whether it is new, that is not stored yet.

    :param args: of ``airflow tiktok connect``.
    :raises ConnectionSettingsError: something is missing, or contradicts the Connection that is there.
    """
    try:
        connection = Connection.get_connection_from_secrets(args.conn_id)
    except AirflowNotFoundException:
        _refuse_unreadable(args.conn_id)
        return _draft(args), True
    _refuse_contradictions(connection, args)
    return connection, False


def account_in(connection: Connection) -> Account:
    """Check a Connection; its secret is masked from here on."""
    hosts = HostPolicy.parse(conf.get("tiktok", "allowed_hosts", fallback=""))
    mask(connection.password or "")
    return account_of(connection, connection.extra_dejson, hosts)


def _refuse_unreadable(conn_id: str) -> None:
    """Airflow says of what it cannot decrypt that it is not defined; it would be in the way after the consent."""
    with transaction() as session:
        if session.scalar(select(Connection.id).where(Connection.conn_id == conn_id)) is not None:
            raise ConnectionUnreadableError(
                f"Connection {conn_id!r} is in Airflow's database and cannot be read there: another [core] fernet_key"
                " has encrypted it. Run this with that key, or delete the connection under Admin > Connections and"
                " begin anew."
            )


def _draft(args: Namespace) -> Connection:
    if sanitize_conn_id(args.conn_id, ID_LEN - len(tokens_conn_id(""))) is None:
        raise ConnectionSettingsError(
            f"{args.conn_id!r} cannot be a connection id: letters, digits and # ! - _ . : / ( ) can be in it, and it"
            " must leave room for the id of the connection with the tokens."
        )
    if not args.client_key:
        raise ConnectionSettingsError(
            f"Connection {args.conn_id!r} is not there yet: name the TikTok app with --client-key to make it."
        )
    extra = {"authorize_url": args.authorize_url} if args.authorize_url else {}
    return Connection(
        conn_id=args.conn_id,
        conn_type="tiktok",
        login=args.client_key,
        password=_client_secret(),
        host=args.host,
        extra=extra or None,
    )


def _client_secret() -> str:
    """Never an argument: those show in the list of processes."""
    secret = os.environ.get(SECRET_VARIABLE, "").strip()
    if not secret and sys.stdin.isatty():
        secret = getpass("Client secret of the TikTok app: ").strip()
    if not secret:
        raise ConnectionSettingsError(
            f"The app's client secret is missing: set the environment variable {SECRET_VARIABLE}, or run this on a"
            " terminal to be asked for it."
        )
    return secret


def _refuse_contradictions(connection: Connection, args: Namespace) -> None:
    stored = {
        "--client-key": (args.client_key, connection.login),
        "--host": (args.host, connection.host),
        "--authorize-url": (args.authorize_url, connection.extra_dejson.get("authorize_url")),
    }
    differing = [option for option, (given, found) in stored.items() if given and given != found]
    if differing:
        raise ConnectionSettingsError(
            f"Connection {args.conn_id!r} is there already and says otherwise: leave {', '.join(differing)} away, or"
            " change the connection under Admin > Connections first."
        )
