"""What happens to an account, each as one step within a transaction; ``service`` runs them around its calls.

A step that must be committed and yet end in an error returns the error instead of raising it.
"""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from tiktok_provider.database.accounts import refresh_lease as leases
from tiktok_provider.database.accounts.connections import (
    check_origin,
    has_tokens,
    is_stored,
    read_tokens,
    wipe_initial_tokens,
    wipe_tokens,
    write_tokens,
)
from tiktok_provider.database.accounts.refresh_lease import Lease
from tiktok_provider.database.session import audit
from tiktok_provider.database.tables import AccountRecord
from tiktok_provider.exceptions import (
    ApiError,
    ConnectionSettingsError,
    ConnectionUnreadableError,
    ServiceError,
    TikTokError,
    UndocumentedError,
    UnexpectedAnswerError,
    UnreachableError,
)
from tiktok_provider.store.connection import Account
from tiktok_provider.store.errors import AccountDeadError, not_connected, unknown_account
from tiktok_provider.store.token_sets import (
    Busy,
    Disconnected,
    StoredTokens,
    TokenState,
)

STORE = "tiktok store"
# How many initial tokens are remembered: an API server that still reads older ones must not adopt them again.
_REMEMBERED_INITIAL_TOKENS = 10

Outcome = TokenState | Busy | TikTokError


def look(session: Session, account: Account, now: datetime) -> Outcome:
    """Return where the tokens are; initial tokens that were not seen before become the current ones.

    After a refused refresh the access token is used to its end.
    """
    record = current_record(session, account, now)
    if record is None:
        return not_connected(account.conn_id)
    if record.dead_at and (state := _state(record)) and state.access_expires_at > now:
        return replace(state, closed=record.last_error or _connect_again(record))
    return _answer(record)


def begin_refresh(session: Session, account: Account, seen_generation: int, now: datetime) -> Outcome | Lease:
    """Take the lease, unless there are newer tokens already, or another caller holds it."""
    record = current_record(session, account, now)
    if record is None:
        return not_connected(account.conn_id)
    if record.dead_at or record.generation != seen_generation:
        return _answer(record)
    if busy := leases.wait_for(record, now):
        return busy
    tokens = read_tokens(session, account.conn_id, now)
    if tokens is None or not tokens.refresh_token:
        return not_connected(account.conn_id)
    return leases.take(record, tokens, now)


def write_refreshed(
    session: Session, account: Account, lease: Lease, tokens: StoredTokens, now: datetime
) -> Outcome:
    """Write the tokens that TikTok gave, lease or not, unless a person brought others meanwhile, or newer ones are
    written that live longer.
    """
    record = session.get(AccountRecord, account.conn_id) or _new_record(session, account.conn_id)
    overtaken = record.generation != lease.generation and (
        record.manual_generation > lease.generation or not tokens.outlives(record.access_expires_at)
    )
    if not overtaken:
        _write(session, record, account, tokens, now)
    leases.finish(record, lease, now)
    outcome = "overtaken" if overtaken else "new tokens"
    audit(
        session,
        "tiktok_refresh",
        actor=STORE,
        conn_id=account.conn_id,
        outcome=outcome,
        generation=record.generation,
    )
    return _answer(record)


def refuse(session: Session, account: Account, lease: Lease, error: ApiError, now: datetime) -> Outcome:
    """Judge an ``invalid_grant``: overtaken by newer tokens, suspect, or the end of the account."""
    record = session.get(AccountRecord, account.conn_id)
    if record is None:
        return not_connected(account.conn_id)
    if record.generation != lease.generation:
        leases.release(record, lease, now)
        return _answer(record)
    suspect = leases.is_suspect(record, lease, now)
    leases.release(record, lease, now, leases.PAUSE_WHEN_SUSPECT if suspect else leases.PAUSE_AFTER_FAILURE)
    _record_failure(session, record, error, now, suspect=suspect)
    if suspect:
        return Busy(leases.PAUSE_WHEN_SUSPECT.total_seconds())
    record.dead_at = now
    record.last_error = f"{_connect_again(record)}{_last_use(record, now)}\n{record.last_error}"
    return AccountDeadError(record.last_error)


def fail(session: Session, account: Account, lease: Lease, error: TikTokError, now: datetime) -> None:
    """Record a refresh that failed for another reason, and pause before the next one."""
    record = session.get(AccountRecord, account.conn_id)
    if record is not None:
        leases.finish(record, lease, now, leases.PAUSE_AFTER_FAILURE)
        _record_failure(session, record, error, now, suspect=False)


