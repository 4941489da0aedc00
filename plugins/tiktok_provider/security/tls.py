"""What is trusted of TikTok's servers."""

import ssl
from functools import cache

import httpx


@cache
def tiktok_tls() -> ssl.SSLContext:
    """Return the certificates to trust, read once for each process; ``SSL_CERT_FILE`` is honoured.

    It takes so long that an event loop leaves it to a thread.
    """
    return httpx.create_ssl_context()
