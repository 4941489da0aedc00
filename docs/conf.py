"""How the documentation site is built: python -m sphinx -W --keep-going -b html docs OUT"""

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from tiktok_provider import __version__
from tiktok_provider.provider_info import EXTRA_FIELDS, get_provider_info

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "plugins"))

project = "airflow-provider-tiktok"
version = release = __version__
copyright = "the authors, Apache-2.0"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]
html_theme = "furo"
html_title = "TikTok for Apache Airflow"
exclude_patterns = ["_build"]
# GitHub's own anchors, down to the third level.
myst_heading_anchors = 3
# Files beside the documentation, which are read where the code is.
suppress_warnings = ["myst.xref_missing"]
autodoc_class_signature = "separated"
autodoc_typehints = "none"
autodoc_default_options = {"members": True, "undoc-members": False, "exclude-members": "__init__, __new__"}


def _modules(kind: str) -> list[str]:
    return [name for entry in get_provider_info()[kind] for name in entry["python-modules"]]


def _public_classes(module: str) -> Iterator[str]:
    found = import_module(module)
    yield from (
        name
        for name, value in vars(found).items()
        if isinstance(value, type) and value.__module__ == module and name.startswith("TikTok")
    )


def _reference() -> str:
    """Return a page of all classes that DAGs use, from the list that Airflow reads."""
    lines = ["# Reference", "", "Each class with its parameters, and what a retry or a clear does.", ""]
    for title, kind in (("Operators", "operators"), ("Sensors", "sensors"), ("Hook", "hooks")):
        lines += [f"## {title}", ""]
        for module in _modules(kind):
            for name in _public_classes(module):
                lines += ["```{eval-rst}", f".. autoclass:: {module}.{name}", "   :no-members:", "```", ""]
    return "\n".join(lines)


def _configuration() -> str:
    """Return a page of the connection's fields and the settings, from what Airflow shows of them."""
    rows = [
        f"| {field['label']} | `{name}` | {field['description']} |" for name, field in EXTRA_FIELDS.items()
    ]
    options: dict[str, Any] = get_provider_info()["config"]["tiktok"]["options"]
    settings = [
        f"| `[tiktok] {name}` | `{option['default'] or ' '}` | {option['description']} |"
        for name, option in options.items()
    ]
    return "\n".join(
        [
            "# Configuration",
            "",
            "## Fields of a connection",
            "",
            "Beside Client key, Client secret and API base URL, in the connection's extra:",
            "",
            "| Field | In the extra | Holds |",
            "|---|---|---|",
            *rows,
            "",
            "## Settings",
            "",
            "| Setting | Default | Meaning |",
            "|---|---|---|",
            *settings,
            "",
        ]
    )


GENERATED = {"reference": _reference, "configuration": _configuration}


def _fill(_app: Sphinx, page: str, source: list[str]) -> None:
    """Put a generated page in the place of its marker."""
    if page in GENERATED:
        source[0] = GENERATED[page]()


def setup(app: Sphinx) -> None:
    """Let pages be generated while they are read: nothing is written into the checkout."""
    app.connect("source-read", _fill)
