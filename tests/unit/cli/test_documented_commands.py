"""Every command that the documentation shows is one that Airflow's parser takes."""

import re
import shlex
from pathlib import Path

import pytest
from airflow.cli.cli_parser import get_parser

CHECKOUT = Path(__file__).resolve().parents[3]
PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md"))]


def commands(page: Path) -> list[str]:
    """Return the commands of a page's indented blocks, each as one line."""
    text = page.read_text().replace("\\\n", " ")
    return re.findall(r"^ {4,}(airflow tiktok [a-z].*)$", text, re.MULTILINE)


SHOWN = [(page.name, command) for page in PAGES for command in commands(page)]


def test_the_pages_show_commands() -> None:
    assert len(SHOWN) > 20


@pytest.mark.parametrize(("page", "command"), SHOWN)
def test_a_command_of_the_documentation_can_be_parsed(page: str, command: str) -> None:
    words = shlex.split(command, comments=True)
    arguments = get_parser().parse_args(words[1:])
    assert callable(arguments.func), page
