"""The two Connections of an account: the user's, which is read, and the store's own, which is written."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

from airflow.models import Connection
from airflow.models.base import ID_LEN
from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException
from cryptography.fernet import InvalidToken
from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from tiktok_provider.api.hosts import origin_of
from tiktok_provider.database.session import transaction
from tiktok_provider.exceptions import ConnectionSettingsError, ConnectionUnreadableError
from tiktok_provider.security.masking import TOKEN_MASKS, mask
from tiktok_provider.store.connection import (
    BASE_URL,
    CLIENT_KEY,
    Account,
    base_url,
    host_policy,
    read_account,
    read_extra,
    tokens_in,
)
from tiktok_provider.store.errors import connection_not_seen
from tiktok_provider.store.token_sets import StoredTokens, tokens_conn_id

# The description of each Connection that the store writes.
_OURS = (
    "Written by the TikTok provider, which keeps the account's current tokens here. Do not edit or delete it: else"
    " the account must be connected again."
)
# How the description begins of a user's Connection that airflow tiktok connect has made.
_CONNECTED = "TikTok account "
_TOKENS = ("access_token", "refresh_token")
_TOKEN_FIELDS = (*_TOKENS, "access_expires_at", "refresh_expires_at")
# What Airflow raises of what another Fernet key has encrypted, or if there is none, or none that is one.
_UNDECRYPTABLE = (InvalidToken, ValueError, AirflowException)


def read_stored_account(conn_id: str, now: datetime) -> Account:
    """Read the user's Connection, from wherever Airflow finds it.

    :raises ConnectionUnreadableError: it is not defined where this process can see it.
    :raises ConnectionSettingsError: it lacks something.
    :raises HostNotAllowedError: its host is not allowed.
    """
    return read_masked_account(_find(conn_id), now)


def read_masked_account(connection: Connection, now: datetime) -> Account:
    """Read a user's Connection, stored or not, and mask its secrets; see ``read_stored_account``."""
    if len(tokens_conn_id(connection.conn_id)) > ID_LEN:
        raise ConnectionSettingsError(
            f"A connection has too long an id, allowed are {ID_LEN - len(tokens_conn_id(''))} characters.\n"
            f"It is {connection.conn_id!r}; its tokens are kept in {tokens_conn_id(connection.conn_id)!r}."
        )
    with _decrypting(connection.conn_id):
        account = read_account(connection, host_policy(), now)
    mask(*account.secrets)
    return account


def define(session: Session, draft: Connection) -> None:
    """Store a user's new Connection, encrypted by Airflow, unless another process has just stored one."""
    if _labels(session, Connection.conn_id == draft.conn_id):
        return
    # A copy: an object that was in a failed transaction cannot be added to the next one.
    fields = {name: getattr(draft, name) for name in ("conn_type", "login", "password", "host", "extra")}
    session.add(Connection(draft.conn_id, description=_CONNECTED, **fields))
    session.flush()


def describe(session: Session, conn_id: str, tokens: StoredTokens) -> None:
    """Describe a user's Connection that ``airflow tiktok connect`` has made; the words of a person stay."""
    found = _labels(session, Connection.conn_id == conn_id)
    if not found or not (found[0].description or "").startswith(_CONNECTED):
        return
    description = _described(tokens)
    session.execute(update(Connection).where(Connection.conn_id == conn_id).values(description=description))


def _described(tokens: StoredTokens) -> str:
    name = f"@{tokens.username}" if tokens.username else f"with open id {tokens.open_id or 'unknown'}"
    scopes = ", ".join(tokens.scope.replace(",", " ").split()) or "unknown scopes"
    until = f"{tokens.refresh_expires_at:%Y-%m-%d}"
    return f"{_CONNECTED}{name}, connected until {until} with {scopes}"


def read_tokens(session: Session, conn_id: str, now: datetime) -> StoredTokens | None:
    """Return the current tokens; None if their Connection is gone.

    :raises ConnectionUnreadableError: they cannot be decrypted.
    :raises ConnectionSettingsError: a person has edited them.
    """
    connection = _stored(session, conn_id)
    if connection is None:
        return None
    try:
        tokens = tokens_in(connection.conn_id, _extra_of(connection), now)
    except ConnectionUnreadableError:
        raise
    except ConnectionSettingsError as error:
        raise ConnectionSettingsError(
            f"{error}\nA person has edited it, and it holds the account's tokens. Connect the account again:"
            f" airflow tiktok connect {conn_id}"
        ) from None
    if tokens is not None:
        TOKEN_MASKS.mask(conn_id, tokens.access_token, tokens.refresh_token)
    return tokens


