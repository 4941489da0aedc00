"""The store's routes for workers and triggers: one for each request class, each authenticated.

Every route is async and waits for nothing but the store: it shares a process with Airflow's heartbeats.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse
from pydantic import ValidationError

from tiktok_provider import __version__
from tiktok_provider.database.services import HANDLERS, Services
from tiktok_provider.exceptions import InvalidInputError
from tiktok_provider.plain_text import plain_text
from tiktok_provider.store.errors import StoreVersionError
from tiktok_provider.store.requests import ACCOUNTS, PROTOCOL, PROTOCOL_HEADER, StoreRequest, adapter
from tiktok_provider.store.serialization import encode, wrong_fields
from tiktok_provider.web.locked_accounts import LockedAccounts
from tiktok_provider.web.store_auth import Guard


def store_routes(services: Services) -> APIRouter:
    """Return the routes, all of which authenticate their callers."""
    # A connection id may contain slashes.
    router = APIRouter(prefix=f"{ACCOUNTS}/{{conn_id:path}}", dependencies=[Depends(_check_protocol)])
    guard, locked = Guard(), LockedAccounts()
    for kind in HANDLERS:
        router.post(f"/{kind.route}")(_endpoint(kind, services, guard, locked))
    return router


async def _check_protocol(request: Request) -> None:
    """Refuse a caller of another version in a sentence, before what it sends is read."""
    if (theirs := request.headers.get(PROTOCOL_HEADER, PROTOCOL)) != PROTOCOL:
        raise StoreVersionError(
            f"The API server has airflow-provider-tiktok {__version__}, which does not fit this one.\n"
            f"It speaks version {PROTOCOL} of the store's protocol, the caller {plain_text(theirs[:20])}. Install one"
            " version of the provider everywhere, API servers first, and restart them: tasks wait for it."
        )


def _endpoint(
    kind: type[StoreRequest[Any]], services: Services, guard: Guard, locked: LockedAccounts
) -> Callable[[str, bytes], Awaitable[JSONResponse]]:
    # FastAPI would read a body before the request is authenticated, so it comes from the guard.
    authenticate = guard.authenticate_once if kind.writes else guard.authenticate

    async def respond(conn_id: str, body: Annotated[bytes, Depends(authenticate)]) -> JSONResponse:
        request = _request(kind, body)
        with locked.watch(conn_id):
            answer = await services.answer(conn_id, request)
        status, document = encode(answer, adapter(kind.answer))
        return JSONResponse(document, status)

    return respond


def _request(kind: type[StoreRequest[Any]], body: bytes) -> StoreRequest[Any]:
    try:
        request: StoreRequest[Any] = kind.body().validate_json(body)
    except ValidationError as error:
        raise InvalidInputError(
            [f"the body of a request {kind.route!r} is wrong in: {wrong_fields(error)}"]
        ) from None
    return request
