"""The configuration of the local Airflow."""

import json
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from local_airflow import airflow_environment, begin_empty, copy_database, impatient

HOME = Path("/somewhere/airflow")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("AIRFLOW_HOME", "/another/airflow")
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv("AIRFLOW_CONN_TIKTOK_DEFAULT", "tiktok://of-another-airflow")
    monkeypatch.setenv("NO_PROXY", "intranet")
    config = {"tiktok": {"allowed_hosts": "http://127.0.0.1:9080"}, "core": {"parallelism": "2"}}
    return airflow_environment(HOME, [Path("/a/dags"), Path("/b/dags")], 8181, config)


def test_nothing_of_another_airflow_is_inherited(environment: dict[str, str]) -> None:
    assert environment["AIRFLOW_HOME"] == str(HOME)
    assert environment["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert "AIRFLOW_CONN_TIKTOK_DEFAULT" not in environment


def test_given_options_are_added_and_win(environment: dict[str, str]) -> None:
    assert environment["AIRFLOW__TIKTOK__ALLOWED_HOSTS"] == "http://127.0.0.1:9080"
    assert environment["AIRFLOW__CORE__PARALLELISM"] == "2"


def test_every_part_knows_the_port_of_the_api_server(environment: dict[str, str]) -> None:
    assert environment["AIRFLOW__API__PORT"] == "8181"
    assert environment["AIRFLOW__API__BASE_URL"] == "http://127.0.0.1:8181"
    assert environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:8181/execution/"


def test_an_api_server_without_logins_is_reached_from_this_machine_only(environment: dict[str, str]) -> None:
    assert environment["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS"] == "True"
    assert environment["AIRFLOW__API__HOST"] == "127.0.0.1"


def test_each_dag_folder_is_a_bundle(environment: dict[str, str]) -> None:
    bundles = json.loads(environment["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"])
    assert [bundle["kwargs"]["path"] for bundle in bundles] == ["/a/dags", "/b/dags"]
    assert len({bundle["name"] for bundle in bundles}) == 2


def test_whoever_opens_the_database_by_its_url_waits_half_a_minute_for_its_lock(tmp_path: Path) -> None:
    environment = airflow_environment(tmp_path, [tmp_path], 8181, {})
    engine = create_engine(environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    with engine.connect() as database:
        assert database.execute(text("PRAGMA busy_timeout")).scalar_one() == 30_000
    engine.dispose()


def test_an_api_server_gives_up_soon_what_it_may_wait_for_in_vain(environment: dict[str, str]) -> None:
    changed = set(impatient(environment).items()) - set(environment.items())
    [(name, url)] = changed
    assert (name, url) == ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", f"sqlite:///{HOME}/airflow.db?timeout=3")


def test_a_proxy_is_not_used_for_this_machine(environment: dict[str, str]) -> None:
    assert environment["NO_PROXY"].split(",") == ["intranet", "127.0.0.1", "localhost"]


def rows_in(path: Path) -> list[str]:
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as database:
        found = [row[0] for row in database.execute(text("SELECT id FROM dag_run"))]
    engine.dispose()
    return found


def test_a_run_that_begins_empty_has_the_tables_and_nothing_of_earlier_runs(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/airflow.db")
    with engine.begin() as database:
        database.execute(text("PRAGMA journal_mode=WAL"))
        database.execute(text("CREATE TABLE dag_run (id TEXT)"))
        copy_database(tmp_path / "airflow.db", tmp_path / "empty.db")
    with engine.begin() as database:
        database.execute(text("INSERT INTO dag_run VALUES ('manual__1')"))
    engine.dispose()
    log = tmp_path / "logs" / "dag_id=d" / "run_id=manual__1" / "attempt=1.log"
    log.parent.mkdir(parents=True)
    log.touch()
    (tmp_path / "logs" / "scheduler.log").touch()
    begin_empty(tmp_path, tables=True)
    assert rows_in(tmp_path / "airflow.db") == rows_in(tmp_path / "empty.db") == []
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["scheduler.log"]
    begin_empty(tmp_path, tables=False)
    assert not (tmp_path / "airflow.db").exists()
