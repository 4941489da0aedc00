"""The consent page, where a creator says which scopes an app gets. Plain HTML, so that scripts can use it too."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from tiktok_sandbox.consent_page import consent_page, error_page
from tiktok_sandbox.granting import granted_scope, new_code
from tiktok_sandbox.records import ALL_SCOPES, Account, App
from tiktok_sandbox.redirects import redirect_matches
from tiktok_sandbox.state import SandboxState

_CHALLENGE = re.compile(r"[0-9a-f]{64}")
_SESSION = "sandbox_session"


@dataclass(frozen=True)
class _Consent:
    """A well-formed authorization request."""

    app: App
    scope: list[str]
    redirect_uri: str
    state: str | None
    challenge: str | None


class _ParameterError(Exception):
    """The message is the parameter's name."""


def consent_routes(state: SandboxState) -> list[Route]:
    async def authorize(request: Request) -> Response:
        try:
            consent = _read(state, request.query_params)
        except _ParameterError as bad:
            return error_page(str(bad))
        if refusal := _refused_response_type(request.query_params):
            return _redirect(consent, refusal)
        if request.method == "POST":
            return _decide(state, consent, await request.form())
        account = _signed_in(state, request, consent)
        return (
            _approve(state, consent, account, consent.scope)
            if account
            else consent_page(state, consent.app, consent.scope)
        )

    return [Route("/v2/auth/authorize/", authorize, methods=["GET", "POST"])]


def _read(state: SandboxState, query: Mapping[str, str]) -> _Consent:
    app = state.apps.get(query.get("client_key", ""))
    if app is None:
        raise _ParameterError("client_key")
    scope = query.get("scope", "").split(",")
    if not set(scope) <= set(ALL_SCOPES) & set(app.scopes):
        raise _ParameterError("scope")
    redirect_uri = query.get("redirect_uri", "")
    if not redirect_matches(redirect_uri, app.redirect_uris):
        raise _ParameterError("redirect_uri")
    return _Consent(app, scope, redirect_uri, query.get("state"), _challenge(state, app, query))


def _challenge(state: SandboxState, app: App, query: Mapping[str, str]) -> str | None:
    """In hex, unlike in RFC 7636."""
    challenge = query.get("code_challenge")
    if challenge is None:
        if app.platform == "desktop" or state.switches.pkce_on_web == "required":
            raise _ParameterError("code_challenge")
        return None
    if not _CHALLENGE.fullmatch(challenge):
        raise _ParameterError("code_challenge")
    if query.get("code_challenge_method") != "S256":
        raise _ParameterError("code_challenge_method")
    return challenge


def _refused_response_type(query: Mapping[str, str]) -> dict[str, str] | None:
    """Not one of the parameters that the error page names, so that the app hears of it."""
    given = query.get("response_type")
    if given == "code":
        return None
    if not given:
        return {"error": "invalid_request", "error_description": "response_type is missing"}
    return {"error": "unsupported_response_type", "error_description": "response_type must be code"}


def _signed_in(state: SandboxState, request: Request, consent: _Consent) -> Account | None:
    """The creator who needs no page: signed in by an earlier consent that covers this one.

    Only where the caller asks for it, so that browsers that forget nothing still see the page.
    """
    account = state.account(request.cookies.get(_SESSION, ""))
    if account is None or request.query_params.get("disable_auto_auth") != "0":
        return None
    granted = state.tokens.granted(consent.app, account)
    return account if any(set(consent.scope) <= set(one.scope) for one in granted) else None


def _decide(state: SandboxState, consent: _Consent, form: FormData) -> Response:
    if form.get("decision") != "approve":
        refusal = {"error": "access_denied", "error_description": "User denied the authorization"}
        return _redirect(consent, refusal)
    account = state.account_named(str(form.get("account", "")))
    if account is None:
        return error_page("account")
    chosen = [str(scope) for scope in form.getlist("scope")]
    return _approve(state, consent, account, [scope for scope in consent.scope if scope in chosen])


def _approve(state: SandboxState, consent: _Consent, account: Account, chosen: list[str]) -> Response:
    scope = granted_scope(state, chosen)
    code = new_code(state, consent.app, account, scope, consent.redirect_uri, consent.challenge)
    response = _redirect(consent, {"code": code.value, "scopes": ",".join(scope)})
    response.set_cookie(_SESSION, account.open_id, httponly=True, samesite="lax")
    return response


def _redirect(consent: _Consent, values: dict[str, str]) -> Response:
    echoed = {} if consent.state is None else {"state": consent.state}
    return RedirectResponse(f"{consent.redirect_uri}?{urlencode({**values, **echoed})}", 303)
