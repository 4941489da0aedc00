"""The same media under two post keys: in one slot that is mostly one post by mistake. Steps within a transaction."""

import hashlib

from sqlalchemy import select
from sqlalchemy.orm import Session

from tiktok_provider.database.posts.rows import to_record
from tiktok_provider.database.tables import PostRow
from tiktok_provider.store.conflicts import duplicate
from tiktok_provider.store.posts import Intend, PostState

# Its attempt is over, or has not begun: another post may take its place.
_GIVES_WAY = (PostState.CLAIMED, PostState.FAILED)
_MAY_BE_OUT = (PostState.FINISHING, PostState.OUT, PostState.IN_INBOX, PostState.UNCERTAIN)


def refuse_duplicate(session: Session, row: PostRow, digest: str) -> None:
    """Look for another post of the same slot with the same media.

    :param digest: of the media that the post of ``row`` is to have.
    :raises PostConflictError: there is one that is under way, out, or uncertain.
    """
    _holder_that_gives_way(session, row, _slot_media(row, digest))


def newest_elsewhere(session: Session, row: PostRow, digest: str) -> PostRow | None:
    """Return the newest other post of the account with these media that is, or may be, out."""
    if not digest:
        return None
    others = select(PostRow).where(
        PostRow.conn_id == row.conn_id,
        PostRow.digest == digest,
        PostRow.post_key != row.post_key,
        PostRow.state.in_(_MAY_BE_OUT),
    )
    return session.scalar(others.order_by(PostRow.updated_at.desc(), PostRow.id.desc()).limit(1))


def reserve(session: Session, row: PostRow, step: Intend) -> None:
    """Let no other post of the slot have the media of an attempt from here on; the database refuses a second one.

    :raises PostConflictError: another post has them.
    """
    row.slot_media = None
    if step.allow_duplicate:
        return
    slot_media = _slot_media(row, step.digest)
    if (holder := _holder_that_gives_way(session, row, slot_media)) is not None:
        holder.slot_media = None
        session.flush()
    row.slot_media = slot_media


def _slot_media(row: PostRow, digest: str) -> str | None:
    slot = row.origin.get("run")
    return hashlib.sha256(f"{slot}\n{digest}".encode()).hexdigest() if slot and digest else None


def _holder_that_gives_way(session: Session, row: PostRow, slot_media: str | None) -> PostRow | None:
    """Return the post that has the media so far. Looked at once: at the next look it could be another one."""
    holder = _holder(session, row, slot_media)
    if holder is not None and holder.state not in _GIVES_WAY:
        raise duplicate(to_record(holder))
    return holder


def _holder(session: Session, row: PostRow, slot_media: str | None) -> PostRow | None:
    if slot_media is None:
        return None
    return session.scalar(
        select(PostRow).where(
            PostRow.conn_id == row.conn_id,
            PostRow.slot_media == slot_media,
            PostRow.post_key != row.post_key,
        )
    )
