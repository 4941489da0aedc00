"""Reads an account's Connection in a worker or a triggerer."""

import logging
from typing import TYPE_CHECKING, Any

from airflow.sdk.log import mask_secret

from tiktok_provider.api.hosts import HostPolicy
from tiktok_provider.provider_info import EXTRA_FIELDS
from tiktok_provider.store.clock import utc_now
from tiktok_provider.store.connection import Account, read_account, read_extra

if TYPE_CHECKING:
    from airflow.sdk import Connection

log = logging.getLogger(__name__)


def account_of(connection: "Connection", hosts: HostPolicy) -> Account:
    """Read and check a Connection, and mask its secrets in this process and its supervisor. No network.

    :raises ConnectionSettingsError: naming the field that is missing or malformed.
    :raises HostNotAllowedError: for a host that the platform does not allow.
    """
    account = read_account(connection, hosts, utc_now())
    if account.client_secret != connection.password:
        # Airflow has masked the password as it is, line break included.
        mask_secret(account.client_secret)
    _warn_of_unknown_keys(account.conn_id, connection.extra)
    return account


def masked_extra(connection: "Connection") -> dict[str, Any]:
    """Return the extra; what Airflow takes for secret in it is masked from here on, as by its ``extra_dejson``.

    :raises ConnectionSettingsError: it is no JSON object.
    """
    extra = read_extra(connection.conn_id, connection.extra)
    mask_secret(extra)
    return extra


def _warn_of_unknown_keys(conn_id: str, extra: str | None) -> None:
    unknown = sorted(set(read_extra(conn_id, extra)) - set(EXTRA_FIELDS))
    if unknown:
        log.warning(
            "Connection %r: unknown extra keys are ignored: %s. Known: %s.",
            conn_id,
            ", ".join(unknown),
            ", ".join(EXTRA_FIELDS),
        )
