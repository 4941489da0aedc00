"""How accounts are doing, and the daily DAG that keeps them alive."""

import importlib.util
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from airflow.models import Connection
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from sqlalchemy import delete

from tests.unit.conftest import CONN_ID, Creator
from tiktok_provider.database.session import transaction
from tiktok_provider.doctor.health import check_health

DAGS = Path(__file__).resolve().parents[3] / "dags"


def refreshes(creator: Creator) -> int:
    return len(creator.calls("/v2/oauth/token/"))


def use_up(creator: Creator, **lifetimes: float) -> None:
    """Give the account tokens whose access token has ended."""
    tokens = creator.sandbox.issue_tokens(creator.app, creator.account, expires_in=-1, **lifetimes)
    names = ("access_token", "refresh_token", "access_expires_at", "refresh_expires_at")
    creator.connect(extra={name: getattr(tokens, name) for name in names})


def removed(creator: Creator) -> None:
    url = f"{creator.sandbox.url}/sandbox/accounts/{creator.open_id}/revoke"
    httpx.post(url, json={"client_key": creator.app.client_key}).raise_for_status()


def test_a_good_token_is_left_alone(creator: Creator) -> None:
    assert check_health(CONN_ID).state == "ok"
    assert refreshes(creator) == 0


def test_a_token_that_has_ended_is_refreshed(creator: Creator) -> None:
    use_up(creator)
    assert [check_health(CONN_ID).state for _ in range(2)] == ["ok", "ok"]
    assert refreshes(creator) == 1


def test_an_account_that_ends_within_30_days_is_expiring(creator: Creator) -> None:
    use_up(creator, refresh_expires_in=29.5 * 86400)
    health = check_health(CONN_ID)
    assert (health.state, health.problem[:23]) == ("expiring", "It ends in 29 days. The")


def test_an_account_that_the_creator_removed_is_dead(creator: Creator) -> None:
    use_up(creator)
    removed(creator)
    health = check_health(CONN_ID)
    assert health.state == "dead"
    assert f"airflow tiktok connect {CONN_ID}" in health.problem


def test_an_account_without_a_token_set_is_dead(creator: Creator) -> None:
    creator.connect(extra={"access_token": "", "refresh_token": ""})
    health = check_health(CONN_ID)
    assert health.state == "dead"
    assert f"airflow tiktok connect {CONN_ID}" in health.problem


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"host": "http://127.0.0.1:1"}, "allowed_hosts"),
        ({"password": "fake-wrong-secret"}, "invalid_client"),
    ],
)
def test_an_account_that_no_consent_would_mend_is_not_dead(
    creator: Creator, wrong: dict[str, str], said: str
) -> None:
    use_up(creator)
    creator.connect(**wrong)
    health = check_health(CONN_ID)
    assert health.state == "unknown"
    assert said in health.problem


def test_an_account_whose_token_set_somebody_deleted_must_be_connected_again(creator: Creator) -> None:
    assert check_health(CONN_ID).state == "ok"
    with transaction() as session:
        session.execute(delete(Connection).where(Connection.conn_id == f"{CONN_ID}.tokens"))
    health = check_health(CONN_ID)
    assert (health.state, f"airflow tiktok connect {CONN_ID}" in health.problem) == ("dead", True)
    assert refreshes(creator) == 0


@pytest.mark.usefixtures("store")
def test_an_account_whose_connection_cannot_be_read_is_unknown() -> None:
    assert check_health("tiktok_missing").state == "unknown"


def test_an_account_while_tiktok_is_away_is_unknown(creator: Creator) -> None:
    use_up(creator)
    creator.sandbox.add_fault("status", status=503, path="/v2/oauth/token/")
    assert check_health(CONN_ID).state == "unknown"


@pytest.fixture
def health_dag() -> ModuleType:
    return loaded("tiktok_account_health")


def loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DAGS / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def call(module: ModuleType, task_id: str, *arguments: Any) -> Any:
    """Run the function of a task."""
    return getattr(module, task_id).function(*arguments)


def account(state: str) -> dict[str, Any]:
    return {"conn_id": f"tiktok_{state}", "state": state, "refresh_expires_at": "", "problem": f"is {state}"}


def test_the_dag_checks_the_accounts_of_the_variable(
    creator: Creator, health_dag: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    leo = creator.sandbox.issue_tokens(creator.app, creator.sandbox.create_account(username="leo"))
    extra = {"access_token": leo.access_token, "refresh_token": leo.refresh_token}
    fields = {**creator.connection, "extra": {**creator.connection["extra"], **extra}}
    monkeypatch.setenv("AIRFLOW_CONN_TIKTOK_LEO", json.dumps(fields))
    monkeypatch.setenv("AIRFLOW_VAR_TIKTOK_ACCOUNTS", json.dumps([CONN_ID, "tiktok_leo"]))
    checked = call(health_dag, "check_accounts")
    assert [(row["conn_id"], row["state"]) for row in checked] == [(CONN_ID, "ok"), ("tiktok_leo", "ok")]
    assert json.loads(json.dumps(checked)) == checked
    end = datetime.fromisoformat(checked[0]["refresh_expires_at"])
    assert timedelta(days=364) < end - datetime.now(UTC) < timedelta(days=366)


def test_without_the_variable_the_default_account_is_checked(
    creator: Creator, health_dag: ModuleType
) -> None:
    assert [row["conn_id"] for row in call(health_dag, "check_accounts")] == [CONN_ID]
    assert creator.open_id


def test_what_could_not_be_checked_is_tried_again(
    creator: Creator, health_dag: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_TIKTOK_ACCOUNTS", json.dumps([CONN_ID, "tiktok_missing"]))
    with pytest.raises(AirflowException) as failure:
        call(health_dag, "check_accounts")
    assert not isinstance(failure.value, AirflowFailException)
    assert "tiktok_missing" in str(failure.value)
    assert creator.open_id


def test_wrong_settings_fail_the_dag_with_the_name_and_their_own_sentence(
    creator: Creator, health_dag: ModuleType
) -> None:
    creator.connect(host="http://127.0.0.1:1")
    with pytest.raises(AirflowException, match=rf"(?s)^{CONN_ID}: .*allowed_hosts"):
        call(health_dag, "check_accounts")


def test_the_dead_are_named_and_not_retried(health_dag: ModuleType) -> None:
    call(health_dag, "name_the_dead", [account("ok"), account("expiring")])
    with pytest.raises(AirflowFailException, match=r"^tiktok_dead: is dead$"):
        call(health_dag, "name_the_dead", [account("ok"), account("dead"), account("expiring")])


def test_the_warning_names_who_ends_soon_and_is_skipped_otherwise(health_dag: ModuleType) -> None:
    named = call(health_dag, "warn_of_ends", [account("ok"), account("expiring"), account("dead")])
    assert named == "tiktok_expiring: is expiring"
    with pytest.raises(AirflowSkipException):
        call(health_dag, "warn_of_ends", [account("ok"), account("dead")])
