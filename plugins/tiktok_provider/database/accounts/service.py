"""The accounts: where their token sets are, and how they are kept alive."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from airflow.models import Connection
from sqlalchemy import CursorResult, delete
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential

from tiktok_provider.api.oauth import TokenResponse, refresh_tokens, revoke
from tiktok_provider.database.accounts import transitions as changes
from tiktok_provider.database.accounts.connections import (
    TikTokApp,
    app_in,
    check_origin,
    define,
    is_defined,
    read_app,
    read_initial_tokens,
    read_tokens,
)
from tiktok_provider.database.accounts.listing import bare_conn_ids, summaries
from tiktok_provider.database.accounts.refresh_lease import SHORTEST_WAIT, Lease, TooLateError, in_time
from tiktok_provider.database.accounts.token_endpoint import Caller, call_tiktok
from tiktok_provider.database.accounts.warning import warn
from tiktok_provider.database.session import change, transaction
from tiktok_provider.database.tables import NonceRecord
from tiktok_provider.database.threads import in_thread
from tiktok_provider.exceptions import ConnectionUnreadableError, OAuthError, TikTokError, UnreachableError
from tiktok_provider.security.encryption import Purpose, encrypt
from tiktok_provider.security.masking import TOKEN_MASKS
from tiktok_provider.security.redaction import redact
from tiktok_provider.store.clock import utc_now
from tiktok_provider.store.errors import StoreBusyError, StoreNotReadyError, not_connected
from tiktok_provider.store.signing import NONCE_LIFETIME
from tiktok_provider.store.token_sets import (
    AccountSummary,
    Busy,
    Disconnected,
    StoredTokens,
    TokenState,
    granted,
)

T = TypeVar("T")

log = logging.getLogger(__name__)

# A set in hand is worth waiting for: without it a person must connect the account again, and a database that is
# restarted, failed over or migrated is back within minutes. So many seconds of pauses, and the longest of them.
PATIENCE_TO_KEEP = 600.0
_LONGEST_PAUSE = 15.0
_PASSING: tuple[type[Exception], ...] = (StoreBusyError, StoreNotReadyError, SQLAlchemyError)


class AccountService:
    """Keeps the token sets of all accounts. Used by the API server and, in process, by the command line.

    Several of them, in several processes and event loops, can work on one database.

    :param clock: tells the time, in UTC.
    :param call: runs a call at TikTok's token endpoint.
    :param sleep: waits, in seconds.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], datetime] = utc_now,
        call: Caller = call_tiktok,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._call = call
        self._sleep = sleep
        self._under_way: set[asyncio.Task[Any]] = set()

    async def look(self, conn_id: str) -> TokenState:
        """Return the current tokens, the access token encrypted. No call to TikTok.

        Initial tokens that the user's Connection did not have before mean that a person connected again: they win.

        :raises AccountDeadError: TikTok no longer takes the refresh token.
        :raises AccountNotConnectedError: there is no token set.
        :raises ConnectionSettingsError: the user's Connection cannot be read, lacks something, or names another app
            or host than those that gave the token set.
        :raises StoreNotReadyError: the tables are missing.
        :raises StoreBusyError: the database is locked.
        """
        app = await self._app(conn_id)
        return _only_state(
            await self._change(
                self._with_token(app, lambda session: changes.look(session, app, self._clock()))
            )
        )

    async def refresh(self, conn_id: str, seen_generation: int) -> TokenState | Busy:
        """Get a new token set from TikTok, or tell of the one that somebody else got meanwhile.

        :param seen_generation: the set that the caller found too old; a newer one is the answer.
        :raises OAuthError: TikTok refuses for another reason than a dead refresh token.
        :raises UnreachableError: no answer; callers are asked to pause.
        :raises TikTokError: as ``look``.
        """
        app = await self._app(conn_id)
        begun = await self._change(
            self._with_token(
                app, lambda session: changes.begin_refresh(session, app, seen_generation, self._clock())
            )
        )
        if isinstance(begun, Lease):
            return _state_or_busy(await self._to_the_end(self._refresh_with(app, begun)))
        return _state_or_busy(begun)

    async def connect(
        self,
        conn_id: str,
        tokens: TokenResponse,
        *,
        actor: str,
        username: str = "",
        draft: Connection | None = None,
    ) -> TokenState:
        """Keep the token set of a new consent; it wins over all that is stored or under way.

        A database that is away is waited for, as after a refresh.

        :param actor: who connected, for the audit log.
        :param username: the @handle; by default the known one stays if it is the same account.
        :param draft: the user's Connection if it is not there yet; it is stored with the tokens or not at all.
        """
        stored = replace(granted(tokens, self._clock()), username=username)

        def keep() -> changes.Outcome:
            app = app_in(draft, self._clock()) if draft else read_app(conn_id, self._clock())
            return change(lambda session: connect_in(session, app))

        def connect_in(session: Session, app: TikTokApp) -> changes.Outcome:
            if draft:
                define(session, draft)
            return changes.connect(session, app, stored, actor, self._clock())

        # Whose Connection was read before the consent is there: it cannot be read now, for the database is away.
        passing = (*_PASSING, ConnectionUnreadableError)
        return _only_state(await self._patiently(conn_id, keep, passing))

    async def note_refused_connect(self, conn_id: str, error: TikTokError, *, actor: str) -> None:
        """Write to the audit log that a person has consented, but TikTok gave no token set for it."""
        await self._change(lambda session: changes.audit_failure(session, conn_id, error, actor))

    async def disconnect(self, conn_id: str, *, actor: str) -> Disconnected:
        """Revoke at TikTok, then wipe the tokens, also if TikTok or the Connection is out of reach.

        :param actor: who disconnected, for the audit log.
        :raises ConnectionSettingsError: there is neither an account nor a Connection of this id.
        """
        initial_tokens: StoredTokens | None = None
        problem: TikTokError | None = None
        try:
            # By itself: what is wrong with the Connection must not let its first set be used again.
            initial_tokens = await in_thread(read_initial_tokens, conn_id, self._clock())
            await self._revoke(await self._app(conn_id))
        except TikTokError as error:
            problem = error
        return await self._change(
            lambda session: changes.disconnect(
                session, conn_id, initial_tokens, actor, problem, self._clock()
            )
        )

    async def accounts(self) -> list[AccountSummary]:
        """Return all accounts, by connection id, but for those that were given up: disconnected, and no Connection
        of them is left. No call to TikTok.
        """
        bare = await self._change(bare_conn_ids)
        given_up = {conn_id for conn_id in bare if not await in_thread(is_defined, conn_id)}
        found = await self._change(lambda session: summaries(session, self._clock()))
        return [account for account in found if account.conn_id not in given_up]

    async def prune(self) -> int:
        """Delete nonces that are too old to be replayed; return how many."""
        return await self._change(self._prune)

    async def _refresh_with(self, app: TikTokApp, lease: Lease) -> changes.Outcome:
        asked_at = self._clock()
        call = refresh_tokens(app.client_key, app.client_secret, lease.tokens.refresh_token)
        try:
            answer = await self._call(app.base_url, in_time(call, lease, self._clock))
            tokens = granted(answer, asked_at, lease.tokens)
        except TooLateError:
            return Busy(SHORTEST_WAIT)
        except TikTokError as error:
            redact(error, app.client_secret, lease.tokens.refresh_token)
            return await self._change(self._failure(app, lease, error))
        except Exception as error:
            # What keeps this process from any call, such as a certificate file that is not there.
            log.exception("The call to TikTok's token endpoint for %r failed.", app.conn_id)
            return await self._change(self._failure(app, lease, _fault_of_this_server(error)))
        return await self._keep(app, lease, tokens)

    def _failure(
        self, app: TikTokApp, lease: Lease, error: TikTokError
    ) -> Callable[[Session], changes.Outcome]:
        def step(session: Session) -> changes.Outcome:
            if isinstance(error, OAuthError) and error.code == "invalid_grant":
                return changes.refuse(session, app, lease, error, self._clock())
            changes.fail(session, app, lease, error, self._clock())
            return error

        return self._with_token(app, step)

    async def _keep(self, app: TikTokApp, lease: Lease, tokens: StoredTokens) -> changes.Outcome:
        """Write the set that a refresh has given."""
        # Takes a while, in which no transaction needs to be open.
        await in_thread(TOKEN_MASKS.mask, app.conn_id, tokens.access_token, tokens.refresh_token)

        step = self._with_token(app, lambda session: changes.keep(session, app, lease, tokens, self._clock()))

        def keep() -> changes.Outcome:
            return change(step)

        return await self._patiently(app.conn_id, keep)

    async def _patiently(
        self,
        conn_id: str,
        keep: Callable[[], changes.Outcome],
        passing: tuple[type[Exception], ...] = _PASSING,
    ) -> changes.Outcome:
        """Write a set that TikTok gave: no other may still be good, so give up late, whatever the fault is."""
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(passing),
            stop=lambda state: state.idle_for >= PATIENCE_TO_KEEP,
            wait=wait_exponential(multiplier=0.25, max=_LONGEST_PAUSE),
            before_sleep=lambda state: _tell_of_waiting(conn_id, state),
            sleep=self._sleep,
            reraise=True,
        )
        return await retrying(in_thread, keep)

    def _with_token(
        self, app: TikTokApp, step: Callable[[Session], T]
    ) -> Callable[[Session], T | changes.Outcome]:
        """Let a step answer with the access token, encrypted for the readers of the user's Connection."""

        def with_token(session: Session) -> T | changes.Outcome:
            outcome = step(session)
            if not isinstance(outcome, TokenState):
                return outcome
            # Airflow's sessions do not do so before a query.
            session.flush()
            try:
                return _encrypted(app, outcome, read_tokens(session, app.conn_id, self._clock()))
            except TikTokError as error:
                # What the step has written is committed all the same.
                return error

        return with_token

    async def _revoke(self, app: TikTokApp) -> None:
        tokens = await in_thread(self._read_tokens, app)
        if tokens is None:
            raise not_connected(app.conn_id)
        call = revoke(app.client_key, app.client_secret, tokens.access_token)
        try:
            await self._call(app.base_url, call)
        except TikTokError as error:
            redact(error, app.client_secret, tokens.access_token)
            raise

    def _read_tokens(self, app: TikTokApp) -> StoredTokens | None:
        with transaction() as session:
            check_origin(session, app)
            return read_tokens(session, app.conn_id, self._clock())

    def _prune(self, session: Session) -> int:
        old = delete(NonceRecord).where(NonceRecord.seen_at < self._clock() - NONCE_LIFETIME)
        result = session.execute(old)
        return result.rowcount if isinstance(result, CursorResult) else 0

    async def _app(self, conn_id: str) -> TikTokApp:
        return await in_thread(read_app, conn_id, self._clock())

    async def _change(self, step: Callable[[Session], T]) -> T:
        # In a thread: the database blocks, and the event loop also serves Airflow's heartbeats.
        return await in_thread(change, step)

    async def _to_the_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Finish what has begun at TikTok even if the caller goes away: its answer must not be lost."""
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)


def _encrypted(app: TikTokApp, state: TokenState, tokens: StoredTokens | None) -> TokenState:
    """Return the state with the access token; without it if the Connection holds none, or older tokens.

    Newer ones have come from another process since the record was read, and are as good.
    """
    if tokens is None or tokens.generation < state.generation or not tokens.access_token:
        return state
    return replace(
        state,
        generation=tokens.generation,
        access_expires_at=tokens.access_expires_at,
        refresh_expires_at=tokens.refresh_expires_at,
        open_id=tokens.open_id,
        scope=tokens.scope,
        encrypted_access_token=encrypt(app.client_secret, tokens.access_token, Purpose.ACCESS_TOKEN),
    )


def _tell_of_waiting(conn_id: str, state: RetryCallState) -> None:
    """Name the kind of error only: the database's own text could hold anything."""
    error = state.outcome.exception() if state.outcome else None
    warn(
        f"The new token set of {conn_id!r} cannot be written yet ({type(error).__name__}). Do not end this process:"
        " the set would be lost."
    )


def _fault_of_this_server(error: Exception) -> UnreachableError:
    return UnreachableError(
        "TikTok cannot be called where tokens are refreshed, as a rule the API server"
        f" ({type(error).__name__}, see its log). Whoever runs Airflow checks SSL_CERT_FILE, SSL_CERT_DIR and the"
        " proxy settings there.",
        maybe_processed=True,
    )


def _state_or_busy(outcome: changes.Outcome) -> TokenState | Busy:
    if isinstance(outcome, TikTokError):
        raise outcome
    return outcome


def _only_state(outcome: changes.Outcome) -> TokenState:
    state = _state_or_busy(outcome)
    assert isinstance(state, TokenState)
    return state
