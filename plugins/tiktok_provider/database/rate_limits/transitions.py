"""What happens to an account's rate limits and caps, each as one step within a transaction; ``service`` runs them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from tiktok_provider.database.accounts.transitions import STORE
from tiktok_provider.database.posts.pending import free_places, pending_drafts, unfinished_drafts
from tiktok_provider.database.posts.transitions import ABANDONED
from tiktok_provider.database.rate_limits.call_log import FIRST_LATENESS, CallLog, LoggedCall, WaitingCaller
from tiktok_provider.database.session import audit
from tiktok_provider.database.tables import AccountClosure, AttemptRow, PostRow, RateLimitLog
from tiktok_provider.store.posts import PostState
from tiktok_provider.store.rate_limits import (
    LONG_PAUSE,
    MAX_PENDING_DRAFTS,
    PENDING_FOR,
    PER_MINUTE,
    SHORTEST_LEAVE,
    Cap,
    Closure,
    Endpoint,
    Granted,
    PendingDraft,
    Wait,
)
from tiktok_provider.store.requests import TakeCalls, adapter

# Where nothing tells when a cap ends, it is tried again after an hour.
PROBE_AGAIN = timedelta(hours=1)
DAY = timedelta(hours=24)
SOONEST_END = timedelta(minutes=1)
_CALLS, _WAITING = list[LoggedCall], list[WaitingCaller]


def take(session: Session, conn_id: str, wanted: TakeCalls, now: datetime) -> Granted | Wait:
    """Log calls that may be made now, or return when to ask again."""
    if wanted.endpoint is Endpoint.INIT and (closed := _closed(session, conn_id, wanted.draft, now)):
        return closed
    with _call_log(session, conn_id, wanted.endpoint, now) as log:
        if wanted.draft and (full := _full_inbox(session, conn_id, wanted.holder, log)):
            return full
        return log.take(wanted)


def end(session: Session, conn_id: str, endpoint: Endpoint, holder: str, now: datetime) -> None:
    """Note that the calls of a holder have ended; without a change if that is known."""
    with _call_log(session, conn_id, endpoint, now) as log:
        log.end(holder)


def pause(session: Session, conn_id: str, endpoint: Endpoint, seconds: float, now: datetime) -> None:
    """Grant no call for so many seconds."""
    with _call_log(session, conn_id, endpoint, now) as log:
        log.pause(seconds)


def close(session: Session, conn_id: str, cap: Cap, retry_in: float | None, now: datetime) -> Wait:
    """Close an account until a cap's window ends, as far as can be known, and return when that is."""
    until = _end_of(session, conn_id, cap, now) if retry_in is None else now + timedelta(seconds=retry_in)
    closure = session.get(AccountClosure, (conn_id, cap))
    if closure is not None:
        closure.until = min(closure.until, now + DAY)
    else:
        closure = AccountClosure(conn_id=conn_id, cap=cap, until=until)
        session.add(closure)
    if closure.until < until or closure.until <= now:
        closure.until = until
    audit(
        session,
        "tiktok_account_closed",
        actor=STORE,
        conn_id=conn_id,
        cap=cap,
        until=closure.until.isoformat(),
    )
    return _wait_for(closure, now)


def closures(session: Session, conn_id: str | None, now: datetime) -> tuple[Closure, ...]:
    """Return what closes an account, or all accounts, the first to end first."""
    rows = [
        *_caps(session, conn_id, now),
        *_full_inboxes(session, conn_id, now),
        *_long_pauses(session, conn_id, now),
    ]
    return tuple(sorted(rows, key=lambda found: found.until))


def reopen(session: Session, conn_id: str, actor: str, now: datetime) -> tuple[Closure, ...]:
    """End what closes an account; return what that was."""
    ended = closures(session, conn_id, now)
    session.execute(delete(AccountClosure).where(AccountClosure.conn_id == conn_id))
    free_places(session, conn_id)
    for found in ended:
        if isinstance(found.by, Endpoint):
            with _call_log(session, conn_id, found.by, now) as log:
                log.paused_until = None
        audit(session, "tiktok_account_reopened", actor=actor, conn_id=conn_id, by=found.by)
    return ended


def _full_inbox(session: Session, conn_id: str, holder: str, log: CallLog) -> Wait | None:
    """Return when to ask again if the creator's inbox takes no more drafts."""
    # A new attempt at a draft takes the place of the one before.
    replaced = (PostState.INTENDED, PostState.UPLOADING)
    pending = [
        row
        for row in pending_drafts(session, conn_id, log.now)
        if not (row.task == holder and row.state in replaced)
    ]
    if len(pending) + log.drafts_under_way(holder) < MAX_PENDING_DRAFTS:
        return None
    if len(pending) < MAX_PENDING_DRAFTS:
        return Wait(retry_in=SHORTEST_LEAVE)
    until = _place_is_free_at(pending)
    return Wait(
        retry_in=max((until - log.now).total_seconds(), SHORTEST_LEAVE),
        cap=Cap.DRAFTS,
        until=until,
        pending=tuple(map(_as_pending, pending)),
    )


