"""Accounts: what is known of their token sets, and who may refresh them."""

import sqlalchemy as sa
from airflow.utils.sqlalchemy import UtcDateTime
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tiktok_account",
        sa.Column("conn_id", sa.String(250), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("manual_generation", sa.Integer(), nullable=False),
        sa.Column("initial_tokens_hashes", sa.Text(), nullable=False),
        sa.Column("access_expires_at", UtcDateTime()),
        sa.Column("refresh_expires_at", UtcDateTime()),
        sa.Column("open_id", sa.String(250), nullable=False),
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


def downgrade() -> None:
    op.drop_table("tiktok_account")
