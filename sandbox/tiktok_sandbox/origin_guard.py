"""Keeps foreign web pages out: a browser lets every page that it shows talk to this machine."""

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class OriginGuard:
    """ASGI middleware around everything. Programs, which name no origin, and pages of the sandbox itself may pass.

    - ``Host`` must be this machine, an address, or a name that the sandbox was started with: a page whose name has
      been rebound to this machine's address still sends its own name.
    - ``Origin``, where a browser sends it, must be the sandbox's own.
    - What another site's page embeds or loads is refused, too; a link that a person follows is not.

    :param names: hosts besides this machine's own.
    """

    def __init__(self, app: ASGIApp, names: Collection[str] = ()) -> None:
        self._app = app
        self._names = {name.lower() for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (problem := self._problem(scope["method"], Headers(scope=scope))):
            await JSONResponse({"error": problem}, 403)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _problem(self, method: str, headers: Headers) -> str:
        host = headers.get("host", "")
        if not self._is_ours(host):
            return f"This sandbox does not go by the host {host!r}: start it with --name to add one"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return f"Pages of {origin} may not use this sandbox"
        if headers.get("sec-fetch-site") in ("cross-site", "same-site") and not _is_link(method, headers):
            return "Pages of other sites may not use this sandbox"
        return ""

    def _is_ours(self, host: str) -> bool:
        name = host.lower()
        if not name.endswith("]"):
            name = name.rpartition(":")[0] or name
        name = name.strip("[]")
        return name == "localhost" or name in self._names or _is_address(name)


def _is_link(method: str, headers: Headers) -> bool:
    """Whether the browser shows the answer as a page of its own, and not within another page."""
    shown = (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest"))
    return method == "GET" and shown == ("navigate", "document")


def _is_address(name: str) -> bool:
    """No name, so nothing that could be rebound."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
