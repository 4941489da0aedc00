"""What happens to a post, each as one step within a transaction; ``service`` runs them.

Of two that decide on the same version of a record, the database refuses one, which then decides again.
"""

from datetime import datetime

from sqlalchemy.orm import Session

from tiktok_provider.database.accounts.refresh_lease import CLOCK_SKEW
from tiktok_provider.database.accounts.transitions import STORE, current_record
from tiktok_provider.database.posts import same_media
from tiktok_provider.database.posts.rows import (
    FORGOTTEN,
    end_attempt,
    find,
    find_any,
    last_attempt,
    state_error,
    to_record,
)
from tiktok_provider.database.session import audit
from tiktok_provider.database.tables import AccountRecord, AttemptRow, PostRow
from tiktok_provider.store.connection import Account
from tiktok_provider.store.errors import AccountChangedError, PostTakenError
from tiktok_provider.store.posts import (
    LEASE,
    Claimant,
    Claimed,
    Intend,
    MarkFailed,
    MarkUncertain,
    PostClaim,
    PostRecord,
    PostState,
    PostStep,
    Progress,
    Release,
    Renew,
    Start,
    Verdict,
)

# How an attempt ends whose place another one takes before its last byte.
ABANDONED = "abandoned"

# Of a pull: what its record can say when TikTok's answer to init comes late.
_GIVEN_UP = (PostState.UNCERTAIN, PostState.FAILED)
_ENDED = (PostState.OUT, PostState.IN_INBOX, PostState.UNCERTAIN)


def look(session: Session, conn_id: str, post_key: str) -> PostRecord | None:
    """Return what is on record."""
    row = find(session, conn_id, post_key)
    return to_record(row) if row else None


def claim(session: Session, account: Account, post_key: str, wanted: PostClaim, now: datetime) -> Claimed:
    """Give the lease to the claimant if it may have it.

    :raises AccountChangedError: the post was begun for another TikTok account.
    :raises PostTakenError: a later try of the same task holds the lease.
    :raises PostConflictError: the same media are another post of the slot.
    """
    record = current_record(session, account, now)
    row = find_any(session, account.conn_id, post_key)
    if row is None or row.state == FORGOTTEN:
        row = _new_record(
            session, row or PostRow(conn_id=account.conn_id, post_key=post_key, generation=0), wanted, now
        )
    _check_account(row, record)
    if row.state in _ENDED:
        return Claimed(verdict=Verdict.ENDED, record=to_record(row))
    if wait := _held_by_another(row, wanted.claimant, now):
        return Claimed(verdict=Verdict.THEIRS, record=to_record(row), retry_in=wait)
    _take(row, wanted, now)
    if not wanted.allow_duplicate:
        same_media.refuse_duplicate(session, row, wanted.digest)
    elsewhere = same_media.newest_elsewhere(session, row, wanted.digest)
    return Claimed(
        verdict=Verdict.YOURS,
        record=to_record(row),
        same_media=to_record(elsewhere) if elsewhere is not None else None,
    )


def write(
    session: Session, conn_id: str, post_key: str, generation: int, step: PostStep, now: datetime
) -> PostRecord:
    """Write one step of the holder.

    :raises PostTakenError: the generation is another one by now.
    :raises PostStateError: the step is not possible from the state on record.
    """
    row = find(session, conn_id, post_key)
    if row is not None and isinstance(step, Start) and _is_late_start(session, row, generation, step):
        return _record_late_start(session, row, step, now)
    if row is None or row.generation != generation:
        raise PostTakenError(
            "Another try has claimed the post, or a person has deleted its record.\n"
            f"So this try must stop. The post is {post_key!r} of connection {conn_id!r}."
        )
    match step:
        case Intend():
            _intend(session, row, step, now)
        case Start():
            _start(session, row, step, now)
        case Progress():
            _progress(session, row, step, now)
        case MarkFailed():
            _fail(session, row, step, now)
        case MarkUncertain():
            _mark_uncertain(session, row, step, now)
        case Renew() | Release():
            pass
    row.lease_until = None if isinstance(step, Release) else now + LEASE
    row.updated_at = now
    return to_record(row)


def audit_uncertain(session: Session, row: PostRow, reason: str) -> None:
    """Write an uncertain post to the audit log."""
    audit(
        session,
        "tiktok_post_uncertain",
        actor=STORE,
        conn_id=row.conn_id,
        post_key=row.post_key,
        publish_id=row.publish_id,
        reason=reason,
    )


