"""Which redirect URIs an app may register, and which ones match at the consent page."""

import ipaddress
import re
from typing import Literal
from urllib.parse import urlsplit

from tiktok_sandbox.fields import FieldError

_MAX_COUNT, _MAX_LENGTH = 10, 512
_WILDCARD_PORT = re.compile(r":\*(?=/|$)")
_LOOPBACK = {"localhost", "127.0.0.1"}


def check_redirects(uris: list[str], platform: Literal["web", "desktop"]) -> None:
    """Raise FieldError for what TikTok's portal refuses."""
    if len(uris) > _MAX_COUNT:
        raise FieldError(f"redirect_uris may have {_MAX_COUNT} entries")
    for uri in uris:
        if len(uri) >= _MAX_LENGTH or "?" in uri or "#" in uri:
            raise FieldError("redirect_uris must be below 512 characters, without query and fragment")
        if not (_good_for_web(uri) if platform == "web" else _good_for_desktop(uri)):
            rule = "https with a public host" if platform == "web" else "localhost or 127.0.0.1 with a port"
            raise FieldError(f"redirect_uris of a {platform} app must be {rule}")


def _good_for_web(uri: str) -> bool:
    parts = urlsplit(uri)
    host = parts.hostname or ""
    return parts.scheme == "https" and "*" not in uri and "." in host and not _is_private(host)


def _is_private(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False


def _good_for_desktop(uri: str) -> bool:
    parts = urlsplit(_WILDCARD_PORT.sub(":1", uri, count=1))
    return parts.scheme in ("http", "https") and parts.hostname in _LOOPBACK and parts.port is not None


def redirect_matches(uri: str, registered: list[str]) -> bool:
    """Exactly, but for a wildcard port."""
    patterns = (re.escape(one).replace(r":\*", r":\d{1,5}", 1) for one in registered)
    return any(re.fullmatch(pattern, uri) for pattern in patterns)
