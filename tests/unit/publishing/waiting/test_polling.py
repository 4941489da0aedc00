"""The decisions while a post is under way."""

from dataclasses import replace
from typing import Any

import pytest

from tiktok_provider.api.posting import PostStatus
from tiktok_provider.error_table import api_error
from tiktok_provider.exceptions import (
    ConnectionSettingsError,
    ConnectionUnreadableError,
    PostFailedError,
    PostInInboxError,
    PostTimeoutError,
    PostUncertainError,
    TikTokError,
    UnreachableError,
)
from tiktok_provider.publishing.waiting.polling import (
    Outcome,
    PollAgain,
    WaitFor,
    Watch,
    on_error,
    on_record,
    on_status,
    result_of,
)
from tiktok_provider.store.posts import PostRecord, PostState

START, DEADLINE = 1000.0, 1000.0 + 86_400


def watch(wait_for: WaitFor = "complete", size: int | None = None) -> Watch:
    return Watch("v_pub_file~v2-1.1", wait_for, START, DEADLINE, size)


def status(name: str, **fields: Any) -> PostStatus:
    return PostStatus.model_validate({"status": name, **fields})


PUBLIC = {"publicaly_available_post_id": [7551234567890123456]}


@pytest.mark.parametrize(
    ("wait_for", "answer", "kind"),
    [
        ("complete", status("PUBLISH_COMPLETE"), "done"),
        ("post_id", status("PUBLISH_COMPLETE", **PUBLIC), "done"),
        ("inbox", status("SEND_TO_USER_INBOX"), "done"),
        ("inbox", status("PUBLISH_COMPLETE"), "done"),
        ("posted", status("PUBLISH_COMPLETE"), "done"),
        ("complete", status("SEND_TO_USER_INBOX"), "inbox"),
        ("post_id", status("SEND_TO_USER_INBOX"), "inbox"),
        ("complete", status("FAILED", fail_reason="internal"), "failed"),
        ("posted", status("FAILED", fail_reason="internal"), "failed"),
    ],
)
def test_a_final_answer_ends_the_waiting(wait_for: WaitFor, answer: PostStatus, kind: str) -> None:
    ending = on_status(watch(wait_for), answer, START + 5)
    assert isinstance(ending, Outcome)
    assert ending.kind == kind


@pytest.mark.parametrize(
    ("wait_for", "name"),
    [
        ("complete", "PROCESSING_UPLOAD"),
        ("complete", "PROCESSING_DOWNLOAD"),
        ("complete", "SOMETHING_NEW"),
        ("post_id", "PUBLISH_COMPLETE"),
        ("posted", "SEND_TO_USER_INBOX"),
    ],
)
def test_every_other_answer_is_asked_for_again(wait_for: WaitFor, name: str) -> None:
    assert isinstance(on_status(watch(wait_for), status(name), START + 5), PollAgain)


def test_what_is_final_on_the_last_poll_beats_the_deadline() -> None:
    ending = on_status(watch(), status("PUBLISH_COMPLETE"), DEADLINE + 1)
    assert isinstance(ending, Outcome)
    assert ending.kind == "done"


def test_a_published_post_whose_id_is_late_is_a_success_at_the_deadline() -> None:
    ending = on_status(watch("post_id"), status("PUBLISH_COMPLETE"), DEADLINE)
    assert isinstance(ending, Outcome)
    assert result_of(ending).post_ids == ()


HOUR = 3600.0


@pytest.mark.parametrize(
    ("uploaded", "age", "over"),
    [
        (998, 1.3 * HOUR, True),
        (998, 1.2 * HOUR, False),
        # It may be the index of the last byte.
        (999, 2 * HOUR, False),
        (1000, 2 * HOUR, False),
        (None, 2 * HOUR, False),
    ],
)
def test_an_upload_whose_bytes_can_no_longer_come_is_given_up(
    uploaded: int | None, age: float, over: bool
) -> None:
    step = on_status(watch(size=1000), status("PROCESSING_UPLOAD", uploaded_bytes=uploaded), START + age)
    assert isinstance(step, Outcome) == over
    if isinstance(step, Outcome):
        with pytest.raises(PostFailedError, match="upload_incomplete"):
            result_of(Outcome.from_event(step.to_event()))


def test_post_ids_keep_all_their_digits_on_the_way_to_the_worker() -> None:
    ending = on_status(watch("post_id"), status("PUBLISH_COMPLETE", **PUBLIC), START)
    assert isinstance(ending, Outcome)
    carried = Outcome.from_event(ending.to_event())
    assert result_of(carried).post_ids == ("7551234567890123456",)


