"""Fixtures for all tests. The sandbox's own fixture comes with the package (tiktok_sandbox.pytest_plugin)."""

import os
import shutil
import tempfile
from multiprocessing.util import Finalize
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, settings

AIRFLOW_HOME_PREFIX = "airflow-home-"
REMOVED_AT_EXIT = (AIRFLOW_HOME_PREFIX, "pymp-")

# pytest's own folders stay where they always are, and for failed tests they are kept.
os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
# All else that is temporary goes to one folder, those of child processes included: nothing of it may be left.
os.environ["TMPDIR"] = tempfile.tempdir = tempfile.mkdtemp(prefix="tiktok-tests-")
# At the very end: multiprocessing removes a folder of its own in there, with priority -100.
Finalize(None, shutil.rmtree, (tempfile.tempdir,), {"ignore_errors": True}, exitpriority=-200)

# Before anything imports Airflow: tests neither read nor write the Airflow of whoever runs them.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix=AIRFLOW_HOME_PREFIX)
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

# How long an example takes says more of the machine than of us.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
# So does how long a server in the same process takes to answer: httpx's own five seconds are for others.
for limit in ("connect", "read", "write", "pool"):
    setattr(httpx._config.DEFAULT_TIMEOUT_CONFIG, limit, 60.0)

_LEFT_OVER = pytest.StashKey[list[str]]()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let the run fail if a test, or a process that it started, has left something in the temporary folder."""
    names = [path.name for path in Path(tempfile.gettempdir()).iterdir()]
    names = sorted(name for name in names if not name.startswith(REMOVED_AT_EXIT))
    session.config.stash[_LEFT_OVER] = names
    if names and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name what was left."""
    if names := config.stash.get(_LEFT_OVER, []):
        terminalreporter.section("left in the temporary folder", red=True)
        terminalreporter.write_line("\n".join(names))
