"""Sixty posts of one account use up what TikTok allows it; nine posts: tests/integration/test_budget.py."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.spent_budget import spend
from tests.faults.whole_airflow import whole_airflow

pytestmark = [
    pytest.mark.integration,
    pytest.mark.wall_clock,
    pytest.mark.skipif("TIKTOK_RELIABILITY" not in os.environ, reason="takes long: scripts/reliability.sh"),
]
POSTS, WORKERS, HOSTS = 60, 8, 2
TITLE = (
    "Budget: database, posts, worker processes, inits, answers 429, first to last init, soonest by TikTok's rule,"
    " rate used, until a slot is taken again (least / median / most), task seconds on workers, away from them,"
    " share of the time that nobody was on a worker, tries, seconds in all"
)


def test_sixty_posts_of_one_account_use_its_budget_up_and_no_worker_waits(
    tmp_path: Path, note: Callable[..., None]
) -> None:
    with whole_airflow(tmp_path / "airflow", parallelism=WORKERS, hosts=HOSTS) as whole:
        spent = spend(whole.airflow, whole.sandbox, tmp_path, POSTS, patience=1200)
    note(
        TITLE,
        whole.database,
        spent.posts,
        WORKERS,
        len(spent.inits),
        spent.answers[429],
        f"{spent.inits[-1] - spent.inits[0]:.1f} s",
        f"{spent.soonest:.0f} s",
        f"{spent.rate_used:.1%}",
        spent.told(),
        f"{spent.worker_seconds:.0f}",
        f"{spent.waiting_seconds:.0f}",
        f"{spent.idle_share:.0%}",
        max(spent.tries),
        f"{spent.seconds:.0f}",
    )
    assert (spent.posts, len(spent.inits), spent.answers[429]) == (POSTS, POSTS, 0)
    assert spent.tries == {1}
    assert spent.worker_seconds < spent.waiting_seconds / 5
    assert spent.idle_share > 0.5
    assert spent.rate_used >= 0.95
