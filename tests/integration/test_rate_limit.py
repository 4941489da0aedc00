"""More posts of an account than a minute allows wait off the worker; 60 of them: tests/faults/test_rate_limit.py."""

from pathlib import Path

import pytest

from local_airflow import LocalAirflow
from tests.faults.rate_limit_use import CONN_ID, publish_many
from tests.integration.conftest import forget_calls
from tiktok_sandbox.client import Sandbox

pytestmark = pytest.mark.integration
POSTS = 9


def test_more_posts_than_a_minute_allows_wait_for_their_turn_off_the_worker(
    airflow: LocalAirflow, sandbox: Sandbox, tmp_path: Path
) -> None:
    forget_calls(airflow, CONN_ID)
    use = publish_many(airflow, sandbox, tmp_path, POSTS, patience=300)
    assert (use.posts, len(use.inits), use.answers[429]) == (POSTS, POSTS, 0)
    assert use.tries == {1}
    assert use.idle_share > 0.3
