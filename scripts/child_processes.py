"""Start programs in sessions of their own and stop each one together with all that it started."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil  # type: ignore[import-untyped]

PIPE = subprocess.PIPE
PR_SET_PDEATHSIG = 1
# A killed process that is still there after so many seconds waits for a device that does not answer.
KILL_SECONDS = 30.0


def start(
    command: Sequence[str | Path],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    stdout: int | IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program that will be stopped with `stop`.

    Its session is its own, so that a Ctrl-C in the terminal reaches only us, who then stop everything in
    order, and so that its descendants can be told from all other processes. On Linux it is also asked to
    stop when we die without a chance to do so. Must be called from the main thread.

    :param command: the program and its arguments.
    :param log: file that its output is appended to.
    :param env: its environment. Default: ours.
    :param stdout: where its standard output goes. Default: to the log as well.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output if stdout is None else stdout,
            stderr=output,
            start_new_session=True,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )


def stop(processes: Iterable[subprocess.Popen[bytes]], *, grace: float = 5.0) -> None:
    """End the processes and all their descendants, and return when none is left.

    :param processes: what ``start`` returned; those that have ended already may have left descendants.
    :param grace: seconds to end by themselves after SIGTERM before they are killed. A second interrupt
        from the user while we wait cuts it short.
    """
    leaders = list(processes)
    try:
        _ask_to_end(leaders, grace)
    finally:
        deadline = time.monotonic() + KILL_SECONDS
        while (members := _members(leaders)) and time.monotonic() < deadline:
            for process in members:
                _signal(process, signal.SIGKILL)
            time.sleep(0.05)
        for leader in leaders:
            # One whose main thread has ended can be reaped when its other threads have ended, too.
            with suppress(subprocess.TimeoutExpired):
                leader.wait(max(deadline - time.monotonic(), 0.0))


def _ask_to_end(leaders: Sequence[subprocess.Popen[bytes]], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    asked = set()
    while (members := _members(leaders)) and time.monotonic() < deadline:
        living = {process.pid for process in members}
        for process, session in members.items():
            # A leader ends its children by itself, in its own order; those that it has left are ours.
            if process not in asked and (process.pid == session or session not in living):
                _signal(process, signal.SIGTERM)
                asked.add(process)
        time.sleep(0.05)


def _members(leaders: Sequence[subprocess.Popen[bytes]]) -> dict[psutil.Process, int]:
    # The session outlives its leader, so children whose parent has died are found as well.
    for leader in leaders:
        leader.poll()
    sessions = {leader.pid for leader in leaders}
    found = {process: _session(process) for process in psutil.process_iter()}
    return {process: session for process, session in found.items() if session in sessions}


def _session(process: psutil.Process) -> int | None:
    try:
        return None if process.status() == psutil.STATUS_ZOMBIE else os.getsid(process.pid)
    except (psutil.NoSuchProcess, ProcessLookupError, PermissionError):
        return None


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
