"""The wheel and the source distribution: what they hold, and that the wheel works where it is installed."""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGES = {"tiktok_provider": CHECKOUT / "plugins", "tiktok_sandbox": CHECKOUT / "sandbox"}
# Loads each entry point, and tells where it comes from.
LOAD = """
import importlib.metadata, json, pathlib, sys
[distribution] = importlib.metadata.distributions(name="airflow-provider-tiktok", path=[sys.argv[1]])
loaded = {}
for entry in distribution.entry_points:
    entry.load()
    loaded[f"{entry.group}:{entry.name}"] = sys.modules[entry.module].__file__
print(json.dumps(loaded))
"""
# Without PYTHONPATH and the like: they may lead to the checkout.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a wheel and a source distribution, built without network."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", str(folder)]
    subprocess.run(command, cwd=CHECKOUT, env=ENVIRONMENT, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    [wheel] = built.glob("*.whl")
    return wheel


def files_of_the_packages() -> set[str]:
    """Return what the checkout has of the two packages, as paths in a wheel."""
    return {
        path.relative_to(folder).as_posix()
        for package, folder in PACKAGES.items()
        for path in (folder / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def test_the_wheel_holds_both_packages_whole_and_nothing_else(wheel: Path) -> None:
    names = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == files_of_the_packages()
    assert {"tiktok_provider/py.typed", "tiktok_sandbox/py.typed"} <= names
    assert any(name.startswith("tiktok_provider/database/migrations/versions/") for name in names)


def test_the_wheel_has_the_licence_and_says_what_it_is(wheel: Path) -> None:
    with ZipFile(wheel) as opened:
        [metadata] = [name for name in opened.namelist() if name.endswith(".dist-info/METADATA")]
        said = opened.read(metadata).decode()
        assert any(name.endswith(".dist-info/licenses/LICENSE") for name in opened.namelist())
    assert "License-Expression: Apache-2.0" in said
    assert "Requires-Python: >=3.11" in said


def test_the_source_distribution_can_be_built_from(built: Path) -> None:
    [archive] = built.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    parts = {
        path.relative_to(CHECKOUT).as_posix()
        for package, folder in PACKAGES.items()
        for path in (folder / package).rglob("*.py")
    }
    assert {"pyproject.toml", "README.md", "LICENSE", *parts} <= names
    assert not {name for name in names if name.startswith((".venv", ".hypothesis", "dist"))}


def test_the_wheel_installs_and_its_entry_points_load(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "installed"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    subprocess.run([*install, "--no-deps", "--target", str(target), str(wheel)], env=ENVIRONMENT, check=True)
    environment = {**ENVIRONMENT, "PYTHONPATH": str(target)}
    command = [sys.executable, "-c", LOAD, str(target)]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    loaded = json.loads(done.stdout.splitlines()[-1])
    assert set(loaded) == {
        "airflow.plugins:tiktok",
        "apache_airflow_provider:provider_info",
        "pytest11:tiktok_sandbox",
    }
    assert all(Path(path).is_relative_to(target) for path in loaded.values())
