"""Which hosts may be spoken to.

A person who may edit a Connection must not be able to send the app's secret elsewhere, so a Connection only chooses
among hosts that the platform's configuration allows.
"""

from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from tiktok_provider.exceptions import HostNotAllowedError

API_BASE_URL = "https://open.tiktokapis.com"
AUTHORIZE_URL = "https://www.tiktok.com/v2/auth/authorize/"

_TIKTOK_ORIGINS = frozenset({"https://open.tiktokapis.com", "https://www.tiktok.com"})
# Both top-level domains are seen in upload URLs; only the first is documented.
_UPLOAD_DOMAINS = (".tiktokapis.com", ".tiktokapis.us")


@dataclass(frozen=True, slots=True)
class HostPolicy:
    """TikTok's own hosts, and the origins that the platform allows besides.

    :param allowed: origins such as ``http://127.0.0.1:9080``: scheme, host and, unless it is the scheme's own, port.
    """

    allowed: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, setting: str) -> "HostPolicy":
        """Read ``[tiktok] allowed_hosts``: origins separated by commas or white space."""
        entries = setting.replace(",", " ").split()
        return cls(frozenset(origin_of(entry, "an entry of [tiktok] allowed_hosts") for entry in entries))

    def check_api(self, url: str, field: str) -> str:
        """Return the URL if API calls may go there.

        :param field: where the URL stands, for the error.
        :raises HostNotAllowedError: otherwise.
        """
        return self._check(url, _TIKTOK_ORIGINS, field)

    def check_consent(self, url: str, field: str) -> str:
        """Return the URL if a person may be sent there to consent.

        :param field: where the URL stands, for the error.
        :raises HostNotAllowedError: otherwise.
        """
        return self._check(url, _TIKTOK_ORIGINS, field)

    def check_upload(self, url: str) -> str:
        """Return the URL that TikTok gave for the bytes if it is TikTok's or allowed.

        :raises HostNotAllowedError: otherwise.
        """
        what = "the upload URL that the API gave"
        origin = origin_of(url, what)
        if origin.startswith("https://") and origin.endswith(_UPLOAD_DOMAINS):
            return url
        return self._check(url, (), what)

    def _check(self, url: str, own: Collection[str], what: str) -> str:
        origin = origin_of(url, what)
        if origin in own or origin in self.allowed:
            return url
        raise HostNotAllowedError(
            f"{origin} is neither TikTok's nor allowed.\n"
            f"It is {what}. If it is meant, the platform team adds it:\n"
            f"[tiktok] allowed_hosts = {' '.join(sorted(self.allowed | {origin}))}"
        )


def origin_of(url: str, what: str) -> str:
    """Return scheme, host and port; a URL with credentials in it, or without a scheme, is no origin of ours.

    :param what: where the URL stands, for the error.
    :raises HostNotAllowedError: it is no such URL.
    """
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError:
        scheme, host, port = "", None, None
    if scheme not in ("http", "https") or not host or "@" in parts.netloc:
        shown = "with credentials" if "@" in url else repr(url.partition("?")[0])
        raise HostNotAllowedError(
            f"A URL is {shown}, it must be https://host or https://host:port.\nIt is {what}."
        )
    shown = f"[{host}]" if ":" in host else host
    usual = {"http": 80, "https": 443}[scheme]
    return f"{scheme}://{shown}" + ("" if port in (None, usual) else f":{port}")
