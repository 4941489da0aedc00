"""Time that passes without waiting."""

import time
from types import SimpleNamespace

import pytest

from tests.unit.conftest import Creator


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a fault that passes fail the try at once, unless a test is about patience."""
    monkeypatch.setenv("AIRFLOW__TIKTOK__OUTAGE_PATIENCE", "0")


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch, creator: Creator) -> None:
    """Let the pauses between polls move the sandbox's clock instead of the real one."""
    creator.sandbox.freeze()
    still = SimpleNamespace(sleep=creator.sandbox.advance, time=time.time)
    for module in (
        "api.drivers",
        "publishing.waiting.worker_poller",
        "publishing.session",
        "publishing.rate_limit",
    ):
        monkeypatch.setattr(f"tiktok_provider.{module}.time", still)