def has_tokens(session: Session, conn_id: str) -> bool:
    """Whether the Connection with the current tokens is there; reads no token."""
    return _stored(session, conn_id) is not None


def conn_ids_with_tokens(session: Session) -> set[str]:
    """Return the ids of the users' Connections beside which the store has one of its own, with the tokens."""
    suffix = tokens_conn_id("")
    labels = _labels(session, Connection.conn_id.endswith(suffix))
    return {label.conn_id.removesuffix(suffix) for label in labels if _is_ours(session, label)}


def check_origin(session: Session, account: Account) -> None:
    """Check that the tokens were given to the app, and at the host, that the user's Connection names now.

    A refresh by another app would end the account for good, and another host would receive its refresh token. What
    the older of the two Connections does not say is not compared, and neither is the client secret, which may be
    rotated.

    :raises ConnectionSettingsError: they were given to another app, or elsewhere.
    """
    connection = _stored(session, account.conn_id)
    if connection is None:
        return
    client_key = connection.login or account.client_key
    host = base_url(connection.host, connection.port) if connection.host else account.base_url
    where = f"{BASE_URL} of connection {connection.conn_id!r}"
    if client_key == account.client_key and origin_of(host, where) == origin_of(account.base_url, where):
        return
    raise ConnectionSettingsError(
        f"The tokens of connection {account.conn_id!r} were given to another app or host.\n"
        f"They are those of {CLIENT_KEY} {client_key!r} at {host}; the connection now says {account.client_key!r} at"
        f" {account.base_url}.\nPut it back, or have the owner of the TikTok account connect it again as it is now:"
        f" airflow tiktok connect {account.conn_id} --switch-account"
    )


def write_tokens(session: Session, account: Account, tokens: StoredTokens, generation: int) -> None:
    """Write tokens into the account's second Connection, encrypted by Airflow.

    :raises ConnectionSettingsError: a Connection that a person made has its id.
    """
    TOKEN_MASKS.mask(account.conn_id, tokens.access_token, tokens.refresh_token)
    connection = _stored(session, account.conn_id)
    if connection is None:
        connection = Connection(
            conn_id=tokens_conn_id(account.conn_id), conn_type="tiktok", description=_OURS
        )
        connection.team_name = _team_of(session, account.conn_id)
        session.add(connection)
    connection.description = _OURS
    connection.host = account.base_url
    connection.login = account.client_key
    connection.extra = json.dumps(tokens.to_extra(generation))


def wipe_tokens(session: Session, conn_id: str) -> None:
    """Delete the Connection with the current tokens."""
    if (connection := _stored(session, conn_id)) is not None:
        session.delete(connection)


def read_initial_tokens(conn_id: str, now: datetime) -> StoredTokens | None:
    """Return the initial tokens in the user's Connection, whatever else is wrong with it, without their times.

    :raises ConnectionUnreadableError: it is not defined where this process can see it.
    """
    return _initial_tokens_in(_find(conn_id), now)


def wipe_initial_tokens(session: Session, conn_id: str, now: datetime) -> StoredTokens | None:
    """Delete the initial tokens from the user's Connection in the metadata database; return them, without times.

    :raises ConnectionUnreadableError: it cannot be decrypted.
    """
    connection = _loaded(session, conn_id)
    initial_tokens = _initial_tokens_in(connection, now) if connection else None
    if connection is not None and initial_tokens is not None:
        extra = {name: value for name, value in _extra_of(connection).items() if name not in _TOKEN_FIELDS}
        connection.extra = json.dumps(extra)
    return initial_tokens


def user_conn_ids(session: Session) -> list[str]:
    """Return the ids of the TikTok Connections that people made in the metadata database."""
    labels = _labels(session, Connection.conn_type == "tiktok")
    return sorted(label.conn_id for label in labels if not _is_ours(session, label))


def is_stored(session: Session, conn_id: str) -> bool:
    """Whether a Connection of this id, or the one with its tokens, is in the metadata database."""
    which = Connection.conn_id.in_((conn_id, tokens_conn_id(conn_id)))
    return bool(_labels(session, which))


