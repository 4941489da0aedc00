"""How single fields of a TikTok Connection are read. Imports neither Airflow nor the database."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tiktok_provider.api.hosts import API_BASE_URL
from tiktok_provider.exceptions import ConnectionSettingsError


def base_url(host: str | None, port: int | None) -> str:
    """Return scheme, host and port of the API; a bare host name means https, none TikTok's own."""
    scheme, _, rest = ((host or "").strip() or API_BASE_URL).rpartition("://")
    netloc = rest.partition("/")[0]
    has_port = ":" in netloc.rpartition("]")[2]
    return f"{scheme or 'https'}://{netloc}{f':{port}' if port and not has_port else ''}"


def text(extra: Mapping[str, Any], name: str) -> str:
    """Return a field of the extra without blanks around it; empty if it is missing."""
    return str(extra.get(name) or "").strip()


def moment(conn_id: str, extra: Mapping[str, Any], name: str) -> datetime | None:
    """Read an ISO 8601 time of the extra; without an offset it is UTC.

    :raises ConnectionSettingsError: it is malformed.
    """
    value = text(extra, name)
    if not value:
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise ConnectionSettingsError(
            f"Connection {conn_id!r}: extra field {name!r} is {value!r}, it must be an ISO 8601 time such as"
            " 2030-01-31T12:00:00+00:00."
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
