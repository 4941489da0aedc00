"""The proof that goes with every store request: an HMAC keyed by the connection's client secret.

Both sides can read the Connection, so nothing secret travels. A proof shows that its sender can read this
Connection and meant this request, now: it covers method, connection id, route, query, time, nonce and body.
That a proof is used once is the server's part (``tiktok_provider.web.store_routes``).
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from tiktok_provider.exceptions import Actor, Retry, TikTokError

TIMESTAMP = "X-TikTok-Store-Timestamp"
NONCE = "X-TikTok-Store-Nonce"
SIGNATURE = "X-TikTok-Store-Signature"

# How far the clocks of the two sides may be apart.
SKEW = timedelta(minutes=5)
# A proof dated five minutes ahead is still good ten minutes after its first use.
NONCE_LIFETIME = 2 * SKEW
NONCE_LENGTH = 32


class ProofRefusedError(TikTokError):
    """The store does not believe the caller. Nothing was done.

    :param reason: a stable word for logs: ``missing``, ``malformed``, ``timestamp``, ``signature``, ``replay``.
    """

    actor = Actor.PLATFORM
    retry = Retry.BACKOFF

    def __init__(self, message: str, *, reason: str = "") -> None:
        self.reason = reason
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What a proof speaks about.

    :param route: the path below the plugin's mount, decoded, so that a proxy's prefix does not matter.
    :param query: all pairs, in any order.
    """

    method: str
    conn_id: str
    route: str
    query: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def signature(self, client_secret: str, timestamp: int, nonce: str) -> str:
        """Return the HMAC-SHA256 in hex."""
        # JSON keeps the parts apart whatever they contain.
        message = json.dumps(
            [
                "tiktok-store-1",
                self.method.upper(),
                self.conn_id,
                self.route,
                sorted(self.query),
                timestamp,
                nonce,
                hashlib.sha256(self.body).hexdigest(),
            ]
        )
        return hmac.new(client_secret.encode(), message.encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class Proof:
    """What a caller sends along.

    :param timestamp: seconds since the epoch, by the caller's clock.
    :param nonce: 32 hex digits, fresh for every request, its repetitions included.
    """

    timestamp: int
    nonce: str
    signature: str

    @classmethod
    def make(cls, client_secret: str, request: SignedRequest, now: datetime) -> "Proof":
        """Sign a request."""
        timestamp, nonce = int(now.timestamp()), secrets.token_hex(NONCE_LENGTH // 2)
        return cls(timestamp, nonce, request.signature(client_secret, timestamp, nonce))

    @classmethod
    def of_headers(cls, headers: Mapping[str, str]) -> "Proof":
        """Read a proof; header names in any case if the mapping does not mind.

        :raises ProofRefusedError: it is missing or malformed.
        """
        timestamp, nonce, signature = (headers.get(name, "") for name in (TIMESTAMP, NONCE, SIGNATURE))
        if not (timestamp and nonce and signature):
            raise ProofRefusedError(
                f"The request has no proof: the headers {TIMESTAMP}, {NONCE} and {SIGNATURE} go with it.",
                reason="missing",
            )
        if not (_is_number(timestamp) and _is_hex(nonce, NONCE_LENGTH) and _is_hex(signature, 64)):
            raise ProofRefusedError("The headers of the proof are malformed.", reason="malformed")
        return cls(int(timestamp), nonce, signature)

    def headers(self) -> dict[str, str]:
        """Return the headers to send."""
        return {TIMESTAMP: str(self.timestamp), NONCE: self.nonce, SIGNATURE: self.signature}

    def check(self, client_secret: str, request: SignedRequest, now: datetime) -> None:
        """Look at the time, and compare in constant time.

        :raises ProofRefusedError: the clocks are more than five minutes apart, or the signature is another one.
        """
        self.check_time(now)
        expected = request.signature(client_secret, self.timestamp, self.nonce)
        if not hmac.compare_digest(expected, self.signature):
            raise ProofRefusedError(
                f"The proof for connection {request.conn_id!r} is wrong: the API server finds no connection of type"
                " 'tiktok' with this id, or another client secret (the connection's password) than the sender, or the"
                " request was changed on its way. Define the connection in one place that both can read: under Admin"
                " > Connections, in a secrets backend that the API server uses too, or in the environment of the API"
                f" server (AIRFLOW_CONN_{request.conn_id.upper()}); that of the workers alone is not enough.",
                reason="signature",
            )

    def check_time(self, now: datetime) -> None:
        """Look at what needs no secret.

        :raises ProofRefusedError: the clocks are more than five minutes apart.
        """
        seconds_apart = self.timestamp - now.timestamp()
        if abs(seconds_apart) > SKEW.total_seconds():
            raise ProofRefusedError(
                f"The proof is dated {abs(seconds_apart):.0f} s {'after' if seconds_apart > 0 else 'before'} the"
                f" API server's clock, allowed are {SKEW.total_seconds():.0f} s. Set the clocks of both machines.",
                reason="timestamp",
            )


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 12


def _is_hex(text: str, length: int) -> bool:
    return len(text) == length and set(text) <= set("0123456789abcdef")
