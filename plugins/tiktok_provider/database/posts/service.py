"""The posts: which try may publish them, how far they have come, and how they have ended."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from tiktok_provider.database.accounts.connections import read_stored_account
from tiktok_provider.database.clock import database_now
from tiktok_provider.database.posts import outcomes, tries
from tiktok_provider.database.posts import transitions as changes
from tiktok_provider.database.posts.pending import unfinished_drafts
from tiktok_provider.database.posts.rows import FORGOTTEN, to_record
from tiktok_provider.database.session import change
from tiktok_provider.database.tables import PostRow
from tiktok_provider.database.threads import in_read_thread, in_thread
from tiktok_provider.store.posts import (
    Claimant,
    Claimed,
    PostClaim,
    PostOutcome,
    PostRecord,
    PostState,
    PostStep,
    Resolution,
)

T = TypeVar("T")

KEEP_ATTEMPTS = timedelta(days=90)
# A public id is mostly there minutes after a post came out, and tasks wait ten minutes for it. It may take days.
ID_IS_LATE, ID_COMES_WITHIN = timedelta(minutes=15), timedelta(days=3)


class PostService:
    """Keeps the records of all posts. Used by the API server and, in process, by the command line.

    Several of them, in several processes and event loops, can work on one database. All methods raise
    ``StoreBusyError`` and ``StoreNotReadyError`` as ``AccountService`` does; nothing was changed then.

    :param clock: returns the time, in UTC; by default the database's.
    """

    def __init__(self, *, clock: Callable[[], datetime] = database_now) -> None:
        self._clock = clock

    async def claim(self, conn_id: str, post_key: str, wanted: PostClaim) -> Claimed:
        """Ask for the right to publish; see ``Verdict``. Repeating it after a lost answer does no harm.

        :raises AccountChangedError: the post was begun for another TikTok account.
        :raises PostTakenError: a later try of the same task holds the lease.
        :raises ConnectionSettingsError: the user's Connection cannot be read, lacks something, or names another app
            or host than those that gave the tokens.
        """
        account = await in_thread(read_stored_account, conn_id, self._clock())
        return await self._change(
            lambda session: changes.claim(session, account, post_key, wanted, self._clock())
        )

    async def look(self, conn_id: str, post_key: str) -> PostRecord | None:
        """Return what is on record; None if nothing is."""
        return await in_read_thread(change, lambda session: changes.look(session, conn_id, post_key))

    async def write(self, conn_id: str, post_key: str, generation: int, step: PostStep) -> PostRecord:
        """Write one step of the holder and renew the lease. Repeating it after a lost answer does no harm.

        :param generation: of the claim; a lease that has ended is still good while no other try has claimed the post.
        :raises PostTakenError: another try has claimed the post; this one must stop at once.
        :raises PostStateError: the step is not possible from the state on record.
        """
        return await self._change(
            lambda session: changes.write(session, conn_id, post_key, generation, step, self._clock())
        )

    async def record_outcome(self, conn_id: str, post_key: str, post_outcome: PostOutcome) -> PostRecord:
        """Write how an attempt has ended, and return what the post is then; see ``PostOutcome``.

        :raises PostStateError: the post has no such attempt.
        """
        return await self._change(
            lambda session: outcomes.record_outcome(session, conn_id, post_key, post_outcome, self._clock())
        )

    async def record_by_publish_id(self, post_outcome: PostOutcome, *, open_id: str = "") -> list[PostRecord]:
        """Write what TikTok tells of an attempt by its publish id alone; nothing if that is not on record.

        :param open_id: of the account that it is told about; empty: any.
        """
        return await self._change(
            lambda session: outcomes.record_by_publish_id(session, post_outcome, open_id, self._clock())
        )

    async def announce(self, conn_id: str, post_key: str, claimant: Claimant, *, waited: bool) -> bool:
        """Note that a task with the outlet ``tiktok_posts`` hands a post on, and return whether it may send the
        event: True for one try alone. What is learnt of the post from then on, the store tells by an event.

        :param waited: whether the task has waited for the post's end; else only the task that has sent it may.
        :raises PostStateError: nothing is on record.
        """
        return await self._change(
            lambda session: outcomes.announce(session, conn_id, post_key, claimant, waited=waited)
        )

    async def is_try_over(self, conn_id: str, post_key: str, try_id: str) -> bool:
        """Tell whether the try that holds a post, and has left its worker, was ended by a person: marked, or cleared.

        False for a try that another triggerer goes on waiting for, and for one that does not hold the post.
        """
        return await in_read_thread(change, lambda session: tries.is_over(session, conn_id, post_key, try_id))

    async def posts_without_id(self, conn_id: str, limit: int) -> tuple[PostRecord, ...]:
        """Return public posts of the last days whose id came too late for their task, the newest first."""
        now = self._clock()
        rows = (
            select(PostRow)
            .where(PostRow.conn_id == conn_id, PostRow.state == PostState.OUT, PostRow.resolved_by == "")
            .where(PostRow.out_at.between(now - ID_COMES_WITHIN, now - ID_IS_LATE))
            .order_by(PostRow.out_at.desc())
        )
        records = await in_read_thread(
            change, lambda session: [to_record(row) for row in session.scalars(rows)]
        )
        return tuple(record for record in records if record.lacks_id)[:limit]

    async def unfinished_drafts(self, conn_id: str) -> tuple[PostRecord, ...]:
        """Return delivered drafts of which TikTok has not said that they were posted, the newest ten first."""
        return await in_read_thread(
            change, lambda session: tuple(map(to_record, unfinished_drafts(session, conn_id)))
        )

    async def posts(
        self,
        *,
        conn_id: str | None = None,
        state: PostState | None = None,
        dag_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 1000,
    ) -> list[PostRecord]:
        """Return posts, the last changed first.

        :param conn_id: of one account only.
        :param state: in one state only.
        :param dag_id: that tasks of one DAG have made only.
        :param since: that have changed since then only.
        :param until: that have last changed before then only.
        :param limit: at most so many.
        """
        rows = select(PostRow).where(PostRow.state != FORGOTTEN)
        if conn_id is not None:
            rows = rows.where(PostRow.conn_id == conn_id)
        if state is not None:
            rows = rows.where(PostRow.state == state)
        if dag_id is not None:
            rows = rows.where(PostRow.origin["dag_id"].as_string() == dag_id)
        if since is not None:
            rows = rows.where(PostRow.updated_at >= since)
        if until is not None:
            rows = rows.where(PostRow.updated_at < until)
        rows = rows.order_by(PostRow.updated_at.desc(), PostRow.id.desc()).limit(limit)
        return await in_read_thread(change, lambda session: [to_record(row) for row in session.scalars(rows)])

    async def resolve(
        self,
        conn_id: str,
        post_key: str,
        *,
        posted: bool,
        actor: str,
        post_id: str | None = None,
        post_url: str | None = None,
    ) -> PostRecord:
        """Decide an uncertain post by what a person has seen; the audit log says who.

        :param posted: whether it is out; if not, the next try posts it.
        :raises PostStateError: it is not uncertain, or not on record.
        """
        seen = Resolution(posted=posted, actor=actor, post_id=post_id, post_url=post_url)
        return await self._change(
            lambda session: outcomes.resolve(session, conn_id, post_key, seen, self._clock())
        )

    async def forget(self, conn_id: str, post_key: str, *, actor: str) -> PostRecord:
        """Delete a record, so that the same post key can be posted again, and return what it was.

        :raises PostStateError: the post is under way or uncertain, or not on record.
        """
        return await self._change(
            lambda session: outcomes.forget(session, conn_id, post_key, self._clock(), actor=actor)
        )

    async def prune(self) -> int:
        """Delete attempts older than 90 days; return how many. Outcomes are kept for good."""
        return await self._change(lambda session: outcomes.prune(session, self._clock() - KEEP_ATTEMPTS))

    async def _change(self, step: Callable[[Session], T]) -> T:
        # In a thread: the database blocks, and the event loop also serves Airflow's heartbeats.
        return await in_thread(change, step)