def connect(session: Session, account: Account, tokens: StoredTokens, actor: str, now: datetime) -> Outcome:
    """Write the tokens of a new consent, whatever there was before."""
    record = session.get(AccountRecord, account.conn_id) or _new_record(session, account.conn_id)
    if not tokens.username and tokens.open_id == record.open_id:
        tokens = replace(tokens, username=record.username)
    _write_manual(session, record, account, tokens, now)
    _audit_connect(session, record, actor, "consent")
    return _answer(record)


def disconnect(
    session: Session,
    conn_id: str,
    seen: StoredTokens | None,
    actor: str,
    problem: TikTokError | None,
    now: datetime,
) -> Disconnected:
    """Wipe the tokens, and the initial tokens where the store can reach them.

    :param seen: the initial tokens that Airflow finds, wherever they come from.
    :param problem: why TikTok has not taken the access away.
    :raises ConnectionSettingsError: there is neither an account nor a Connection of this id.
    """
    record = session.get(AccountRecord, conn_id)
    if record is None and isinstance(problem, ConnectionUnreadableError) and not is_stored(session, conn_id):
        raise unknown_account(conn_id)
    record = record or _new_record(session, conn_id)
    open_id = record.open_id
    wipe_tokens(session, conn_id)
    remains = _has_initial_tokens_left(session, record, seen, now)
    record.generation += 1
    record.manual_generation = record.generation
    record.access_expires_at = record.refresh_expires_at = record.refreshed_at = None
    record.open_id = record.username = record.scope = ""
    record.dead_at = record.last_error = record.last_error_at = None
    audit(
        session,
        "tiktok_disconnect",
        actor=actor,
        conn_id=conn_id,
        open_id=open_id,
        revoked=_revoked(problem),
    )
    return Disconnected(
        conn_id=conn_id,
        revoked=problem is None,
        maybe_revoked=_revoked(problem) == "perhaps",
        problem=str(problem or ""),
        initial_tokens_remain=remains,
    )


def _revoked(problem: TikTokError | None) -> str:
    if problem is None:
        return "yes"
    lost = isinstance(problem, UnreachableError) and problem.maybe_processed
    # Only a refusal that TikTok documents proves that it has done nothing.
    odd = isinstance(problem, ServiceError | UndocumentedError | UnexpectedAnswerError)
    return "perhaps" if lost or odd else "no"


def _has_initial_tokens_left(
    session: Session, record: AccountRecord, seen: StoredTokens | None, now: datetime
) -> bool:
    """Wipe the initial tokens in the metadata database; return whether there are others, or may be."""
    _remember_initial_tokens(record, seen)
    try:
        wiped = wipe_initial_tokens(session, record.conn_id, now)
    except ConnectionUnreadableError:
        # What it holds cannot be known.
        return True
    _remember_initial_tokens(record, wiped)
    return seen is not None and (wiped is None or wiped.fingerprint != seen.fingerprint)


def current_record(session: Session, account: Account, now: datetime) -> AccountRecord | None:
    """Return the account's record, with new initial tokens adopted; None without tokens.

    :raises ConnectionSettingsError: the tokens are not of the app, or the host, that the Connection names; or the
        initial tokens are another Connection's, too.
    """
    record = session.get(AccountRecord, account.conn_id)
    if tokens := _adoptable(session, account, record, now):
        if tokens.refresh_token:
            _check_not_shared(session, account.conn_id, tokens)
        record = record or _new_record(session, account.conn_id)
        _write_manual(session, record, account, _refresh_first_if_anonymous(tokens, now), now)
        _audit_connect(session, record, STORE, "initial tokens")
        return record
    if record is None or record.access_expires_at is None or not has_tokens(session, account.conn_id):
        return None
    check_origin(session, account)
    return record


def _adoptable(
    session: Session, account: Account, record: AccountRecord | None, now: datetime
) -> StoredTokens | None:
    """Return tokens that a person put into a Connection and that were not seen before."""
    initial_tokens = account.initial_tokens
    if record is None:
        # After the loss of the store's tables alone, the tokens kept in the second Connection are newer.
        kept = read_tokens(session, account.conn_id, now)
        if kept is None or (initial_tokens and not kept.outlives(initial_tokens.access_expires_at)):
            return initial_tokens
        check_origin(session, account)
        return kept
    if initial_tokens is None or initial_tokens.fingerprint in record.initial_tokens_hashes.split():
        return None
    return initial_tokens if initial_tokens.refresh_token or record.access_expires_at is None else None


def _refresh_first_if_anonymous(tokens: StoredTokens, now: datetime) -> StoredTokens:
    """Let tokens without an open id be refreshed before their first use: TikTok's answer names the account.

    Else a post that was begun for one account could go out on another, after a person has brought that one's tokens.
    """
    if tokens.open_id or not tokens.refresh_token:
        return tokens
    return replace(tokens, access_expires_at=min(tokens.access_expires_at, now))


