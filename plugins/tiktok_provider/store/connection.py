"""The one reader of Connections of type ``tiktok``. Imports neither Airflow's models nor the database.

Errors name the fields as the connection form does: Client key, Client secret, API base URL, Granted scopes ...
"""

import json
import re
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from urllib.parse import urlsplit

from airflow.sdk.configuration import conf

from tiktok_provider.api.hosts import API_BASE_URL, AUTHORIZE_URL, HostPolicy
from tiktok_provider.exceptions import ConnectionSettingsError
from tiktok_provider.provider_info import CONNECTION_TYPE, EXTRA_FIELDS
from tiktok_provider.store.token_sets import REFRESH_LIFETIME, StoredTokens

CLIENT_KEY, CLIENT_SECRET, BASE_URL = (
    CONNECTION_TYPE["ui-field-behaviour"]["relabeling"][name] for name in ("login", "password", "host")
)
# What TikTok documents; believed only of an access token that says nothing of its own.
_ACCESS_LIFETIME = timedelta(days=1)
_AT_THE_ENDS = string.whitespace + "\u00a0\u200b\u2028\u2029\u2060\ufeff"
_SCOPE = re.compile(r"[\w.]+")
# A handle, with its "@" or within the address of its page.
_HANDLE = re.compile(
    r"(?:https?://)?[\w.:-]+/@(?P<of_page>[^\s@/?#:]+)(?:[/?#].*)?|@*(?P<alone>[^\s@/?#:]+)", re.DOTALL
)
# How errors call a JSON value that is of another type than a text.
_JSON_TYPES = {bool: "a boolean", int: "a number", float: "a number", list: "a list", dict: "an object"}


class AirflowConnection(Protocol):
    """The fields of an Airflow Connection; the Task SDK's and the database's both have them."""

    @property
    def conn_id(self) -> str: ...
    @property
    def conn_type(self) -> str | None: ...
    @property
    def login(self) -> str | None: ...
    @property
    def password(self) -> str | None: ...
    @property
    def host(self) -> str | None: ...
    @property
    def port(self) -> int | None: ...
    @property
    def extra(self) -> str | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What a Connection says: one creator who authorized one app.

    :param base_url: of the API, without a path.
    :param authorize_url: the consent page.
    :param username: the @handle; empty if the Connection does not say it.
    :param publish_to: public object storage for photos from files; empty if the Connection does not say it.
    :param public_base_url: its https address; likewise.
    :param initial_tokens: what a person has put into the extra; None if there is no token in it.
    """

    conn_id: str
    client_key: str
    client_secret: str = field(repr=False)
    base_url: str = API_BASE_URL
    authorize_url: str = AUTHORIZE_URL
    username: str = ""
    publish_to: str = ""
    public_base_url: str = ""
    initial_tokens: StoredTokens | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must be masked before anything else is done with the account."""
        tokens = self.initial_tokens
        return (self.client_secret, *((tokens.access_token, tokens.refresh_token) if tokens else ()))

    def page_url(self, path: str) -> str:
        """Return a page of the site on which people see posts."""
        parts = urlsplit(self.authorize_url)
        return f"{parts.scheme}://{parts.netloc}{path}"


def host_policy() -> HostPolicy:
    """Return what ``[tiktok] allowed_hosts`` allows besides TikTok's own hosts.

    :raises HostNotAllowedError: an entry is no origin.
    """
    return HostPolicy.parse(conf.get("tiktok", "allowed_hosts", fallback=""))


def read_account(connection: AirflowConnection, hosts: HostPolicy, now: datetime) -> Account:
    """Read and check a Connection. No network, no masking: see ``Account.secrets``.

    :raises ConnectionSettingsError: naming the field that is missing or malformed.
    :raises HostNotAllowedError: for a host that the platform does not allow.
    """
    conn_id = connection.conn_id
    check_type(conn_id, connection.conn_type)
    extra = read_extra(conn_id, connection.extra)
    texts = _texts(conn_id, extra)
    _check_names(conn_id, texts)
    return Account(
        conn_id=conn_id,
        client_key=_required(conn_id, CLIENT_KEY, connection.login),
        client_secret=read_client_secret(conn_id, connection.password),
        base_url=hosts.check_api(
            base_url(connection.host, connection.port), f"{BASE_URL} of connection {conn_id!r}"
        ),
        authorize_url=hosts.check_consent(
            texts["authorize_url"] or AUTHORIZE_URL,
            f"{_name('authorize_url')} of connection {conn_id!r}",
        ),
        username=texts["username"],
        publish_to=texts["publish_to"],
        public_base_url=texts["public_base_url"],
        initial_tokens=tokens_in(conn_id, extra, now),
    )


def check_type(conn_id: str, conn_type: str | None) -> None:
    """Check that a Connection is one of TikTok.

    :raises ConnectionSettingsError: it is of another type.
    """
    if conn_type != CONNECTION_TYPE["connection-type"]:
        raise ConnectionSettingsError(
            f"Connection {conn_id!r} is of type {conn_type!r}, it must be 'tiktok'."
        )


def read_client_secret(conn_id: str, password: str | None) -> str:
    """Return the client secret without what a copy brings along at its ends: blanks, line breaks.

    :raises ConnectionSettingsError: there is none.
    """
    return _required(conn_id, CLIENT_SECRET, password)


