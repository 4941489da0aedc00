"""A wait that the store's record of the post ends, without TikTok being asked again."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest
from airflow.triggers.base import TriggerEvent

from tests.unit.conftest import CONN_ID, Creator
from tests.unit.triggers.conftest import StartPost, Waits
from tiktok_provider.database.in_process import AsyncInProcessStore
from tiktok_provider.database.posts.service import PostService
from tiktok_provider.hooks.store_access import open_store
from tiktok_provider.publishing.waiting.polling import Outcome
from tiktok_provider.store.errors import StoreUnreachableError
from tiktok_provider.store.posts import Claimant, Intend, MarkUncertain, PostClaim, PostRecord, Start
from tiktok_provider.store.requests import ClaimPost, GetPost, StoreRequest, WritePost
from tiktok_provider.triggers import post_status
from tiktok_provider.triggers.account_session import AccountSession
from tiktok_provider.triggers.post_status import TikTokPostStatusTrigger

STATUS = "/v2/post/publish/status/fetch/"
POST_KEY = "spring-sale"
Wait = Callable[[str | None], Outcome]


@pytest.fixture
def publish_id(start_post: StartPost, creator: Creator) -> str:
    """A video that is uncertain on record, and that TikTok goes on processing for a day."""
    creator.sandbox.set_switches(processing_seconds=86_000)
    publish_id = start_post()
    claimant = Claimant(task="spring/1/publish/-1", try_number=1, try_id="try")
    claim = PostClaim(claimant=claimant, kind="video", source="file", fingerprint="f", content={})
    with open_store(CONN_ID) as store:
        generation = store.run(ClaimPost(POST_KEY, claim)).record.generation
        for step in (
            Intend(source="file", fingerprint="f", content={}),
            Start(publish_id=publish_id, finishing=True, size=1),
            MarkUncertain(reason="TikTok has not finished it"),
        ):
            store.run(WritePost(POST_KEY, generation, step))
    return publish_id


@pytest.fixture
def asked(waits: Waits, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When the store was asked for the record, in seconds from the start."""
    moments: list[float] = []
    fetch = AccountSession.fetch_record

    async def noted(account: AccountSession, post_key: str) -> PostRecord | None:
        assert post_key == POST_KEY
        moments.append(waits.passed)
        return await fetch(account, post_key)

    monkeypatch.setattr(AccountSession, "fetch_record", noted)
    return moments


@pytest.fixture
def wait(publish_id: str, waits: Waits) -> Wait:
    """Run a trigger with the post key for an hour at most."""

    def run(post_key: str | None) -> Outcome:
        now = waits.now()
        trigger = TikTokPostStatusTrigger(CONN_ID, publish_id, "post_id", now, now + 3600, post_key=post_key)

        async def collect() -> list[TriggerEvent]:
            return [event async for event in trigger.run()]

        [event] = waits.run(collect())
        return Outcome.from_event(event.payload)

    return run


def resolve(*, posted: bool) -> None:
    """Resolve the post as a person does, in another process."""
    resolving = PostService().resolve(CONN_ID, POST_KEY, posted=posted, actor="ann")
    with ThreadPoolExecutor(1) as elsewhere:
        elsewhere.submit(asyncio.run, resolving).result()


@pytest.mark.parametrize(("posted", "kind"), [(True, "done"), (False, "failed")])
def test_what_a_person_says_of_a_post_ends_the_waiting_without_tiktok_being_asked_again(
    wait: Wait, creator: Creator, waits: Waits, monkeypatch: pytest.MonkeyPatch, posted: bool, kind: str
) -> None:
    calls: list[int] = []

    def say(_: int) -> None:
        if waits.passed > 1000 and not calls:
            resolve(posted=posted)
            calls.append(len(creator.calls(STATUS)))

    monkeypatch.setattr(post_status, "RECORD_EVERY", 10.0)
    waits.before = say
    assert wait(POST_KEY).kind == kind
    assert calls == [len(creator.calls(STATUS))]
    assert 1000 < waits.passed < 1400


def test_the_store_is_asked_for_the_record_of_a_post_every_ten_minutes_at_most(
    wait: Wait, asked: list[float]
) -> None:
    """That it is uncertain there ends nothing: TikTok may still say how it ends."""
    assert wait(POST_KEY).kind == "deadline"
    assert 3 <= len(asked) <= 6
    assert all(later - earlier > 500 for earlier, later in pairwise([0.0, *asked]))


def test_nothing_is_asked_of_the_store_for_a_post_that_is_not_on_record(
    wait: Wait, asked: list[float]
) -> None:
    assert wait(None).kind == "deadline"
    assert asked == []


def test_a_store_that_does_not_answer_leaves_the_word_to_tiktok(
    wait: Wait, creator: Creator, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = AsyncInProcessStore.run
    failed: list[int] = []

    async def away(store: AsyncInProcessStore, request: StoreRequest[Any]) -> Any:
        if isinstance(request, GetPost):
            failed.append(len(creator.calls(STATUS)))
            raise StoreUnreachableError("The store is away", maybe_processed=False)
        return await answer(store, request)

    monkeypatch.setattr(AsyncInProcessStore, "run", away)
    outcome = wait(POST_KEY)
    assert (outcome.kind, outcome.status["status"]) == ("deadline", "PROCESSING_UPLOAD")
    assert failed == sorted(set(failed)), "TikTok was asked after each"
