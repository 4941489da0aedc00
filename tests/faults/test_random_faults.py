"""Videos go out once and whole although a tenth of all calls fail."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.publishing_site import CHUNK_BYTES
from tests.faults.random_faults import add_random_faults, make_unlike, random_site
from tests.faults.task_tries import Job
from tiktok_sandbox.client import Sandbox
from tiktok_sandbox.clips import make_clip

EVERYTHING = "TIKTOK_RELIABILITY" in os.environ
# Few videos cannot show a rate; and a task whose four tries all fail, as one in ten thousand does, is no fault.
SHARE = 0.1 if EVERYTHING else 0.07
TITLE = (
    "Random faults: database, seed, videos, posts, duplicates, whole files, failed tasks, calls to TikTok,"
    " failed of them, calls to the store, failed of them, tries, seconds"
)


@pytest.mark.parametrize("seed", [1, 2] if EVERYTHING else [1])
def test_videos_go_out_once_and_whole_although_a_tenth_of_all_calls_fail(
    database: str, tiktok_sandbox: Sandbox, tmp_path: Path, seed: int, note: Callable[..., None]
) -> None:
    videos = 300 if EVERYTHING else 21
    tiktok_sandbox.reset(seed=seed)
    tiktok_sandbox.set_switches(
        caps=False, rate_limits=False, processing_seconds=0.2, moderation_seconds=0, old_refresh_token="lives"
    )
    clip = make_clip(tmp_path / "clip.mp4", seconds=1)
    with random_site(tiktok_sandbox, tmp_path, accounts=3, store_share=SHARE, speed=20, seed=seed) as site:
        add_random_faults(tiktok_sandbox, SHARE)
        conn_ids = list(site.accounts)
        jobs = [
            Job(
                conn_ids[number % len(conn_ids)],
                # Every tenth one is of three chunks.
                str(
                    make_unlike(
                        clip,
                        tmp_path / f"{number}.mp4",
                        number,
                        3 * CHUNK_BYTES if number % 10 == 9 else None,
                    )
                ),
                f"run {number}",
            )
            for number in range(videos)
        ]
        ended = site.run(jobs)
        feed = Counter(post["sha256"] for post in tiktok_sandbox.feed())
        wanted = {hashlib.sha256(Path(job.video).read_bytes()).hexdigest() for job in jobs}
        calls = tiktok_sandbox.requests()
        note(
            TITLE,
            "SQLite" if database.startswith("sqlite") else "PostgreSQL",
            seed,
            videos,
            feed.total(),
            feed.total() - len(feed),
            len(wanted & set(feed)),
            sum(one.state != "success" for one in ended),
            len(calls),
            f"{sum(bool(call['fault']) for call in calls) / len(calls):.1%}",
            len(site.cell.calls),
            f"{site.shot.fired / len(site.cell.calls):.1%}",
            f"{sum(one.tries for one in ended) / videos:.2f}",
            f"{site.seconds():.0f}",
        )
    assert {one.job.run_id: one.error for one in ended if one.state != "success"} == {}
    assert feed == Counter(wanted)
