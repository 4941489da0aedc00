"""Authenticates store requests: a caller must be able to read the Connection. Refusals go to the audit log."""

import logging
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime

from airflow.models import Connection
from airflow.models.base import ID_LEN
from airflow.models.connection import sanitize_conn_id
from airflow.sdk.exceptions import AirflowNotFoundException
from fastapi import Request
from sqlalchemy import delete, select

from tiktok_provider.database.session import audit, transaction
from tiktok_provider.database.tables import NonceRecord
from tiktok_provider.database.threads import in_thread
from tiktok_provider.exceptions import InvalidInputError
from tiktok_provider.security.masking import mask
from tiktok_provider.store.connection import trimmed
from tiktok_provider.store.errors import ConflictError
from tiktok_provider.store.signing import (
    NONCE_LIFETIME,
    RequestNotAuthenticatedError,
    RequestToken,
    SignedRequest,
)
from tiktok_provider.web.client_secrets import ClientSecrets

log = logging.getLogger(__name__)

# Of a request, in bytes: it is read before its sender is known.
LONGEST_BODY = 64 * 1024
# However often strangers are refused, they must not fill Airflow's database.
AUDITED_PER_MINUTE = 60


class Allowance:
    """Allows so many events in each minute of a clock in seconds."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute, self._clock = per_minute, clock
        self._minute, self._count = 0.0, 0

    def take(self) -> bool:
        """Return whether one more is allowed."""
        if (minute := self._clock() // 60) != self._minute:
            self._minute, self._count = minute, 0
        self._count += 1
        return self._count <= self._per_minute


class Guard:
    """Authenticates requests, as a dependency of routes with a path parameter ``conn_id``; returns their bodies."""

    def __init__(self) -> None:
        self._audits = Allowance(AUDITED_PER_MINUTE)
        self._secrets = ClientSecrets(lambda conn_id: _client_secret(conn_id))

    async def authenticate(self, request: Request, conn_id: str) -> bytes:
        """Let a read pass.

        :raises RequestNotAuthenticatedError: the caller does not show that it can read this Connection.
        :raises StoreBusyError: this server cannot tell, for its database is away, or too many strangers ask.
        """
        return (await self._checked(request, conn_id))[1]

    async def authenticate_once(self, request: Request, conn_id: str) -> bytes:
        """Let a write pass, once; see ``authenticate``."""
        token, body = await self._checked(request, conn_id)
        try:
            await in_thread(_use_nonce, token.nonce, datetime.now(UTC))
        except RequestNotAuthenticatedError as refusal:
            await self._report(request, conn_id, refusal)
            raise
        return body

    async def _checked(self, request: Request, conn_id: str) -> tuple[RequestToken, bytes]:
        _refuse_malformed(conn_id)
        try:
            token = RequestToken.of_headers(request.headers)
            token.check_time(datetime.now(UTC))
            body = await _body(request)
            received = SignedRequest(
                request.method, conn_id, _route(request), tuple(request.query_params.multi_items()), body
            )
            await self._secrets.check(
                conn_id, lambda secret: token.check(secret, received, datetime.now(UTC))
            )
        except RequestNotAuthenticatedError as refusal:
            await self._report(request, conn_id, refusal)
            raise
        return token, body

    async def _report(self, request: Request, conn_id: str, refusal: RequestNotAuthenticatedError) -> None:
        log.warning("Refused %s for connection %r (%s).", _route(request), conn_id, refusal.reason)
        # A request without a token is any stranger's: the server's log is enough for it.
        if refusal.reason != "missing" and self._audits.take():
            host = request.client.host if request.client else None
            await in_thread(_audit_refusal, conn_id[:250], refusal.reason, host)


def _refuse_malformed(conn_id: str) -> None:
    """Refuse an id that no Connection can have, before anything is looked up or logged.

    :raises InvalidInputError: it is malformed.
    """
    # It lets a line break at the end pass.
    if sanitize_conn_id(conn_id, ID_LEN) != conn_id:
        raise InvalidInputError(["the connection id of the request has characters that none may have"])


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

    A stranger must not learn which connections there are, and of which type: without a fitting one it is a random
    secret, and the request is refused like any with a wrong signature.
    """
    connection = _find(conn_id)
    is_tiktok = connection is not None and connection.conn_type == "tiktok"
    # Stripped as by the reader of Connections: both sides must sign with the same secret.
    secret = trimmed(connection.password) if connection and is_tiktok else ""
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


def _use_nonce(nonce: str, now: datetime) -> None:
    try:
        with transaction() as session:
            session.execute(delete(NonceRecord).where(NonceRecord.seen_at < now - NONCE_LIFETIME))
            session.add(NonceRecord(nonce=nonce, seen_at=now))
    except ConflictError:
        raise RequestNotAuthenticatedError(
            "The token of the request has been used before.", reason="replay"
        ) from None


def _audit_refusal(conn_id: str, reason: str, host: str | None) -> None:
    with transaction() as session:
        audit(session, "tiktok_not_authenticated", actor="tiktok", conn_id=conn_id, reason=reason, host=host)
