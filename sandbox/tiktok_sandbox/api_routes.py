"""What all endpoints behind a user token share: token, scope, limit, body, envelope."""

import math
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tiktok_sandbox.envelope import ApiError, ParamsError, failure, success
from tiktok_sandbox.fields import FieldError, build, json_object
from tiktok_sandbox.limits import Limit, RateLimitedError, take
from tiktok_sandbox.records import AccessToken, Account, App, Call
from tiktok_sandbox.state import SandboxState

Record = TypeVar("Record")
_MAX_BODY_BYTES = 1_000_000


@dataclass(frozen=True)
class ApiCall:
    """A call that came with a good token; `body` is its JSON object."""

    state: SandboxState
    request: Request
    log: Call
    token: AccessToken
    body: Mapping[str, object]

    @property
    def app(self) -> App:
        return self.token.authorization.app

    @property
    def account(self) -> Account:
        return self.token.authorization.account

    @property
    def base_url(self) -> str:
        """Our address as the caller sees it."""
        return str(self.request.base_url).rstrip("/")

    def require(self, scope: str) -> None:
        if scope not in self.token.authorization.scope:
            raise ApiError("scope_not_authorized", f"The user did not authorize the scope {scope}")

    def parse(self, record_type: type[Record], values: Mapping[str, object]) -> Record:
        """A record from (a part of) the body, or the answer that names the bad field."""
        allow_unknown = self.state.switches.unknown_fields == "ignored"
        try:
            return build(record_type, values, allow_unknown=allow_unknown)
        except FieldError as error:
            raise ParamsError(str(error)) from error


Handler = Callable[[ApiCall], Awaitable[dict[str, object] | None]]


@dataclass(frozen=True)
class Endpoint:
    """An endpoint of the API. One of `scopes` must be granted; empty: the handler sees to it."""

    path: str
    handler: Handler
    scopes: Collection[str] = ()
    limit: Limit | None = None
    method: str = "POST"
    body_required: bool = True


def route(state: SandboxState, endpoint: Endpoint) -> Route:
    async def serve(request: Request) -> Response:
        log: Call = request.scope["sandbox.call"]
        try:
            data = await endpoint.handler(await _admit(state, endpoint, request, log))
        except ApiError as error:
            return _refusal(state, error, log)
        log.code = "ok"
        return success(data, log.log_id)

    return Route(endpoint.path, serve, methods=[endpoint.method])


async def _admit(state: SandboxState, endpoint: Endpoint, request: Request, log: Call) -> ApiCall:
    token = _access_token(state, request)
    log.open_id = token.authorization.open_id
    if endpoint.scopes and not set(endpoint.scopes) & set(token.authorization.scope):
        names = " or ".join(endpoint.scopes)
        raise ApiError("scope_not_authorized", f"The user did not authorize the scope required: {names}")
    if endpoint.limit is not None:
        take(state, endpoint.limit, token)
    body = await _json_body(request, endpoint.body_required) if endpoint.method == "POST" else {}
    return ApiCall(state, request, log, token, body)


def _access_token(state: SandboxState, request: Request) -> AccessToken:
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    token = state.tokens.access.get(value) if kind == "Bearer" else None
    if token is None or token.revoked or token.expires_at <= state.clock.now():
        raise ApiError("access_token_invalid", "The access token is invalid or not found in the request.")
    return token


async def _json_body(request: Request, required: bool) -> dict[str, object]:
    raw = bytearray()
    async for piece in request.stream():
        raw += piece
        if len(raw) > _MAX_BODY_BYTES:
            raise ParamsError("The body is too large")
    if not raw and not required:
        return {}
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise ParamsError("Content-Type must be application/json")
    try:
        return json_object(raw)
    except FieldError as error:
        raise ParamsError(str(error)) from error


def _refusal(state: SandboxState, error: ApiError, log: Call) -> Response:
    log.code = state.switches.params_code if isinstance(error, ParamsError) else error.code
    response = failure(log.code, error.message, log.log_id, log.path)
    if isinstance(error, RateLimitedError) and error.retry_after is not None:
        response.headers["retry-after"] = str(math.ceil(error.retry_after))
    return response
