"""Which redirect URIs TikTok takes. Sources: TikTok's "Login Kit for Web" and "Login Kit for Desktop"."""

import ipaddress
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from tiktok_provider.exceptions import InvalidInputError

Platform = Literal["web", "desktop"]

_LONGEST = 511
_LOOPBACK = ("localhost", "127.0.0.1")
_ANY_PORT = ":*"


def platform_of(redirect_uri: str) -> Platform:
    """Return the kind of app that can have a redirect URI.

    :param redirect_uri: as it is registered; a desktop app's may have ``*`` in the place of its port.
    :raises InvalidInputError: neither kind can, with all that stands against it.
    """
    parts = _parts(redirect_uri)
    desktop = parts is not None and parts.hostname in _LOOPBACK
    violations = _general(redirect_uri) or (
        _desktop(parts) if parts and desktop else _web(redirect_uri, parts)
    )
    if violations:
        raise InvalidInputError([f"redirect URI {redirect_uri!r} {violation}" for violation in violations])
    return "desktop" if desktop else "web"


def with_port(redirect_uri: str, port: int) -> str:
    """Put a port into the place of ``*``."""
    return redirect_uri.replace(_ANY_PORT, f":{port}", 1)


def port_of(redirect_uri: str) -> int | None:
    """Return the port; None if it is ``*`` or none is named."""
    return None if _ANY_PORT in redirect_uri else urlsplit(redirect_uri).port


def _parts(redirect_uri: str) -> SplitResult | None:
    try:
        parts = urlsplit(with_port(redirect_uri, 1))
        return parts if parts.port is None or parts.port else None
    except ValueError:
        return None


def _general(redirect_uri: str) -> list[str]:
    violations = []
    if len(redirect_uri) > _LONGEST:
        violations.append(f"has {len(redirect_uri)} characters, TikTok takes at most {_LONGEST}")
    if "?" in redirect_uri or "#" in redirect_uri:
        violations.append("has a query or a fragment, which TikTok refuses")
    return violations


def _desktop(parts: SplitResult) -> list[str]:
    violations = []
    if parts.scheme not in ("http", "https"):
        violations.append("must begin with http:// or https://")
    if parts.port is None:
        violations.append(f"must name a port, or * for any: {parts.scheme}://{parts.hostname}:*{parts.path}")
    return violations


def _web(redirect_uri: str, parts: SplitResult | None) -> list[str]:
    if parts is None or not parts.hostname or "@" in parts.netloc:
        return ["must be of the form https://host/path, or http://127.0.0.1:*/path for a desktop app"]
    violations = []
    if parts.scheme != "https":
        violations.append(
            "must begin with https://, unless its host is localhost or 127.0.0.1 (a desktop app)"
        )
    if "*" in redirect_uri:
        violations.append("has a *, which only the port of a desktop app can be")
    if not _is_public(parts.hostname):
        violations.append("must name a public host, or localhost or 127.0.0.1 (a desktop app)")
    return violations


def _is_public(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host
