"""Which addresses an app may let TikTok pull from."""

import ipaddress
from urllib.parse import unquote, urlsplit

from tiktok_sandbox.envelope import ApiError, ParamsError
from tiktok_sandbox.records import App
from tiktok_sandbox.state import SandboxState

_LOCAL_HOSTS = {"127.0.0.1", "localhost", "::1"}


def check_url_form(url: str) -> None:
    """Raise ParamsError for what is no web address at all."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise ParamsError("The URL is malformed")


def check_ownership(state: SandboxState, app: App, url: str) -> None:
    """Refuse what the app has not verified. Plain http and IP addresses cannot be verified at all."""
    host = urlsplit(url).hostname or ""
    if state.switches.allow_local_pulls and host in _LOCAL_HOSTS:
        return
    secure = url.startswith("https://") and not _is_ip(host)
    if not secure or not any(_covers(prefix, url, host) for prefix in app.url_prefixes):
        raise ApiError("url_ownership_unverified", "The ownership of the URL is not verified")


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _covers(verified: str, url: str, host: str) -> bool:
    """A prefix covers what starts with it; a domain covers itself and its subdomains."""
    if verified.startswith("https://"):
        climbs = ".." in unquote(urlsplit(url).path).split("/")
        return url.startswith(verified) and not climbs
    return host == verified.lower() or host.endswith(f".{verified.lower()}")
