"""Run by alembic for the store's migrations, on the database that Airflow is configured with."""

from typing import Any

from airflow import settings
from alembic import context
from alembic.runtime.environment import NameFilterType

from tiktok_provider.database.session import TikTokDBManager

TARGET = TikTokDBManager.metadata


def _ours(name: str | None, kind: NameFilterType, _parents: Any) -> bool:
    """Airflow's own tables are none of our business."""
    return kind != "table" or name in {table.name for table in TARGET.tables.values()}


_OPTIONS: dict[str, Any] = {
    "target_metadata": TARGET,
    "include_name": _ours,
    "render_as_batch": True,
    "transaction_per_migration": True,
    "version_table": TikTokDBManager.version_table_name,
}


def _offline() -> None:
    """Print the SQL instead of running it."""
    context.configure(url=settings.SQL_ALCHEMY_CONN, literal_binds=True, **_OPTIONS)
    with context.begin_transaction():
        context.run_migrations()


def _online() -> None:
    with settings.get_engine().connect() as connection:
        context.configure(connection=connection, **_OPTIONS)
        with context.begin_transaction():
            context.run_migrations()


if context.is_offline_mode():
    _offline()
else:
    _online()
