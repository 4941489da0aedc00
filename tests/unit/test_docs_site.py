"""The documentation site names every operator, sensor, field and setting."""

import runpy
from pathlib import Path
from typing import Any

import pytest

from tiktok_provider.provider_info import EXTRA_FIELDS, get_provider_info

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def generated() -> dict[str, str]:
    conf: dict[str, Any] = runpy.run_path(str(DOCS / "conf.py"))
    return {name: make() for name, make in conf["GENERATED"].items()}


def test_the_reference_has_every_operator_and_sensor(generated: dict[str, str]) -> None:
    for kind in ("operators", "sensors", "hooks"):
        for entry in get_provider_info()[kind]:
            for module in entry["python-modules"]:
                assert f"autoclass:: {module}.TikTok" in generated["reference"], module


def test_the_configuration_has_every_field_and_setting(generated: dict[str, str]) -> None:
    options = get_provider_info()["config"]["tiktok"]["options"]
    missing = [name for name in (*EXTRA_FIELDS, *options) if f"{name}`" not in generated["configuration"]]
    assert missing == []


def test_every_page_is_in_the_contents() -> None:
    index = (DOCS / "index.md").read_text().splitlines()
    pages = {str(page.relative_to(DOCS).with_suffix("")) for page in DOCS.rglob("*.md")} - {"index"}
    assert pages <= set(index)
