"""A URL from which TikTok fetches media. Source: TikTok's "Media Transfer Guide", "PULL_FROM_URL"."""

import hashlib
import ipaddress
import re
from collections.abc import Sequence
from urllib.parse import SplitResult, urlsplit

from tiktok_provider.api.hosts import HostPolicy
from tiktok_provider.exceptions import HostNotAllowedError
from tiktok_provider.publishing.media.violations import Violation

_PREFIX_RULE = (
    "TikTok follows no redirects, and pulls only from a domain or URL prefix that the TikTok app has verified in"
    " TikTok's developer portal"
)

# What each signing of a URL changes: at AWS (CloudFront, too), at Google Cloud, and at Azure, if there is a "sig".
_SIGNATURE = re.compile(
    r"x-(amz|goog)-.*|awsaccesskeyid|googleaccessid|signature|expires|policy|key-pair-id", re.IGNORECASE
)
_AZURE = {
    "sv",
    "ss",
    "srt",
    "sp",
    "se",
    "st",
    "spr",
    "sip",
    "sr",
    "si",
    "sdd",
    "skoid",
    "sktid",
    "skt",
    "ske",
    "sks",
}
_AZURE |= {"skv", "saoid", "suoid", "scid", "ses", "sig"}


class PublicUrl:
    """Where TikTok fetches one video or photo. Nothing is asked of it from here.

    :param url: whole; its query may be a secret, such as a signature, and is never shown.
    """

    def __init__(self, url: str) -> None:
        self.url = url.strip()

    @property
    def location(self) -> str:
        """The URL without query and credentials, safe to print."""
        parts = self._parts()
        if parts is None or not parts.netloc:
            return "of an unreadable form"
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    @property
    def name(self) -> str:
        """The URL without its signature. Of what else is in its query, only a hash is shown."""
        parts = self._parts()
        kept = _without_signature(parts.query) if parts else ""
        return f"{self.location}?{hashlib.sha256(kept.encode()).hexdigest()}" if kept else self.location

    @property
    def secrets(self) -> Sequence[str]:
        """The URL may be signed: it, and its query on its own."""
        return self.url, self.url.partition("?")[2].partition("#")[0]

    def violation(self, field: str, hosts: HostPolicy) -> Violation | None:
        """Return what TikTok would refuse of its form.

        :param field: the parameter that it comes from.
        :param hosts: what ``[tiktok] allowed_hosts`` lists, such as a server beside the sandbox, needs no check.
        """
        if self._is_allowed(field, hosts) or not (problem := self._problem()):
            return None
        return Violation(field, self.location, "https://domain/path", f"{problem}. {_PREFIX_RULE}")

    def _is_allowed(self, field: str, hosts: HostPolicy) -> bool:
        parts = self._parts()
        if parts is None:
            return False
        try:
            hosts.check_api(f"{parts.scheme}://{parts.netloc}", field)
        except HostNotAllowedError:
            return False
        return True

    def _problem(self) -> str:
        parts = self._parts()
        if not self.url.isprintable() or " " in self.url:
            return "it holds a blank or a control character"
        if parts is None or not parts.hostname:
            return "it has no host"
        if parts.scheme != "https":
            return f"it begins with {parts.scheme or 'no scheme'}, not https"
        if "@" in parts.netloc:
            return "it carries credentials"
        if _is_address(parts.hostname) or "." not in parts.hostname:
            return "its host is no domain name"
        if ".." in parts.path.split("/"):
            return "its path contains '..'"
        return ""

    def _parts(self) -> SplitResult | None:
        try:
            parts = urlsplit(self.url)
            _ = parts.port
        except ValueError:
            return None
        return parts


def _without_signature(query: str) -> str:
    """Return the parts of a query that say which video it is: not those that each signing of a URL changes."""
    named = [(part.partition("=")[0], part) for part in query.split("&")]
    azure = _AZURE if any(name == "sig" for name, _ in named) else ()
    return "&".join(part for name, part in named if not _SIGNATURE.fullmatch(name) and name not in azure)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
