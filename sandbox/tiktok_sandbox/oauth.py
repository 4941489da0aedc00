"""The token endpoint and its neighbours, with their flat answers."""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tiktok_sandbox.envelope import OAuthError, oauth_failure, oauth_status_of
from tiktok_sandbox.granting import (
    CLIENT_TOKEN_SECONDS,
    REMOVED_BY_DEVELOPER,
    redeem,
    refresh,
    remove_authorization,
    token_body,
)
from tiktok_sandbox.records import App, Call
from tiktok_sandbox.state import SandboxState

_FORM = "application/x-www-form-urlencoded"
_MAX_BODY_BYTES = 65_536


@dataclass(frozen=True)
class OAuthCall:
    """A call with its form; an empty field counts as missing."""

    state: SandboxState
    form: Mapping[str, str]
    log: Call
    base_url: str

    def required(self, name: str) -> str:
        if not self.form.get(name):
            raise OAuthError("invalid_request", f"{name} is missing")
        return self.form[name]

    def authenticated_app(self) -> App:
        app = self.state.apps.get(self.required("client_key"))
        secret = self.required("client_secret")
        if app is None or not hmac.compare_digest(app.client_secret.encode(), secret.encode()):
            raise OAuthError("invalid_client", "client_key or client_secret is incorrect")
        return app


Handler = Callable[[OAuthCall], dict[str, object] | None]


def oauth_routes(state: SandboxState) -> list[Route]:
    handlers = {"/v2/oauth/token/": _token, "/v2/oauth/revoke/": _revoke}
    return [oauth_route(state, path, handler) for path, handler in handlers.items()]


def oauth_route(state: SandboxState, path: str, handler: Handler) -> Route:
    """A form in; a flat answer out, also for errors; none where the handler returns None."""

    async def serve(request: Request) -> Response:
        log: Call = request.scope["sandbox.call"]
        try:
            form = await _form(request)
            body = handler(OAuthCall(state, form, log, str(request.base_url).rstrip("/")))
        except OAuthError as error:
            log.code = error.error
            lenient = state.switches.oauth_error_status == 200
            return oauth_failure(error, 200 if lenient else oauth_status_of(error.error), log.log_id)
        log.code = "ok"
        headers = {"x-tt-logid": log.log_id, "cache-control": "no-store"}
        return Response(headers=headers) if body is None else JSONResponse(body, headers=headers)

    return Route(path, serve, methods=["POST"])


async def _form(request: Request) -> dict[str, str]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise OAuthError("invalid_request", f"Content-Type must be {_FORM}")
    raw = bytearray()
    async for piece in request.stream():
        raw += piece
        if len(raw) > _MAX_BODY_BYTES:
            raise OAuthError("invalid_request", "The body is too large")
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError as error:
        raise OAuthError("invalid_request", "The body is malformed") from error
    return dict(pairs)


def _token(call: OAuthCall) -> dict[str, object]:
    app = call.authenticated_app()
    grant_type = call.required("grant_type")
    if grant_type == "client_credentials":
        # Good for other products only, so that no endpoint here knows the token.
        token = f"clt.{call.state.text_id(64)}"
        return {"access_token": token, "expires_in": CLIENT_TOKEN_SECONDS, "token_type": "Bearer"}
    if grant_type == "authorization_code":
        code, redirect_uri = call.required("code"), call.required("redirect_uri")
        tokens = redeem(call.state, app, code, redirect_uri, call.form.get("code_verifier"))
    elif grant_type == "refresh_token":
        tokens = refresh(call.state, app, call.required("refresh_token"))
    else:
        raise OAuthError("unsupported_grant_type", "The grant_type is not supported")
    call.log.open_id = tokens.authorization.open_id
    return token_body(call.state, tokens)


def _revoke(call: OAuthCall) -> dict[str, object] | None:
    app = call.authenticated_app()
    token = call.state.tokens.access.get(call.required("token"))
    if token is None or token.revoked or token.authorization.app is not app:
        raise OAuthError("invalid_request", "The access token is invalid or of another client")
    call.log.open_id = token.authorization.open_id
    remove_authorization(call.state, app, token.authorization.account, REMOVED_BY_DEVELOPER)
    return {} if call.state.switches.revoke_body == "json" else None
