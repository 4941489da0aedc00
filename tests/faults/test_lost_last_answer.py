"""A file goes out once when the answer to its last chunk is lost, whatever TikTok tells of the progress."""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest

from tests.faults.publishing_site import CHUNK_BYTES
from tests.faults.random_faults import RandomSite, make_unlike, random_site
from tests.faults.task_tries import Ended, Job
from tiktok_sandbox.client import Sandbox
from tiktok_sandbox.clips import make_clip

EVERYTHING = "TIKTOK_RELIABILITY" in os.environ
UPLOAD, INIT = "/upload", "/v2/post/publish/video/init/"
TITLE = (
    "Lost answers to the last chunk: database, put_progress, status_progress, stored_range_again, single_chunk_rule,"
    " then for each case: posts, task, inits, tries"
)
SETTINGS = [
    dict(
        zip(
            ("put_progress", "status_progress", "stored_range_again", "single_chunk_rule"),
            values,
            strict=True,
        )
    )
    for values in product(
        ("last_index", "count", "absent"),
        ("exact", "last_index", "lags", "absent"),
        (416, 206),
        ("enforced", "lax"),
    )
]


@dataclass(frozen=True)
class Case:
    """What is lost.

    :param times: answers to the last chunk that are lost in a row.
    :param expired: whether the upload URL has ended when the chunk is sent again.
    """

    chunks: int
    times: int
    expired: bool

    def disturb(self, sandbox: Sandbox, open_id: str) -> None:
        """Let it go wrong."""
        before = self.chunks - 1
        sandbox.add_fault("lost_answer", path=UPLOAD, open_id=open_id, skip=before, times=self.times)
        if self.expired:
            # It does not see the call whose answer is lost, and falls on the next one.
            sandbox.add_fault("expire_upload_url", path=UPLOAD, open_id=open_id, skip=before)


CASES = [
    Case(chunks, times, expired)
    for chunks in (1, 3)
    for times, expired in ((1, False), (3, False), (1, True))
]


@pytest.fixture
def site(database: str, tiktok_sandbox: Sandbox, tmp_path: Path) -> Iterator[RandomSite]:  # noqa: ARG001
    """An account for each case."""
    tiktok_sandbox.set_switches(caps=False, processing_seconds=0.2, moderation_seconds=0)
    with random_site(tiktok_sandbox, tmp_path, accounts=len(CASES)) as running:
        yield running


def test_a_file_goes_out_once_when_the_last_answer_is_lost_whatever_tiktok_tells_of_the_progress(
    site: RandomSite, database: str, tmp_path: Path, note: Callable[..., None]
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", seconds=1)
    broken = []
    for number, setting in enumerate(SETTINGS if EVERYTHING else SETTINGS[-1:]):
        site.sandbox.set_switches(**setting)
        site.sandbox.clear_faults()
        jobs = []
        for index, (case, conn_id) in enumerate(zip(CASES, site.accounts, strict=True)):
            case.disturb(site.sandbox, site.accounts[conn_id].open_id)
            size = None if case.chunks == 1 else case.chunks * CHUNK_BYTES
            path = make_unlike(clip, tmp_path / f"{index}.mp4", number * len(CASES) + index, size)
            jobs.append(Job(conn_id, str(path), f"setting {number}"))
        before = len(site.sandbox.requests(INIT))
        ended = site.run(jobs)
        inits = len(site.sandbox.requests(INIT)) - before
        outcomes = [(_posts(site, one), one.state, one.tries) for one in ended]
        note(TITLE, _name(database), *setting.values(), *outcomes, inits)
        fired = [fault["fired"] for fault in site.sandbox.faults()]
        if any((posts, state) != (1, "success") for posts, state, _ in outcomes) or 0 in fired:
            broken.append((setting, outcomes, fired, ended))
    assert broken == []


def _posts(site: RandomSite, ended: Ended) -> int:
    sha256 = hashlib.sha256(Path(ended.job.video).read_bytes()).hexdigest()
    return sum(post["sha256"] == sha256 for post in site.sandbox.feed())


def _name(database: str) -> str:
    return "SQLite" if database.startswith("sqlite") else "PostgreSQL"
