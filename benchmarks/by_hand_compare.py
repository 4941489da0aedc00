"""The provider beside a DAG written by hand with HttpOperator and HttpSensor, through the same trouble.

    TIKTOK_TEST_POSTGRES_URL=... PYTHONPATH=scripts:. python benchmarks/by_hand_compare.py

The DAGs of benchmarks/by_hand/ run in one local Airflow against the sandbox, whose feed is the truth about what was
posted. Worker seconds are the times that tasks were running, by Airflow's audit log: waiting in the triggerer and
between two looks of a sensor does not count, the start of a process for each look does. A run has failed when its
retries are used up. `by hand, noted` differs from `by hand` in the re-runs alone, and is shown only there.
"""

import argparse
import ast
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple

from by_hand_scene import DAGS, HAND, NOTED, PROVIDER, Approach, Row, Scene, Slot, running_scene
from tests.faults.blows import kill
from tests.faults.proxy import Point, Seen, Shot

TWO_CHUNKS = 65_000_000
CREATOR_INFO, INIT, PUT = "TikTok creator_info/query", "TikTok video/init", "TikTok PUT"
# Where the task process is killed: the call, its number, and the moment.
KILLS = [
    (CREATOR_INFO, 1, Point.AFTER),
    (INIT, 1, Point.AFTER),
    (INIT, 1, Point.ANSWERED),
    (PUT, 1, Point.ANSWERED),
    (PUT, 2, Point.BODY),
    (PUT, 2, Point.AFTER),
    (PUT, 2, Point.ANSWERED),
]
LEDGER = {"not_posted_yet", "note_posted"}


def killed(scene: Scene, approach: Approach) -> list[Slot]:
    """The task process is killed, at another moment for each video."""
    slots = []
    for call, number, point in KILLS:
        [slot] = scene.slots(approach, size=TWO_CHUNKS if call == PUT else None)
        slot.cell.shots = [Shot(Seen(call, "task", number), point, kill)]
        slots.append(slot)
    scene.start(slots)
    return slots


def lost_answers(scene: Scene, approach: Approach) -> list[Slot]:
    """TikTok does what it is asked, and nobody hears of it: init, the last chunk, status."""
    slots = []
    for path in ("/v2/post/publish/video/init/", "/upload", "/v2/post/publish/status/"):
        [slot] = scene.slots(approach)
        scene.sandbox.add_fault("lost_answer", path=path, open_id=slot.open_id)
        slots.append(slot)
    scene.start(slots)
    return slots


def expired(scene: Scene, approach: Approach) -> list[Slot]:
    """The upload URL expires before the last chunk, and after it with the answer lost."""
    [early] = scene.slots(approach, size=TWO_CHUNKS)
    scene.sandbox.add_fault("expire_upload_url", path="/upload", open_id=early.open_id, skip=1)
    [late] = scene.slots(approach)
    scene.sandbox.add_fault("lost_answer", path="/upload", open_id=late.open_id)
    scene.sandbox.add_fault("expire_upload_url", path="/upload", open_id=late.open_id)
    scene.start([early, late])
    return [early, late]


def random_faults(scene: Scene, approach: Approach) -> list[Slot]:
    """A tenth of all calls fails."""
    slots = scene.slots(approach, count=10)
    for path in ("/v2/post/", "/upload"):
        for action in _faults(path):
            scene.sandbox.add_fault(
                action, path=path, open_id=slots[0].open_id, times=None, probability=0.025
            )
    scene.start(slots)
    return slots


def _faults(path: str) -> list[dict[str, object]]:
    common: list[dict[str, object]] = [{"type": "status", "status": 503}, {"type": "lost_answer"}]
    if path == "/upload":
        return [*common, {"type": "cut", "after_bytes": 1000}, {"type": "expire_upload_url"}]
    codes = ("rate_limit_exceeded", "access_token_invalid")
    common += [{"type": "error", "code": code} for code in codes]
    return common


def undisturbed(scene: Scene, approach: Approach, count: int = 3) -> list[Slot]:
    """Nothing goes wrong."""
    slots = scene.slots(approach, count)
    scene.start(slots)
    return slots


def clear(scene: Scene, slots: Sequence[Slot]) -> None:
    """Clear all tasks of the runs."""
    for slot in slots:
        scene.airflow.clear(slot.approach.dag_id, slot.run_id)
    scene.airflow.wait(slots)


