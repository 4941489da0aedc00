"""What an Airflow Connection of type ``tiktok`` says about its account."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tiktok_provider.api.hosts import API_BASE_URL, AUTHORIZE_URL, HostPolicy
from tiktok_provider.exceptions import ConnectionSettingsError
from tiktok_provider.store.connection_fields import base_url, text

if TYPE_CHECKING:
    from airflow.sdk import Connection

log = logging.getLogger(__name__)

EXTRA_KEYS = (
    "access_token",
    "refresh_token",
    "access_expires_at",
    "refresh_expires_at",
    "open_id",
    "scope",
    "username",
    "authorize_url",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One creator who authorised one app, without the tokens: those are the store's.

    :param base_url: of the API, without a path.
    """

    conn_id: str
    client_key: str
    client_secret: str = field(repr=False)
    base_url: str = API_BASE_URL
    authorize_url: str = AUTHORIZE_URL
    username: str = ""

    def page_url(self, path: str) -> str:
        """Return a page of the site on which people see posts."""
        parts = urlsplit(self.authorize_url)
        return f"{parts.scheme}://{parts.netloc}{path}"


def account_of(connection: "Connection", extra: Mapping[str, Any], hosts: HostPolicy) -> Account:
    """Read and check a Connection. No network.

    :param extra: its decoded extra.
    :raises ConnectionSettingsError: naming the field that is missing or malformed.
    :raises HostNotAllowedError: for a host that the platform does not allow.
    """
    conn_id = connection.conn_id
    _check_type(connection)
    _warn_of_unknown_keys(conn_id, extra)
    return Account(
        conn_id=conn_id,
        client_key=_required(conn_id, "login", "the app's client key", connection.login),
        client_secret=_required(conn_id, "password", "the app's client secret", connection.password),
        base_url=hosts.check_api(
            base_url(connection.host, connection.port), f"host of connection {conn_id!r}"
        ),
        authorize_url=hosts.check_consent(
            text(extra, "authorize_url") or AUTHORIZE_URL, f"authorize_url of connection {conn_id!r}"
        ),
        username=text(extra, "username"),
    )


def _check_type(connection: "Connection") -> None:
    if connection.conn_type != "tiktok":
        raise ConnectionSettingsError(
            f"Connection {connection.conn_id!r} is of type {connection.conn_type!r}, it must be 'tiktok'."
        )


def _warn_of_unknown_keys(conn_id: str, extra: Mapping[str, Any]) -> None:
    unknown = sorted(set(extra) - set(EXTRA_KEYS))
    if unknown:
        log.warning(
            "Connection %r: unknown extra keys are ignored: %s. Known: %s.",
            conn_id,
            ", ".join(unknown),
            ", ".join(EXTRA_KEYS),
        )


def _required(conn_id: str, name: str, meaning: str, value: str | None) -> str:
    if not value:
        raise ConnectionSettingsError(f"Connection {conn_id!r} lacks its {name}: {meaning}.")
    return value
