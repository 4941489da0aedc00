"""How the sandbox calls the developer's own servers."""

import httpx

_DIRECTLY: dict[str, httpx.AsyncBaseTransport | None] = {"all://127.0.0.1": None, "all://localhost": None}


def outgoing_client(timeout_seconds: float) -> httpx.AsyncClient:
    """Follows no redirects, as TikTok does; a proxy from the environment would only hide this machine."""
    return httpx.AsyncClient(timeout=timeout_seconds, follow_redirects=False, mounts=_DIRECTLY)
