"""What docker-compose.yaml says, for the native run of the same components."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

COMPOSE_FILE = Path(__file__).resolve().parent.parent / "docker-compose.yaml"
# ${NAME}, ${NAME:-default}, ${NAME:?what to do}, and $$ for a dollar sign.
_VARIABLE = re.compile(r"\$\$|\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<text>[^}]*))?\}")


class MissingVariableError(Exception):
    """The compose file asks for a variable that is not there."""


def read_variables(file: Path) -> dict[str, str]:
    """Return what a file like .env defines."""
    lines = (line.strip() for line in file.read_text().splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def compose_document(variables: Mapping[str, str]) -> dict[str, Any]:
    """Return the file with the variables filled in, without the parts that only others are made of.

    :raises MissingVariableError: as ``docker compose`` would refuse it.
    """
    document = yaml.safe_load(COMPOSE_FILE.read_text())
    return {name: _filled(part, variables) for name, part in document.items() if not name.startswith("x-")}


def _filled(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _VARIABLE.sub(lambda found: _value_of(found, variables), value)
    if isinstance(value, dict):
        return {name: _filled(part, variables) for name, part in value.items()}
    return [_filled(part, variables) for part in value] if isinstance(value, list) else value


def _value_of(found: re.Match[str], variables: Mapping[str, str]) -> str:
    name = found["name"]
    if name is None:
        return "$"
    if value := variables.get(name):
        return value
    if found["kind"] == "?":
        raise MissingVariableError(f"{name}: {found['text']}")
    return found["text"] or ""
