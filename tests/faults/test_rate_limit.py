"""Sixty posts of one account use up what TikTok allows it; nine posts: tests/integration/test_rate_limit.py."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.rate_limit_use import publish_many
from tests.faults.whole_airflow import whole_airflow

pytestmark = [
    pytest.mark.integration,
    pytest.mark.wall_clock,
    pytest.mark.skipif("TIKTOK_RELIABILITY" not in os.environ, reason="takes long: scripts/reliability.sh"),
]
POSTS, WORKERS, HOSTS = 60, 8, 2
TITLE = (
    "Rate limit: database, posts, worker processes, inits, answers 429, first to last init, soonest by TikTok's rule,"
    " rate used, from an init to the sixth after it (least / median / most), task seconds on workers, away from them,"
    " share of the time in which no task was on a worker, tries, seconds in all"
)


def test_sixty_posts_of_one_account_use_its_rate_limit_up_and_no_worker_waits(
    tmp_path: Path, note: Callable[..., None]
) -> None:
    with whole_airflow(tmp_path / "airflow", parallelism=WORKERS, hosts=HOSTS) as whole:
        use = publish_many(whole.airflow, whole.sandbox, tmp_path, POSTS, patience=1200)
    note(
        TITLE,
        whole.database,
        use.posts,
        WORKERS,
        len(use.inits),
        use.answers[429],
        f"{use.inits[-1] - use.inits[0]:.1f} s",
        f"{use.soonest:.0f} s",
        f"{use.rate_used:.1%}",
        use.gaps_shown(),
        f"{use.worker_seconds:.0f}",
        f"{use.waiting_seconds:.0f}",
        f"{use.idle_share:.0%}",
        max(use.tries),
        f"{use.seconds:.0f}",
    )
    assert (use.posts, len(use.inits), use.answers[429]) == (POSTS, POSTS, 0)
    assert use.tries == {1}
    assert use.worker_seconds < use.waiting_seconds / 5
    assert use.idle_share > 0.5
    assert use.rate_used >= 0.95
