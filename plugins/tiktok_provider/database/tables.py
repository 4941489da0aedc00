"""The store's tables. Every table starts with ``tiktok_``; ``migrations`` must make the same."""

from datetime import datetime
from typing import Any

from airflow.models.base import metadata as airflow_metadata
from airflow.utils.sqlalchemy import UtcDateTime
from sqlalchemy import JSON, BigInteger, ForeignKey, Index, MetaData, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """Base of the store's tables, in a MetaData of their own but in the same schema as Airflow's."""

    metadata = MetaData(schema=airflow_metadata.schema, naming_convention=airflow_metadata.naming_convention)


class AccountRecord(Base):
    """One account: what is known of its token set, and who may refresh it. Never a token.

    :param version: grows with every change; a change of an older version is refused by the database.
    :param generation: grows with every token set; the set itself is in the Connection ``<conn_id>.tokens``.
    :param settled_generation: the last one that a person made by connecting or disconnecting.
    :param initial_tokens_hashes: of the first sets that were seen in the user's Connection, divided by spaces.
    :param access_expires_at: None if there is no token set.
    :param lease_holder: who is refreshing, None if nobody is.
    :param closed_until: when the lease ends; without a holder, when the next refresh may begin after a failure.
    :param contested_until: until then an ``invalid_grant`` is suspect.
    :param dead_at: when TikTok refused the refresh token for good.
    """

    __tablename__ = "tiktok_account"

    conn_id: Mapped[str] = mapped_column(String(250), primary_key=True)
    version: Mapped[int] = mapped_column()
    generation: Mapped[int] = mapped_column(default=0)
    settled_generation: Mapped[int] = mapped_column(default=0)
    initial_tokens_hashes: Mapped[str] = mapped_column(Text, default="")
    access_expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    refresh_expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    open_id: Mapped[str] = mapped_column(String(250), default="")
    username: Mapped[str] = mapped_column(String(250), default="")
    scope: Mapped[str] = mapped_column(Text, default="")
    lease_holder: Mapped[str | None] = mapped_column(String(36))
    closed_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    contested_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    refreshed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    dead_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_error: Mapped[str | None] = mapped_column(Text)
    last_error_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012  (it is how SQLAlchemy is told)


