"""The store's routes for workers and triggers: those of ``tiktok_provider.store.requests``, each behind a proof.

Every route is async and waits for nothing but the store: it shares a process with Airflow's heartbeats.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse
from pydantic import ValidationError

from tiktok_provider.database.services import Stores
from tiktok_provider.exceptions import InvalidInputError
from tiktok_provider.store.requests import ACCOUNTS, ROUTES, Route, adapter
from tiktok_provider.store.serialization import encode, wrong_fields
from tiktok_provider.web.store_auth import Guard


def store_routes(stores: Stores) -> APIRouter:
    """Return the routes; each asks for a proof."""
    # A connection id may contain slashes.
    router = APIRouter(prefix=f"{ACCOUNTS}/{{conn_id:path}}")
    guard = Guard()
    for route in ROUTES:
        router.post(f"/{route.name}")(_endpoint(route, stores, guard))
    return router


def _endpoint(
    route: Route[Any, Any], stores: Stores, guard: Guard
) -> Callable[[str, bytes], Awaitable[JSONResponse]]:
    # FastAPI would read a body before the proof is checked, so it comes from the guard.
    prove = guard.prove_once if route.writes else guard.prove

    async def answer(conn_id: str, body: Annotated[bytes, Depends(prove)]) -> JSONResponse:
        outcome = await route.do(stores, conn_id, _said(route, body))
        status, document = encode(outcome, adapter(route.outcome))
        return JSONResponse(document, status)

    return answer


def _said(route: Route[Any, Any], body: bytes) -> Any:
    try:
        return adapter(route.said).validate_json(body)
    except ValidationError as error:
        raise InvalidInputError(
            [f"the body of a request {route.name!r} is wrong in: {wrong_fields(error)}"]
        ) from None
