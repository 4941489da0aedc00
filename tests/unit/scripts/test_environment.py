"""environment.sh, with a stand-in for Python that notes what it is asked for."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "environment.sh"
PYTHON = """#!/bin/bash
echo "$*" >>"$CALLS"
case "$*" in
    *"-m venv .venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python && echo "at $(pwd -P)/.venv" >.venv/pyvenv.cfg ;;
    *"-m pip"*) [ -z "${PIP_FAILS:-}" ] || { echo "ERROR: no network"; exit 1; } ;;
    *import*) exit "${UNUSABLE:-0}" ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    checkout = tmp_path / "check out"
    (checkout / "bin").mkdir(parents=True)
    for name in ("requirements.txt", "pyproject.toml", "calls"):
        (checkout / name).write_text("")
    for version in ("python3.13", "python3.12", "python3.11", "python3", "python"):
        (checkout / "bin" / version).write_text(PYTHON)
        (checkout / "bin" / version).chmod(0o755)
    return checkout


def run(checkout: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Source the script as the two commands do, and return how it went."""
    path = f"{checkout}/bin:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", 'set -euo pipefail; . "$0"; echo "$PYTHON"', str(SCRIPT)],
        cwd=checkout,
        env={"PATH": path, "CALLS": str(checkout / "calls"), **settings},
        capture_output=True,
        text=True,
        check=False,
    )


def installations(checkout: Path) -> int:
    """Return how often the pinned packages were installed."""
    return (checkout / "calls").read_text().count("-r requirements.txt")


def test_the_first_run_installs_what_is_pinned_and_names_the_interpreter(checkout: Path) -> None:
    result = run(checkout)
    assert result.stdout.strip() == str(checkout / ".venv" / "bin" / "python")
    calls = (checkout / "calls").read_text()
    assert calls.index("-m venv") < calls.index("-r requirements.txt") < calls.index("--no-deps")


def test_a_finished_environment_is_left_alone(checkout: Path) -> None:
    run(checkout)
    (checkout / "calls").write_text("")
    assert run(checkout).stderr == ""
    assert (checkout / "calls").read_text() == ""


@pytest.mark.parametrize("name", ["requirements.txt", "pyproject.toml"])
def test_a_changed_file_updates_the_environment_in_place(checkout: Path, name: str) -> None:
    run(checkout)
    (checkout / ".venv" / "mine").touch()
    (checkout / name).write_text("changed")
    assert "Updating" in run(checkout).stderr
    assert installations(checkout) == 2
    assert (checkout / ".venv" / "mine").exists()


def test_a_failed_installation_says_why_and_is_done_anew(checkout: Path) -> None:
    failed = run(checkout, PIP_FAILS="1")
    assert failed.returncode == 1
    assert "ERROR: no network" in failed.stderr
    assert f"{checkout}/.venv/install.log" in failed.stderr
    (checkout / ".venv" / "half").touch()
    assert run(checkout).returncode == 0
    assert not (checkout / ".venv" / "half").exists()


def test_a_moved_checkout_gets_a_new_environment(checkout: Path, tmp_path: Path) -> None:
    run(checkout)
    (checkout / ".venv" / "old").touch()
    moved = checkout.rename(tmp_path / "moved")
    assert run(moved).stdout.strip() == str(moved / ".venv" / "bin" / "python")
    assert not (moved / ".venv" / "old").exists()


def test_without_a_usable_python_it_says_which_are(checkout: Path) -> None:
    result = run(checkout, UNUSABLE="1")
    assert result.returncode == 1
    assert "3.11, 3.12 or 3.13" in result.stderr
    assert not (checkout / ".venv").exists()
