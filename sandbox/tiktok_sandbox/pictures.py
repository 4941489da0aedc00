"""Addresses of avatars and covers, which TikTok lets expire. What they show is one grey picture."""

import functools
import io
import math
import re

from PIL import Image
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tiktok_sandbox.state import SandboxState

AVATAR_SECONDS = 2 * 3600
COVER_SECONDS = 6 * 3600
_SIDE = 100
_TIME = re.compile(r"[0-9]{1,15}")


def picture_routes(state: SandboxState) -> list[Route]:
    async def picture(request: Request) -> Response:
        expires = request.query_params.get("expires", "")
        if not _TIME.fullmatch(expires) or int(expires) <= state.clock.now():
            return Response("The address has expired", 403)
        return Response(_grey(), media_type="image/jpeg")

    return [Route("/cdn/{name}", picture)]


def picture_url(state: SandboxState, base_url: str, name: str, lifetime_seconds: int) -> str:
    """An address that is good from now on for so long; it says itself until when."""
    expires = math.ceil(state.clock.now() + lifetime_seconds)
    return f"{base_url}/cdn/{name}.jpeg?expires={expires}"


@functools.cache
def _grey() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (_SIDE, _SIDE), "grey").save(file, "JPEG")
    return file.getvalue()