@pytest.mark.parametrize(
    "raw", [{}, {"publicaly_available_post_id": None}, {"publicaly_available_post_id": []}]
)
def test_a_missing_post_id_is_no_id(raw: dict[str, Any]) -> None:
    assert status("PUBLISH_COMPLETE", **raw).post_ids == ()


def test_a_scalar_post_id_is_one_id() -> None:
    found = status("PUBLISH_COMPLETE", publicaly_available_post_id=7551234567890123456)
    assert found.post_ids == ("7551234567890123456",)


def test_pauses_grow_with_the_age_and_stay_in_their_bounds() -> None:
    ages = [0, 10, 30, 60, 600, 3600, 6 * 3600]
    pauses = [
        step.pause
        for age in ages
        if isinstance(step := on_status(watch(), status("X"), START + age), PollAgain)
    ]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (2.0, 600.0)
    assert pauses[2] < 5


def test_six_hours_of_moderation_cost_at_most_120_polls() -> None:
    now, polls = START, 0
    while now < START + 6 * 3600:
        step = on_status(watch(), status("PROCESSING_UPLOAD"), now)
        assert isinstance(step, PollAgain)
        now, polls = now + step.pause, polls + 1
    assert 20 < polls <= 120


def test_no_pause_goes_past_the_deadline() -> None:
    step = on_status(watch(), status("PROCESSING_UPLOAD"), DEADLINE - 3)
    assert step == PollAgain(3.0)


@pytest.mark.parametrize(
    ("error", "at_least"),
    [
        (UnreachableError("away", maybe_processed=True), 2),
        (api_error("internal_error", 500), 2),
        (ConnectionUnreadableError("away"), 2),
        (api_error("timeout", 408), 2),
        (api_error("invalid_publish_id", 502), 2),
        (api_error("rate_limit_exceeded", 429), 60),
        (api_error("rate_limit_exceeded", 429, retry_after=90), 90),
    ],
)
def test_faults_that_pass_are_waited_out(error: TikTokError, at_least: float) -> None:
    step = on_error(watch(), error, START + 1)
    assert isinstance(step, PollAgain)
    assert step.pause >= at_least


def test_a_fault_at_the_deadline_ends_the_waiting() -> None:
    step = on_error(watch(), UnreachableError("away", maybe_processed=True), DEADLINE)
    assert isinstance(step, Outcome)
    with pytest.raises(PostTimeoutError, match="its last word: none"):
        result_of(step)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (api_error("invalid_publish_id", 400, log_id="L1"), "log_id L1"),
        (api_error("scope_not_authorized", 401), "scope_not_authorized"),
        (ConnectionSettingsError("The account has no token"), "has no token"),
    ],
)
def test_a_refusal_leaves_the_post_uncertain_and_says_why(error: TikTokError, said: str) -> None:
    step = on_error(watch(), error, START)
    assert isinstance(step, Outcome)
    with pytest.raises(PostUncertainError, match=said):
        result_of(Outcome.from_event(step.to_event()))


@pytest.mark.parametrize(
    ("answer", "now", "error", "said"),
    [
        (status("FAILED", fail_reason="frame_rate_check_failed"), START, PostFailedError, "23 to 60 fps"),
        (status("SEND_TO_USER_INBOX"), START, PostInInboxError, "inbox"),
        (status("PROCESSING_UPLOAD"), DEADLINE, PostTimeoutError, "PROCESSING_UPLOAD"),
    ],
)
def test_each_bad_ending_has_its_own_error(
    answer: PostStatus, now: float, error: type[TikTokError], said: str
) -> None:
    ending = on_status(watch(), answer, now)
    assert isinstance(ending, Outcome)
    with pytest.raises(error, match=said):
        result_of(Outcome.from_event(ending.to_event()))


@pytest.mark.parametrize("event", [None, {}, {"kind": "success"}, "done", ["done"]])
def test_an_event_that_is_not_ours_is_never_taken_for_success(event: Any) -> None:
    with pytest.raises(ValueError, match="not one of ours"):
        Outcome.from_event(event)


def test_a_publish_id_that_tiktok_has_just_given_may_not_be_known_to_its_status_yet() -> None:
    refusal = api_error("invalid_publish_id", 400)
    of_a_post = replace(watch(), post_key="sku-42")
    assert isinstance(on_error(of_a_post, refusal, START + 60), PollAgain)
    assert isinstance(on_error(of_a_post, refusal, START + 180), Outcome)
    assert isinstance(on_error(watch(), refusal, START + 60), Outcome), "a sensor's may be mistyped"


