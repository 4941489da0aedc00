"""The two Connections of an account: the user's, which is read, and the store's own, which is written."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from airflow.configuration import conf
from airflow.models import Connection
from airflow.models.base import ID_LEN
from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException
from cryptography.fernet import InvalidToken
from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from tiktok_provider.api.hosts import HostPolicy, origin_of
from tiktok_provider.exceptions import ConnectionSettingsError, ConnectionUnreadableError
from tiktok_provider.security.masking import TOKEN_MASKS, mask
from tiktok_provider.store.connection_fields import base_url
from tiktok_provider.store.token_sets import StoredTokens, tokens_conn_id, tokens_in

_OURS = "Written by the TikTok provider, which keeps the current token set here. Do not edit."
_FINGERPRINTED = ("access_token", "refresh_token")
_TOKEN_KEYS = (*_FINGERPRINTED, "access_expires_at", "refresh_expires_at")
# What Airflow raises of what another Fernet key has encrypted, or if there is none, or none that is one.
_UNDECRYPTABLE = (InvalidToken, ValueError, AirflowException)


@dataclass(frozen=True, slots=True, kw_only=True)
class TikTokApp:
    """What the user's Connection says: the app, and perhaps a first token set.

    :param base_url: of the API, without a path.
    """

    conn_id: str
    client_key: str
    client_secret: str = field(repr=False)
    base_url: str
    initial_tokens: StoredTokens | None


def read_app(conn_id: str, now: datetime) -> TikTokApp:
    """Read the user's Connection, from wherever Airflow finds it.

    :raises ConnectionUnreadableError: it is not defined where this process can see it.
    :raises ConnectionSettingsError: it lacks something.
    :raises HostNotAllowedError: its host is not allowed.
    """
    return app_in(_find(conn_id), now)


def app_in(connection: Connection, now: datetime) -> TikTokApp:
    """Tell what a user's Connection says, stored or not; see ``read_app``."""
    conn_id = connection.conn_id
    if len(tokens_conn_id(conn_id)) > ID_LEN:
        raise ConnectionSettingsError(
            f"Connection {conn_id!r} has too long an id: {tokens_conn_id(conn_id)!r}, where its token set is kept,"
            f" may have {ID_LEN} characters."
        )
    if connection.conn_type != "tiktok":
        raise ConnectionSettingsError(
            f"Connection {conn_id!r} is of type {connection.conn_type!r}, not 'tiktok'."
        )
    hosts = HostPolicy.parse(conf.get("tiktok", "allowed_hosts", fallback=""))
    client_secret = _required(connection, "password", "client secret")
    initial_tokens = tokens_in(conn_id, _extra_of(connection), now)
    mask(
        client_secret,
        *((initial_tokens.access_token, initial_tokens.refresh_token) if initial_tokens else ()),
    )
    return TikTokApp(
        conn_id=conn_id,
        client_key=_required(connection, "login", "client key"),
        client_secret=client_secret,
        base_url=hosts.check_api(
            base_url(connection.host, connection.port), f"host of connection {conn_id!r}"
        ),
        initial_tokens=initial_tokens,
    )


def define(session: Session, draft: Connection) -> None:
    """Store a user's new Connection, encrypted by Airflow, unless somebody else just did."""
    if _labels(session, Connection.conn_id == draft.conn_id):
        return
    # A copy: what a transaction that failed has had is not fit for the next one.
    fields = {name: getattr(draft, name) for name in ("conn_type", "login", "password", "host", "extra")}
    session.add(Connection(draft.conn_id, **fields))


def read_tokens(session: Session, conn_id: str, now: datetime) -> StoredTokens | None:
    """Return the current token set; None if its Connection is gone.

    :raises ConnectionUnreadableError: it cannot be decrypted.
    """
    connection = _stored(session, conn_id)
    if connection is None:
        return None
    tokens = tokens_in(connection.conn_id, _extra_of(connection), now)
    if tokens is not None:
        TOKEN_MASKS.mask(conn_id, tokens.access_token, tokens.refresh_token)
    return tokens