class NonceRecord(Base):
    """The nonce of a write that was authenticated; the primary key refuses it a second time."""

    __tablename__ = "tiktok_nonce"

    nonce: Mapped[str] = mapped_column(String(64), primary_key=True)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class PostRow(Base):
    """One post; see ``tiktok_provider.store.posts.PostRecord`` for the columns that are not told here.

    :param version: grows with every change; a change of an older version is refused by the database.
    :param state: a ``PostState``, or ``forgotten``: the row stays, so that generations never begin anew.
    :param task: of the last holder of the lease.
    """

    __tablename__ = "tiktok_post"
    __table_args__ = (UniqueConstraint("conn_id", "post_key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    conn_id: Mapped[str] = mapped_column(String(250))
    post_key: Mapped[str] = mapped_column(String(250))
    version: Mapped[int] = mapped_column()
    state: Mapped[str] = mapped_column(String(20), index=True)
    generation: Mapped[int] = mapped_column(default=0)
    task: Mapped[str] = mapped_column(Text, default="")
    try_number: Mapped[int] = mapped_column(default=0)
    try_id: Mapped[str] = mapped_column(Text, default="")
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    open_id: Mapped[str] = mapped_column(String(250), default="")
    username: Mapped[str] = mapped_column(String(250), default="")
    kind: Mapped[str] = mapped_column(String(20))
    source: Mapped[str] = mapped_column(String(20))
    fingerprint: Mapped[str] = mapped_column(Text)
    content: Mapped[dict[str, Any]] = mapped_column(JSON)
    origin: Mapped[dict[str, Any]] = mapped_column(JSON)
    attempt: Mapped[int] = mapped_column(default=0)
    publish_id: Mapped[str | None] = mapped_column(Text)
    size: Mapped[int | None] = mapped_column(BigInteger)
    chunk_size: Mapped[int | None] = mapped_column(BigInteger)
    sent_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    encrypted_upload_url: Mapped[str | None] = mapped_column(Text)
    url_expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finishing_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    profile_url: Mapped[str] = mapped_column(Text, default="")
    status: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    post_ids: Mapped[list[str]] = mapped_column(JSON, default=list)
    post_url: Mapped[str | None] = mapped_column(Text)
    fail_reason: Mapped[str] = mapped_column(Text, default="")
    resolved_by: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012


class AttemptRow(Base):
    """One attempt at a post, for history: from the intent to call init until its end.

    :param number: from 1; the post's ``attempt`` is the last one.
    :param intent_id: by which the intent's repetition is known.
    :param sent_bytes: acknowledged by TikTok, as far as was known at the end.
    :param log_ids: what TikTok's support asks for.
    :param outcome: ``out``, ``inbox``, ``failed`` or ``uncertain``; ``abandoned``: another attempt took its place
        before its last byte; empty while it is under way.
    """

    __tablename__ = "tiktok_attempt"
    __table_args__ = (UniqueConstraint("post_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    post_id: Mapped[int] = mapped_column(ForeignKey("tiktok_post.id", ondelete="CASCADE"))
    number: Mapped[int] = mapped_column()
    intent_id: Mapped[str] = mapped_column(Text)
    publish_id: Mapped[str | None] = mapped_column(Text)
    size: Mapped[int | None] = mapped_column(BigInteger)
    sent_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    fail_reason: Mapped[str] = mapped_column(Text, default="")
    log_ids: Mapped[list[str]] = mapped_column(JSON, default=list)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    finishing_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    outcome: Mapped[str] = mapped_column(String(20), default="")


class BudgetRow(Base):
    """One account's budget of one endpoint; its slots and its waiting line are changed by who has changed it first.

    :param turns: grows with every change, and so holds the row until the change is committed.
    :param held_until: until then nobody takes a slot, after a 429.
    :param lateness: seconds that a waiting task mostly needs to be back after it was told to, learnt.
    """

    __tablename__ = "tiktok_budget"

    conn_id: Mapped[str] = mapped_column(String(250), primary_key=True)
    endpoint: Mapped[str] = mapped_column(String(20), primary_key=True)
    turns: Mapped[int] = mapped_column(default=0)
    held_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    lateness: Mapped[float] = mapped_column()


class SlotRow(Base):
    """One call that an account may make within a minute.

    :param holder: who made, or makes, the last call.
    :param in_call: whether the end of that call was not told yet.
    :param free_at: from then on the next call may be made, at the latest.
    """

    __tablename__ = "tiktok_budget_slot"

    conn_id: Mapped[str] = mapped_column(String(250), primary_key=True)
    endpoint: Mapped[str] = mapped_column(String(20), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    holder: Mapped[str] = mapped_column(Text, default="")
    in_call: Mapped[bool] = mapped_column(default=False)
    free_at: Mapped[datetime] = mapped_column(UtcDateTime)


class WaiterRow(Base):
    """A place in the line of those who were told to wait for a slot; a smaller ``id`` is nearer to its head.

    :param back_at: when it was told to be back.
    :param was_away: whether it was told to wait so long that it leaves its worker.
    """

    __tablename__ = "tiktok_budget_waiter"
    __table_args__ = (Index("idx_tiktok_budget_waiter_conn_id_endpoint", "conn_id", "endpoint"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    conn_id: Mapped[str] = mapped_column(String(250))
    endpoint: Mapped[str] = mapped_column(String(20))
    holder: Mapped[str] = mapped_column(Text)
    back_at: Mapped[datetime] = mapped_column(UtcDateTime)
    was_away: Mapped[bool] = mapped_column(default=False)


class ClosingRow(Base):
    """An account that a cap of hours has closed.

    :param cap: a ``Cap``.
    """

    __tablename__ = "tiktok_closing"

    conn_id: Mapped[str] = mapped_column(String(250), primary_key=True)
    cap: Mapped[str] = mapped_column(String(20), primary_key=True)
    until: Mapped[datetime] = mapped_column(UtcDateTime)
