"""The accounts: where their tokens are, and how they are refreshed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from airflow.models import Connection
from sqlalchemy import CursorResult, delete
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential,
)

from tiktok_provider.api.oauth import TokenResponse, refresh_tokens, revoke
from tiktok_provider.database.accounts import transitions as changes
from tiktok_provider.database.accounts.connections import (
    check_origin,
    define,
    describe,
    is_defined,
    read_initial_tokens,
    read_masked_account,
    read_stored_account,
    read_tokens,
)
from tiktok_provider.database.accounts.listing import disconnected_conn_ids, summaries
from tiktok_provider.database.accounts.refresh_lease import SHORTEST_WAIT, Lease, TooLateError, in_time
from tiktok_provider.database.accounts.token_endpoint import Caller, call_tiktok
from tiktok_provider.database.clock import database_now
from tiktok_provider.database.session import change, transaction
from tiktok_provider.database.tables import NonceRecord
from tiktok_provider.database.threads import in_read_thread, in_thread
from tiktok_provider.exceptions import (
    ApiError,
    ConnectionUnreadableError,
    OAuthError,
    Retry,
    TikTokError,
    UnreachableError,
)
from tiktok_provider.security.encryption import Purpose, encrypt
from tiktok_provider.security.masking import TOKEN_MASKS
from tiktok_provider.security.redaction import redact
from tiktok_provider.store.connection import Account
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

# Reports what a person must read at once; never a secret. Airflow's commands drop all that is logged, so they set it
# to the terminal.
report_warning: ContextVar[Callable[[str], object]] = ContextVar("report_warning", default=log.warning)

# Tokens that TikTok has given are worth waiting for: without them a person must connect the account again, and a
# database that is restarted, failed over or migrated is back within minutes. The sum of all pauses and the longest
# one, in seconds.
PATIENCE_TO_WRITE = 600.0
_LONGEST_PAUSE = 15.0
# To take the access away, where an answer is lost or TikTok has a fault.
REVOKE_TRIES = 4
_TRANSIENT: tuple[type[Exception], ...] = (StoreBusyError, StoreNotReadyError, SQLAlchemyError)


class AccountService:
    """Keeps the tokens of all accounts. Used by the API server and, in process, by the command line.

    Several of them, in several processes and event loops, can work on one database.

    :param clock: returns the time, in UTC; by default the database's.
    :param call: runs a call at TikTok's token endpoint.
    :param sleep: waits, in seconds.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], datetime] = database_now,
        call: Caller = call_tiktok,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._call = call
        self._sleep = sleep
        self._under_way: set[asyncio.Task[Any]] = set()

    async def look(self, conn_id: str) -> TokenState:
        """Return the current tokens, the access token encrypted. No call to TikTok.

        Initial tokens in the user's Connection that were not seen before mean a new consent: they win.

        :raises AccountDeadError: TikTok no longer takes the refresh token.
        :raises AccountNotConnectedError: there are no tokens.
        :raises ConnectionSettingsError: the user's Connection cannot be read, lacks something, or names another app
            or host than those that gave the tokens.
        :raises StoreNotReadyError: the tables are missing.
        :raises StoreBusyError: the database is locked.
        """
        account = await in_read_thread(read_stored_account, conn_id, self._clock())
        step = self._with_token(account, lambda session: changes.look(session, account, self._clock()))
        return _only_state(await in_read_thread(change, step))

    async def refresh(self, conn_id: str, seen_generation: int) -> TokenState | Busy:
        """Get new tokens from TikTok, or return those that another caller got meanwhile.

        :param seen_generation: of the tokens that the caller found too old; newer ones are the answer.
        :raises OAuthError: TikTok refuses for another reason than a dead refresh token.
        :raises UnreachableError: no answer; callers are asked to pause.
        :raises TikTokError: as ``look``.
        """
        account = await self._account(conn_id)
        begun = await self._change(
            self._with_token(
                account,
                lambda session: changes.begin_refresh(session, account, seen_generation, self._clock()),
            )
        )
        if isinstance(begun, Lease):
            return _state_or_busy(await self._to_the_end(self._refresh_with(account, begun)))
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
        """Write the tokens of a new consent; they win over all that is stored or under way.

        A database that is away is waited for, as after a refresh.

        :param actor: who connected, for the audit log.
        :param username: the @handle; by default the known one stays if it is the same account.
        :param draft: the user's Connection if it is not there yet; it is stored with the tokens or not at all.
        """
        stored = replace(granted(tokens, self._clock()), username=username)

        def write() -> changes.Outcome:
            account = (
                read_masked_account(draft, self._clock())
                if draft
                else read_stored_account(conn_id, self._clock())
            )
            return change(lambda session: connect_in(session, account))

        def connect_in(session: Session, account: Account) -> changes.Outcome:
            if draft:
                define(session, draft)
            outcome = changes.connect(session, account, stored, actor, self._clock())
            describe(session, conn_id, stored)
            return outcome

        # The Connection was read before the consent, so it is there: if it cannot be read now, the database is away.
        transient = (*_TRANSIENT, ConnectionUnreadableError)
        return _only_state(await self._patiently(conn_id, write, transient))

    async def note_refused_connect(self, conn_id: str, error: TikTokError, *, actor: str) -> None:
        """Write to the audit log that a person has consented, but TikTok gave no tokens for it."""
        await self._change(lambda session: changes.audit_failure(session, conn_id, error, actor))

    async def disconnect(self, conn_id: str, *, actor: str) -> Disconnected:
        """Revoke at TikTok, then wipe the tokens, also if TikTok or the Connection is out of reach.

        :param actor: who disconnected, for the audit log.
        :raises ConnectionSettingsError: there is neither an account nor a Connection of this id.
        """
        initial_tokens: StoredTokens | None = None
        problem: TikTokError | None = None
        try:
            # Before the rest of the Connection, in which a fault must not let its initial tokens be used again.
            initial_tokens = await in_thread(read_initial_tokens, conn_id, self._clock())
            await self._revoke(await self._account(conn_id))
        except TikTokError as error:
            problem = error
        return await self._change(
            lambda session: changes.disconnect(
                session, conn_id, initial_tokens, actor, problem, self._clock()
            )
        )

    async def accounts(self) -> list[AccountSummary]:
        """Return all accounts, by connection id, without those that are disconnected and have no Connection any
        more. No call to TikTok.
        """
        candidates = await self._change(disconnected_conn_ids)
        removed = {conn_id for conn_id in candidates if not await in_thread(is_defined, conn_id)}
        found = await self._change(lambda session: summaries(session, self._clock()))
        return [account for account in found if account.conn_id not in removed]

    async def prune(self) -> int:
        """Delete nonces that are too old to be replayed; return how many."""
        return await self._change(self._prune)

    async def _refresh_with(self, account: Account, lease: Lease) -> changes.Outcome:
        asked_at = self._clock()
        call = refresh_tokens(account.client_key, account.client_secret, lease.tokens.refresh_token)
        try:
            answer = await self._call(account.base_url, in_time(call, lease, self._clock))
            tokens = granted(answer, asked_at, lease.tokens)
        except TooLateError:
            return Busy(SHORTEST_WAIT)
        except TikTokError as error:
            redact(error, account.client_secret, lease.tokens.refresh_token)
            return await self._change(self._failure(account, lease, error))
        except Exception as error:
            # A fault of this machine that prevents any call, such as a missing certificate file.
            log.exception("The call to TikTok's token endpoint for %r failed.", account.conn_id)
            return await self._change(self._failure(account, lease, _fault_of_this_server(error)))
        return await self._write(account, lease, tokens)

    def _failure(
        self, account: Account, lease: Lease, error: TikTokError
    ) -> Callable[[Session], changes.Outcome]:
        def step(session: Session) -> changes.Outcome:
            if isinstance(error, OAuthError) and error.code == "invalid_grant":
                return changes.refuse(session, account, lease, error, self._clock())
            changes.fail(session, account, lease, error, self._clock())
            return error

        return self._with_token(account, step)

    async def _write(self, account: Account, lease: Lease, tokens: StoredTokens) -> changes.Outcome:
        """Write the tokens that a refresh has given."""
        # Takes a while, in which no transaction needs to be open.
        await in_thread(TOKEN_MASKS.mask, account.conn_id, tokens.access_token, tokens.refresh_token)

        step = self._with_token(
            account, lambda session: changes.write_refreshed(session, account, lease, tokens, self._clock())
        )

        def write() -> changes.Outcome:
            return change(step)

        return await self._patiently(account.conn_id, write)

    async def _patiently(
        self,
        conn_id: str,
        write: Callable[[], changes.Outcome],
        transient: tuple[type[Exception], ...] = _TRANSIENT,
    ) -> changes.Outcome:
        """Write tokens that TikTok gave: no others may be valid any more, so give up late, whatever the fault is."""
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(transient),
            stop=lambda state: state.idle_for >= PATIENCE_TO_WRITE,
            wait=wait_exponential(multiplier=0.25, max=_LONGEST_PAUSE),
            before_sleep=lambda state: _report_waiting(conn_id, state),
            sleep=self._sleep,
            reraise=True,
        )
        return await retrying(in_thread, write)

    def _with_token(
        self, account: Account, step: Callable[[Session], T]
    ) -> Callable[[Session], T | changes.Outcome]:
        """Let a step answer with the access token, encrypted for the readers of the user's Connection."""

        def with_token(session: Session) -> T | changes.Outcome:
            outcome = step(session)
            if not isinstance(outcome, TokenState):
                return outcome
            # Airflow's sessions do not do so before a query.
            session.flush()
            try:
                return _encrypted(account, outcome, read_tokens(session, account.conn_id, self._clock()))
            except TikTokError as error:
                # What the step has written is committed all the same.
                return error

        return with_token

    async def _revoke(self, account: Account) -> None:
        tokens = await in_thread(self._read_tokens, account)
        if tokens is None:
            raise not_connected(account.conn_id)
        access_token, lost = tokens.access_token, list[UnreachableError]()

        async def revoke_once() -> None:
            try:
                await self._call(
                    account.base_url, revoke(account.client_key, account.client_secret, access_token)
                )
            except UnreachableError as error:
                lost.extend([error] if error.maybe_processed else [])
                raise

        # Taking the same access away twice does no harm.
        retrying = AsyncRetrying(
            retry=retry_if_exception(_may_pass),
            stop=stop_after_attempt(REVOKE_TRIES),
            wait=wait_exponential(multiplier=0.5, max=4),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            await retrying(revoke_once)
        except TikTokError as error:
            redact(error, account.client_secret, access_token)
            # A refusal after a lost answer may only mean that the access is gone already.
            raise lost[0] if lost else error from None

    def _read_tokens(self, account: Account) -> StoredTokens | None:
        with transaction() as session:
            check_origin(session, account)
            return read_tokens(session, account.conn_id, self._clock())

    def _prune(self, session: Session) -> int:
        old = delete(NonceRecord).where(NonceRecord.seen_at < self._clock() - NONCE_LIFETIME)
        result = session.execute(old)
        return result.rowcount if isinstance(result, CursorResult) else 0

    async def _account(self, conn_id: str) -> Account:
        return await in_thread(read_stored_account, conn_id, self._clock())

    async def _change(self, step: Callable[[Session], T]) -> T:
        # In a thread: the database blocks, and the event loop also serves Airflow's heartbeats.
        return await in_thread(change, step)

    async def _to_the_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Finish a call that has begun at TikTok even if the caller goes away: its answer must not be lost."""
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)


def _encrypted(account: Account, state: TokenState, tokens: StoredTokens | None) -> TokenState:
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
        encrypted_access_token=encrypt(account.client_secret, tokens.access_token, Purpose.ACCESS_TOKEN),
    )


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, UnreachableError) or (
        isinstance(error, ApiError) and error.retry == Retry.BACKOFF
    )


def _report_waiting(conn_id: str, state: RetryCallState) -> None:
    """Name the kind of error only: the database's own text could hold anything."""
    error = state.outcome.exception() if state.outcome else None
    report_warning.get()(
        f"The new tokens of {conn_id!r} cannot be written yet ({type(error).__name__}). Do not end this process: they"
        " would be lost."
    )


def _fault_of_this_server(error: Exception) -> UnreachableError:
    return UnreachableError(
        f"TikTok cannot be called where tokens are refreshed ({type(error).__name__}).\n"
        "That is the API server, as a rule: see its log. The administrator of Airflow checks SSL_CERT_FILE,"
        " SSL_CERT_DIR and the proxy settings there.",
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
