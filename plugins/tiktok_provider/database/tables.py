"""The store's tables. Every table starts with ``tiktok_``; ``migrations`` must make the same."""

from datetime import datetime
from typing import Any

from airflow.models.base import metadata as airflow_metadata
from airflow.utils.sqlalchemy import UtcDateTime
from sqlalchemy import JSON, BigInteger, ForeignKey, Index, MetaData, String, Text, UniqueConstraint
from sqlalchemy.dialects.mysql import TEXT, VARCHAR
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# What a thing is known by differs by case, too, and MySQL's usual collations say otherwise.
BINARY = "utf8mb4_bin"
Identity = String(250).with_variant(VARCHAR(250, collation=BINARY), "mysql", "mariadb")
LongIdentity = Text().with_variant(TEXT(collation=BINARY), "mysql", "mariadb")


class Base(DeclarativeBase):
    """Base of the store's tables, in a MetaData of their own but in the same schema as Airflow's."""

    metadata = MetaData(schema=airflow_metadata.schema, naming_convention=airflow_metadata.naming_convention)


class AccountRecord(Base):
    """One account: what is known of its tokens, and which process may refresh them. Never a token.

    :param version: grows with every change; a change of an older version is refused by the database.
    :param generation: grows with every refresh or connect; the tokens are in the Connection ``<conn_id>.tokens``.
    :param manual_generation: the last one that a person made by connecting or disconnecting.
    :param initial_tokens_hashes: of the initial tokens that were seen in the user's Connection, separated by spaces.
    :param access_expires_at: None if there are no tokens.
    :param lease_holder: of the refresh under way; None if there is none.
    :param busy_until: no other refresh may begin before: the end of the lease, or of the pause after a failure.
    :param contested_until: until then an ``invalid_grant`` is suspect.
    :param dead_at: when TikTok refused the refresh token for good.
    """

    __tablename__ = "tiktok_account"

    conn_id: Mapped[str] = mapped_column(Identity, primary_key=True)
    version: Mapped[int] = mapped_column()
    generation: Mapped[int] = mapped_column(default=0)
    manual_generation: Mapped[int] = mapped_column(default=0)
    initial_tokens_hashes: Mapped[str] = mapped_column(Text, default="")
    access_expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    refresh_expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    open_id: Mapped[str] = mapped_column(Identity, default="")
    username: Mapped[str] = mapped_column(String(250), default="")
    scope: Mapped[str] = mapped_column(Text, default="")
    lease_holder: Mapped[str | None] = mapped_column(String(36))
    busy_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    contested_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    refreshed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    dead_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_error: Mapped[str | None] = mapped_column(Text)
    last_error_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012  (SQLAlchemy reads it)


class NonceRecord(Base):
    """The nonce of a write that was authenticated; the primary key refuses it a second time."""

    __tablename__ = "tiktok_nonce"

    nonce: Mapped[str] = mapped_column(Identity, primary_key=True)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class PostRow(Base):
    """One post; see ``tiktok_provider.store.posts.PostRecord`` for the columns that are not described here.

    :param version: grows with every change; a change of an older version is refused by the database.
    :param state: a ``PostState``, or ``forgotten``: the row stays, so that generations never start again at 1.
    :param task: of the last holder of the lease.
    :param pending_since: of a draft, since when it takes a place in the creator's inbox; None: it takes none.
    :param slot_media: the slot and the media of an attempt that is or may be out: no two posts of an account have
        the same. None before the first attempt, and for a post that may be a duplicate.
    """

    __tablename__ = "tiktok_post"
    __table_args__ = (
        UniqueConstraint("conn_id", "post_key"),
        UniqueConstraint("conn_id", "slot_media"),
        Index("idx_tiktok_post_conn_id_digest", "conn_id", "digest"),
        Index("idx_tiktok_post_conn_id_pending_since", "conn_id", "pending_since"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    conn_id: Mapped[str] = mapped_column(Identity)
    post_key: Mapped[str] = mapped_column(Identity)
    version: Mapped[int] = mapped_column()
    state: Mapped[str] = mapped_column(String(20), index=True)
    generation: Mapped[int] = mapped_column(default=0)
    task: Mapped[str] = mapped_column(LongIdentity, default="")
    try_number: Mapped[int] = mapped_column(default=0)
    try_id: Mapped[str] = mapped_column(LongIdentity, default="")
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    open_id: Mapped[str] = mapped_column(Identity, default="")
    username: Mapped[str] = mapped_column(String(250), default="")
    kind: Mapped[str] = mapped_column(String(20))
    source: Mapped[str] = mapped_column(String(20))
    fingerprint: Mapped[str] = mapped_column(LongIdentity)
    location: Mapped[str] = mapped_column(LongIdentity, default="")
    digest: Mapped[str] = mapped_column(String(64), default="")
    slot_media: Mapped[str | None] = mapped_column(String(64))
    content: Mapped[dict[str, Any]] = mapped_column(JSON)
    origin: Mapped[dict[str, Any]] = mapped_column(JSON)
    attempt: Mapped[int] = mapped_column(default=0)
    publish_id: Mapped[str | None] = mapped_column(LongIdentity)
    size: Mapped[int | None] = mapped_column(BigInteger)
    chunk_size: Mapped[int | None] = mapped_column(BigInteger)
    sent_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    encrypted_upload_url: Mapped[str | None] = mapped_column(Text)
    url_expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finishing_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    out_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    profile_url: Mapped[str] = mapped_column(Text, default="")
    status: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    post_ids: Mapped[list[str]] = mapped_column(JSON, default=list)
    post_url: Mapped[str | None] = mapped_column(Text)
    fail_reason: Mapped[str] = mapped_column(Text, default="")
    resolved_by: Mapped[str] = mapped_column(Text, default="")
    announced_by: Mapped[str] = mapped_column(Text, default="")
    pending_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
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
    intent_id: Mapped[str] = mapped_column(LongIdentity)
    publish_id: Mapped[str | None] = mapped_column(LongIdentity)
    size: Mapped[int | None] = mapped_column(BigInteger)
    sent_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    fail_reason: Mapped[str] = mapped_column(Text, default="")
    log_ids: Mapped[list[str]] = mapped_column(JSON, default=list)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    finishing_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    outcome: Mapped[str] = mapped_column(String(20), default="")


class RateLimitLog(Base):
    """The calls of one account to one endpoint that count against TikTok's rate limit, and who waits for the next.

    :param version: grows with every change; a change of an older version is refused by the database.
    :param calls: ``LoggedCall``s, at most as many as the limit allows.
    :param waiting: ``WaitingCaller``s, the first to be served first.
    :param paused_until: no call is granted before then, after a 429.
    :param lateness: seconds after which a task with a hint to wait mostly asks again, learnt.
    """

    __tablename__ = "tiktok_rate_limit"

    conn_id: Mapped[str] = mapped_column(Identity, primary_key=True)
    endpoint: Mapped[str] = mapped_column(String(20), primary_key=True)
    version: Mapped[int] = mapped_column()
    calls: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    waiting: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    paused_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    lateness: Mapped[float] = mapped_column()

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012


class AccountClosure(Base):
    """An account that a cap has closed.

    :param cap: a ``Cap``.
    """

    __tablename__ = "tiktok_account_closure"

    conn_id: Mapped[str] = mapped_column(Identity, primary_key=True)
    cap: Mapped[str] = mapped_column(String(20), primary_key=True)
    until: Mapped[datetime] = mapped_column(UtcDateTime)
