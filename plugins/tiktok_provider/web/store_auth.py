"""Lets in who proves to read the Connection; everybody else is refused and written to the audit log."""

import logging
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime

from airflow.models import Connection
from airflow.sdk.exceptions import AirflowNotFoundException
from fastapi import Request
from sqlalchemy import delete, select

from tiktok_provider.database.session import audit, transaction
from tiktok_provider.database.tables import NonceRecord
from tiktok_provider.database.threads import in_lookup_thread, in_thread
from tiktok_provider.exceptions import InvalidInputError
from tiktok_provider.security.masking import mask
from tiktok_provider.store.errors import ConflictError
from tiktok_provider.store.signing import NONCE_LIFETIME, Proof, ProofRefusedError, SignedRequest

log = logging.getLogger(__name__)

# Of a request, in bytes: it is read before its sender is known.
LONGEST_BODY = 64 * 1024
# Strangers can be refused as often as they like; they shall not fill Airflow's database with it.
AUDITED_PER_MINUTE = 60


class Allowance:
    """Lets something happen so many times in each minute of a clock in seconds."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute, self._clock = per_minute, clock
        self._minute, self._taken = 0.0, 0

    def take(self) -> bool:
        """Return whether it may happen once more."""
        if (minute := self._clock() // 60) != self._minute:
            self._minute, self._taken = minute, 0
        self._taken += 1
        return self._taken <= self._per_minute


class Guard:
    """Checks proofs, as a dependency of routes with a path parameter ``conn_id``; gives back the request's body."""

    def __init__(self) -> None:
        self._audits = Allowance(AUDITED_PER_MINUTE)

    async def prove(self, request: Request, conn_id: str) -> bytes:
        """Let a read pass.

        :raises ProofRefusedError: the caller does not prove that it can read this Connection.
        :raises StoreBusyError: this server cannot tell, for its database is away.
        """
        return (await self._checked(request, conn_id))[1]

    async def prove_once(self, request: Request, conn_id: str) -> bytes:
        """Let a write pass, once; see ``prove``."""
        proof, body = await self._checked(request, conn_id)
        try:
            await in_thread(_spend, proof.nonce, datetime.now(UTC))
        except ProofRefusedError as refusal:
            await self._tell(request, conn_id, refusal)
            raise
        return body

    async def _checked(self, request: Request, conn_id: str) -> tuple[Proof, bytes]:
        try:
            proof = Proof.of_headers(request.headers)
            proof.check_time(datetime.now(UTC))
            body = await _body(request)
            secret = await in_lookup_thread(_client_secret, conn_id)
            signed = SignedRequest(
                request.method, conn_id, _route(request), tuple(request.query_params.multi_items()), body
            )
            proof.check(secret, signed, datetime.now(UTC))
        except ProofRefusedError as refusal:
            await self._tell(request, conn_id, refusal)
            raise
        return proof, body

    async def _tell(self, request: Request, conn_id: str, refusal: ProofRefusedError) -> None:
        log.warning("Refused %s for connection %r (%s).", _route(request), conn_id, refusal.reason)
        # A request without a proof is any stranger's: the server's log is enough for it.
        if refusal.reason != "missing" and self._audits.take():
            host = request.client.host if request.client else None
            await in_thread(_audit_refusal, conn_id[:250], refusal.reason, host)


def _route(request: Request) -> str:
    """Return the path below the mount."""
    path: str = request.scope["path"]
    return path.removeprefix(request.scope.get("root_path", ""))


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > LONGEST_BODY:
            raise InvalidInputError([f"a request is longer than {LONGEST_BODY} bytes"])
    return bytes(body)


def _client_secret(conn_id: str) -> str:
    """Return the secret that the caller must know.

    A stranger is not told which connections there are, and of which type: where none can prove itself, it is a secret
    that nobody knows, and the proof is refused like any wrong one.
    """
    connection = _find(conn_id)
    is_tiktok = connection is not None and connection.conn_type == "tiktok"
    # Stripped as by the reader of Connections: both sides must sign with the same secret.
    secret = (connection.password or "").strip() if connection and is_tiktok else ""
    if not secret:
        log.warning(
            "There is no connection %r of type 'tiktok' with a Client secret that this API server can read.",
            conn_id,
        )
        return secrets.token_hex()
    mask(secret)
    return secret


def _find(conn_id: str) -> Connection | None:
    """Return the Connection; None if it is not there, or was encrypted with another key.

    :raises StoreBusyError: the database is away, of which Airflow says "not found", too.
    """
    try:
        return Connection.get_connection_from_secrets(conn_id)
    except AirflowNotFoundException:
        with transaction() as session:
            if session.scalar(select(Connection.id).where(Connection.conn_id == conn_id)) is None:
                return None
    try:
        return Connection.get_connection_from_secrets(conn_id)
    except AirflowNotFoundException:
        return None


def _spend(nonce: str, now: datetime) -> None:
    try:
        with transaction() as session:
            session.execute(delete(NonceRecord).where(NonceRecord.seen_at < now - NONCE_LIFETIME))
            session.add(NonceRecord(nonce=nonce, seen_at=now))
    except ConflictError:
        raise ProofRefusedError("This proof has been used before.", reason="replay") from None


def _audit_refusal(conn_id: str, reason: str, host: str | None) -> None:
    with transaction() as session:
        audit(session, "tiktok_proof_refused", actor="tiktok", conn_id=conn_id, reason=reason, host=host)