def _full_inboxes(session: Session, conn_id: str | None, now: datetime) -> list[Closure]:
    """Return the accounts whose inboxes take no more drafts."""
    accounts: dict[str, list[PostRow]] = {}
    for row in pending_drafts(session, conn_id, now):
        accounts.setdefault(row.conn_id, []).append(row)
    return [
        Closure(conn_id=account, by=Cap.DRAFTS, until=_place_is_free_at(rows))
        for account, rows in accounts.items()
        if len(rows) >= MAX_PENDING_DRAFTS
    ]


def _place_is_free_at(pending: Sequence[PostRow]) -> datetime:
    """Return when the oldest of those that fill the inbox counts no more."""
    oldest = pending[-MAX_PENDING_DRAFTS]
    assert oldest.pending_since is not None
    return oldest.pending_since + PENDING_FOR


def _as_pending(row: PostRow) -> PendingDraft:
    assert row.pending_since is not None
    return PendingDraft(post_key=row.post_key, publish_id=row.publish_id, since=row.pending_since)


def _caps(session: Session, conn_id: str | None, now: datetime) -> list[Closure]:
    rows = select(AccountClosure).where(AccountClosure.until > now)
    if conn_id is not None:
        rows = rows.where(AccountClosure.conn_id == conn_id)
    return [
        Closure(conn_id=row.conn_id, by=Cap(row.cap), until=min(row.until, now + DAY))
        for row in session.scalars(rows)
    ]


def _long_pauses(session: Session, conn_id: str | None, now: datetime) -> list[Closure]:
    """Return the pauses after a 429 that are longer than TikTok's own window."""
    rows = select(RateLimitLog).where(RateLimitLog.paused_until > now + timedelta(seconds=LONG_PAUSE))
    if conn_id is not None:
        rows = rows.where(RateLimitLog.conn_id == conn_id)
    return [
        Closure(conn_id=row.conn_id, by=Endpoint(row.endpoint), until=min(row.paused_until, now + DAY))
        for row in session.scalars(rows)
        if row.paused_until is not None
    ]


@contextmanager
def _call_log(session: Session, conn_id: str, endpoint: Endpoint, now: datetime) -> Iterator[CallLog]:
    """Read the log, and write it after the block with one update of its row.

    The row is locked where the database can do that; everywhere an update of an older version is refused, and the
    step decided again.
    """
    row = session.get(RateLimitLog, (conn_id, endpoint), with_for_update=True)
    if row is None:
        row = RateLimitLog(conn_id=conn_id, endpoint=endpoint, calls=[], waiting=[], lateness=FIRST_LATENESS)
        session.add(row)
    calls, waiting = adapter(_CALLS), adapter(_WAITING)
    log = CallLog(
        now,
        PER_MINUTE[endpoint],
        calls.validate_python(row.calls),
        waiting.validate_python(row.waiting),
        row.paused_until,
        row.lateness,
    )
    yield log
    row.calls = calls.dump_python(log.calls, mode="json")
    row.waiting = waiting.dump_python(log.waiting, mode="json")
    row.paused_until, row.lateness = log.paused_until, log.lateness


def _closed(session: Session, conn_id: str, draft: bool, now: datetime) -> Wait | None:
    caps = (Cap.DRAFTS if draft else Cap.POSTS, Cap.ACTIVE_USERS)
    closures = session.scalars(
        select(AccountClosure)
        .where(AccountClosure.conn_id == conn_id, AccountClosure.cap.in_(caps), AccountClosure.until > now)
        .order_by(AccountClosure.until)
    ).all()
    for closure in closures:
        closure.until = min(closure.until, now + DAY)
    if not closures:
        return None
    found = _wait_for(closures[-1], now)
    if found.cap is not Cap.DRAFTS:
        return found
    return replace(found, pending=tuple(map(_as_pending, unfinished_drafts(session, conn_id))))


def _wait_for(closure: AccountClosure, now: datetime) -> Wait:
    return Wait(retry_in=(closure.until - now).total_seconds(), cap=Cap(closure.cap), until=closure.until)


def _end_of(session: Session, conn_id: str, cap: Cap, now: datetime) -> datetime:
    # Of drafts waiting frees none, as far as others have seen: TikTok is asked again.
    return now + PROBE_AGAIN if cap is Cap.DRAFTS else _end_of_window(session, conn_id, now)


def _end_of_window(session: Session, conn_id: str, now: datetime) -> datetime:
    """Return when the oldest of our own posts of the last 24 hours no longer counts."""
    oldest = session.scalar(
        select(func.min(AttemptRow.started_at))
        .join(PostRow, PostRow.id == AttemptRow.post_id)
        .where(PostRow.conn_id == conn_id, AttemptRow.started_at > now - DAY)
        .where(AttemptRow.publish_id.is_not(None), AttemptRow.outcome.not_in([PostState.FAILED, ABANDONED]))
    )
    return now + PROBE_AGAIN if oldest is None else max(min(oldest, now) + DAY, now + SOONEST_END)
