"""How the store calls TikTok's token endpoint."""

import asyncio
from typing import Protocol, TypeVar

import httpx

from tiktok_provider import __version__
from tiktok_provider.api.calls import Call
from tiktok_provider.api.drivers import TIMEOUT, AsyncDriver
from tiktok_provider.exceptions import UnreachableError
from tiktok_provider.security.tls import tiktok_tls

T = TypeVar("T")

# Far below the lease of 60 s, so that no other caller gets the lease while an answer can still come.
TOTAL_TIMEOUT = 20.0
# Seconds to read an answer that is already in the socket when the time is used up.
GRACE = 1.0


class Caller(Protocol):
    """Runs a call of ``tiktok_provider.api.oauth`` at an API base URL."""

    async def __call__(self, base_url: str, call: Call[T], /) -> T: ...


async def call_tiktok(base_url: str, call: Call[T], /) -> T:
    """Run a call with a new HTTP client; proxy and CA settings of the environment count.

    :raises UnreachableError: no answer within 20 s in all.
    :raises TikTokError: what the call itself raises.
    """
    headers = {"User-Agent": f"airflow-provider-tiktok/{__version__}"}
    # No time limit of httpx: it would throw away an answer that is already in the socket.
    timeout = httpx.Timeout(None, connect=TIMEOUT.connect)
    tls = await asyncio.to_thread(tiktok_tls)
    async with httpx.AsyncClient(base_url=base_url, timeout=timeout, headers=headers, verify=tls) as client:
        answer = asyncio.ensure_future(AsyncDriver(client).run(call))
        try:
            await asyncio.wait({answer}, timeout=TOTAL_TIMEOUT)
            # A process that stood still finds its time used up, and perhaps tokens that came meanwhile.
            await asyncio.wait({answer}, timeout=GRACE)
            if answer.done():
                return answer.result()
        finally:
            answer.cancel()
            await asyncio.wait({answer})
    raise UnreachableError(
        f"TikTok's token endpoint gave no answer within {TOTAL_TIMEOUT:.0f} s.", maybe_processed=True
    )
