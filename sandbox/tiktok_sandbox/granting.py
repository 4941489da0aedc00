"""Gives out codes and tokens, rotates them and takes them back."""

import hashlib
import re

from tiktok_sandbox.envelope import OAuthError
from tiktok_sandbox.lifecycle import fail
from tiktok_sandbox.records import AccessToken, Account, App, Authorization, RefreshToken
from tiktok_sandbox.state import SandboxState
from tiktok_sandbox.tokens import AuthorizationCode
from tiktok_sandbox.webhook_events import notify

ACCESS_SECONDS = 86_400
REFRESH_SECONDS = 365 * 86_400
CLIENT_TOKEN_SECONDS = 7_200
REMOVED_BY_USER = 1
REMOVED_BY_DEVELOPER = 5
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


def granted_scope(state: SandboxState, chosen: list[str]) -> list[str]:
    """What a consent gives: the chosen scopes, and user.info.basic unless the switch is off."""
    basic = ["user.info.basic"] if state.switches.default_scope_granted else []
    return list(dict.fromkeys([*basic, *chosen]))


def new_code(
    state: SandboxState,
    app: App,
    account: Account,
    scope: list[str],
    redirect_uri: str,
    challenge: str | None,
) -> AuthorizationCode:
    """A code as TikTok's look, with characters that must survive URL coding once and only once."""
    value = f"{state.text_id(60)}*{state.random.randrange(10)}!{state.random.randrange(10_000)}.sb"
    expires_at = state.clock.now() + state.switches.code_lifetime_seconds
    code = AuthorizationCode(value, app, account, scope, redirect_uri, challenge, expires_at)
    state.tokens.codes[value] = code
    return code


def redeem(
    state: SandboxState, app: App, value: str, redirect_uri: str, verifier: str | None
) -> RefreshToken:
    """Exchange a code, which works once."""
    code = state.tokens.codes.get(value)
    if code is None or code.app is not app:
        raise OAuthError("invalid_grant", "Authorization code is invalid, used or of another client")
    if code.expires_at <= state.clock.now():
        raise OAuthError("invalid_grant", "Authorization code is expired")
    if code.redirect_uri != redirect_uri:
        raise OAuthError(state.switches.redirect_mismatch_error, "redirect_uri does not match the request")
    if code.challenge is not None:
        _check_verifier(verifier, code.challenge)
    del state.tokens.codes[value]
    return issue(state, app, code.account, code.scope)


def _check_verifier(verifier: str | None, challenge: str) -> None:
    if verifier is None:
        raise OAuthError("invalid_request", "code_verifier is missing")
    if not _VERIFIER.fullmatch(verifier):
        raise OAuthError("invalid_request", "code_verifier must be 43 to 128 unreserved characters")
    if hashlib.sha256(verifier.encode()).hexdigest() != challenge:
        raise OAuthError("invalid_grant", "code_verifier does not match code_challenge")


def issue(
    state: SandboxState,
    app: App,
    account: Account,
    scope: list[str],
    expires_in: float = ACCESS_SECONDS,
    refresh_expires_in: float = REFRESH_SECONDS,
) -> RefreshToken:
    """The initial tokens of a consent; lifetimes in seconds, negative for already expired ones."""
    refresh_expires_at = state.clock.now() + refresh_expires_in
    open_id = state.open_id_for(app, account)
    return _token_set(state, Authorization(app, account, open_id, scope, refresh_expires_at), expires_in)


def _token_set(
    state: SandboxState, authorization: Authorization, expires_in: float = ACCESS_SECONDS
) -> RefreshToken:
    access = _access_token(state, authorization, expires_in)
    refresh = RefreshToken(
        f"rft.{state.text_id(64)}", authorization, access, authorization.refresh_expires_at
    )
    state.tokens.refresh[refresh.value] = refresh
    return refresh


def _access_token(
    state: SandboxState, authorization: Authorization, expires_in: float = ACCESS_SECONDS
) -> AccessToken:
    access = AccessToken(f"act.{state.text_id(64)}", authorization, state.clock.now() + expires_in)
    state.tokens.access[access.value] = access
    return access


def refresh(state: SandboxState, app: App, value: str) -> RefreshToken:
    """Trade a refresh token for a new set, by the rules that the switches set."""
    switches = state.switches
    old = state.tokens.refresh.get(value)
    if old is None or old.authorization.app is not app or old.revoked:
        raise OAuthError("invalid_grant", "Refresh token is invalid, revoked or of another client")
    if old.expires_at <= state.clock.now():
        raise OAuthError("invalid_grant", "Refresh token is expired")
    if app.sandbox and switches.sandbox_refresh == "refused":
        raise OAuthError("invalid_grant", "Refresh token is invalid")
    if old.rotated and switches.old_refresh_token == "kills_all":
        state.tokens.revoke_all(app, old.authorization.account)
        raise OAuthError("invalid_grant", "Refresh token was used before; all tokens are revoked")
    if switches.old_access_token == "dies":
        old.access.revoked = True
    if switches.refresh_extends:
        old.authorization.refresh_expires_at = state.clock.now() + REFRESH_SECONDS
    if not switches.refresh_rotates:
        return _renew_in_place(state, old)
    old.rotated = True
    old.revoked = switches.old_refresh_token == "dies"
    return _token_set(state, old.authorization)


def _renew_in_place(state: SandboxState, token: RefreshToken) -> RefreshToken:
    token.access = _access_token(state, token.authorization)
    token.expires_at = token.authorization.refresh_expires_at
    return token


def token_body(state: SandboxState, refresh_token: RefreshToken) -> dict[str, object]:
    """The token endpoint's flat answer."""
    now = state.clock.now()
    return {
        "access_token": refresh_token.access.value,
        "expires_in": round(refresh_token.access.expires_at - now),
        "open_id": refresh_token.authorization.open_id,
        "refresh_expires_in": round(refresh_token.expires_at - now),
        "refresh_token": refresh_token.value,
        "scope": ",".join(refresh_token.authorization.scope),
        "token_type": "Bearer",
    }


def remove_authorization(state: SandboxState, app: App, account: Account, reason: int) -> None:
    """End what the creator granted the app: tokens die, publishes under way fail, the webhook tells."""
    state.tokens.revoke_all(app, account)
    for publish in list(state.publishes.values()):
        if publish.app is app and publish.account is account and not publish.final:
            fail(state, publish, "auth_removed")
    notify(state, app, account, "authorization.removed", {"reason": reason})
