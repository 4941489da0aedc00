"""Authorization. Sources: TikTok's "Login Kit for Web", "Login Kit for Desktop" and "Manage user access tokens"."""

import hashlib
import logging
import secrets
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from pydantic import Field, ValidationInfo, field_validator

from tiktok_provider.api.calls import Answer, Answered, Call, Request, decode, parse, retry_after
from tiktok_provider.api.hosts import AUTHORIZE_URL
from tiktok_provider.error_table import oauth_error

log = logging.getLogger(__name__)

# Seconds: five years. TikTok documents a day for access tokens and a year for refresh tokens.
LONGEST_LIFETIME = 5 * 365 * 86_400.0
TOKEN_PATH = "/v2/oauth/token/"
REVOKE_PATH = "/v2/oauth/revoke/"


class TokenResponse(Answered):
    """What the token endpoint gave. With an access token it is worth keeping, whatever else is odd: the old refresh
    token may be dead. What cannot be used counts as left out, with a warning.

    :param expires_in: seconds that the access token lives from now; None if TikTok leaves it out.
    :param refresh_token: empty if TikTok leaves it out, which means that the old one stays.
    :param refresh_expires_in: seconds that the refresh token lives from now; None if TikTok leaves it out.
    :param open_id: empty if TikTok leaves it out.
    :param scope: the scopes that were really granted, separated by commas.
    """

    access_token: str = Field(min_length=1, repr=False)
    expires_in: float | None = None
    refresh_token: str = Field(default="", repr=False)
    refresh_expires_in: float | None = None
    open_id: str = ""
    scope: str = ""
    token_type: str = "Bearer"

    @field_validator("expires_in", "refresh_expires_in", mode="before")
    @classmethod
    def _usable_seconds(cls, value: object, field: ValidationInfo) -> float | None:
        seconds = _number(value)
        if seconds is None or not seconds > 0:
            _report_unusable(field)
            return None
        if seconds > LONGEST_LIFETIME:
            log.warning("TikTok's answer has too long a lifetime in %s; shortened.", field.field_name)
        return min(seconds, LONGEST_LIFETIME)

    @field_validator("refresh_token", "open_id", "token_type", mode="before")
    @classmethod
    def _usable_text(cls, value: object, field: ValidationInfo) -> object:
        if isinstance(value, str | int):
            return value
        _report_unusable(field)
        return ""

    @field_validator("scope", mode="before")
    @classmethod
    def _usable_scope(cls, value: object, field: ValidationInfo) -> str:
        if isinstance(value, list):
            return ",".join(map(str, value))
        if isinstance(value, str):
            return value
        _report_unusable(field)
        return ""


def _number(value: object) -> float | None:
    try:
        return None if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None


def _report_unusable(field: ValidationInfo) -> None:
    """Name the field alone: its value may be anything, a token too."""
    log.warning("TikTok's answer has nothing usable in %s; it counts as left out.", field.field_name)


def new_code_verifier() -> str:
    """Return a fresh PKCE verifier of 64 characters."""
    return secrets.token_urlsafe(48)


def code_challenge(verifier: str) -> str:
    """Return TikTok's challenge: SHA-256 in lower-case hex, where RFC 7636 has base64url."""
    return hashlib.sha256(verifier.encode("ascii")).hexdigest()


def authorize_url(
    client_key: str,
    redirect_uri: str,
    scopes: Sequence[str],
    *,
    state: str,
    verifier: str,
    page: str = AUTHORIZE_URL,
    switch_account: bool = False,
) -> str:
    """Return the page on which a person consents.

    :param state: random and bound to the person's session; check that it comes back.
    :param verifier: from ``new_code_verifier``; the challenge goes out on every platform, which all accept.
    :param switch_account: always show the page, so that another account can be chosen.
    """
    query = {
        "client_key": client_key,
        "scope": ",".join(scopes),
        "redirect_uri": redirect_uri,
        "state": state,
        "response_type": "code",
        "code_challenge": code_challenge(verifier),
        "code_challenge_method": "S256",
        "disable_auto_auth": "1" if switch_account else "0",
    }
    return f"{page}?{urlencode(query)}"


def exchange_code(
    client_key: str, client_secret: str, code: str, redirect_uri: str, verifier: str
) -> Call[TokenResponse]:
    """Turn the code of the redirect into tokens. A code works once.

    :param code: as a query parser gives it, that is decoded once.
    """
    return _tokens(
        client_key,
        client_secret,
        {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        },
    )


def refresh_tokens(client_key: str, client_secret: str, refresh_token: str) -> Call[TokenResponse]:
    """Get new tokens. The refresh token that comes back replaces the old one.

    Not repeated when the answer is lost: the old refresh token may be dead by then.
    """
    return _tokens(client_key, client_secret, {"grant_type": "refresh_token", "refresh_token": refresh_token})


def revoke(client_key: str, client_secret: str, access_token: str) -> Call[None]:
    """Take the app's access away; an empty answer and ``{}`` both mean success."""
    form = {"client_key": client_key, "client_secret": client_secret, "token": access_token}
    answer = yield _form_request(REVOKE_PATH, form)
    if answer.content.strip():
        _refuse_errors(answer, decode(answer))
    elif answer.status >= 400:
        raise oauth_error("", answer.status, retry_after=retry_after(answer))


def _tokens(client_key: str, client_secret: str, grant: Mapping[str, str]) -> Call[TokenResponse]:
    answer = yield _form_request(
        TOKEN_PATH, {"client_key": client_key, "client_secret": client_secret, **grant}
    )
    document = decode(answer)
    _refuse_errors(answer, document)
    return parse(TokenResponse, document)


def _form_request(path: str, form: Mapping[str, str]) -> Request:
    headers = {"Cache-Control": "no-cache"}
    return Request("POST", path, headers=headers, form=form, authorized=False, repeatable=False)


def _refuse_errors(answer: Answer, document: Mapping[str, Any]) -> None:
    """Raise if the answer is an error; TikTok sends some with HTTP 200, so the body decides."""
    error = document.get("error")
    if isinstance(error, Mapping):
        error = None if error.get("code") == "ok" else error.get("code")
    if error or answer.status >= 400:
        raise oauth_error(
            str(error or ""),
            answer.status,
            detail=str(document.get("error_description", "")),
            log_id=str(document.get("log_id", "")),
            retry_after=retry_after(answer),
        )
