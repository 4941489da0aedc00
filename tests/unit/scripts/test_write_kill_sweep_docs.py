"""The tables of the kill sweep are what the runs have printed."""

from write_kill_sweep_docs import PAGE, Cell, cells_in, page

OUTPUT = """
= One post: what is published, ... =
| file, 1 chunk | SIGKILL | TikTok PUT (1) | in mid-body | 1 | success | out | 1 | 2 |
| file, 1 chunk | SIGKILL | TikTok video/init (1) | after forwarding | 1 | success | out | 2 | 3 |
| URL | SIGKILL | TikTok video/init (1) | before forwarding | 0 | failed | uncertain | 0 | 2 |
| SQLite | 1 | 21 | 21 | 0 | 21 | 0 | 142 | 10.6% | 476 | 11.6% | 1.14 | 9 |
"""


def test_every_cell_is_in_its_table_and_counted() -> None:
    before = PAGE.read_text()
    written = page(before, cells_in(OUTPUT))
    assert "| SIGKILL | file, 1 chunk | 2 | 2 | 0 / 0 | 1 | 3 |\n" in written
    assert "| SIGKILL | URL | 1 | 0 | 0 / 1 | 0 | 2 |\n" in written
    assert "| call | in mid-body | after forwarding |" in written
    assert "| TikTok PUT (1) | 1 |  |\n| TikTok video/init (1) |  | 1, 2 inits |\n" in written
    assert "### SIGKILL: URL (1 cells)\n" in written
    assert "| TikTok video/init (1) | 0, uncertain, 0 inits |\n" in written
    assert written.count("### ") == before.count("### "), "the tables of other kinds stay"
    assert page(written, cells_in(OUTPUT)) == written


def test_a_page_without_news_stays_as_it_is() -> None:
    assert page(PAGE.read_text(), []) == PAGE.read_text()


def test_a_cell_that_broke_the_promise_is_not_counted_as_kept() -> None:
    twice = Cell.of_line("| URL | SIGKILL | TikTok PUT (1) | in mid-body | 2 | success | out | 2 | 2 |")
    assert twice
    assert "| SIGKILL | URL | 1 | 0 | 0 / 0 | 1 | 2 |" in page(PAGE.read_text(), [twice])


def test_the_page_agrees_with_itself() -> None:
    summary, tables = PAGE.read_text().split("## All cells")
    rows = [row.split("|") for row in summary.splitlines() if row.startswith("| ")]
    counted = [int(row[3]) for row in rows if row[3].strip().isdigit()]
    named = [
        int(line.rpartition("(")[2].split()[0]) for line in tables.splitlines() if line.startswith("###")
    ]
    assert counted == named
    assert f"**{sum(named)} cells" in summary
