"""What the components of a cluster must share."""

import pytest

from tiktok_provider.doctor.checks import Check, Result, examine
from tiktok_provider.doctor.cluster_checks import RESULT_BACKEND, SHARED_SECRETS, VISIBILITY_TIMEOUT

VISIBILITY = "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT"


def found(check: Check[None]) -> tuple[Result, str]:
    [finding] = examine((check,), None)
    return finding.result, finding.detail


@pytest.fixture(autouse=True)
def celery(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")


def test_a_component_that_has_made_its_own_secrets_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for option in ("CORE__FERNET_KEY", "API_AUTH__JWT_SECRET", "API__SECRET_KEY"):
        monkeypatch.setenv(f"AIRFLOW__{option}", "given")
    assert found(SHARED_SECRETS)[0] is Result.OK
    monkeypatch.delenv("AIRFLOW__API_AUTH__JWT_SECRET")
    result, detail = found(SHARED_SECRETS)
    assert result is Result.WARNING
    assert "[api_auth] jwt_secret" in detail
    assert "fernet_key" not in detail
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "LocalExecutor")
    assert found(SHARED_SECRETS)[0] is Result.OK


@pytest.mark.parametrize(
    ("seconds", "result"), [("30", Result.WARNING), ("86400", Result.OK), (None, Result.OK)]
)
def test_a_visibility_timeout_that_cuts_uploads_is_told(
    monkeypatch: pytest.MonkeyPatch, seconds: str | None, result: Result
) -> None:
    if seconds:
        monkeypatch.setenv(VISIBILITY, seconds)
    assert found(VISIBILITY_TIMEOUT)[0] is result


def test_a_worker_without_the_schedulers_result_backend_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(RESULT_BACKEND)[0] is Result.WARNING
    monkeypatch.setenv("AIRFLOW__CELERY__RESULT_BACKEND", "db+postgresql://scheduler/results")
    assert found(RESULT_BACKEND)[0] is Result.OK