def has_tokens(session: Session, conn_id: str) -> bool:
    """Whether the Connection with the current token set is there; reads no token."""
    return _stored(session, conn_id) is not None


def kept_conn_ids(session: Session) -> set[str]:
    """Return the ids of the users' Connections beside which there is one of ours, with the token set."""
    suffix = tokens_conn_id("")
    labels = _labels(session, Connection.conn_id.endswith(suffix))
    return {label.conn_id.removesuffix(suffix) for label in labels if _is_ours(session, label)}


def check_origin(session: Session, app: TikTokApp) -> None:
    """Check that the token set was given to the app, and at the host, that the user's Connection names now.

    Another app's refresh would end the account for good, and another host would be told its refresh token. What an
    older set does not say is not compared, and neither is the client secret, which may be rotated.

    :raises ConnectionSettingsError: it was given to another app, or elsewhere.
    """
    connection = _stored(session, app.conn_id)
    if connection is None:
        return
    client_key = connection.login or app.client_key
    host = base_url(connection.host, connection.port) if connection.host else app.base_url
    where = f"host of connection {connection.conn_id!r}"
    if client_key == app.client_key and origin_of(host, where) == origin_of(app.base_url, where):
        return
    raise ConnectionSettingsError(
        f"The token set of connection {app.conn_id!r} was given to the app with client key {client_key!r} at {host};"
        f" the connection now says {app.client_key!r} at {app.base_url}. Put it back, or have the owner of the TikTok"
        f" account connect it again as it is now: airflow tiktok connect {app.conn_id} --switch-account"
    )


def write_tokens(session: Session, app: TikTokApp, tokens: StoredTokens, generation: int) -> None:
    """Put a token set into the account's second Connection, encrypted by Airflow.

    :raises ConnectionSettingsError: a Connection that somebody else made has its id.
    """
    TOKEN_MASKS.mask(app.conn_id, tokens.access_token, tokens.refresh_token)
    connection = _stored(session, app.conn_id)
    if connection is None:
        connection = Connection(conn_id=tokens_conn_id(app.conn_id), conn_type="tiktok", description=_OURS)
        connection.team_name = _team_of(session, app.conn_id)
        session.add(connection)
    connection.description = _OURS
    connection.host = app.base_url
    connection.login = app.client_key
    connection.extra = json.dumps(tokens.to_extra(generation))


def wipe_tokens(session: Session, conn_id: str) -> None:
    """Delete the Connection with the current token set."""
    if (connection := _stored(session, conn_id)) is not None:
        session.delete(connection)


def read_initial_tokens(conn_id: str, now: datetime) -> StoredTokens | None:
    """Return the first set in the user's Connection, whatever else is wrong with that, without its times.

    :raises ConnectionUnreadableError: it is not defined where this process can see it.
    """
    return _initial_tokens_in(_find(conn_id), now)


def wipe_initial_tokens(session: Session, conn_id: str, now: datetime) -> StoredTokens | None:
    """Take the first set out of the user's Connection in the metadata database; return it, without its times.

    :raises ConnectionUnreadableError: it cannot be decrypted.
    """
    connection = _loaded(session, conn_id)
    initial_tokens = _initial_tokens_in(connection, now) if connection else None
    if connection is not None and initial_tokens is not None:
        extra = {name: value for name, value in _extra_of(connection).items() if name not in _TOKEN_KEYS}
        connection.extra = json.dumps(extra)
    return initial_tokens


def user_conn_ids(session: Session) -> list[str]:
    """Return the ids of the TikTok Connections that people made in the metadata database."""
    labels = _labels(session, Connection.conn_type == "tiktok")
    return sorted(label.conn_id for label in labels if not _is_ours(session, label))