def _check_not_shared(session: Session, conn_id: str, initial_tokens: StoredTokens) -> None:
    """Refuse initial tokens that another Connection has, too: each would end the other's tokens by a refresh.

    A record without tokens is that of a disconnected account, which refreshes nothing.
    """
    other = session.scalar(
        select(AccountRecord.conn_id)
        .where(AccountRecord.conn_id != conn_id, AccountRecord.access_expires_at.is_not(None))
        .where(AccountRecord.initial_tokens_hashes.contains(initial_tokens.fingerprint))
        .order_by(AccountRecord.conn_id)
    )
    if other is not None:
        raise ConnectionSettingsError(
            f"Connection {conn_id!r} has the same initial tokens as {other!r}.\n"
            f"{other!r} refreshes them, and two connections would end each other's tokens. Have one connection for"
            " one"
            f" TikTok account and use {other!r}, or connect this one by itself: airflow tiktok connect {conn_id}"
        )


def _new_record(session: Session, conn_id: str) -> AccountRecord:
    record = AccountRecord(
        conn_id=conn_id,
        generation=0,
        manual_generation=0,
        initial_tokens_hashes="",
        open_id="",
        username="",
        scope="",
    )
    session.add(record)
    return record


def _write_manual(
    session: Session, record: AccountRecord, account: Account, tokens: StoredTokens, now: datetime
) -> None:
    """Write tokens that a person brought: refreshes under way no longer count."""
    _remember_initial_tokens(record, account.initial_tokens)
    _write(session, record, account, tokens, now)
    record.manual_generation = record.generation
    leases.clear(record)


def _write(
    session: Session, record: AccountRecord, account: Account, tokens: StoredTokens, now: datetime
) -> None:
    record.generation += 1
    record.access_expires_at = tokens.access_expires_at
    record.refresh_expires_at = tokens.refresh_expires_at
    record.open_id, record.username, record.scope = tokens.open_id, tokens.username, tokens.scope
    record.refreshed_at = now
    record.dead_at = record.last_error = record.last_error_at = None
    write_tokens(session, account, tokens, record.generation)


def _remember_initial_tokens(record: AccountRecord, initial_tokens: StoredTokens | None) -> None:
    if initial_tokens is not None and initial_tokens.fingerprint not in (
        seen := record.initial_tokens_hashes.split()
    ):
        record.initial_tokens_hashes = " ".join(
            [*seen, initial_tokens.fingerprint][-_REMEMBERED_INITIAL_TOKENS:]
        )


def _answer(record: AccountRecord) -> TokenState | TikTokError:
    if record.dead_at:
        return AccountDeadError(record.last_error or _connect_again(record))
    return _state(record) or not_connected(record.conn_id)


def _last_use(record: AccountRecord, now: datetime) -> str:
    if record.access_expires_at is None or record.access_expires_at <= now:
        return ""
    return f"\nUntil {record.access_expires_at:%Y-%m-%d %H:%M} UTC its access token is still used."


def _state(record: AccountRecord) -> TokenState | None:
    if record.access_expires_at is None or record.refresh_expires_at is None:
        return None
    return TokenState(
        conn_id=record.conn_id,
        generation=record.generation,
        access_expires_at=record.access_expires_at,
        refresh_expires_at=record.refresh_expires_at,
        open_id=record.open_id,
        scope=record.scope,
    )


def _record_failure(
    session: Session, record: AccountRecord, error: TikTokError, now: datetime, *, suspect: bool
) -> None:
    record.last_error, record.last_error_at = str(error), now
    audit_failure(session, record.conn_id, error, STORE, suspect=suspect)


def audit_failure(
    session: Session, conn_id: str, error: TikTokError, actor: str, *, suspect: bool = False
) -> None:
    """Write to the audit log that TikTok gave no tokens, without TikTok's words."""
    audit(
        session,
        "tiktok_token_failure",
        actor=actor,
        conn_id=conn_id,
        error=error.code if isinstance(error, ApiError) else type(error).__name__,
        log_id=error.log_id if isinstance(error, ApiError) else None,
        suspect="yes" if suspect else None,
    )


def _audit_connect(session: Session, record: AccountRecord, actor: str, source: str) -> None:
    audit(
        session,
        "tiktok_connect",
        actor=actor,
        conn_id=record.conn_id,
        source=source,
        open_id=record.open_id,
        generation=record.generation,
    )


def _connect_again(record: AccountRecord) -> str:
    name = f"@{record.username}" if record.username else f"of open id {record.open_id or 'unknown'}"
    return (
        f"The TikTok account of connection {record.conn_id!r} must be connected again.\n"
        f"Its owner, {name}, runs: airflow tiktok connect {record.conn_id}\n"
        "(or puts new tokens into the connection's extra)."
    )