def _new_record(session: Session, row: PostRow, wanted: PostClaim, now: datetime) -> PostRow:
    """Make a new record; a forgotten one keeps nothing but its generation."""
    row.state = PostState.CLAIMED
    row.origin = dict(wanted.origin)
    row.task = row.try_id = row.open_id = row.username = row.announced_by = ""
    row.try_number = row.attempt = 0
    row.created_at = now
    row.profile_url = ""
    _clear_attempt(row)
    _record_content(row, wanted)
    session.add(row)
    return row


def _record_content(row: PostRow, wanted: PostClaim) -> None:
    row.kind, row.source, row.content = wanted.kind, wanted.source, dict(wanted.content)
    row.fingerprint, row.location, row.digest = wanted.fingerprint, wanted.location, wanted.digest


def _clear_attempt(row: PostRow) -> None:
    """Clear what was known of the attempt before this one."""
    row.publish_id = row.size = row.chunk_size = row.encrypted_upload_url = row.url_expires_at = None
    row.finishing_at = row.post_url = row.pending_since = None
    row.sent_bytes, row.status, row.post_ids = 0, {}, []
    # The creator's page stays: an earlier attempt may still come out.
    row.fail_reason = row.resolved_by = ""


def _check_account(row: PostRow, record: AccountRecord | None) -> None:
    if record is None or not record.open_id:
        return
    if row.open_id and row.open_id != record.open_id:
        raise AccountChangedError(
            f"Connection {row.conn_id!r} now belongs to another TikTok account than this post.\n"
            f"The post {row.post_key!r} was begun for {_name(row.username, row.open_id)}, the connection is that of"
            f" {_name(record.username, record.open_id)}. Connect the first account again, or give the post of the"
            " other one a post key of its own."
        )
    row.open_id, row.username = record.open_id, record.username or row.username


def _name(username: str, open_id: str) -> str:
    return f"@{username} (open id {open_id})" if username else f"open id {open_id}"


def _held_by_another(row: PostRow, claimant: Claimant, now: datetime) -> float:
    """Return for how many seconds another task holds the lease, 0 if it can be taken."""
    limit_lease(row, now)
    if row.lease_until is None or row.lease_until <= now:
        return 0.0
    if row.task != claimant.task:
        return (row.lease_until - now).total_seconds()
    if claimant.try_number < row.try_number:
        raise PostTakenError(
            f"Try {row.try_number} of the same task has claimed the post: try {claimant.try_number} must stop.\n"
            f"The post is {row.post_key!r} of connection {row.conn_id!r}."
        )
    return 0.0


def limit_lease(row: PostRow, now: datetime) -> None:
    """Shorten a lease that was written by a clock that was ahead."""
    if row.lease_until is not None and row.lease_until > now + LEASE + CLOCK_SKEW:
        row.lease_until = now + LEASE


def _take(row: PostRow, wanted: PostClaim, now: datetime) -> None:
    claimant = wanted.claimant
    holder = (claimant.task, claimant.try_number, claimant.try_id)
    repeated = row.lease_until is not None and (row.task, row.try_number, row.try_id) == holder
    if not repeated:
        row.generation += 1
        row.task, row.try_number, row.try_id = holder
    if not row.attempt:
        _record_content(row, wanted)
    if wanted.origin and _is_unsent(row):
        # Whichever task goes on from here, the post will be its own.
        row.origin = dict(wanted.origin)
    row.lease_until, row.updated_at = now + LEASE, now


def _is_unsent(row: PostRow) -> bool:
    """Whether nothing can be out, so that a new attempt may be made."""
    return row.state in (PostState.CLAIMED, PostState.FAILED, PostState.UPLOADING) or (
        row.state == PostState.INTENDED and row.source == "file"
    )


def _intend(session: Session, row: PostRow, step: Intend, now: datetime) -> None:
    last = last_attempt(session, row)
    if row.state == PostState.INTENDED and last is not None and last.intent_id == step.intent_id:
        return
    _require(row, step, PostState.CLAIMED, PostState.FAILED, PostState.UPLOADING, PostState.INTENDED)
    if row.state == PostState.INTENDED and row.source == "url":
        raise state_error(
            row, "an init of a URL may have left, and TikTok would publish both; it can only become uncertain"
        )
    if last is not None and not last.outcome:
        last.sent_bytes = row.sent_bytes
        end_attempt(last, ABANDONED, now)
    _clear_attempt(row)
    same_media.reserve(session, row, step)
    row.state = PostState.INTENDED
    row.attempt += 1
    row.source, row.content = step.source, dict(step.content)
    row.fingerprint, row.location, row.digest = step.fingerprint, step.location, step.digest
    # At the claim the account may not have been known yet: TikTok's answer to a refresh says it.
    row.open_id = row.open_id or step.open_id
    row.pending_since = now if step.draft else None
    session.flush()
    session.add(
        AttemptRow(post_id=row.id, number=row.attempt, intent_id=step.intent_id, log_ids=[], started_at=now)
    )


