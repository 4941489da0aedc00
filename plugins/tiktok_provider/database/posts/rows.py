"""The rows of posts and attempts, as the steps on them find and read them."""

from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from tiktok_provider.database.tables import AttemptRow, PostRow
from tiktok_provider.store.errors import PostStateError
from tiktok_provider.store.posts import PostRecord, PostState

# A record that a person has deleted: only its generation is left.
FORGOTTEN = "forgotten"
_COLUMNS = tuple(column.name for column in fields(PostRecord))


def find_any(session: Session, conn_id: str, post_key: str) -> PostRow | None:
    """Return the row of a post, a forgotten one too."""
    return session.scalar(select(PostRow).where(PostRow.conn_id == conn_id, PostRow.post_key == post_key))


def to_record(row: PostRow) -> PostRecord:
    """Return the record as readers see it."""
    columns: dict[str, Any] = {name: getattr(row, name) for name in _COLUMNS}
    return PostRecord(**columns | {"state": PostState(row.state), "post_ids": tuple(row.post_ids)})


def find(session: Session, conn_id: str, post_key: str) -> PostRow | None:
    """Return the row of a post that was not forgotten."""
    row = find_any(session, conn_id, post_key)
    return None if row is None or row.state == FORGOTTEN else row


def last_attempt(session: Session, row: PostRow) -> AttemptRow | None:
    """Return the last attempt's row; None if it was pruned."""
    return session.scalar(
        select(AttemptRow).where(AttemptRow.post_id == row.id, AttemptRow.number == row.attempt)
    )


def end_attempt(
    attempt: AttemptRow, outcome: str, now: datetime, *, reason: str = "", log_id: str = ""
) -> None:
    """Write how an attempt has ended."""
    attempt.outcome, attempt.ended_at = outcome, now
    attempt.fail_reason = reason
    if log_id and log_id not in attempt.log_ids:
        attempt.log_ids = [*attempt.log_ids, log_id]


def state_error(row: PostRow, problem: str) -> PostStateError:
    """Return the error that names the post and its state."""
    return PostStateError(
        f"A post is on record as {str(row.state)!r}: {problem}.\n"
        f"It is {row.post_key!r} of connection {row.conn_id!r}."
    )
