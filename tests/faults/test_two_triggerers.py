"""Posts of one account that two triggerers and the workers ask for at the same time."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
import pytest
from sqlalchemy import create_engine, text

import child_processes
from tests.faults.whole_airflow import Whole, one_more, whole_airflow
from tests.integration.alone import connection_fields
from tiktok_provider.api.chunks import plan_chunks
from tiktok_provider.api.drivers import SyncDriver
from tiktok_provider.api.posting import VideoPost, file_source, init_video
from tiktok_sandbox.clips import make_clip

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif("TIKTOK_RELIABILITY" not in os.environ, reason="takes long: scripts/reliability.sh"),
]
DAG_ID, CONN_ID = "fault_wait", "awaited"
STATUS = "/v2/post/publish/status/fetch/"
# More than one triggerer may take, so that each gets its share.
POSTS, CAPACITY = 40, 25
READY_AFTER = 180.0
WINDOW, PER_WINDOW = 60.0, 30
TITLE = "Two triggerers: database, posts, posts in each triggerer, polls, most polls within 60 s, answers 429, tries"


def test_two_triggerers_and_the_workers_share_the_rate_limit_of_an_account(
    tmp_path: Path, note: Callable[..., None]
) -> None:
    dags, config = Path(__file__).parent / "dags", {"triggerer": {"capacity": str(CAPACITY)}}
    with whole_airflow(tmp_path / "airflow", parallelism=4, dags=dags, config=config) as whole:
        second = one_more(whole.airflow, "triggerer")
        try:
            whole.airflow.wait_for_dag(DAG_ID)
            ids = _upload(whole, make_clip(tmp_path / "clip.mp4", seconds=1).read_bytes())
            run_id = whole.airflow.trigger(DAG_ID, {"conn_id": CONN_ID, "publish_ids": ids})
            shares = _shares(whole)
            assert whole.airflow.wait_for_run(DAG_ID, run_id, 600) == "success"
        finally:
            child_processes.stop([second])
        tasks = whole.airflow.task_instances(DAG_ID, run_id)
        calls = whole.sandbox.requests(STATUS)
    most = _most_within(WINDOW, [call["time"] for call in calls])
    refused = sum(call["status"] == 429 for call in calls)
    tries = {task["try_number"] for task in tasks}
    note(TITLE, whole.database, POSTS, shares, len(calls), most, refused, max(tries))
    assert len(shares) == 2
    assert (refused, tries) == (0, {1})
    assert most <= PER_WINDOW


def _upload(whole: Whole, video: bytes) -> list[str]:
    """Return the publish ids of videos that TikTok is still working on."""
    whole.sandbox.set_switches(caps=False, rate_limits=False, processing_seconds=READY_AFTER)
    app, account = whole.sandbox.create_app(), whole.sandbox.create_account(username=CONN_ID)
    tokens = whole.sandbox.issue_tokens(app, account)
    whole.airflow.put_connection(CONN_ID, **connection_fields(whole.sandbox, app, account, tokens))
    post, source = VideoPost(privacy_level="PUBLIC_TO_EVERYONE"), file_source(plan_chunks(len(video)))
    headers = {"Content-Type": "video/mp4", "Content-Range": f"bytes 0-{len(video) - 1}/{len(video)}"}
    ids = []
    with httpx.Client(base_url=whole.sandbox.url, trust_env=False) as client:
        driver = SyncDriver(client, lambda spent: None if spent else tokens.access_token)
        for _ in range(POSTS):
            started = driver.run(init_video(post, source, lambda: None))
            assert started.upload_url
            client.put(started.upload_url, content=video, headers=headers).raise_for_status()
            ids.append(started.publish_id)
    whole.sandbox.set_switches(rate_limits=True)
    return ids


def _shares(whole: Whole) -> Sequence[int]:
    """Return how many posts each triggerer waits for, once all of them are waited for."""
    engine = create_engine(whole.airflow.env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    query = text("select count(*) from trigger where triggerer_id is not null group by triggerer_id")

    shares: list[int] = []
    deadline = time.monotonic() + READY_AFTER
    while sum(shares) < POSTS and time.monotonic() < deadline:
        time.sleep(0.5)
        with engine.connect() as connection:
            shares = sorted(connection.execute(query).scalars())
    engine.dispose()
    return shares


def _most_within(seconds: float, times: Sequence[float]) -> int:
    return max(sum(first <= at < first + seconds for at in times) for first in times)
