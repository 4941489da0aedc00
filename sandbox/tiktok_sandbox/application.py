"""All routes of the sandbox as one ASGI application."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from tiktok_sandbox.consent import consent_routes
from tiktok_sandbox.control import control_routes
from tiktok_sandbox.control_posts import control_post_routes
from tiktok_sandbox.display import display_routes
from tiktok_sandbox.envelope import failure
from tiktok_sandbox.lifecycle import catch_up
from tiktok_sandbox.middleware import CLIENT_GONE, CallMiddleware
from tiktok_sandbox.oauth import oauth_routes
from tiktok_sandbox.origin_guard import OriginGuard
from tiktok_sandbox.page import page_routes
from tiktok_sandbox.pictures import picture_routes
from tiktok_sandbox.posting import posting_routes
from tiktok_sandbox.qr_login import qr_routes
from tiktok_sandbox.records import Call
from tiktok_sandbox.state import SandboxState
from tiktok_sandbox.status import status_routes
from tiktok_sandbox.uploads import upload_routes

# How often webhooks are looked after while no call comes.
_TICK_SECONDS = 0.25


def create_application(state: SandboxState, names: Collection[str] = ()) -> ASGIApp:
    """The sandbox over this state; `names` are the hosts that it goes by besides this machine's own."""
    routes = [
        *consent_routes(state),
        *oauth_routes(state),
        *qr_routes(state),
        *posting_routes(state),
        *status_routes(state),
        *display_routes(state),
        *upload_routes(state),
        *control_routes(state),
        *control_post_routes(state),
        *picture_routes(state),
        *page_routes(state),
    ]
    application = Starlette(
        routes=routes,
        lifespan=lambda _: _ticking(state),
        exception_handlers={ClientDisconnect: _client_gone, Exception: _internal_error},
    )
    # TikTok does not redirect: a path without its slash is another path.
    application.router.redirect_slashes = False
    return OriginGuard(CallMiddleware(application, state), names)


@asynccontextmanager
async def _ticking(state: SandboxState) -> AsyncIterator[None]:
    ticker = asyncio.create_task(_tick(state))
    try:
        yield
    finally:
        ticker.cancel()
        with suppress(asyncio.CancelledError):
            await ticker
        await state.reset()


async def _tick(state: SandboxState) -> None:
    """Only webhooks need this: all else is brought up to date by the next call."""
    while True:
        await asyncio.sleep(_TICK_SECONDS)
        await catch_up(state)
        await state.webhooks.tick()


async def _client_gone(_request: Request, _error: Exception) -> Response:
    return Response(status_code=CLIENT_GONE)


async def _internal_error(request: Request, _error: Exception) -> Response:
    """The server logs the exception itself; the caller gets what TikTok would say."""
    call: Call | None = request.scope.get("sandbox.call")
    if call is None:
        return JSONResponse({"error": "Something is wrong in the sandbox"}, 500)
    call.code = "internal_error"
    return failure(call.code, "Something is wrong in the sandbox", call.log_id, call.path)
