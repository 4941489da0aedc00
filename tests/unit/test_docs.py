"""Every relative link of the documentation leads somewhere, and CONTRIBUTING names places that are there."""

import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGE = CHECKOUT / "plugins" / "tiktok_provider"
PAGES = [*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/**/*.md"), CHECKOUT / "sandbox" / "README.md"]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_contributing_names_places_that_are_there() -> None:
    text = (CHECKOUT / "CONTRIBUTING.md").read_text()
    named = set(re.findall(r"`([\w./]+(?:/|\.py))`", text))
    missing = {name for name in named if not (PACKAGE / name).exists() and not (CHECKOUT / name).exists()}
    assert len(named) > 30
    # Files that a sentence names after their folder.
    assert all(any(PACKAGE.rglob(name)) for name in missing), missing