def test_a_post_that_is_out_stays_so_when_tiktok_refuses_to_tell_its_id() -> None:
    refusal = api_error("invalid_publish_id", 400)
    out = on_error(watch("post_id"), refusal, START + 60, status("PUBLISH_COMPLETE"))
    assert isinstance(out, Outcome)
    assert (out.kind, out.status["status"]) == ("done", "PUBLISH_COMPLETE")
    not_out = on_error(watch("post_id"), refusal, START + 60, status("PROCESSING_UPLOAD"))
    assert isinstance(not_out, Outcome)
    assert not_out.kind == "refused"


@pytest.mark.parametrize(
    "error",
    [
        api_error("rate_limit_exceeded", 429, retry_after=3000),
        UnreachableError("away", maybe_processed=True),
    ],
)
def test_the_pause_after_a_fault_ends_at_the_deadline(error: TikTokError) -> None:
    assert on_error(watch(), error, DEADLINE - 100) == PollAgain(100.0)
    assert on_error(watch(), error, DEADLINE - 0.25) == PollAgain(0.25)


def record(state: PostState, **fields: Any) -> PostRecord:
    common: dict[str, Any] = {
        "conn_id": "mia",
        "post_key": "k",
        "generation": 1,
        "kind": "video",
        "source": "file",
    }
    return PostRecord(
        **{**common, "fingerprint": "f", "publish_id": "v_pub_file~v2-1.1", "state": state, **fields}
    )


@pytest.mark.parametrize(
    ("wait_for", "known", "kind"),
    [
        ("complete", record(PostState.OUT), "done"),
        ("posted", record(PostState.OUT), "done"),
        ("post_id", record(PostState.OUT, post_ids=("75",)), "done"),
        ("post_id", record(PostState.OUT, resolved_by="ann"), "done"),
        ("inbox", record(PostState.IN_INBOX), "done"),
        ("complete", record(PostState.IN_INBOX), "inbox"),
        ("complete", record(PostState.FAILED, fail_reason="not posted, says ann"), "failed"),
    ],
)
def test_what_is_on_record_ends_the_waiting_as_if_tiktok_had_said_it(
    wait_for: WaitFor, known: PostRecord, kind: str
) -> None:
    outcome = on_record(watch(wait_for), known, START + 5)
    assert outcome is not None
    assert outcome.kind == kind
    carried = Outcome.from_event(outcome.to_event())
    said = PostStatus.model_validate(carried.status)
    assert (said.post_ids, said.fail_reason) == (known.post_ids, known.fail_reason)


@pytest.mark.parametrize(
    ("wait_for", "known"),
    [
        ("post_id", record(PostState.OUT)),
        ("posted", record(PostState.IN_INBOX)),
        ("complete", record(PostState.FINISHING)),
        # Another task may have waited less long.
        ("complete", record(PostState.UNCERTAIN)),
        # Of another attempt.
        ("complete", record(PostState.OUT, publish_id="v_pub_file~v2-1.2")),
        ("complete", record(PostState.FAILED, publish_id=None)),
    ],
)
def test_what_is_on_record_leaves_the_rest_to_tiktok(wait_for: WaitFor, known: PostRecord) -> None:
    assert on_record(watch(wait_for), known, START + 5) is None


def test_the_id_of_a_published_post_is_waited_for_so_long_and_no_longer() -> None:
    waiting = replace(watch("post_id"), id_patience=600.0)
    published = status("PUBLISH_COMPLETE")
    assert waiting.lacks_only_id(published)
    assert not waiting.lacks_only_id(status("PUBLISH_COMPLETE", **PUBLIC))
    out_at = START + 300
    narrowed = waiting.once_out(out_at)
    assert isinstance(on_status(narrowed, published, out_at + 599), PollAgain)
    ending = on_status(narrowed, published, out_at + 600)
    assert isinstance(ending, Outcome)
    assert (ending.kind, result_of(ending).post_ids) == ("done", ())
    assert narrowed.once_out(out_at + 500) == narrowed, "it counts from the first time"


@pytest.mark.parametrize("patience", [None, 10 * 86_400.0])
def test_the_deadline_ends_the_wait_for_an_id_in_any_case(patience: float | None) -> None:
    waiting = replace(watch("post_id"), id_patience=patience)
    assert waiting.once_out(START).deadline == DEADLINE


def test_a_post_that_is_only_waited_for_until_it_is_out_is_not_given_up_earlier() -> None:
    assert replace(watch("complete"), id_patience=0.0).once_out(START).deadline == DEADLINE
