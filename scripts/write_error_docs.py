"""Writes docs/errors.md from the one table of TikTok's errors.

python scripts/write_error_docs.py           # write the page
python scripts/write_error_docs.py --check   # fail if the page is not what the table says
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from tiktok_provider.error_table import API_CODES, FAIL_REASONS, OAUTH_ERRORS, UPLOAD_STATUSES
from tiktok_provider.exceptions import Verdict

PAGE = Path(__file__).resolve().parents[1] / "docs" / "errors.md"

_HEAD = """\
# Errors of TikTok

Written by `scripts/write_error_docs.py` from `tiktok_provider/error_table.py`.

"Retry" is what the default retry policy does; no retry sends a post twice, see [posts.md](posts.md). A limit of a \
minute and a cap of 24 hours are waited for in the triggerer, without a retry, unless `on_cap="fail"` says otherwise.
"""


def page() -> str:
    """Return the page as Markdown."""
    sections = (
        ("Codes of the API", {code: entry.verdict for code, entry in API_CODES.items()}),
        ("Answers to a chunk", {f"HTTP {code}": entry.verdict for code, entry in UPLOAD_STATUSES.items()}),
        ("Reasons of a post that FAILED", FAIL_REASONS),
        ("Errors of the token endpoint", {code: entry.verdict for code, entry in OAUTH_ERRORS.items()}),
    )
    parts = (f"## {title}\n\n{_table(verdicts.items())}" for title, verdicts in sections)
    return "\n".join([_HEAD, *parts])


def _table(rows: Iterable[tuple[str, Verdict]]) -> str:
    return "\n".join(_lines(rows)) + "\n"


def _lines(rows: Iterable[tuple[str, Verdict]]) -> Iterator[str]:
    yield "| | Means | What to do | Who must act | Retry |"
    yield "|---|---|---|---|---|"
    for code, verdict in rows:
        meaning = verdict.meaning[0].upper() + verdict.meaning[1:]
        yield f"| `{code}` | {meaning} | {verdict.advice} | {verdict.actor} | {verdict.retry} |"


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
