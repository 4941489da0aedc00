"""The store's tables can be taken out of Airflow's database by Airflow's own command, and come back with its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect

pytestmark = pytest.mark.integration

MANAGER = "tiktok_provider.database.session.TikTokDBManager"


def tables(home: Path) -> set[str]:
    engine = create_engine(f"sqlite:///{home}/airflow.db")
    try:
        return {name for name in inspect(engine).get_table_names() if name.startswith("tiktok_")}
    finally:
        engine.dispose()


def test_a_downgrade_to_base_drops_the_tables_and_a_migration_makes_them_again(tmp_path: Path) -> None:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__DATABASE__EXTERNAL_DB_MANAGERS": MANAGER,
    }

    def airflow(*arguments: str) -> str:
        command = [sys.executable, "-m", "airflow", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    airflow("db", "migrate")
    made = tables(tmp_path)
    assert "tiktok_post" in made
    airflow("db-manager", "downgrade", MANAGER, "--to-revision", "base", "--yes")
    assert tables(tmp_path) == set()
    assert "airflow db migrate" in airflow("tiktok", "accounts")
    airflow("db", "migrate")
    assert tables(tmp_path) == made
    assert "No data found" in airflow("tiktok", "accounts")
