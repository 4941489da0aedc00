"""How posts end: what TikTok reported, what a person decided, and what is deleted. Steps within a transaction."""

import logging
from datetime import datetime, timedelta
from shlex import quote

from sqlalchemy import CursorResult, delete, or_, select
from sqlalchemy.orm import Session

from tiktok_provider.database.accounts.transitions import STORE
from tiktok_provider.database.posts import events
from tiktok_provider.database.posts.pending import open_inbox
from tiktok_provider.database.posts.rows import (
    FORGOTTEN,
    end_attempt,
    find,
    last_attempt,
    state_error,
    to_record,
)
from tiktok_provider.database.posts.transitions import audit_uncertain, limit_lease
from tiktok_provider.database.session import audit
from tiktok_provider.database.tables import AttemptRow, PostRow
from tiktok_provider.store.errors import no_record
from tiktok_provider.store.posts import Claimant, PostOutcome, PostRecord, PostState, Resolution

log = logging.getLogger(__name__)

# After the operators' usual deadline a person may decide, too; TikTok's own report still counts more.
GIVEN_UP = timedelta(hours=24)

# What is known for more certain, or weighs more, beats what stands before it.
_RANK = (PostState.UNCERTAIN, PostState.FAILED, PostState.IN_INBOX, PostState.OUT)


def record_outcome(
    session: Session, conn_id: str, post_key: str, post_outcome: PostOutcome, now: datetime
) -> PostRecord:
    """Write how an attempt has ended; without a change if that is known already.

    :raises PostStateError: the post has no such attempt, or its state is no outcome.
    """
    row = _found(session, conn_id, post_key)
    known = row.out_at, set(row.post_ids)
    _record(session, row, post_outcome, now)
    if known != (row.out_at, set(row.post_ids)):
        events.send_late(session, row)
    return to_record(row)


def announce(session: Session, conn_id: str, post_key: str, claimant: Claimant, *, waited: bool) -> bool:
    """See ``events.announce``.

    :raises PostStateError: nothing is on record.
    """
    return events.announce(_found(session, conn_id, post_key), claimant, waited=waited)


def _record(session: Session, row: PostRow, post_outcome: PostOutcome, now: datetime) -> None:
    if post_outcome.state not in _RANK:
        raise state_error(row, f"{str(post_outcome.state)!r} is no outcome")
    attempt = _attempt_of(session, row, post_outcome.publish_id)
    if _is_premature(row, post_outcome, now):
        return
    is_news = attempt is not None and _beats(post_outcome.state, attempt.outcome)
    if attempt is not None and is_news:
        end_attempt(
            attempt, post_outcome.state, now, reason=post_outcome.fail_reason, log_id=post_outcome.log_id
        )
    if row.publish_id == post_outcome.publish_id:
        _end_current(session, row, post_outcome, now)
    elif is_news:
        _end_earlier(session, row, post_outcome, now)


def record_by_publish_id(
    session: Session, post_outcome: PostOutcome, open_id: str, now: datetime
) -> list[PostRecord]:
    """Write how an attempt has ended of which only the publish id is known; see ``record_outcome``.

    :param open_id: of its account; empty: any.
    """
    attempts = select(AttemptRow.post_id).where(AttemptRow.publish_id == post_outcome.publish_id)
    rows = select(PostRow).where(
        or_(PostRow.publish_id == post_outcome.publish_id, PostRow.id.in_(attempts)),
        PostRow.state != FORGOTTEN,
    )
    if open_id:
        rows = rows.where(PostRow.open_id.in_((open_id, "")))
    found = [(row.conn_id, row.post_key) for row in session.scalars(rows)]
    return [record_outcome(session, *post, post_outcome, now) for post in found]


def resolve(session: Session, conn_id: str, post_key: str, seen: Resolution, now: datetime) -> PostRecord:
    """Write what a person knows of an uncertain post.

    :raises PostStateError: it is not uncertain.
    """
    row = _found(session, conn_id, post_key)
    if row.state != PostState.UNCERTAIN and not _is_lost(row, now):
        raise state_error(row, "only an uncertain post can be resolved")
    row.state = PostState.OUT if seen.posted else PostState.FAILED
    row.out_at = now if seen.posted else None
    # A try that stood still all the while is refused from here on.
    row.generation += 1
    row.status, row.resolved_by = {}, seen.actor
    row.fail_reason = "" if seen.posted else f"not posted, says {seen.actor}"
    if seen.posted:
        row.post_ids, row.post_url = [seen.post_id] if seen.post_id else [], seen.post_url
    row.lease_until, row.updated_at = None, now
    if (attempt := last_attempt(session, row)) is not None:
        end_attempt(attempt, row.state, now, reason=row.fail_reason)
    _audit(session, row, "tiktok_post_resolved", actor=seen.actor, outcome=row.state, post_id=seen.post_id)
    events.send_late(session, row)
    return to_record(row)


def forget(session: Session, conn_id: str, post_key: str, now: datetime, *, actor: str) -> PostRecord:
    """Delete a post's record and its attempts, and return what it was. Under its key can then be posted again.

    :raises PostStateError: it is under way, or uncertain.
    """
    row = _found(session, conn_id, post_key)
    command = (
        f"airflow tiktok resolve {quote(conn_id)} {quote(post_key)} --posted [POST_ID|URL] | --not-posted"
    )
    if row.state == PostState.UNCERTAIN or _is_lost(row, now):
        raise state_error(row, f"forgetting it could post it twice. Look at the account, then: {command}")
    if row.state == PostState.FINISHING:
        raise state_error(row, "TikTok may be publishing it now. Let its task wait for the outcome")
    if row.state in (PostState.CLAIMED, PostState.INTENDED, PostState.UPLOADING) and _is_held(row, now):
        raise state_error(
            row, f"a task is publishing it until {row.lease_until:%H:%M:%S} UTC. Stop that task first"
        )
    record = to_record(row)
    session.execute(delete(AttemptRow).where(AttemptRow.post_id == row.id))
    _wipe(row, now)
    _audit(session, row, "tiktok_post_forgotten", actor=actor, outcome=record.state)
    return record


