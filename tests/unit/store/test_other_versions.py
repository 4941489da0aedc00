"""What an older version has written is read by this one: records, claims, and steps without newer fields."""

import json
from typing import Any

import pytest
from pydantic import TypeAdapter

from tiktok_provider.store.posts import Claimant, Claimed, Intend, PostClaim, PostRecord, PostState, Verdict
from tiktok_provider.store.requests import ClaimPost, WritePost, adapter

# As they were before the location and digest of media were recorded.
RECORD = {
    "conn_id": "mia",
    "post_key": "launch",
    "state": "finishing",
    "generation": 3,
    "kind": "video",
    "source": "file",
    "fingerprint": "a file of 9 bytes, ETag a",
}
CLAIM = {
    "claimant": {"task": "a/b/c/-1", "try_number": 1, "try_id": "x"},
    "kind": "video",
    "source": "file",
    "fingerprint": "f",
    "content": {"title": "Hi"},
}
STEP = {"type": "intend", "source": "file", "fingerprint": "f", "content": {}, "intent_id": "i"}


def read(kind: Any, document: object) -> Any:
    found: TypeAdapter[Any] = adapter(kind)
    return found.validate_json(json.dumps(document))


def test_an_older_record_is_read_with_nothing_known_of_newer_fields() -> None:
    record = read(PostRecord, RECORD)
    assert (record.state, record.location, record.digest) == (PostState.FINISHING, "", "")
    claimed = read(Claimed, {"verdict": "theirs", "record": RECORD})
    assert (claimed.verdict, claimed.same_media) == (Verdict.THEIRS, None)


def test_an_older_worker_is_understood() -> None:
    claim = read(ClaimPost, {"post_key": "launch", "claim": CLAIM}).claim
    claimant = Claimant(task="a/b/c/-1", try_number=1, try_id="x")
    assert claim == PostClaim(
        claimant=claimant, kind="video", source="file", fingerprint="f", content={"title": "Hi"}
    )
    step = read(WritePost, {"post_key": "launch", "generation": 1, "step": STEP}).step
    assert step == Intend(source="file", fingerprint="f", content={})


@pytest.mark.parametrize("kind", [PostRecord, Claimed])
def test_a_newer_field_that_is_not_known_is_no_error(kind: Any) -> None:
    newer = {**RECORD, "of_a_later_version": 1}
    read(kind, newer if kind is PostRecord else {"verdict": "ended", "record": newer, "later": True})
