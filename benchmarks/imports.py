"""How long it takes to import our operators, beside the HTTP provider's, each in a fresh interpreter.

    python benchmarks/imports.py [--runs 7]

Every DAG file pays for its imports whenever it is parsed. The runs of all candidates take turns, so that whatever
else the machine does meets them alike.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

BASE = ("airflow.sdk",)
CANDIDATES = {
    "HTTP operator": ("airflow.providers.http.operators.http",),
    "TikTok operators and sensor": (
        "tiktok_provider.operators.publish_video",
        "tiktok_provider.sensors.post_status",
        "tiktok_provider.operators.creator_info",
    ),
    # The HTTP operator brings its hook along, ours waits until it runs: with it, the two are alike.
    "the same, and what they import when run": (
        "tiktok_provider.operators.publish_video",
        "tiktok_provider.sensors.post_status",
        "tiktok_provider.operators.creator_info",
        "tiktok_provider.hooks.tiktok",
        "tiktok_provider.publishing.publisher",
        "tiktok_provider.triggers.post_status",
        "av",
    ),
}
# Imports the base, then the modules, and tells seconds and modules loaded before, between and after.
PROBE = """
import json, sys, time
from importlib import import_module
base, names = json.loads(sys.argv[1])
marks = [(time.perf_counter(), len(sys.modules))]
for group in (base, names):
    for name in group:
        import_module(name)
    marks.append((time.perf_counter(), len(sys.modules)))
print(json.dumps(marks))
"""


@dataclass(frozen=True)
class Import:
    """One import: its time, the modules it added, and all that are loaded after it (`len(sys.modules)`)."""

    seconds: float
    added: int
    loaded: int


def measure(base: Sequence[str], names: Sequence[str]) -> Import:
    """Import `names` in a fresh interpreter in which `base` is there already, which is not counted."""
    command = [sys.executable, "-c", PROBE, json.dumps([base, names])]
    # Airflow may log to standard output while it is imported: the figures are in the last line.
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
    _, (began, before), (ended, after) = json.loads(answer)
    return Import(ended - began, after - before, after)


def take_turns(base: Sequence[str], runs: int) -> dict[str, list[Import]]:
    """Measure every candidate `runs` times, in turn, after one turn that only warms up."""
    turns = [{name: measure(base, modules) for name, modules in CANDIDATES.items()} for _ in range(runs + 1)]
    return {name: [turn[name] for turn in turns[1:]] for name in CANDIDATES}


def table(title: str, results: dict[str, list[Import]]) -> list[str]:
    """Format medians, and ratios to the first candidate, as a markdown table."""
    medians = {name: statistics.median(run.seconds for run in runs) for name, runs in results.items()}
    first = next(iter(medians.values()))
    rows = [
        f"| {title} | median (s) | fastest (s) | slowest (s) | ratio | modules added | loaded |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, runs in results.items():
        seconds = [run.seconds for run in runs]
        rows.append(
            f"| {name} | {medians[name]:.3f} | {min(seconds):.3f} | {max(seconds):.3f} "
            f"| {medians[name] / first:.2f} | {runs[-1].added} | {runs[-1].loaded} |"
        )
    return rows


def main() -> None:
    """Print one table for the whole import, one for what it adds to `import airflow.sdk`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument(
        "--runs", type=int, default=7, help="measured runs of each, after a warm-up (default: 7)"
    )
    runs = parser.parse_args().runs
    if runs < 1:
        parser.error("--runs must be at least 1")
    print("\n".join(table("in all", take_turns((), runs))), end="\n\n")
    print("\n".join(table(f"beyond import {BASE[0]}", take_turns(BASE, runs))))


if __name__ == "__main__":
    main()
