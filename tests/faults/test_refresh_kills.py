"""A refresh that dies or stands still at any step costs the account only where nothing could save it."""

import os
from collections.abc import Callable

import pytest

from tests.faults.held_refresh import Step
from tests.faults.refresh_kills import Blow, expected, play
from tests.unit.databases import Mia

# The whole table takes minutes: scripts/reliability.sh
EVERYTHING = "TIKTOK_RELIABILITY" in os.environ


@pytest.mark.parametrize("old_refresh_token", ["lives", "dies", "kills_all"] if EVERYTHING else ["dies"])
@pytest.mark.parametrize("blow", list(Blow) if EVERYTHING else [Blow.KILLED], ids=lambda blow: blow.name)
@pytest.mark.parametrize("step", Step, ids=lambda step: step.name)
def test_what_becomes_of_the_account(
    expired: Mia, step: Step, blow: Blow, old_refresh_token: str, database: str, note: Callable[..., None]
) -> None:
    outcome = play(expired, step, blow, old_refresh_token)
    note("A refresh that is killed or stopped", _name(database), step, blow, old_refresh_token, outcome)
    assert outcome == expected(step, blow, old_refresh_token)


def _name(database: str) -> str:
    return "SQLite" if database.startswith("sqlite") else "PostgreSQL"