def _start(session: Session, row: PostRow, step: Start, now: datetime) -> None:
    repeated = row.publish_id == step.publish_id and row.state in (PostState.UPLOADING, PostState.FINISHING)
    if not repeated:
        _require(row, step, PostState.INTENDED)
        row.state = PostState.UPLOADING
    row.publish_id, row.profile_url = step.publish_id, step.profile_url
    row.size, row.chunk_size = step.size, step.chunk_size
    row.encrypted_upload_url, row.url_expires_at = step.encrypted_upload_url, step.url_expires_at
    if step.finishing:
        _finish(row, now)
    if (attempt := last_attempt(session, row)) is not None:
        attempt.publish_id, attempt.size, attempt.finishing_at = row.publish_id, row.size, row.finishing_at


def _is_late_start(session: Session, row: PostRow, generation: int, step: Start) -> bool:
    """Whether it is the publish id of a pull that no other try can know: its init was answered after all."""
    if row.source != "url" or (row.generation == generation and row.state not in _GIVEN_UP):
        return False
    is_unknown = row.publish_id is None and row.state in (PostState.INTENDED, *_GIVEN_UP)
    is_repeated = row.publish_id == step.publish_id and row.state == PostState.FINISHING
    last = last_attempt(session, row)
    is_its_own = last is not None and bool(step.intent_id) and last.intent_id == step.intent_id
    return is_its_own and (is_unknown or is_repeated)


def _record_late_start(session: Session, row: PostRow, step: Start, now: datetime) -> PostRecord:
    """Record it whichever try holds the post by now, whatever a person has seen: TikTok has it, wait for it."""
    if row.state == PostState.FINISHING:
        return to_record(row)
    row.state = PostState.INTENDED
    _start(session, row, step, now)
    # The try that holds it now takes it for a pull without a publish id.
    row.generation += 1
    row.fail_reason, row.resolved_by, row.out_at, row.updated_at = "", "", None, now
    if (attempt := last_attempt(session, row)) is not None:
        attempt.outcome, attempt.ended_at, attempt.fail_reason = "", None, ""
    audit(
        session,
        "tiktok_post_found_again",
        actor=STORE,
        conn_id=row.conn_id,
        post_key=row.post_key,
        publish_id=row.publish_id,
    )
    return to_record(row)


def _progress(session: Session, row: PostRow, step: Progress, now: datetime) -> None:
    _require(row, step, PostState.UPLOADING, PostState.FINISHING)
    row.sent_bytes = step.sent_bytes
    if step.finishing and row.state != PostState.FINISHING:
        _finish(row, now)
        if (attempt := last_attempt(session, row)) is not None:
            attempt.finishing_at = row.finishing_at


def _finish(row: PostRow, now: datetime) -> None:
    row.state = PostState.FINISHING
    row.finishing_at = row.finishing_at or now


def _fail(session: Session, row: PostRow, step: MarkFailed, now: datetime) -> None:
    _require(row, step, PostState.INTENDED, PostState.UPLOADING, PostState.FINISHING, PostState.FAILED)
    row.state, row.fail_reason = PostState.FAILED, step.reason
    _end_last(session, row, now, step.reason, step.log_id)


def _mark_uncertain(session: Session, row: PostRow, step: MarkUncertain, now: datetime) -> None:
    if row.state == PostState.UNCERTAIN:
        return
    _require(row, step, PostState.INTENDED, PostState.UPLOADING, PostState.FINISHING)
    row.state, row.fail_reason = PostState.UNCERTAIN, step.reason
    _end_last(session, row, now, step.reason)
    audit_uncertain(session, row, step.reason)


def _end_last(session: Session, row: PostRow, now: datetime, reason: str, log_id: str = "") -> None:
    if (attempt := last_attempt(session, row)) is not None:
        attempt.sent_bytes = row.sent_bytes
        end_attempt(attempt, row.state, now, reason=reason, log_id=log_id)


def _require(row: PostRow, step: PostStep, *states: PostState) -> None:
    if row.state not in states:
        raise state_error(row, f"{step.type!r} is possible only from {', '.join(states)}")
