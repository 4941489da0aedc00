"""How posts end: what TikTok told, what a person decided, what is forgotten and what is kept."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.database.posts.posting import (
    FAILED,
    FINISHING,
    INTENDED,
    KEY,
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
from tiktok_provider.database.posts.service import KEEP_ATTEMPTS, PostService
from tiktok_provider.store.errors import PostStateError, PostTakenError
from tiktok_provider.store.posts import (
    MarkUncertain,
    PostOutcome,
    PostRecord,
    PostState,
    PostStep,
    Release,
    Renew,
    Verdict,
)

FIRST, SECOND = "v_pub~1", "v_pub~2"
ENDS = (PostState.UNCERTAIN, PostState.FAILED, PostState.IN_INBOX, PostState.OUT)


@pytest.fixture
def posts(mia: Mia) -> Posts:
    return Posts(mia, PostService(clock=mia.clock))


def ended(state: PostState, publish_id: str = FIRST, *post_ids: str) -> PostOutcome:
    reason = "" if state in (PostState.OUT, PostState.IN_INBOX) else f"why {state}"
    return PostOutcome(
        publish_id=publish_id,
        state=state,
        status={"status": str(state)},
        post_ids=post_ids,
        fail_reason=reason,
        log_id=f"log {state}",
    )


def events(posts: Posts) -> list[str]:
    return [event for event, _ in posts.mia.audit_log() if event.startswith("tiktok_post")]


def resolve(posts: Posts, *, posted: bool, **found: str) -> PostRecord:
    return run(posts.store.resolve("mia", KEY, posted=posted, actor="anna", **found))


@pytest.mark.parametrize("second", ENDS)
@pytest.mark.parametrize("first", ENDS)
def test_of_two_outcomes_the_more_certain_one_stays(
    posts: Posts, first: PostState, second: PostState
) -> None:
    posts.bring_to(*FINISHING)
    posts.record_outcome(ended(first))
    record = posts.record_outcome(ended(second))
    stays = max(first, second, key=ENDS.index)
    assert (record.state, record.status) == (stays, {"status": str(stays)})
    assert record.fail_reason == ended(stays).fail_reason
    [attempt] = posts.attempts()
    assert attempt.outcome == stays
    assert posts.record_outcome(ended(second)) == record == posts.look(), "said again, nothing changes"


def test_another_tasks_deadline_counts_only_when_nobody_can_be_sending_any_more(posts: Posts) -> None:
    posts.bring_to(*FINISHING)
    doubt = ended(PostState.UNCERTAIN)
    assert posts.record_outcome(doubt, task=OTHER_TASK).state == PostState.FINISHING
    assert posts.record_outcome(ended(PostState.OUT), task=OTHER_TASK).state == PostState.OUT, (
        "TikTok's word counts"
    )


def test_another_tasks_deadline_counts_once_the_lease_has_ended(posts: Posts) -> None:
    posts.bring_to(*FINISHING)
    posts.mia.clock.advance(seconds=61)
    assert posts.record_outcome(ended(PostState.UNCERTAIN), task=OTHER_TASK).state == PostState.UNCERTAIN


def test_who_is_settled_by_a_person_cannot_write_any_more(posts: Posts) -> None:
    posts.bring_to(*FINISHING)
    posts.record_outcome(ended(PostState.UNCERTAIN))
    assert resolve(posts, posted=False).status == {}
    with pytest.raises(PostTakenError):
        posts.write(Renew())


def test_a_later_answer_adds_the_post_ids(posts: Posts) -> None:
    posts.bring_to(*FINISHING)
    assert posts.record_outcome(ended(PostState.OUT)).post_ids == ()
    record = posts.record_outcome(
        replace(ended(PostState.OUT, FIRST, "75"), post_url="https://www.tiktok.com/@mia/video/75")
    )
    assert (record.post_ids, record.post_url) == (("75",), "https://www.tiktok.com/@mia/video/75")
    assert posts.record_outcome(ended(PostState.OUT)) == record
    assert posts.record_outcome(ended(PostState.OUT, FIRST, "75", "76")).post_ids == ("75", "76")


def test_an_outcome_frees_the_lease(posts: Posts) -> None:
    posts.bring_to(*FINISHING)
    posts.record_outcome(ended(PostState.FAILED))
    assert posts.claim(wish(task=OTHER_TASK)).verdict is Verdict.YOURS


def test_an_outcome_of_an_earlier_attempt_leaves_the_present_one_alone(posts: Posts) -> None:
    posts.bring_to(*FINISHING)
    posts.record_outcome(ended(PostState.UNCERTAIN))
    resolve(posts, posted=False)
    posts.claim(wish(2))
    record = posts.write(intend(), start(SECOND))
    assert posts.record_outcome(ended(PostState.FAILED, FIRST)) == record
    assert [attempt.outcome for attempt in posts.attempts()] == ["failed", ""]


@pytest.mark.parametrize("state", [PostState.OUT, PostState.IN_INBOX])
def test_an_earlier_attempt_that_has_come_out_after_all_is_the_post(posts: Posts, state: PostState) -> None:
    posts.bring_to(*FINISHING)
    posts.record_outcome(ended(PostState.FAILED))
    posts.write(intend(), start(SECOND))
    record = posts.record_outcome(ended(state, FIRST, "75"))
    assert (record.state, record.publish_id, record.post_ids) == (state, FIRST, ("75",))
    assert events(posts) == ["tiktok_post_out_of_earlier_attempt"]
    with pytest.raises(PostStateError):
        posts.write(start(SECOND, finishing=True))
    assert posts.record_outcome(ended(state, FIRST, "75")) == record
    assert len(events(posts)) == 1


def test_two_attempts_that_are_both_out_are_told(posts: Posts) -> None:
    posts.bring_to(*FINISHING)
    posts.record_outcome(ended(PostState.FAILED))
    posts.write(intend(), start(SECOND, finishing=True))
    record = posts.record_outcome(ended(PostState.OUT, SECOND))
    for _ in range(2):
        assert posts.record_outcome(ended(PostState.OUT, FIRST)) == record
    assert len(events(posts)) == 1, "said again, it is not told again"
    assert posts.mia.audit_log()[-1] == (
        "tiktok_post_out_twice",
        {"conn_id": "mia", "post_key": KEY, "publish_id": FIRST, "last_publish_id": SECOND},
    )


def test_what_cannot_be_settled_is_named(posts: Posts) -> None:
    with pytest.raises(PostStateError, match=r"(?s)no record of this post.*airflow tiktok posts"):
        posts.record_outcome(out())
    posts.bring_to(*FINISHING)
    with pytest.raises(PostStateError, match="no attempt of it has the publish id v_pub~9"):
        posts.record_outcome(out("v_pub~9"))
    with pytest.raises(PostStateError, match="'uploading' is no outcome"):
        posts.record_outcome(ended(PostState.UPLOADING))


def test_a_person_says_that_an_uncertain_post_is_out(posts: Posts) -> None:
    posts.bring_to(*UNCERTAIN)
    record = resolve(posts, posted=True, post_id="75", post_url="https://www.tiktok.com/@mia/video/75")
    assert (record.state, record.resolved_by, record.post_ids) == (PostState.OUT, "anna", ("75",))
    assert record.post_url == "https://www.tiktok.com/@mia/video/75"
    assert posts.claim(wish(2)).verdict is Verdict.ENDED
    assert events(posts) == ["tiktok_post_uncertain", "tiktok_post_resolved"]


def test_a_person_says_that_an_uncertain_post_is_not_out(posts: Posts) -> None:
    posts.bring_to(*FINISHING, MarkUncertain(reason="the deadline is over"))
    record = resolve(posts, posted=False)
    assert (record.state, record.fail_reason) == (PostState.FAILED, "not posted, says anna")
    assert posts.claim(wish(2)).verdict is Verdict.YOURS
    assert posts.write(intend()).attempt == 2
    assert posts.record_outcome(ended(PostState.OUT, FIRST)).state is PostState.OUT, "TikTok knows better"


@pytest.mark.parametrize("steps", [(), INTENDED, UPLOADING, FINISHING, FAILED], ids=lambda s: str(len(s)))
def test_only_an_uncertain_post_can_be_resolved(posts: Posts, steps: tuple[PostStep, ...]) -> None:
    record = posts.bring_to(*steps)
    with pytest.raises(PostStateError, match="only an uncertain post"):
        resolve(posts, posted=True)
    assert posts.look() == record


def test_a_post_whose_last_byte_left_a_day_ago_can_be_settled_by_a_person(posts: Posts) -> None:
    posts.bring_to(*FINISHING)
    with pytest.raises(PostStateError, match="only an uncertain post"):
        resolve(posts, posted=True)
    posts.mia.clock.advance(hours=24, seconds=1)
    with pytest.raises(PostStateError, match="forgetting it could post it twice"):
        run(posts.store.forget("mia", KEY, actor="anna"))
    assert resolve(posts, posted=False).state == PostState.FAILED
    assert posts.record_outcome(ended(PostState.OUT)).state == PostState.OUT, "TikTok's own word counts more"


def test_an_init_of_a_url_that_nobody_came_back_to_counts_as_uncertain(posts: Posts) -> None:
    posts.bring_to(intend("url"), source="url")
    with pytest.raises(PostStateError, match="a task is publishing it"):
        run(posts.store.forget("mia", KEY, actor="anna"))
    posts.mia.clock.advance(seconds=61)
    with pytest.raises(PostStateError, match="airflow tiktok resolve mia"):
        run(posts.store.forget("mia", KEY, actor="anna"))
    assert resolve(posts, posted=False).state is PostState.FAILED


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ((), "a task is publishing it"),
        (INTENDED, "a task is publishing it"),
        (UPLOADING, "a task is publishing it"),
        (FINISHING, "may be publishing it now"),
        ((*FINISHING, Release()), "may be publishing it now"),
        (UNCERTAIN, "airflow tiktok resolve mia campaign/7 --posted"),
    ],
)
def test_a_post_that_is_under_way_or_uncertain_is_not_forgotten(
    posts: Posts, steps: tuple[PostStep, ...], reason: str
) -> None:
    record = posts.bring_to(*steps)
    with pytest.raises(PostStateError) as refused:
        run(posts.store.forget("mia", KEY, actor="anna"))
    assert reason in str(refused.value)
    assert posts.look() == record


@pytest.mark.parametrize("steps", [(*UPLOADING, Release()), FAILED, (*FINISHING, out())], ids=str)
def test_a_forgotten_post_can_be_posted_again(
    posts: Posts, steps: tuple[PostStep | PostOutcome, ...]
) -> None:
    posts.bring_to()
    for step in steps:
        posts.record_outcome(step) if isinstance(step, PostOutcome) else posts.write(step)
    before = posts.look()
    assert run(posts.store.forget("mia", KEY, actor="anna")) == before
    assert run(posts.store.look("mia", KEY)) is None
    assert run(posts.store.posts()) == []
    assert posts.attempts() == []
    assert posts.mia.audit_log()[-1] == (
        "tiktok_post_forgotten",
        {"conn_id": "mia", "post_key": KEY, "outcome": before.state},
    )
    again = posts.claim(wish(5)).record
    assert (again.state, again.attempt, again.publish_id) == (PostState.CLAIMED, 0, None)
    assert posts.write(intend(), start(SECOND)).attempt == 1


def test_a_worker_that_stood_still_is_refused_even_after_its_post_was_forgotten(posts: Posts) -> None:
    posts.bring_to(*UPLOADING)
    stopped = posts.generation
    posts.mia.clock.advance(seconds=61)
    run(posts.store.forget("mia", KEY, actor="anna"))
    with pytest.raises(PostTakenError):
        run(posts.store.write("mia", KEY, stopped, Release()))
    posts.claim(wish(1))
    posts.write(intend())
    with pytest.raises(PostTakenError):
        run(posts.store.write("mia", KEY, stopped, start(SECOND)))


def test_posts_are_listed_by_state_and_account_the_last_changed_first(posts: Posts) -> None:
    for number, steps in enumerate([(), UNCERTAIN, FINISHING, UNCERTAIN]):
        posts.mia.clock.advance(seconds=1)
        generation = run(posts.store.claim("mia", f"k{number}", wish())).record.generation
        for step in steps:
            run(posts.store.write("mia", f"k{number}", generation, step))

    def keys(**wanted: object) -> list[str]:
        return [record.post_key for record in run(posts.store.posts(**wanted))]  # type: ignore[arg-type]

    assert keys() == ["k3", "k2", "k1", "k0"]
    assert keys(state=PostState.UNCERTAIN) == ["k3", "k1"]
    assert keys(conn_id="mia", limit=1) == ["k3"]
    assert keys(conn_id="anna") == []


def test_posts_are_listed_by_dag_and_by_the_time_of_their_last_change(posts: Posts) -> None:
    begin = posts.mia.clock.now
    for dag_id in ("spring", "autumn"):
        claim = replace(wish(), origin={"dag_id": dag_id, "task_id": "publish"})
        run(posts.store.claim("mia", dag_id, claim))
        posts.mia.clock.advance(seconds=60)

    def keys(**wanted: object) -> list[str]:
        return [record.post_key for record in run(posts.store.posts(**wanted))]  # type: ignore[arg-type]

    assert keys(dag_id="spring") == ["spring"]
    assert keys(dag_id="summer") == []
    assert keys(since=begin + timedelta(seconds=60)) == ["autumn"]
    assert keys(until=begin + timedelta(seconds=60)) == ["spring"]


def test_attempts_go_after_ninety_days_and_outcomes_stay(posts: Posts) -> None:
    posts.bring_to(*FINISHING)
    posts.record_outcome(ended(PostState.FAILED))
    posts.mia.clock.advance(seconds=1)
    record = posts.write(*FAILED)
    later = PostService(clock=lambda: posts.mia.clock.now + KEEP_ATTEMPTS)
    assert run(later.prune()) == 1
    assert [attempt.number for attempt in posts.attempts()] == [2]
    much_later = PostService(clock=lambda: posts.mia.clock.now + KEEP_ATTEMPTS + timedelta(days=1))
    assert run(much_later.prune()) == 1
    assert posts.look() == record
    assert posts.write(intend()).attempt == 3, "numbers go on"
