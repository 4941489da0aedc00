"""docker-compose.yaml is valid, holds no secret, and sets what a cluster must share."""

import json
import re
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from airflow.configuration import conf
from compose_spec import PyCompose
from cryptography.fernet import Fernet

from compose_file import COMPOSE_FILE, MissingVariableError, compose_document, read_variables

SCRIPT = COMPOSE_FILE.parent / "scripts" / "compose-env.sh"
SCALED = ("airflow-worker", "airflow-triggerer")


def write_variables(file: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", SCRIPT, file], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    file = tmp_path_factory.mktemp("compose") / "env"
    assert write_variables(file).returncode == 0
    return read_variables(file)


@pytest.fixture(scope="module")
def services(variables: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = compose_document(variables)["services"]
    return found


def test_it_fits_the_compose_specification(variables: Mapping[str, str]) -> None:
    document = compose_document(variables)
    PyCompose.from_json(json.dumps(document)).validate()
    document["services"]["redis"]["comand"] = "redis-server"
    with pytest.raises(ValueError, match="comand"):
        PyCompose.from_json(json.dumps(document))


@pytest.mark.parametrize(
    "name",
    ["POSTGRES_PASSWORD", "REDIS_PASSWORD", "FERNET_KEY", "JWT_SECRET", "API_SECRET_KEY", "ADMIN_PASSWORD"],
)
def test_it_does_not_start_without_a_secret(variables: Mapping[str, str], name: str) -> None:
    with pytest.raises(MissingVariableError, match=rf"{name}: run scripts/compose-env\.sh"):
        compose_document({**variables, name: ""})


def test_no_secret_has_a_default() -> None:
    defaults = re.findall(r"\$\{(\w+):-([^}]*)\}", COMPOSE_FILE.read_text())
    assert {name for name, _ in defaults} == {
        "AIRFLOW_IMAGE_NAME",
        "AIRFLOW_BASE_URL",
        "AIRFLOW_UID",
        "ADMIN_USERNAME",
        "TIKTOK_ALLOWED_HOSTS",
    }


def test_the_script_makes_long_secrets_that_only_their_owner_reads(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    write_variables(first)
    write_variables(second)
    assert stat.S_IMODE(first.stat().st_mode) == 0o600
    made = read_variables(first)
    for name in ("POSTGRES_PASSWORD", "REDIS_PASSWORD", "JWT_SECRET", "API_SECRET_KEY"):
        assert len(made[name]) == 64
        assert made[name] != read_variables(second)[name]
    Fernet(made["FERNET_KEY"])


def test_the_script_keeps_what_is_there(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("mine")
    refused = write_variables(file)
    assert (refused.returncode, file.read_text()) == (1, "mine")
    assert "is there already" in refused.stderr


def test_each_setting_is_one_that_airflow_or_the_provider_knows(services: dict[str, dict[str, Any]]) -> None:
    known = conf.configuration_description
    # Options that are handed on as they are.
    free = {"celery_broker_transport_options"}
    for name in services["airflow-worker"]["environment"]:
        if name.startswith("AIRFLOW__"):
            section, _, option = name.removeprefix("AIRFLOW__").lower().partition("__")
            assert section in free or option in known[section]["options"], name


def test_what_must_be_the_same_everywhere_is(services: dict[str, dict[str, Any]]) -> None:
    components = [name for name in services if name.startswith("airflow-")]
    for option in ("CORE__FERNET_KEY", "API_AUTH__JWT_SECRET", "API__SECRET_KEY", "TIKTOK__ALLOWED_HOSTS"):
        assert len({services[name]["environment"][f"AIRFLOW__{option}"] for name in components}) == 1


def test_what_is_scaled_has_no_fixed_name_and_no_port(services: dict[str, dict[str, Any]]) -> None:
    for name in SCALED:
        assert not services[name].keys() & {"hostname", "container_name", "ports"}
        assert services[name]["scale"] == 2


def test_a_stop_lets_uploads_end_and_a_long_one_is_not_cut(services: dict[str, dict[str, Any]]) -> None:
    worker = services["airflow-worker"]
    assert worker["stop_grace_period"] == "15m"
    assert worker["environment"]["DUMB_INIT_SETSID"] == "0"
    timeout = worker["environment"]["AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT"]
    assert int(timeout) >= 86_400


def test_only_this_machine_reaches_what_it_opens(services: dict[str, dict[str, Any]]) -> None:
    opened = [port for service in services.values() for port in service.get("ports", [])]
    assert opened
    assert all(port.startswith("127.0.0.1:") for port in opened)