def read_extra(conn_id: str, extra: str | None) -> dict[str, Any]:
    """Return the extra of a Connection, which is a JSON object; empty if there is none.

    :raises ConnectionSettingsError: it is something else.
    """
    if not extra or not extra.strip():
        return {}
    try:
        found = json.loads(extra)
    except (ValueError, RecursionError):
        raise ConnectionSettingsError(
            f"Connection {conn_id!r}: the extra is not JSON.\n"
            'It must be a JSON object such as {"refresh_token": "..."}.'
        ) from None
    if not isinstance(found, dict):
        raise ConnectionSettingsError(
            f"Connection {conn_id!r}: the extra is {_json_type(found)}, it must be a JSON object.\n"
            'For example {"refresh_token": "..."}.'
        )
    return found


def tokens_in(conn_id: str, extra: Mapping[str, Any], now: datetime) -> StoredTokens | None:
    """Return the tokens in a Connection's extra; None if there is no token in it.

    Asterisks alone are no token: Airflow's API and UI show them in place of secrets, and a person may save them.
    What the extra does not say: an access token that can be refreshed counts as expired, any other as fresh,
    and a refresh token as fresh.

    :raises ConnectionSettingsError: a time is malformed, or a field is of another JSON type.
    """
    texts = _texts(conn_id, extra)
    access_token, refresh_token = _unmasked(texts["access_token"]), _unmasked(texts["refresh_token"])
    if not access_token and not refresh_token:
        return None
    access_end = _time(conn_id, texts, "access_expires_at")
    access_expires_at = access_end or (now if refresh_token else now + _ACCESS_LIFETIME)
    refresh_end = _time(conn_id, texts, "refresh_expires_at") or now + REFRESH_LIFETIME
    return StoredTokens(
        access_token=access_token,
        refresh_token=refresh_token,
        access_expires_at=access_expires_at if access_token else now,
        refresh_expires_at=refresh_end if refresh_token else access_expires_at,
        open_id=texts["open_id"],
        scope=texts["scope"],
        username=texts["username"],
        generation=_generation(extra),
    )


def base_url(host: str | None, port: int | None) -> str:
    """Return scheme, host and port of the API; a bare host name means https, none TikTok's own."""
    scheme, _, rest = (trimmed(host) or API_BASE_URL).rpartition("://")
    netloc = rest.partition("/")[0]
    has_port = ":" in netloc.rpartition("]")[2]
    return f"{scheme or 'https'}://{netloc}{f':{port}' if port and not has_port else ''}"


def trimmed(text: str | None) -> str:
    """Return a text without what a copy brings along at its ends: blanks, line breaks, signs of no width."""
    return (text or "").strip(_AT_THE_ENDS)


def _required(conn_id: str, label: str, value: str | None) -> str:
    value = trimmed(value)
    if not value:
        raise ConnectionSettingsError(
            f"Connection {conn_id!r} lacks its {label}.\n"
            "Copy it from the TikTok app's page in TikTok's developer portal."
        )
    if not value.isprintable() or " " in value:
        raise ConnectionSettingsError(
            f"Connection {conn_id!r}: a blank or a line break is inside its {label}.\n"
            "Or another control character. Copy it once more from the TikTok app's page in TikTok's developer portal."
        )
    return value


def _generation(extra: Mapping[str, Any]) -> int:
    value = extra.get("generation")
    return value if isinstance(value, int) else 0


def _texts(conn_id: str, extra: Mapping[str, Any]) -> dict[str, str]:
    """Return all fields of the extra without blanks at their ends; empty if they are missing."""
    texts = {name: _text(conn_id, name, extra.get(name)) for name in EXTRA_FIELDS}
    # Separated as TikTok does it.
    texts["scope"] = ",".join(filter(None, re.split(r"[\s,]+", texts["scope"])))
    if found := _HANDLE.fullmatch(texts["username"]):
        texts["username"] = found["of_page"] or found["alone"]
    return texts


def _check_names(conn_id: str, texts: Mapping[str, str]) -> None:
    """Check what a person has written; what TikTok gave to the store is taken as it is."""
    scopes, username = texts["scope"], texts["username"]
    if scopes and not all(_SCOPE.fullmatch(scope) for scope in scopes.split(",")):
        raise _malformed(conn_id, "scope", repr(scopes), "names such as video.publish, separated by commas")
    if username and not _HANDLE.fullmatch(username):
        raise _malformed(conn_id, "username", repr(username), "the account's handle, such as mia")


def _text(conn_id: str, name: str, value: object) -> str:
    if name == "scope" and isinstance(value, list) and all(isinstance(scope, str) for scope in value):
        return ",".join(filter(None, map(trimmed, value)))
    if value is None or isinstance(value, str):
        return trimmed(value)
    wanted = "a text, or a list of texts" if name == "scope" else "a text"
    raise _malformed(conn_id, name, _json_type(value), wanted)


def _json_type(value: object) -> str:
    return _JSON_TYPES.get(type(value), "a text" if isinstance(value, str) else "null")


def _unmasked(token: str) -> str:
    return token if token.strip("*") else ""


def _time(conn_id: str, texts: Mapping[str, str], name: str) -> datetime | None:
    """Read an ISO 8601 time; without an offset it is UTC."""
    if not texts[name]:
        return None
    try:
        found = datetime.fromisoformat(texts[name])
    except ValueError:
        wanted = "an ISO 8601 time such as 2030-01-31T12:00:00+00:00"
        raise _malformed(conn_id, name, repr(texts[name]), wanted) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _name(field: str) -> str:
    """Return how errors name a field of the extra: as the form does, and as JSON does."""
    return f"{EXTRA_FIELDS[field]['label']} ({field!r} in the extra)"


def _malformed(conn_id: str, name: str, found: str, wanted: str) -> ConnectionSettingsError:
    return ConnectionSettingsError(
        f"Connection {conn_id!r}: {name!r} in the extra is {found}.\n"
        f"{EXTRA_FIELDS[name]['label']} must be {wanted}."
    )
