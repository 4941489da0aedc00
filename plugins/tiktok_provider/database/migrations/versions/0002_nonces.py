"""Nonces of signed requests, so that a replay is refused."""

import sqlalchemy as sa
from airflow.utils.sqlalchemy import UtcDateTime
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tiktok_nonce",
        sa.Column("nonce", sa.String(64), nullable=False),
        sa.Column("seen_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("nonce", name=op.f("tiktok_nonce_pkey")),
    )
    op.create_index(op.f("idx_tiktok_nonce_seen_at"), "tiktok_nonce", ["seen_at"])


def downgrade() -> None:
    op.drop_index(op.f("idx_tiktok_nonce_seen_at"), "tiktok_nonce")
    op.drop_table("tiktok_nonce")
