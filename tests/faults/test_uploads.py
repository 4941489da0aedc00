"""A large file arrives whole, and little of it is sent twice, although its upload is disturbed."""

import hashlib
import os
import random
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults.random_faults import RandomSite, random_site
from tests.faults.task_tries import Job
from tiktok_sandbox.client import Sandbox
from tiktok_sandbox.clips import make_clip

EVERYTHING = "TIKTOK_RELIABILITY" in os.environ
SIZE = 100_000_000
# The operator's own chunks.
CHUNK = 32_000_000
TITLE = (
    "Uploads of 100 MB: database, disturbance, posts, chunks, requests, of them sent again, tries, seconds"
)


@pytest.fixture
def site(database: str, tiktok_sandbox: Sandbox, tmp_path: Path) -> Iterator[RandomSite]:  # noqa: ARG001
    """A worker, a store and an account."""
    tiktok_sandbox.set_switches(caps=False, processing_seconds=0.2, moderation_seconds=0)
    with random_site(tiktok_sandbox, tmp_path, chunk_bytes=CHUNK, outage_patience=7200) as running:
        yield running


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """100 MB, three chunks."""
    return make_clip(tmp_path / "large.mp4", seconds=1, pad_to_bytes=SIZE)


def _publish(site: RandomSite, video: Path) -> list[dict[str, Any]]:
    """Publish, check that the file has arrived once and whole, and return what was sent of it."""
    [ended] = site.run([Job(next(iter(site.accounts)), str(video), "once")])
    assert (ended.state, ended.tries) == ("success", 1), ended
    sha256 = hashlib.sha256(video.read_bytes()).hexdigest()
    assert [post["sha256"] for post in site.sandbox.feed()] == [sha256]
    [publish] = httpx.get(f"{site.sandbox.url}/sandbox/publishes", trust_env=False, timeout=60).json()
    chunks: list[dict[str, Any]] = publish["chunks"]
    return chunks


def _requests(site: RandomSite) -> int:
    return len(site.sandbox.requests("/upload"))


def test_one_503_in_the_middle_of_100_mb_costs_at_most_one_chunk(
    site: RandomSite, video: Path, database: str, note: Callable[..., None]
) -> None:
    site.sandbox.add_fault("status", status=503, path="/upload", skip=1)
    chunks = _publish(site, video)
    again = _requests(site) - len(chunks)
    note(TITLE, _name(database), "one 503", 1, 3, _requests(site), again, 1, f"{site.seconds():.0f}")
    assert [chunk["answer"] for chunk in chunks] == [206, 206, 201]
    assert all(first["last"] + 1 == second["first"] for first, second in pairwise(chunks))
    assert again <= 1


@pytest.mark.parametrize("seed", range(1, 6) if EVERYTHING else [1])
def test_100_mb_arrive_although_the_connection_is_cut_ten_times_in_a_row(
    site: RandomSite, video: Path, database: str, seed: int, note: Callable[..., None]
) -> None:
    dice = random.Random(seed)
    for _ in range(10):
        site.sandbox.add_fault("cut", path="/upload", after_bytes=dice.randrange(CHUNK))
    chunks = _publish(site, video)
    stored = [chunk for chunk in chunks if chunk["answer"]]
    note(
        TITLE,
        _name(database),
        f"cut ten times, seed {seed}",
        1,
        3,
        _requests(site),
        10,
        1,
        f"{site.seconds():.0f}",
    )
    assert [chunk["answer"] for chunk in stored] == [206, 206, 201]
    assert _requests(site) == 13


def _name(database: str) -> str:
    return "SQLite" if database.startswith("sqlite") else "PostgreSQL"