def is_defined(conn_id: str) -> bool:
    """Whether Airflow finds a TikTok Connection of this id, wherever that is."""
    try:
        return bool(_find(conn_id).conn_type == "tiktok")
    except ConnectionUnreadableError:
        return False


def undecryptable_conn_ids(session: Session) -> list[str]:
    """Return the ids of all TikTok Connections, the store's included, that the present Fernet key does not open."""
    conn_ids = session.scalars(select(Connection.conn_id).where(Connection.conn_type == "tiktok"))
    return sorted(conn_id for conn_id in conn_ids if not _can_be_read(session, conn_id))


def _initial_tokens_in(connection: Connection, now: datetime) -> StoredTokens | None:
    if connection.conn_type != "tiktok":
        return None
    extra = _extra_of(connection)
    tokens = tokens_in(connection.conn_id, {name: extra.get(name) for name in _TOKENS}, now)
    if tokens is not None:
        mask(tokens.access_token, tokens.refresh_token)
    return tokens


def _find(conn_id: str) -> Connection:
    """Find a Connection wherever Airflow does.

    :raises StoreBusyError: the database is away, of which Airflow says "not defined", too.
    """
    try:
        return Connection.get_connection_from_secrets(conn_id)
    except AirflowNotFoundException:
        with transaction() as session:
            session.execute(select(1))
        raise connection_not_seen(conn_id) from None


def _stored(session: Session, conn_id: str) -> Connection | None:
    found = _labels(session, Connection.conn_id == tokens_conn_id(conn_id))
    if not found:
        return None
    if not _is_ours(session, found[0]):
        raise ConnectionSettingsError(
            f"Connection {tokens_conn_id(conn_id)!r} was made or changed by a person.\n"
            f"Rename it: its id is where the tokens of connection {conn_id!r} are kept."
        )
    return _loaded(session, tokens_conn_id(conn_id))


class _Label(NamedTuple):
    """The columns of a Connection that are not encrypted.

    Airflow decrypts the password of a Connection that is loaded whole, and one that another key has encrypted must
    not make the others unreadable.
    """

    conn_id: str
    conn_type: str
    description: str | None


def _labels(session: Session, which: ColumnElement[bool]) -> list[_Label]:
    columns = select(Connection.conn_id, Connection.conn_type, Connection.description)
    return [_Label(*row) for row in session.execute(columns.where(which))]


def _loaded(session: Session, conn_id: str) -> Connection | None:
    """Load a Connection whole.

    :raises ConnectionUnreadableError: its password cannot be decrypted.
    """
    with _decrypting(conn_id):
        return session.scalar(select(Connection).where(Connection.conn_id == conn_id))


def _can_be_read(session: Session, conn_id: str) -> bool:
    try:
        if (connection := _loaded(session, conn_id)) is not None:
            _extra_of(connection)
    except ConnectionUnreadableError:
        return False
    except ConnectionSettingsError:
        # Readable, though malformed.
        return True
    return True


def _is_ours(session: Session, label: _Label) -> bool:
    """Whether the store has written it: people may change its description, but only the store writes a generation."""
    if label.description == _OURS:
        return True
    if label.conn_type != "tiktok" or not label.conn_id.endswith(tokens_conn_id("")):
        return False
    try:
        connection = _loaded(session, label.conn_id)
        return connection is not None and isinstance(_extra_of(connection).get("generation"), int)
    except ConnectionSettingsError:
        # It cannot be decrypted, or is malformed, which the store writes nothing of.
        return False


def _extra_of(connection: Connection) -> dict[str, Any]:
    with _decrypting(connection.conn_id):
        return read_extra(connection.conn_id, connection.extra)


@contextmanager
def _decrypting(conn_id: str) -> Iterator[None]:
    """Explain a Connection whose password or extra cannot be decrypted."""
    try:
        yield
    except _UNDECRYPTABLE:
        raise ConnectionUnreadableError(
            f"Connection {conn_id!r} cannot be decrypted.\nThe present [core] fernet_key is not the one that has"
            " encrypted it."
        ) from None


def _team_of(session: Session, conn_id: str) -> str | None:
    return session.scalar(select(Connection.team_name).where(Connection.conn_id == conn_id))
