"""The drafts that take a place in a creator's inbox."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from tiktok_provider.database.tables import AccountClosure, PostRow
from tiktok_provider.store.posts import PostState
from tiktok_provider.store.rate_limits import MAX_PENDING_DRAFTS, PENDING_FOR, Cap

# Of one account; each costs a call.
MOST_ASKED = 2 * MAX_PENDING_DRAFTS
# Under way, or delivered; not yet posted, and not failed. Whether an uncertain one was delivered nobody knows.
_PENDING = (PostState.INTENDED, PostState.UPLOADING, PostState.FINISHING, PostState.IN_INBOX)


def pending_drafts(session: Session, conn_id: str | None, now: datetime) -> Sequence[PostRow]:
    """Return the drafts that take a place, the oldest first.

    :param conn_id: of one account only.
    """
    rows = select(PostRow).where(
        PostRow.pending_since > now - PENDING_FOR,
        PostRow.state.in_(_PENDING),
        # An upload that was cut off takes a place for as long as it can be resumed.
        or_(
            PostRow.state != PostState.UPLOADING,
            PostRow.url_expires_at.is_(None),
            PostRow.url_expires_at > now,
        ),
    )
    if conn_id is not None:
        rows = rows.where(PostRow.conn_id == conn_id)
    return session.scalars(rows.order_by(PostRow.pending_since)).all()


def unfinished_drafts(session: Session, conn_id: str) -> Sequence[PostRow]:
    """Return the delivered drafts of which TikTok has not said that they were posted, the newest first.

    TikTok may count one for longer than it is counted here.
    """
    rows = select(PostRow).where(
        PostRow.conn_id == conn_id,
        PostRow.pending_since.is_not(None),
        PostRow.publish_id.is_not(None),
        PostRow.state.in_((PostState.FINISHING, PostState.IN_INBOX)),
    )
    return session.scalars(rows.order_by(PostRow.pending_since.desc()).limit(MOST_ASKED)).all()


def open_inbox(session: Session, conn_id: str) -> None:
    """End what TikTok has closed because of the drafts: one of them waits no more."""
    session.execute(
        delete(AccountClosure).where(AccountClosure.conn_id == conn_id, AccountClosure.cap == Cap.DRAFTS)
    )


def free_places(session: Session, conn_id: str) -> None:
    """Count the drafts that are there now no more: a person has looked into the inbox."""
    session.execute(update(PostRow).where(PostRow.conn_id == conn_id).values(pending_since=None))
