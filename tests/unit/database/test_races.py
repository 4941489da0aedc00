"""Several processes with one post or one rate limit at the same moment: the database decides, and decides once."""

import asyncio
import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TypeVar

import pytest
from sqlalchemy import select

from tests.unit.database.posts.posting import KEY, intend, run, start, wish
from tests.unit.databases import Mia, configure
from tiktok_provider.database.accounts.connections import read_stored_account
from tiktok_provider.database.posts.transitions import claim, write
from tiktok_provider.database.rate_limits.transitions import take
from tiktok_provider.database.services import Services
from tiktok_provider.database.session import change, transaction
from tiktok_provider.database.tables import AttemptRow, PostRow
from tiktok_provider.exceptions import TikTokError
from tiktok_provider.store.errors import PostTakenError, StoreBusyError
from tiktok_provider.store.posts import Claimed, PostState, Verdict
from tiktok_provider.store.rate_limits import Endpoint, Granted
from tiktok_provider.store.requests import ClaimPost, StoreRequest, TakeCalls

T = TypeVar("T")

RIVALS = 6
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.unit.database.posts.posting", "tiktok_provider.database.services"])


def patiently(step: Callable[[], T]) -> T:
    """Do one step, again while the store is busy, which changes nothing."""
    for _ in range(50):
        try:
            return step()
        except StoreBusyError:
            continue
    raise AssertionError("busy for ever")


def at_once(work: Callable[[int], object]) -> list[object]:
    """Do it in so many threads at the same moment, as if each were a process; an error is an outcome."""
    barrier = threading.Barrier(RIVALS)

    def run(number: int) -> object:
        barrier.wait()
        try:
            return work(number)
        except TikTokError as error:
            return error

    with ThreadPoolExecutor(RIVALS) as threads:
        return list(threads.map(run, range(RIVALS)))


def test_of_several_tasks_that_claim_at_once_one_gets_the_post(mia: Mia) -> None:
    asyncio.run(mia.store().look("mia"))
    app, now = read_stored_account("mia", mia.clock.now), mia.clock.now

    def claim_it(number: int) -> object:
        return patiently(
            lambda: change(lambda session: claim(session, app, KEY, wish(task=f"task {number}"), now))
        )

    claims = at_once(claim_it)
    verdicts = [claimed.verdict for claimed in claims if isinstance(claimed, Claimed)]
    assert sorted(verdicts) == [Verdict.THEIRS] * (RIVALS - 1) + [Verdict.YOURS]
    with transaction() as session:
        assert [row.generation for row in session.scalars(select(PostRow))] == [1]


def test_of_several_tries_that_take_over_at_once_one_can_still_write(mia: Mia) -> None:
    asyncio.run(mia.store().look("mia"))
    app, now = read_stored_account("mia", mia.clock.now), mia.clock.now
    begun = change(lambda session: claim(session, app, KEY, wish(), now))
    change(lambda session: write(session, "mia", KEY, begun.record.generation, intend(), now))

    def take_over_and_start(number: int) -> object:
        mine = wish(2, try_id=f"process {number}")
        taken = patiently(lambda: change(lambda session: claim(session, app, KEY, mine, now)))
        begin, generation = start(f"v_pub~{number}"), taken.record.generation
        return patiently(lambda: change(lambda session: write(session, "mia", KEY, generation, begin, now)))

    outcomes = at_once(take_over_and_start)
    # A try that was overtaken between its two steps is refused; one that comes after a start finds another state.
    accepted = [outcome for outcome in outcomes if not isinstance(outcome, TikTokError)]
    with transaction() as session:
        row = session.scalars(select(PostRow)).one()
        assert row.state == PostState.UPLOADING
        assert row.publish_id in {getattr(record, "publish_id", None) for record in accepted}
        assert len(session.scalars(select(AttemptRow)).all()) == 1
    assert len(accepted) == 1


def test_of_several_posts_with_the_same_media_in_one_slot_one_may_begin(mia: Mia) -> None:
    asyncio.run(mia.store().look("mia"))
    app, now = read_stored_account("mia", mia.clock.now), mia.clock.now
    origin = {"run": "date 2026-11-20"}

    def begin(number: int) -> object:
        key, wanted = f"key {number}", replace(wish(task=f"task {number}"), origin=origin, digest="d1")
        claimed = patiently(lambda: change(lambda session: claim(session, app, key, wanted, now)))
        step = replace(intend(), digest="d1")
        generation = claimed.record.generation
        return patiently(lambda: change(lambda session: write(session, "mia", key, generation, step, now)))

    outcomes = at_once(begin)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == [
        *["PostConflictError"] * (RIVALS - 1),
        "PostRecord",
    ]
    with transaction() as session:
        assert len(session.scalars(select(AttemptRow)).all()) == 1


def test_a_write_that_is_on_its_way_while_another_try_takes_over_is_refused(mia: Mia) -> None:
    asyncio.run(mia.store().look("mia"))
    app, now = read_stored_account("mia", mia.clock.now), mia.clock.now
    generation = change(lambda session: claim(session, app, KEY, wish(), now)).record.generation
    rivals = iter([wish(2)])

    def overtaken(session: object) -> object:
        record = write(session, "mia", KEY, generation, intend(), now)  # type: ignore[arg-type]
        if rival := next(rivals, None):
            session.rollback()  # type: ignore[attr-defined]  # SQLite lets no other transaction write meanwhile
            change(lambda other: claim(other, app, KEY, rival, now))
            record = write(session, "mia", KEY, generation, intend(), now)  # type: ignore[arg-type]
        return record

    with pytest.raises(PostTakenError):
        change(overtaken)


def test_at_once_no_more_calls_are_granted_than_there_are(mia: Mia) -> None:
    now = mia.clock.now

    def take_three(number: int) -> int:
        taken = 0
        for call in range(3):
            wanted = TakeCalls(Endpoint.INIT, f"task {number}/{call}")
            answer = patiently(partial(change, partial(take, conn_id="mia", wanted=wanted, now=now)))
            taken += isinstance(answer, Granted)
        return taken

    assert sum(taken for taken in at_once(take_three) if isinstance(taken, int)) == 6


def _compete(number: int, environment: dict[str, str]) -> tuple[str, int]:
    """Claim a post and take calls, as a process of its own."""
    os.environ.update(environment)
    configure()

    def ask(request: StoreRequest[T]) -> T:
        return patiently(lambda: run(Services().answer("mia", request)))

    claimed = ask(ClaimPost(KEY, wish(task=f"process {number} {os.getpid()}")))
    taken = [ask(TakeCalls(Endpoint.INIT, f"{number}/{call}")) for call in range(4)]
    return claimed.verdict, sum(isinstance(answer, Granted) for answer in taken)


def test_processes_share_posts_and_calls(mia: Mia) -> None:
    asyncio.run(mia.store().look("mia"))
    with ProcessPoolExecutor(4, mp_context=PROCESSES) as processes:
        found = list(processes.map(_compete, range(4), [dict(os.environ)] * 4))
    assert sorted(verdict for verdict, _ in found) == [Verdict.THEIRS] * 3 + [Verdict.YOURS]
    assert sum(taken for _, taken in found) == 6
