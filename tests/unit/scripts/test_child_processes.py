"""What child_processes starts, it stops, with all that came of it."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

import child_processes

SCRIPTS = Path(child_processes.__file__).parent
WRITE_PID = "import os, pathlib, sys, time; pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))"
WAIT = "time.sleep(60)"
IGNORE_TERM = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"


def eventually(condition: Callable[[], bool], seconds: float = 60) -> bool:
    """Tell whether the condition comes true within the time."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def has_ended(pid: int) -> bool:
    """Tell whether the process is gone, or only waits for its parent to take notice."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def pid_in(path: Path) -> int:
    """Return the process id that a process writes to the file once it is up."""
    assert eventually(lambda: path.is_file() and bool(path.read_text()))
    return int(path.read_text())


def program(*statements: str) -> list[str]:
    """Return the command that runs the statements."""
    return [sys.executable, "-c", "\n".join(statements)]


def test_a_child_that_outlives_its_parent_is_stopped_as_well(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    grandchild = program(WRITE_PID, WAIT)
    parent = program(f"import subprocess; subprocess.Popen({[*grandchild, str(pid_file)]!r})")
    process = child_processes.start(parent, log=tmp_path / "log")
    pid = pid_in(pid_file)
    process.wait()
    assert not has_ended(pid)
    child_processes.stop([process])
    assert has_ended(pid)


def test_what_ignores_the_request_to_end_is_killed(tmp_path: Path) -> None:
    process = child_processes.start(
        [*program(IGNORE_TERM, WRITE_PID, WAIT), str(tmp_path / "pid")], log=tmp_path / "log"
    )
    pid = pid_in(tmp_path / "pid")
    child_processes.stop([process], grace=0.2)
    assert has_ended(pid)


@pytest.mark.wall_clock
def test_what_ends_by_itself_is_not_waited_for(tmp_path: Path) -> None:
    process = child_processes.start(program("pass"), log=tmp_path / "log")
    started = time.monotonic()
    child_processes.stop([process], grace=30)
    assert time.monotonic() - started < 10


def test_a_process_that_ends_while_it_is_looked_for_is_reaped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = child_processes.start(
        [*program(IGNORE_TERM, WRITE_PID, WAIT), str(tmp_path / "pid")], log=tmp_path / "log"
    )
    pid = pid_in(tmp_path / "pid")
    looked = []

    def process_iter() -> Iterator[psutil.Process]:
        looked.append(pid)
        if len(looked) > 1:
            process.send_signal(signal.SIGKILL)
            assert eventually(lambda: has_ended(pid))
        yield psutil.Process(pid)

    monkeypatch.setattr(psutil, "process_iter", process_iter)
    child_processes.stop([process], grace=0)
    assert process.returncode == -signal.SIGKILL


def test_output_of_both_kinds_goes_to_the_log(tmp_path: Path) -> None:
    statements = ("import sys", "print('out')", "print('err', file=sys.stderr)")
    child_processes.start(program(*statements), log=tmp_path / "new" / "log").wait()
    assert sorted((tmp_path / "new" / "log").read_text().split()) == ["err", "out"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has died")
def test_a_killed_parent_takes_its_child_along(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    child = [*program(WRITE_PID, WAIT), str(pid_file)]
    start = f"child_processes.start({child!r}, log=pathlib.Path({str(tmp_path / 'log')!r}))"
    parent = subprocess.Popen(program("import child_processes, pathlib, time", start, WAIT), cwd=SCRIPTS)
    pid = pid_in(pid_file)
    parent.kill()
    parent.wait()
    assert eventually(lambda: has_ended(pid))
