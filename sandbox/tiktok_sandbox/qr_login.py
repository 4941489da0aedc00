"""Login with a QR code, for machines without a browser."""

import re
from urllib.parse import urlencode

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from tiktok_sandbox.consent_page import consent_page, error_page
from tiktok_sandbox.envelope import OAuthError
from tiktok_sandbox.granting import granted_scope, new_code
from tiktok_sandbox.oauth import OAuthCall, oauth_route
from tiktok_sandbox.records import Account
from tiktok_sandbox.state import SandboxState
from tiktok_sandbox.tokens import QrLogin

_LIFETIME_SECONDS = 300
_SCAN_PATH = "/v2/auth/qr/"
# Below 512 characters, and the same before and after URL coding.
_TICKET = re.compile(r"[A-Za-z0-9._~-]{1,511}")
_DONE = "<!doctype html><title>TikTok sandbox</title><p>You can go back to the app.</p>"


def qr_routes(state: SandboxState) -> list[Route]:
    async def scan(request: Request) -> Response:
        login = state.tokens.qr_logins.get(request.query_params.get("token", ""))
        if login is None or _status(state, login) not in ("new", "scanned"):
            return error_page("token")
        ticket = request.query_params.get("client_ticket", "")
        if not _TICKET.fullmatch(ticket):
            return error_page("client_ticket")
        if request.method == "GET":
            login.status, login.ticket = "scanned", ticket
            return consent_page(state, login.app, login.scope)
        return _decide(state, login, await request.form())

    return [
        oauth_route(state, "/v2/oauth/get_qrcode/", _begin),
        oauth_route(state, "/v2/oauth/check_qrcode/", _check),
        Route(_SCAN_PATH, scan, methods=["GET", "POST"]),
    ]


def _begin(call: OAuthCall) -> dict[str, object]:
    state = call.state
    app = state.apps.get(call.required("client_key"))
    if app is None:
        raise OAuthError("invalid_client", "client_key is incorrect")
    if not app.redirect_uris:
        raise OAuthError("unauthorized_client", "The client has no redirect_uri for this flow")
    scope = call.required("scope").split(",")
    if not set(scope) <= set(app.scopes):
        raise OAuthError("invalid_scope", "The scope is unknown or not approved")
    token = state.text_id(40)
    expires_at = state.clock.now() + _LIFETIME_SECONDS
    state.tokens.qr_logins[token] = QrLogin(app, scope, call.form.get("state"), expires_at)
    query = urlencode({"token": token, "client_ticket": "tobefilled"})
    return {"scan_qrcode_url": f"{call.base_url}{_SCAN_PATH}?{query}", "token": token}


def _check(call: OAuthCall) -> dict[str, object]:
    app = call.authenticated_app()
    login = call.state.tokens.qr_logins.get(call.required("token"))
    if login is None or login.app is not app:
        raise OAuthError("invalid_request", "The token is invalid or of another client")
    status = _status(call.state, login)
    answer: dict[str, object] = {"status": status, "client_ticket": login.ticket}
    return {**answer, "redirect_uri": login.callback} if status == "confirmed" else answer


def _status(state: SandboxState, login: QrLogin) -> str:
    if login.status == "confirmed":
        return "confirmed" if login.code in state.tokens.codes else "utilised"
    return "expired" if login.expires_at <= state.clock.now() else login.status


def _decide(state: SandboxState, login: QrLogin, form: FormData) -> Response:
    if form.get("decision") != "approve":
        # No other documented status fits.
        login.status = "expired"
        return HTMLResponse(_DONE)
    account = state.account_named(str(form.get("account", "")))
    if account is None:
        return error_page("account")
    _confirm(state, login, account, [str(name) for name in form.getlist("scope")])
    return HTMLResponse(_DONE)


def _confirm(state: SandboxState, login: QrLogin, account: Account, chosen: list[str]) -> None:
    scope = granted_scope(state, [name for name in login.scope if name in chosen])
    redirect_uri = login.app.redirect_uris[0]
    code = new_code(state, login.app, account, scope, redirect_uri, None)
    echoed = {} if login.state is None else {"state": login.state}
    query = urlencode({"code": code.value, "scopes": ",".join(scope), **echoed})
    login.status, login.code, login.callback = "confirmed", code.value, f"{redirect_uri}?{query}"