def prune(session: Session, before: datetime) -> int:
    """Delete the attempts that began before a time; outcomes stay for good."""
    result = session.execute(delete(AttemptRow).where(AttemptRow.started_at < before))
    return result.rowcount if isinstance(result, CursorResult) else 0


def _found(session: Session, conn_id: str, post_key: str) -> PostRow:
    row = find(session, conn_id, post_key)
    if row is None:
        raise no_record(conn_id, post_key)
    return row


def _attempt_of(session: Session, row: PostRow, publish_id: str) -> AttemptRow | None:
    attempt = session.scalar(
        select(AttemptRow).where(AttemptRow.post_id == row.id, AttemptRow.publish_id == publish_id)
    )
    if attempt is None and row.publish_id != publish_id:
        raise state_error(row, f"no attempt of it has the publish id {publish_id}")
    return attempt


def _beats(state: PostState, known: str) -> bool:
    return known not in _RANK or _RANK.index(state) > _RANK.index(PostState(known))


def _end_current(session: Session, row: PostRow, post_outcome: PostOutcome, now: datetime) -> None:
    if _beats(post_outcome.state, row.state):
        _become(session, row, post_outcome, now)
    elif post_outcome.state == row.state and set(post_outcome.post_ids) - set(row.post_ids):
        _add_post_ids(row, post_outcome)
        row.updated_at = now


def _is_premature(row: PostRow, post_outcome: PostOutcome, now: datetime) -> bool:
    """Whether a person would be asked about a post that another task may just be sending."""
    is_theirs = row.task != post_outcome.task
    return post_outcome.state == PostState.UNCERTAIN and is_theirs and _is_held(row, now)


def _end_earlier(session: Session, row: PostRow, post_outcome: PostOutcome, now: datetime) -> None:
    """What an earlier attempt has brought out counts, whatever was tried since."""
    if post_outcome.state not in (PostState.OUT, PostState.IN_INBOX):
        return
    facts = {"publish_id": post_outcome.publish_id, "last_publish_id": row.publish_id}
    is_out_already = row.state in (PostState.OUT, PostState.IN_INBOX)
    log.warning(
        "Attempt %s of post %r of %r has come out although %s was tried after it%s.",
        *(post_outcome.publish_id, row.post_key, row.conn_id, row.publish_id or "another one"),
        *("; both are out" if is_out_already else "",),
    )
    event = "tiktok_post_out_twice" if is_out_already else "tiktok_post_out_of_earlier_attempt"
    _audit(session, row, event, actor=STORE, **facts)
    if _beats(post_outcome.state, row.state):
        row.publish_id, row.post_ids, row.post_url = post_outcome.publish_id, [], None
        _become(session, row, post_outcome, now)


def _become(session: Session, row: PostRow, post_outcome: PostOutcome, now: datetime) -> None:
    row.state = post_outcome.state
    row.out_at = now if row.state == PostState.OUT else None
    row.status, row.fail_reason, row.resolved_by = dict(post_outcome.status), post_outcome.fail_reason, ""
    # No try has anything left to send.
    row.lease_until, row.updated_at = None, now
    _add_post_ids(row, post_outcome)
    if row.pending_since and row.state in (PostState.OUT, PostState.FAILED):
        open_inbox(session, row.conn_id)
    if row.state == PostState.UNCERTAIN:
        audit_uncertain(session, row, post_outcome.fail_reason)


def _add_post_ids(row: PostRow, post_outcome: PostOutcome) -> None:
    row.post_ids = [*row.post_ids, *(new for new in post_outcome.post_ids if new not in row.post_ids)]
    row.post_url = post_outcome.post_url or row.post_url
    row.status = dict(post_outcome.status) or row.status


def _is_lost(row: PostRow, now: datetime) -> bool:
    """Whether it is as good as uncertain: no task is left that could tell what became of an init with a URL, or the
    last byte left so long ago that the task that waits may be gone for good.
    """
    if row.state == PostState.FINISHING:
        return row.finishing_at is not None and row.finishing_at + GIVEN_UP < now
    return row.state == PostState.INTENDED and row.source == "url" and not _is_held(row, now)


def _is_held(row: PostRow, now: datetime) -> bool:
    limit_lease(row, now)
    return row.lease_until is not None and row.lease_until > now


def _wipe(row: PostRow, now: datetime) -> None:
    """Leave no more than the generation, so that a try that stood still all the while is refused for good."""
    row.state, row.generation = FORGOTTEN, row.generation + 1
    row.content, row.origin, row.status, row.post_ids = {}, {}, {}, []
    row.slot_media = None
    row.fingerprint = row.location = row.digest = ""
    row.task = row.try_id = row.username = row.open_id = row.profile_url = ""
    row.announced_by = ""
    row.publish_id = row.encrypted_upload_url = row.post_url = row.lease_until = row.out_at = None
    row.updated_at = now


def _audit(session: Session, row: PostRow, event: str, *, actor: str, **facts: str | None) -> None:
    audit(session, event, actor=actor, conn_id=row.conn_id, post_key=row.post_key, **facts)
