"""Writes tables of docs/evidence/kill-sweep.md from what runs of the sweep have printed; the others stay.

bash scripts/reliability.sh -k test_one_post | tee sweep.log
python scripts/write_kill_sweep_docs.py sweep.log
"""

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, Self

PAGE = Path(__file__).resolve().parents[1] / "docs" / "evidence" / "kill-sweep.md"
POINTS = ("before forwarding", "in mid-body", "after forwarding", "after answering")
_SUMMARY_HEAD = (
    "| what happens | published | cells | one post, task succeeded"
    ' | "uncertain", task failed once: posts 1 / 0 | cells with a second init | most tries |\n'
    "|---|---|--:|--:|--:|--:|--:|\n"
)
_ALL_CELLS = "## All cells\n"
_CELL = re.compile(
    r"^\| (file, 1 chunk|file, 3 chunks|URL) \| ([^|]+) \| ([^|]+) \| ([^|]+)"
    r" \| (\d+) \| (\w+) \| (\w*) \| (\d+) \| (\d+) \|$"
)


class Kind(NamedTuple):
    """What happens to what is published."""

    blow: str
    published: str


@dataclass(frozen=True)
class Cell:
    """One row of the run's output."""

    kind: Kind
    call: str
    point: str
    posts: int
    state: str
    record: str
    inits: int
    tries: int

    @classmethod
    def of_line(cls, line: str) -> Self | None:
        """Read a row; None if the line is none."""
        if not (found := _CELL.match(line.strip())):
            return None
        published, blow, call, point, posts, state, record, inits, tries = found.groups()
        kind = Kind(blow, published)
        return cls(kind, call, point, int(posts), state, record, int(inits), int(tries))

    @property
    def is_uncertain(self) -> bool:
        """Whether no call could tell, and the task has failed with that word."""
        return self.state == "failed" and self.record in ("uncertain", "finishing")

    def shown(self) -> str:
        """Return what the table of all cells says."""
        # A process that wakes up may get TikTok's answer to init after all.
        found = " until the answer came" if self.record == "finishing" else ""
        uncertain = [f"uncertain{found}"] if self.is_uncertain else []
        inits = [f"{self.inits} inits"] if self.inits != 1 else []
        return ", ".join([str(self.posts), *uncertain, *inits])


def cells_in(output: str) -> list[Cell]:
    """Return the cells of a run, in their order."""
    return [cell for line in output.splitlines() if (cell := Cell.of_line(line))]


def page(text: str, cells: list[Cell]) -> str:
    """Return the page with the rows and tables of all kinds that were played; the others stay as they are."""
    head, title, tables = text.partition(_ALL_CELLS)
    assert title, "the page has no table of all cells"
    before, columns, rest = head.partition(_SUMMARY_HEAD)
    rows, _, after = rest.partition("\n\n")
    summary = {_kind_of_row(row): row for row in rows.splitlines()}
    shown = {part.partition(" (")[0]: f"### {part}" for part in tables.split("### ")[1:]}
    for kind, group in groupby(sorted(cells, key=lambda cell: cell.kind), lambda cell: cell.kind):
        played = list({(cell.call, cell.point): cell for cell in group}.values())
        summary[kind] = _summary(kind, played)
        shown[f"{kind.blow}: {kind.published}"] = _table(kind, played)
    intro = tables.partition("### ")[0]
    everything = "\n".join(table.strip("\n") + "\n" for table in shown.values())
    return f"{before}{columns}{chr(10).join(summary.values())}\n\n{after}{title}{intro}{everything}"


def _kind_of_row(row: str) -> Kind:
    blow, published, *_ = row.removeprefix("| ").split(" | ")
    return Kind(blow, published)


def _summary(kind: Kind, cells: list[Cell]) -> str:
    uncertain = [cell.posts for cell in cells if cell.is_uncertain]
    done = sum((cell.posts, cell.state, cell.record) == (1, "success", "out") for cell in cells)
    uncertain_posts = f"{uncertain.count(1)} / {uncertain.count(0)}"
    second = sum(cell.inits > 1 for cell in cells)
    most = max(cell.tries for cell in cells)
    return (
        f"| {kind.blow} | {kind.published} | {len(cells)} | {done} | {uncertain_posts} | {second} | {most} |"
    )


def _table(kind: Kind, cells: list[Cell]) -> str:
    return "\n".join([f"### {kind.blow}: {kind.published} ({len(cells)} cells)", "", *_rows(cells), ""])


def _rows(cells: list[Cell]) -> Iterator[str]:
    points = [point for point in POINTS if any(cell.point == point for cell in cells)]
    yield _line(["call", *points])
    yield "|" + "---|" * (1 + len(points))
    calls = dict.fromkeys(cell.call for cell in cells)
    shown = {(cell.call, cell.point): cell.shown() for cell in cells}
    for call in calls:
        yield _line([call, *(shown.get((call, point), "") for point in points)])


def _line(columns: Iterable[str]) -> str:
    return "| " + " | ".join(columns) + " |"


def main() -> None:
    """Write the page from the files that are named."""
    cells = cells_in("".join(Path(name).read_text() for name in sys.argv[1:]))
    PAGE.write_text(page(PAGE.read_text(), cells))
    print(f"{len(cells)} cells")


if __name__ == "__main__":
    main()