def backfill(scene: Scene, slots: Sequence[Slot]) -> None:
    """Backfill the days with reprocessing."""
    scene.airflow.backfill(slots, scene.folder)
    scene.airflow.wait(slots)


def run_again(scene: Scene, slots: Sequence[Slot]) -> None:
    """Delete the runs and create them again."""
    for slot in slots:
        scene.airflow.delete(slot)
    scene.start(slots)
    scene.airflow.wait(slots)


def clear_early(scene: Scene, slots: Sequence[Slot]) -> None:
    """Clear the runs as soon as TikTok has the whole file."""
    deadline = time.monotonic() + 120
    for slot in slots:
        while not scene.calls([slot], "/upload"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{slot} was not uploaded")
            time.sleep(0.2)
    clear(scene, slots)


TROUBLES: dict[str, Callable[[Scene, Approach], list[Slot]]] = {
    "task killed at 7 moments": killed,
    "answers lost: init, last chunk, status": lost_answers,
    "upload URL expired": expired,
    "10 % of all calls fail": random_faults,
    "nothing goes wrong": undisturbed,
}
RERUNS: dict[str, Callable[[Scene, Sequence[Slot]], None]] = {
    "again: cleared": clear,
    "again: backfill with reprocess": backfill,
    "again: run deleted and created": run_again,
}


def play(scene: Scene, approaches: Sequence[Approach]) -> None:
    """Play all scenarios and print a row for each as soon as it is there."""
    slots: dict[Approach, list[Slot]] = {}
    for name, begin in TROUBLES.items():
        begun_by = [approach for approach in approaches if approach is not NOTED or begin is undisturbed]
        slots = {approach: begin(scene, approach) for approach in begun_by}
        for approach, begun in slots.items():
            scene.airflow.wait(begun)
            check_shots(begun)
            show(name, approach, scene.row(begun))
    for name, again in RERUNS.items():
        for approach, done in slots.items():
            before = scene.row(done)
            again(scene, done)
            show(name, approach, scene.row(done).since(before))
    for approach in slots:
        begun = undisturbed(scene, approach, 1)
        clear_early(scene, begun)
        show("again: cleared while TikTok works on it", approach, scene.row(begun))
    for approach in slots:
        print(f"{approach.name}: {lines_of_code(approach)} lines of code")


def check_shots(slots: Sequence[Slot]) -> None:
    """Raise if a task was not killed as it should have been: its figures would be too good."""
    for slot in slots:
        if missed := [shot for shot in slot.cell.shots if not shot.fired]:
            raise RuntimeError(
                f"{slot.approach.name}: no task was killed at {missed}; calls: {slot.cell.calls}"
            )


def show(scenario: str, approach: Approach, row: Row) -> None:
    """Print a row of the table."""
    figures = [f"{figure:.0f}" for figure in astuple(row)]
    print("| " + " | ".join([scenario, approach.name, *figures]) + " |", flush=True)


def lines_of_code(approach: Approach) -> int:
    """Count the lines of the approach's DAG that hold code: neither blank, nor comment, nor docstring."""
    name = "tiktok_with_provider.py" if approach is PROVIDER else "tiktok_by_hand.py"
    source = (DAGS / name).read_text()
    tree = ast.parse(source)
    left_out: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef) and ast.get_docstring(node):
            left_out |= _lines(node.body[0])
        if isinstance(node, ast.FunctionDef) and node.name in LEDGER and approach is not NOTED:
            left_out |= _lines(node) | {decorator.lineno for decorator in node.decorator_list}
    lines = enumerate(source.splitlines(), start=1)
    return sum(
        number not in left_out and bool(line.strip()) and not line.lstrip().startswith("#")
        for number, line in lines
    )


def _lines(node: ast.stmt) -> set[int]:
    return set(range(node.lineno, (node.end_lineno or node.lineno) + 1))


def main() -> None:
    """Run everything and print a Markdown table."""
    known = {approach.dag_id: approach for approach in (HAND, NOTED, PROVIDER)}
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dags", nargs="+", choices=known, default=list(known))
    chosen = [known[dag_id] for dag_id in parser.parse_args().dags]
    heads = [
        "scenario",
        "DAG",
        "videos",
        "posts",
        "too many",
        "missing",
        "failed runs",
        "init calls",
        "status calls",
        "worker seconds",
    ]
    began = time.monotonic()
    with running_scene() as scene:
        print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
        play(scene, chosen)
    print(f"{time.monotonic() - began:.0f} s in all", file=sys.stderr)


if __name__ == "__main__":
    main()
