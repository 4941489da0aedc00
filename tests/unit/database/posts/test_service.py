"""Who may publish a post, and what each step does to its record."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update

from tests.unit.database.posts.posting import (
    CONTENT,
    FAILED,
    FINISHING,
    INTENDED,
    KEY,
    MIB,
    OTHER_TASK,
    UNCERTAIN,
    UPLOADING,
    Posts,
    intend,
    out,
    run,
    start,
    wish,
)
from tests.unit.databases import Mia
from tiktok_provider.database.posts.service import PostService
from tiktok_provider.database.session import transaction
from tiktok_provider.database.tables import PostRow
from tiktok_provider.store.errors import AccountChangedError, PostStateError, PostTakenError
from tiktok_provider.store.posts import (
    LEASE,
    MarkFailed,
    MarkUncertain,
    PostOutcome,
    PostState,
    PostStep,
    Progress,
    Release,
    Renew,
    Source,
    Start,
    Verdict,
)


@pytest.fixture
def posts(mia: Mia) -> Posts:
    return Posts(mia, PostService(clock=mia.clock))


def test_the_first_claim_makes_a_record_of_the_account(posts: Posts) -> None:
    assert run(posts.store.look("mia", KEY)) is None
    claimed = posts.claim(wish())
    record = claimed.record
    assert claimed.verdict is Verdict.YOURS
    assert (record.state, record.generation, record.attempt) == (PostState.CLAIMED, 1, 0)
    assert (record.open_id, record.username) == (posts.mia.account.open_id, "mia")
    assert record.lease_until == posts.mia.clock.now + LEASE
    assert (record.content, record.origin["dag_id"]) == (CONTENT, "campaign")
    assert posts.look() == record


def test_another_task_is_told_to_join_until_the_lease_ends(posts: Posts) -> None:
    posts.bring_to(*UPLOADING)
    posts.mia.clock.advance(seconds=20)
    theirs = posts.claim(wish(task=OTHER_TASK))
    assert (theirs.verdict, theirs.retry_in) == (Verdict.THEIRS, 40)
    assert (theirs.record.publish_id, theirs.record.generation) == ("v_pub~1", 1)
    posts.mia.clock.advance(seconds=40)
    mine = posts.claim(wish(task=OTHER_TASK))
    assert (mine.verdict, mine.record.generation, mine.record.state) == (
        Verdict.YOURS,
        2,
        PostState.UPLOADING,
    )


@pytest.mark.parametrize("steps", [(), INTENDED, UPLOADING, FINISHING, FAILED], ids=lambda s: str(len(s)))
def test_a_newer_try_of_the_same_task_takes_over_at_once(posts: Posts, steps: tuple[PostStep, ...]) -> None:
    before = posts.bring_to(*steps)
    taken = posts.claim(wish(2))
    assert (taken.verdict, taken.record.generation) == (Verdict.YOURS, 2)
    assert taken.record.state == before.state


def test_a_released_post_is_free_for_everybody(posts: Posts) -> None:
    posts.bring_to(*UPLOADING, Release())
    assert posts.claim(wish(task=OTHER_TASK)).verdict is Verdict.YOURS


def test_a_claim_that_is_repeated_after_a_lost_answer_keeps_its_generation(posts: Posts) -> None:
    first = posts.claim(wish())
    assert posts.claim(wish()) == first
    other_process = posts.claim(wish(try_id="started again"))
    assert (other_process.verdict, other_process.record.generation) == (Verdict.YOURS, 2)


def test_an_earlier_try_that_wakes_up_late_is_refused(posts: Posts) -> None:
    posts.claim(wish(2))
    with pytest.raises(PostTakenError, match="Try 2 of the same task"):
        posts.claim(wish(1))
    posts.mia.clock.advance(seconds=60)
    assert posts.claim(wish(1)).verdict is Verdict.YOURS, "a run that was made anew counts its tries from 1"


@pytest.mark.parametrize("state", [PostState.OUT, PostState.IN_INBOX, PostState.UNCERTAIN])
def test_what_is_settled_is_told_to_everybody_and_changed_by_no_claim(posts: Posts, state: PostState) -> None:
    posts.bring_to(*FINISHING)
    settled = posts.record_outcome(replace(out(), state=state))
    for claim in (wish(2), wish(task=OTHER_TASK)):
        claimed = run(posts.store.claim("mia", KEY, claim))
        assert (claimed.verdict, claimed.record) == (Verdict.ENDED, settled)


def test_another_account_under_the_same_connection_stops_with_both_names(posts: Posts) -> None:
    record = posts.bring_to(Release())
    anna = posts.mia.sandbox.create_account(username="anna")
    tokens = posts.mia.sandbox.issue_tokens(posts.mia.app, anna)
    fields = posts.mia.fields(tokens)
    posts.mia.define(tokens, extra={**fields["extra"], "username": "anna"})  # type: ignore[dict-item]
    with pytest.raises(AccountChangedError) as refused:
        posts.claim(wish(2))
    assert f"@mia (open id {posts.mia.account.open_id})" in str(refused.value)
    assert f"@anna (open id {anna.open_id})" in str(refused.value)
    assert posts.look() == record


def test_of_a_stopped_worker_every_step_is_refused(posts: Posts) -> None:
    posts.bring_to(*UPLOADING)
    stopped = posts.generation
    posts.mia.clock.advance(seconds=61)
    record = posts.claim(wish(task=OTHER_TASK)).record
    steps: list[PostStep] = [
        intend(),
        start(),
        Progress(sent_bytes=1),
        Progress(sent_bytes=1, finishing=True),
        Renew(),
        Release(),
        MarkFailed(reason="x"),
        MarkUncertain(reason="x"),
    ]
    for step in steps:
        with pytest.raises(PostTakenError, match="must stop"):
            run(posts.store.write("mia", KEY, stopped, step))
    assert posts.look() == record


def test_a_lease_that_ended_is_still_good_while_nobody_took_over(posts: Posts) -> None:
    posts.bring_to(*UPLOADING)
    posts.mia.clock.advance(minutes=10)
    record = posts.write(Progress(sent_bytes=10 * MIB))
    assert record.lease_until == posts.mia.clock.now + LEASE


def test_a_file_goes_step_by_step_and_each_is_on_record(posts: Posts) -> None:
    assert posts.bring_to().lease_until
    record = posts.write(intend(media="f2"))
    assert (record.state, record.attempt, record.fingerprint) == (PostState.INTENDED, 1, "f2")
    record = posts.write(start())
    assert (record.state, record.publish_id, record.size) == (PostState.UPLOADING, "v_pub~1", 30 * MIB)
    record = posts.write(Progress(sent_bytes=10 * MIB))
    assert (record.state, record.sent_bytes, record.finishing_at) == (PostState.UPLOADING, 10 * MIB, None)
    posts.mia.clock.advance(seconds=5)
    record = posts.write(Progress(sent_bytes=20 * MIB, finishing=True))
    assert (record.state, record.finishing_at) == (PostState.FINISHING, posts.mia.clock.now)
    record = posts.write(Release())
    assert record.lease_until is None
    record = posts.record_outcome(out("v_pub~1", "7512345678901234567"))
    assert (record.state, record.post_ids) == (PostState.OUT, ("7512345678901234567",))
    [attempt] = posts.attempts()
    assert (attempt.publish_id, attempt.outcome, attempt.ended_at) == (
        "v_pub~1",
        "out",
        posts.mia.clock.now,
    )


@pytest.mark.parametrize(
    ("before", "step"),
    [
        ((), INTENDED[0]),
        (INTENDED, UPLOADING[1]),
        (INTENDED, FINISHING[1]),
        (UPLOADING, Progress(sent_bytes=10 * MIB)),
        (UPLOADING, Progress(sent_bytes=10 * MIB, finishing=True)),
        (UPLOADING, MarkFailed(reason="x", log_id="l1")),
        (FINISHING, MarkUncertain(reason="x")),
        (UPLOADING, Release()),
        (UPLOADING, Renew()),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
def test_a_step_that_is_repeated_after_a_lost_answer_changes_nothing_more(
    posts: Posts, before: tuple[PostStep, ...], step: PostStep
) -> None:
    posts.bring_to(*before)
    first = posts.write(step)
    assert posts.write(step) == first
    assert len(posts.attempts()) == first.attempt
    assert all(attempt.log_ids in ([], ["l1"]) for attempt in posts.attempts())


ALLOWED: dict[str, set[str]] = {
    "intend": {"claimed", "failed", "uploading", "intended"},
    "start": {"intended"},
    "progress": {"uploading", "finishing"},
    "renew": {str(state) for state in PostState},
    "release": {str(state) for state in PostState},
    "mark_failed": {"intended", "uploading", "finishing", "failed"},
    "mark_uncertain": {"intended", "uploading", "finishing", "uncertain"},
}
REACHED: dict[str, tuple[PostStep | PostOutcome, ...]] = {
    "claimed": (),
    "intended": INTENDED,
    "uploading": UPLOADING,
    "finishing": FINISHING,
    "failed": FAILED,
    "uncertain": UNCERTAIN,
    "out": (*FINISHING, out()),
    "inbox": (*FINISHING, replace(out(), state=PostState.IN_INBOX)),
}


@pytest.mark.parametrize("state", REACHED)
def test_each_step_has_its_states_and_is_refused_from_all_others(posts: Posts, state: str) -> None:
    steps: list[PostStep] = [
        intend(),
        start("v_pub~2"),
        Progress(sent_bytes=1),
        Renew(),
        Release(),
        MarkFailed(reason="x"),
        MarkUncertain(reason="x"),
    ]
    for number, step in enumerate(steps, start=1):
        key = f"{KEY}/{number}"
        generation = run(posts.store.claim("mia", key, wish())).record.generation
        for done in REACHED[state]:
            if isinstance(done, PostOutcome):
                run(posts.store.record_outcome("mia", key, done))
            else:
                run(posts.store.write("mia", key, generation, done))
        before = run(posts.store.look("mia", key))
        assert before is not None
        assert before.state == state
        if state in ALLOWED[step.type]:
            run(posts.store.write("mia", key, generation, step))
        else:
            with pytest.raises(PostStateError, match=f"on record as '{state}'"):
                run(posts.store.write("mia", key, generation, step))
            assert run(posts.store.look("mia", key)) == before


def test_an_init_of_a_file_may_be_intended_again(posts: Posts) -> None:
    posts.bring_to(*INTENDED)
    posts.claim(wish(2))
    assert posts.write(intend()).attempt == 2
    assert [attempt.outcome for attempt in posts.attempts()] == ["abandoned", ""]


def test_an_init_of_a_url_may_not_be_intended_again(posts: Posts) -> None:
    posts.bring_to(intend("url"), source="url")
    posts.claim(wish(2, source="url"))
    with pytest.raises(PostStateError, match="only become uncertain"):
        posts.write(intend("url"))
    with pytest.raises(PostStateError, match="only become uncertain"):
        posts.write(intend("file"))
    assert posts.write(MarkUncertain(reason="no answer to init")).state is PostState.UNCERTAIN
    assert posts.mia.audit_log()[-1] == (
        "tiktok_post_uncertain",
        {"conn_id": "mia", "post_key": KEY, "reason": "no answer to init"},
    )


def test_a_new_attempt_knows_nothing_of_the_last_one(posts: Posts) -> None:
    posts.bring_to(*UPLOADING, Progress(sent_bytes=10 * MIB))
    record = posts.write(intend(media="f2"))
    assert (record.publish_id, record.size, record.sent_bytes, record.encrypted_upload_url) == (
        None,
        None,
        0,
        None,
    )
    old, new = posts.attempts()
    assert (old.publish_id, old.outcome, old.sent_bytes) == ("v_pub~1", "abandoned", 10 * MIB)
    assert (new.number, new.publish_id, new.outcome) == (2, None, "")


def test_a_chunk_that_is_sent_again_keeps_the_time_of_the_last_byte(posts: Posts) -> None:
    first = posts.bring_to(*FINISHING).finishing_at
    posts.mia.clock.advance(minutes=5)
    posts.claim(wish(2))
    for step in (FINISHING[1], Progress(sent_bytes=20 * MIB, finishing=True)):
        record = posts.write(step)
        assert (record.state, record.finishing_at) == (PostState.FINISHING, first)


def test_the_wish_of_a_later_claim_counts_until_something_was_asked_of_tiktok(posts: Posts) -> None:
    posts.bring_to()
    assert posts.claim(wish(2, media="f2")).record.fingerprint == "f2"
    posts.write(intend(media="f2"))
    assert posts.claim(wish(3, media="f3")).record.fingerprint == "f2"


def test_a_claim_needs_no_token(posts: Posts) -> None:
    posts.bring_to(*FINISHING)
    posts.record_outcome(out())
    run(posts.mia.store().disconnect("mia", actor="anna"))
    assert posts.claim(wish(2)).verdict is Verdict.ENDED


def test_a_lease_of_a_clock_that_was_ahead_ends_when_any_other_would(posts: Posts) -> None:
    posts.bring_to(*FAILED)
    with transaction() as session:
        session.execute(update(PostRow).values(lease_until=posts.mia.clock.now + timedelta(days=30)))
    rival = wish(task=OTHER_TASK)
    assert posts.claim(rival).retry_in == LEASE.total_seconds()
    posts.mia.clock.advance(seconds=LEASE.total_seconds())
    assert posts.claim(rival).verdict is Verdict.YOURS


@pytest.mark.parametrize("state", [PostState.INTENDED, PostState.UNCERTAIN, PostState.FAILED])
def test_a_publish_id_of_a_pull_that_comes_late_is_taken_whoever_holds_the_post(
    posts: Posts, state: PostState
) -> None:
    intent = intend("url")
    posts.bring_to(intent, source="url")
    mine = posts.generation
    posts.mia.clock.advance(seconds=61)
    posts.claim(wish(task=OTHER_TASK, source="url"))
    if state is not PostState.INTENDED:
        posts.write(MarkUncertain(reason="not answered"))
    if state is PostState.FAILED:
        run(posts.store.resolve("mia", KEY, posted=False, actor="anna"))
    late = Start(publish_id="v_pub_url~1", finishing=True, intent_id=intent.intent_id)
    until_now = posts.look().generation
    record = run(posts.store.write("mia", KEY, mine, late))
    assert (record.state, record.publish_id) == (PostState.FINISHING, "v_pub_url~1")
    assert (record.fail_reason, record.resolved_by) == ("", "")
    [attempt] = posts.attempts()
    assert (attempt.publish_id, attempt.outcome) == ("v_pub_url~1", "")
    assert posts.mia.audit_log()[-1][0] == "tiktok_post_found_again"
    assert run(posts.store.write("mia", KEY, mine, late)) == record, "said again, after a lost answer"
    with pytest.raises(PostTakenError):
        # The other task holds it in the belief that its publish id is not known: it must stop.
        run(posts.store.write("mia", KEY, until_now, MarkUncertain(reason="not answered")))


@pytest.mark.parametrize("source", ["url", "file"])
def test_a_publish_id_of_another_intent_or_of_a_file_that_comes_late_is_refused(
    posts: Posts, source: Source
) -> None:
    intent = intend(source)
    posts.bring_to(intent, source=source)
    mine = posts.generation
    posts.mia.clock.advance(seconds=61)
    posts.claim(wish(task=OTHER_TASK, source=source))
    other = intent.intent_id if source == "file" else "another intent"
    with pytest.raises(PostTakenError):
        run(posts.store.write("mia", KEY, mine, Start(publish_id="late", finishing=True, intent_id=other)))
    assert posts.look().publish_id is None


def test_the_creators_page_of_an_earlier_attempt_stays_known(posts: Posts) -> None:
    posts.bring_to(intend(), start(), MarkFailed(reason="a chunk was refused"), intend())
    assert posts.look().profile_url == "https://www.tiktok.com/@mia"
