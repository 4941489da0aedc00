"""What a try writes while the store comes and goes."""

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.conftest import CONN_ID, Creator
from tests.unit.operators.test_publish_video import claim_of
from tiktok_provider.exceptions import ConnectionUnreadableError, TikTokError
from tiktok_provider.hooks.store_access import open_store
from tiktok_provider.publishing.post_record import StoredPost
from tiktok_provider.store.client import Store
from tiktok_provider.store.errors import (
    PostTakenError,
    StoreBusyError,
    StoreNotReadyError,
    StoreUnreachableError,
)
from tiktok_provider.store.posts import RENEW_EVERY, Intend, PostState, Start
from tiktok_provider.store.serialization import StoreAnswerError
from tiktok_provider.store.signing import RequestNotAuthenticatedError

AWAY = [
    StoreBusyError("locked"),
    StoreNotReadyError("no tables"),
    StoreAnswerError("a proxy answers in its place"),
    StoreUnreachableError("no answer", maybe_processed=True),
    RequestNotAuthenticatedError(
        "the API server cannot read the Connection for a moment", reason="signature"
    ),
    ConnectionUnreadableError("not defined, or not readable for a moment"),
]
INTEND = Intend(source="url", fingerprint="f", content={})


class Shaky:
    """A store that is away for so many of the next calls."""

    def __init__(self, store: Store) -> None:
        self.conn_id, self._store, self.faults = store.conn_id, store, list[TikTokError]()

    def run(self, operation: Any) -> Any:
        if self.faults:
            raise self.faults.pop()
        return self._store.run(operation)


@pytest.fixture
def shaky(creator: Creator) -> Iterator[Shaky]:  # noqa: ARG001  (it defines the Connection)
    with open_store(CONN_ID) as store:
        yield Shaky(store)


def claimed(store: Any, task: str = "a task") -> tuple[StoredPost, list[float]]:
    """Return a stored post with a claim, and how long it slept."""
    slept: list[float] = []
    claim = claim_of(task, source="url")
    opened = StoredPost(store, "sku-42", claim.claimant, sleep=slept.append)
    opened.claim(claim)
    return opened, slept


def test_what_became_of_init_is_written_although_the_store_is_away_for_a_while(shaky: Shaky) -> None:
    stored_post, slept = claimed(shaky)
    shaky.faults = list(AWAY)
    assert stored_post.write_patiently(INTEND).state == PostState.INTENDED
    assert (len(slept), stored_post.record.attempt) == (len(AWAY), 1)


def test_an_upload_goes_on_when_the_store_that_was_away_between_two_chunks_is_back(shaky: Shaky) -> None:
    stored_post, slept = claimed(shaky)
    stored_post.write(INTEND)
    stored_post.write(Start(publish_id="v_1", finishing=False, size=10, chunk_size=5))
    shaky.faults = list(AWAY)
    stored_post.write_progress(5, is_last=True)
    assert (stored_post.record.state, len(slept)) == (PostState.FINISHING, len(AWAY))


def test_a_try_that_was_overtaken_is_not_patient(shaky: Shaky) -> None:
    stored_post, slept = claimed(shaky)
    later = replace(stored_post.claimant, try_number=2, try_id="y")
    StoredPost(shaky, "sku-42", later).claim(replace(claim_of("a task", source="url"), claimant=later))  # type: ignore[arg-type]
    with pytest.raises(PostTakenError):
        stored_post.write_patiently(INTEND)
    assert slept == []


@pytest.mark.parametrize("fault", AWAY)
def test_a_lease_that_cannot_be_given_back_is_no_error(shaky: Shaky, fault: TikTokError) -> None:
    stored_post, _ = claimed(shaky)
    shaky.faults = [fault]
    stored_post.release()
    assert not shaky.faults


def test_a_store_that_hangs_is_not_asked_at_each_megabyte() -> None:
    now, asked = [0.0], []

    class Hanging:
        conn_id = CONN_ID

        def run(self, operation: Any) -> Any:  # noqa: ARG002
            asked.append(now[0])
            now[0] += 44.0
            raise StoreUnreachableError("no answer", maybe_processed=False)

    stored_post = StoredPost(Hanging(), "sku-42", claim_of("a task").claimant, clock=lambda: now[0])  # type: ignore[arg-type]
    stored_post._record = SimpleNamespace(generation=1)  # type: ignore[assignment]
    for _ in range(450):
        now[0] += 0.1
        stored_post.renew_if_due()
    assert len(asked) == 2, "45 s of sending, renewed every 20 s"


def test_what_cannot_be_undone_is_done_only_with_the_claim(shaky: Shaky) -> None:
    stored_post, _ = claimed(shaky)
    stored_post.verify_claim()
    later = replace(stored_post.claimant, try_number=2, try_id="y")
    StoredPost(shaky, "sku-42", later).claim(replace(claim_of("a task", source="url"), claimant=later))  # type: ignore[arg-type]
    # As if this process had stood still.
    stored_post._confirmed_at -= RENEW_EVERY.total_seconds()
    with pytest.raises(PostTakenError):
        stored_post.verify_claim()


def test_an_answer_of_the_store_that_was_long_on_its_way_holds_nothing(shaky: Shaky) -> None:
    """As when this process has stood still after the store had written, and before it heard so."""
    now, asked = [0.0], list[Any]()
    claimant = claim_of("a task", source="url").claimant
    stored_post = StoredPost(shaky, "sku-42", claimant, clock=lambda: now[0])  # type: ignore[arg-type]
    stored_post.claim(claim_of("a task", source="url"))
    run = shaky.run

    def slow(operation: Any) -> Any:
        answer = run(operation)
        asked.append(operation)
        now[0] += 61.0 if len(asked) < 3 else 0.1
        return answer

    shaky.run = slow  # type: ignore[method-assign]
    stored_post.write(INTEND)
    stored_post.verify_claim()
    assert len(asked) == 3, "the intent, a renewal that was slow as well, and one that was not"


def test_a_store_whose_word_is_always_old_lets_nothing_leave(shaky: Shaky) -> None:
    now, run = [0.0], shaky.run
    stored_post = StoredPost(shaky, "sku-42", claim_of("a task").claimant, clock=lambda: now[0])  # type: ignore[arg-type]
    stored_post.claim(claim_of("a task", source="url"))

    def slow(operation: Any) -> Any:
        now[0] += 25.0
        return run(operation)

    shaky.run = slow  # type: ignore[method-assign]
    stored_post.write(INTEND)
    with pytest.raises(StoreBusyError, match="Nothing was sent"):
        stored_post.verify_claim()