def is_stored(session: Session, conn_id: str) -> bool:
    """Whether a Connection of this id, or the one with its token set, is in the metadata database."""
    which = Connection.conn_id.in_((conn_id, tokens_conn_id(conn_id)))
    return bool(_labels(session, which))


def is_defined(conn_id: str) -> bool:
    """Whether Airflow finds a TikTok Connection of this id, wherever that is."""
    try:
        return bool(_find(conn_id).conn_type == "tiktok")
    except ConnectionUnreadableError:
        return False


def undecryptable_conn_ids(session: Session) -> list[str]:
    """Return the ids of the TikTok Connections, ours among them, that the present Fernet key does not open."""
    conn_ids = session.scalars(select(Connection.conn_id).where(Connection.conn_type == "tiktok"))
    return sorted(conn_id for conn_id in conn_ids if not _can_be_read(session, conn_id))


def _initial_tokens_in(connection: Connection, now: datetime) -> StoredTokens | None:
    if connection.conn_type != "tiktok":
        return None
    extra = _extra_of(connection)
    return tokens_in(connection.conn_id, {name: extra.get(name) for name in _FINGERPRINTED}, now)


def _find(conn_id: str) -> Connection:
    try:
        return Connection.get_connection_from_secrets(conn_id)
    except AirflowNotFoundException:
        raise ConnectionUnreadableError(
            f"Connection {conn_id!r} is not defined where the API server can see it (in the metadata database, in a"
            " secrets backend, or in the environment of the API server itself), or it is malformed there, or was"
            " encrypted with another [core] fernet_key."
        ) from None


def _stored(session: Session, conn_id: str) -> Connection | None:
    found = _labels(session, Connection.conn_id == tokens_conn_id(conn_id))
    if not found:
        return None
    if not _is_ours(session, found[0]):
        raise ConnectionSettingsError(
            f"Connection {tokens_conn_id(conn_id)!r} was made or changed by somebody else. Rename it: its id is where"
            f" the token set of connection {conn_id!r} is kept."
        )
    return _loaded(session, tokens_conn_id(conn_id))


class _Label(NamedTuple):
    """What of a Connection is not encrypted.

    Airflow decrypts the password of a Connection that is loaded whole, and one that another key has encrypted must
    not stand in the way of all others.
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
    try:
        return session.scalar(select(Connection).where(Connection.conn_id == conn_id))
    except _UNDECRYPTABLE:
        raise _undecryptable(conn_id) from None


def _can_be_read(session: Session, conn_id: str) -> bool:
    try:
        connection = _loaded(session, conn_id)
        return connection is None or isinstance(_extra_of(connection), dict)
    except ConnectionUnreadableError:
        return False


def _is_ours(session: Session, label: _Label) -> bool:
    """Whether the store has written it: people may change its description, but only the store counts generations."""
    if label.description == _OURS:
        return True
    if label.conn_type != "tiktok" or not label.conn_id.endswith(tokens_conn_id("")):
        return False
    try:
        connection = _loaded(session, label.conn_id)
        return connection is not None and isinstance(_extra_of(connection).get("generation"), int)
    except ConnectionUnreadableError:
        return False


def _extra_of(connection: Connection) -> dict[str, Any]:
    try:
        extra: dict[str, Any] = connection.extra_dejson
    except _UNDECRYPTABLE:
        raise _undecryptable(connection.conn_id) from None
    return extra


def _undecryptable(conn_id: str) -> ConnectionUnreadableError:
    return ConnectionUnreadableError(
        f"Connection {conn_id!r} cannot be decrypted with the present [core] fernet_key."
    )


def _team_of(session: Session, conn_id: str) -> str | None:
    return session.scalar(select(Connection.team_name).where(Connection.conn_id == conn_id))


def _required(connection: Connection, name: str, meaning: str) -> str:
    value: str | None = getattr(connection, name)
    if not value:
        raise ConnectionSettingsError(
            f"Connection {connection.conn_id!r} lacks its {name}: the app's {meaning}."
        )
    return value
