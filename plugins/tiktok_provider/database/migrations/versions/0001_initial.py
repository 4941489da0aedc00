"""All tables of the store."""

import sqlalchemy as sa
from airflow.utils.sqlalchemy import UtcDateTime
from alembic import op
from sqlalchemy.dialects.mysql import TEXT, VARCHAR

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_BINARY = "utf8mb4_bin"
_IDENTITY = sa.String(250).with_variant(VARCHAR(250, collation=_BINARY), "mysql", "mariadb")
_LONG_IDENTITY = sa.Text().with_variant(TEXT(collation=_BINARY), "mysql", "mariadb")

TABLES = (
    "tiktok_account",
    "tiktok_nonce",
    "tiktok_post",
    "tiktok_attempt",
    "tiktok_rate_limit",
    "tiktok_account_closure",
)


def upgrade() -> None:
    _create_accounts()
    _create_posts()
    _create_rate_limits()


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)


def _create_accounts() -> None:
    op.create_table(
        "tiktok_account",
        sa.Column("conn_id", _IDENTITY, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("manual_generation", sa.Integer(), nullable=False),
        sa.Column("initial_tokens_hashes", sa.Text(), nullable=False),
        sa.Column("access_expires_at", UtcDateTime()),
        sa.Column("refresh_expires_at", UtcDateTime()),
        sa.Column("open_id", _IDENTITY, nullable=False),
        sa.Column("username", sa.String(250), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("lease_holder", sa.String(36)),
        sa.Column("busy_until", UtcDateTime()),
        sa.Column("contested_until", UtcDateTime()),
        sa.Column("refreshed_at", UtcDateTime()),
        sa.Column("dead_at", UtcDateTime()),
        sa.Column("last_error", sa.Text()),
        sa.Column("last_error_at", UtcDateTime()),
        sa.PrimaryKeyConstraint("conn_id", name=op.f("tiktok_account_pkey")),
    )
    op.create_table(
        "tiktok_nonce",
        sa.Column("nonce", _IDENTITY, nullable=False),
        sa.Column("seen_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("nonce", name=op.f("tiktok_nonce_pkey")),
    )
    op.create_index(op.f("idx_tiktok_nonce_seen_at"), "tiktok_nonce", ["seen_at"])


def _create_posts() -> None:
    op.create_table(
        "tiktok_post",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("conn_id", _IDENTITY, nullable=False),
        sa.Column("post_key", _IDENTITY, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("task", _LONG_IDENTITY, nullable=False),
        sa.Column("try_number", sa.Integer(), nullable=False),
        sa.Column("try_id", _LONG_IDENTITY, nullable=False),
        sa.Column("lease_until", UtcDateTime()),
        sa.Column("open_id", _IDENTITY, nullable=False),
        sa.Column("username", sa.String(250), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("source", sa.String(20), nullable=False),
        sa.Column("fingerprint", _LONG_IDENTITY, nullable=False),
        sa.Column("location", _LONG_IDENTITY, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("slot_media", sa.String(64)),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("origin", sa.JSON(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("publish_id", _LONG_IDENTITY),
        sa.Column("size", sa.BigInteger()),
        sa.Column("chunk_size", sa.BigInteger()),
        sa.Column("sent_bytes", sa.BigInteger(), nullable=False),
        sa.Column("encrypted_upload_url", sa.Text()),
        sa.Column("url_expires_at", UtcDateTime()),
        sa.Column("finishing_at", UtcDateTime()),
        sa.Column("out_at", UtcDateTime()),
        sa.Column("profile_url", sa.Text(), nullable=False),
        sa.Column("status", sa.JSON(), nullable=False),
        sa.Column("post_ids", sa.JSON(), nullable=False),
        sa.Column("post_url", sa.Text()),
        sa.Column("fail_reason", sa.Text(), nullable=False),
        sa.Column("resolved_by", sa.Text(), nullable=False),
        sa.Column("announced_by", sa.Text(), nullable=False),
        sa.Column("pending_since", UtcDateTime()),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("tiktok_post_pkey")),
        sa.UniqueConstraint("conn_id", "post_key", name=op.f("tiktok_post_conn_id_post_key_uq")),
        sa.UniqueConstraint("conn_id", "slot_media", name=op.f("tiktok_post_conn_id_slot_media_uq")),
    )
    op.create_index(op.f("idx_tiktok_post_state"), "tiktok_post", ["state"])
    op.create_index(op.f("idx_tiktok_post_conn_id_digest"), "tiktok_post", ["conn_id", "digest"])
    op.create_index(
        op.f("idx_tiktok_post_conn_id_pending_since"), "tiktok_post", ["conn_id", "pending_since"]
    )
    op.create_table(
        "tiktok_attempt",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("post_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("intent_id", _LONG_IDENTITY, nullable=False),
        sa.Column("publish_id", _LONG_IDENTITY),
        sa.Column("size", sa.BigInteger()),
        sa.Column("sent_bytes", sa.BigInteger(), nullable=False),
        sa.Column("fail_reason", sa.Text(), nullable=False),
        sa.Column("log_ids", sa.JSON(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("finishing_at", UtcDateTime()),
        sa.Column("ended_at", UtcDateTime()),
        sa.Column("outcome", sa.String(20), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("tiktok_attempt_pkey")),
        sa.ForeignKeyConstraint(
            ["post_id"], ["tiktok_post.id"], name=op.f("tiktok_attempt_post_id_fkey"), ondelete="CASCADE"
        ),
        sa.UniqueConstraint("post_id", "number", name=op.f("tiktok_attempt_post_id_number_uq")),
    )
    op.create_index(op.f("idx_tiktok_attempt_started_at"), "tiktok_attempt", ["started_at"])


def _create_rate_limits() -> None:
    op.create_table(
        "tiktok_rate_limit",
        sa.Column("conn_id", _IDENTITY, nullable=False),
        sa.Column("endpoint", sa.String(20), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("calls", sa.JSON(), nullable=False),
        sa.Column("waiting", sa.JSON(), nullable=False),
        sa.Column("paused_until", UtcDateTime()),
        sa.Column("lateness", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("conn_id", "endpoint", name=op.f("tiktok_rate_limit_pkey")),
    )
    op.create_table(
        "tiktok_account_closure",
        sa.Column("conn_id", _IDENTITY, nullable=False),
        sa.Column("cap", sa.String(20), nullable=False),
        sa.Column("until", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("conn_id", "cap", name=op.f("tiktok_account_closure_pkey")),
    )
