"""The token that authenticates a store request: a JWT, signed with a key derived from the client secret.

Both sides can read the Connection, so no secret travels. A valid token shows that its sender can read this Connection
and meant this request, now: it names connection id, method, route, query and body. That a write's token is used once
is checked by the server (``tiktok_provider.web.store_auth``).
"""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any

import jwt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tiktok_provider.exceptions import Actor, Retry, TikTokError
from tiktok_provider.security.encryption import Purpose, derived_key

HEADER = "Authorization"
_SCHEME = "Bearer "
# The only one that is accepted, whatever a token says of itself.
_ALGORITHM = "HS256"
_AUDIENCE = "tiktok-store"
# A connection id of 250 characters stands in it twice.
_LONGEST_TOKEN = 16 * 1024

# How far the clocks of the two sides may be apart.
SKEW = timedelta(minutes=5)
# A token lives so long, and one dated five minutes ahead is valid for ten minutes.
LIFETIME = SKEW
NONCE_LIFETIME = SKEW + LIFETIME

_Seconds = Annotated[int, Field(ge=0, lt=10**11)]
_Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Nonce = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class RequestNotAuthenticatedError(TikTokError):
    """The store does not accept a request's token. Nothing was done.

    :param reason: a stable word for logs: ``missing``, ``malformed``, ``clock``, ``signature``, ``another request``,
        ``replay``.
    """

    actor = Actor.PLATFORM
    retry = Retry.BACKOFF

    def __init__(self, message: str, *, reason: str = "") -> None:
        self.reason = reason
        super().__init__(message)


class _Claims(BaseModel):
    """What a token says. ``iat`` and ``exp`` are seconds since the epoch by the sender's clock."""

    model_config = ConfigDict(strict=True, frozen=True)

    aud: str
    sub: str
    method: str
    route: str
    query: list[list[str]]
    body_sha256: _Hash
    iat: _Seconds
    exp: _Seconds
    jti: _Nonce


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What a token is valid for.

    :param route: the path below the plugin's mount, decoded, so that a proxy's prefix does not matter.
    :param query: all pairs, in any order.
    """

    method: str
    conn_id: str
    route: str
    query: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def claims(self) -> dict[str, Any]:
        """Return what a token says of its request."""
        return {
            "sub": self.conn_id,
            "method": self.method.upper(),
            "route": self.route,
            "query": [list(pair) for pair in sorted(self.query)],
            "body_sha256": hashlib.sha256(self.body).hexdigest(),
        }

    def sign(self, client_secret: str, now: datetime) -> dict[str, str]:
        """Return the headers to send; each call makes a token of its own, for a repetition as well."""
        issued_at = int(now.timestamp())
        times = {"iat": issued_at, "exp": issued_at + int(LIFETIME.total_seconds())}
        claims = {"aud": _AUDIENCE, "jti": secrets.token_hex(16), **times, **self.claims()}
        token = jwt.encode(claims, derived_key(client_secret, Purpose.STORE_REQUEST), _ALGORITHM)
        return {HEADER: f"{_SCHEME}{token}"}


@dataclass(frozen=True, slots=True)
class RequestToken:
    """A token as it was received. Its claims are the sender's word until ``check`` has passed."""

    _token: str = field(repr=False)
    _claims: _Claims

    @classmethod
    def of_headers(cls, headers: Mapping[str, str]) -> "RequestToken":
        """Read the token of a request; header names in any case if the mapping does not mind.

        :raises RequestNotAuthenticatedError: it is missing or malformed.
        """
        header = headers.get(HEADER, "")
        if not header.startswith(_SCHEME):
            raise RequestNotAuthenticatedError(
                f"The request has no token: the header {HEADER} carries it.\n"
                f"It is '{_SCHEME.strip()} <token>'. If the provider sent it, a proxy on the way removes that"
                " header.",
                reason="missing",
            )
        token = header.removeprefix(_SCHEME)
        return cls(token, _unverified(token))

    @property
    def nonce(self) -> str:
        """What no second token has."""
        return self._claims.jti

    def check_time(self, now: datetime) -> None:
        """Check what needs no secret.

        :raises RequestNotAuthenticatedError: the clocks are more than five minutes apart, or the token has expired.
        """
        # Not by PyJWT, which has no other clock than this machine's and does not say how far they are apart.
        seconds_apart = self._claims.iat - now.timestamp()
        if abs(seconds_apart) > SKEW.total_seconds():
            raise RequestNotAuthenticatedError(
                f"The clocks of sender and API server are {abs(seconds_apart):.0f} s apart.\n"
                f"The sender's is {'ahead' if seconds_apart > 0 else 'behind'}, allowed are"
                f" {SKEW.total_seconds():.0f} s. Set the clocks of both machines.",
                reason="clock",
            )
        if now.timestamp() > self._claims.exp:
            raise RequestNotAuthenticatedError("The token of the request has expired.", reason="clock")

    def check(self, client_secret: str, request: SignedRequest, now: datetime) -> None:
        """Check time, signature and claims.

        :raises RequestNotAuthenticatedError: the token is not valid for this request now.
        """
        self.check_time(now)
        claims = self._verified(client_secret, request.conn_id)
        differing = [name for name, value in request.claims().items() if getattr(claims, name) != value]
        if differing:
            raise RequestNotAuthenticatedError(
                "The token of the request was made for another request.\n"
                f"{', '.join(differing)} differ. Does a proxy between the sender and the API server change requests?",
                reason="another request",
            )

    def _verified(self, client_secret: str, conn_id: str) -> _Claims:
        key = derived_key(client_secret, Purpose.STORE_REQUEST)
        try:
            claims = jwt.decode(
                self._token,
                key,
                algorithms=[_ALGORITHM],
                audience=_AUDIENCE,
                options={"verify_exp": False, "verify_iat": False},
            )
        except jwt.InvalidSignatureError:
            raise _wrong_signature(conn_id) from None
        except jwt.InvalidTokenError:
            raise _malformed() from None
        return _Claims.model_validate(claims)


def _unverified(token: str) -> _Claims:
    """Read the claims before the signature can be checked.

    :raises RequestNotAuthenticatedError: no valid token of this kind has this form.
    """
    if len(token) > _LONGEST_TOKEN:
        raise _malformed()
    try:
        found = jwt.decode_complete(token, options={"verify_signature": False})
        claims = _Claims.model_validate(found["payload"])
    # JSON that is nested too deeply ends in a RecursionError.
    except (jwt.InvalidTokenError, ValidationError, RecursionError):
        raise _malformed() from None
    if found["header"].get("alg") != _ALGORITHM or claims.aud != _AUDIENCE:
        raise _malformed()
    return claims


def _malformed() -> RequestNotAuthenticatedError:
    return RequestNotAuthenticatedError(
        "The token of the request is malformed.\n"
        f"It must be a JWT ({_ALGORITHM}) for {_AUDIENCE!r}, as the provider makes it. Sender and API server need the"
        " same version of airflow-provider-tiktok.",
        reason="malformed",
    )


def _wrong_signature(conn_id: str) -> RequestNotAuthenticatedError:
    return RequestNotAuthenticatedError(
        f"The signature of the request for connection {conn_id!r} is wrong.\n"
        "The API server finds no connection of type 'tiktok' with this id, or another client secret than the sender."
        " Define the connection in one place that both can read: under Admin > Connections, in a secrets backend that"
        f" the API server uses too, or in the environment of the API server (AIRFLOW_CONN_{conn_id.upper()}); that of"
        " the workers alone is not enough.",
        reason="signature",
    )
