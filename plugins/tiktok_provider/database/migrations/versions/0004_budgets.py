"""Budgets: what an account may call within a minute, who waits for it, and what has closed it for hours."""

import sqlalchemy as sa
from airflow.utils.sqlalchemy import UtcDateTime
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tiktok_budget",
        sa.Column("conn_id", sa.String(250), nullable=False),
        sa.Column("endpoint", sa.String(20), nullable=False),
        sa.Column("turns", sa.Integer(), nullable=False),
        sa.Column("held_until", UtcDateTime()),
        sa.Column("lateness", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("conn_id", "endpoint", name=op.f("tiktok_budget_pkey")),
    )
    op.create_table(
        "tiktok_budget_slot",
        sa.Column("conn_id", sa.String(250), nullable=False),
        sa.Column("endpoint", sa.String(20), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("in_call", sa.Boolean(), nullable=False),
        sa.Column("free_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("conn_id", "endpoint", "number", name=op.f("tiktok_budget_slot_pkey")),
    )
    op.create_table(
        "tiktok_budget_waiter",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("conn_id", sa.String(250), nullable=False),
        sa.Column("endpoint", sa.String(20), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("back_at", UtcDateTime(), nullable=False),
        sa.Column("was_away", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("tiktok_budget_waiter_pkey")),
    )
    op.create_index(
        op.f("idx_tiktok_budget_waiter_conn_id_endpoint"), "tiktok_budget_waiter", ["conn_id", "endpoint"]
    )
    op.create_table(
        "tiktok_closing",
        sa.Column("conn_id", sa.String(250), nullable=False),
        sa.Column("cap", sa.String(20), nullable=False),
        sa.Column("until", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("conn_id", "cap", name=op.f("tiktok_closing_pkey")),
    )


def downgrade() -> None:
    for table in ("tiktok_closing", "tiktok_budget_waiter", "tiktok_budget_slot", "tiktok_budget"):
        op.drop_table(table)
