"""Writes docs/errors.md from the one table of TikTok's errors.

python scripts/write_error_docs.py           # write the page
python scripts/write_error_docs.py --check   # fail if the page is not what the table says
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from tiktok_provider.error_table import API_CODES, FAIL_REASONS, OAUTH_ERRORS, UPLOAD_STATUSES
from tiktok_provider.exceptions import Explanation

PAGE = Path(__file__).resolve().parents[1] / "docs" / "errors.md"

_HEAD = """\
# Errors of TikTok

Written by `scripts/write_error_docs.py` from `tiktok_provider/error_table.py`.

"Retry" is what the default retry policy does, for faults that pass after an [outage](posts.md#outages) that has \
lasted too long; no retry sends a post twice, see [posts.md](posts.md). A per-minute \
limit and a 24-hour cap are waited for in the triggerer, without a retry, unless `on_cap="fail"` says otherwise.

"Starts nothing" marks the refusals that TikTok documents for a call that starts a post, with an HTTP status below \
500: after one of them nothing is out. After any other answer, those included that nobody documents, a post that \
TikTok pulls is [uncertain](posts.md#uncertain-posts).
"""


def page() -> str:
    """Return the page as Markdown."""
    sections = (
        ("Codes of the API", {code: entry.explanation for code, entry in API_CODES.items()}),
        (
            "Answers to a chunk",
            {f"HTTP {code}": entry.explanation for code, entry in UPLOAD_STATUSES.items()},
        ),
        ("Reasons of a post that FAILED", FAIL_REASONS),
        ("Errors of the token endpoint", {code: entry.explanation for code, entry in OAUTH_ERRORS.items()}),
    )
    parts = (f"## {title}\n\n{_table(explanations.items())}" for title, explanations in sections)
    return "\n".join([_HEAD, *parts])


def _table(rows: Iterable[tuple[str, Explanation]]) -> str:
    return "\n".join(_lines(rows)) + "\n"


def _lines(rows: Iterable[tuple[str, Explanation]]) -> Iterator[str]:
    yield "| | Means | What to do | Who can fix it | Retry | Starts nothing |"
    yield "|---|---|---|---|---|---|"
    for code, explanation in rows:
        meaning = explanation.meaning[0].upper() + explanation.meaning[1:]
        proof = "yes" if explanation.starts_nothing else ""
        yield (
            f"| `{code}` | {meaning} | {explanation.advice} | {explanation.actor} | {explanation.retry} | {proof} |"
        )


def main() -> int:
    """Write the page, or compare it."""
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page())
        return 0
    if PAGE.read_text() == page():
        return 0
    print(f"{PAGE} is not what the table says: run python scripts/write_error_docs.py")
    return 1


if __name__ == "__main__":
    sys.exit(main())
