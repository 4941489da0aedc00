"""What the end of a wait says of the post, and what it does not."""

from typing import Any

import pytest

from tiktok_provider.publishing.waiting.outcome_to_record import is_final, post_outcome_of
from tiktok_provider.publishing.waiting.polling import Kind, Outcome
from tiktok_provider.store.posts import PostState


def outcome(kind: Kind, status: str = "", **refusal: str) -> Outcome:
    answer: dict[str, Any] = {"status": status, "post_ids": ["7"]} if status else {}
    return Outcome("p.1", kind, answer, refusal)


@pytest.mark.parametrize(
    ("ending", "state", "final"),
    [
        (outcome("done", "PUBLISH_COMPLETE"), PostState.OUT, True),
        (outcome("done", "SEND_TO_USER_INBOX"), PostState.IN_INBOX, True),
        (outcome("inbox", "SEND_TO_USER_INBOX"), PostState.IN_INBOX, True),
        (outcome("failed", "FAILED"), PostState.FAILED, True),
        (outcome("incomplete", "PROCESSING_UPLOAD"), PostState.FAILED, True),
        (outcome("deadline", "PROCESSING_UPLOAD"), PostState.UNCERTAIN, False),
        (outcome("deadline"), PostState.UNCERTAIN, False),
        (outcome("refused", code="invalid_publish_id"), PostState.UNCERTAIN, True),
    ],
)
def test_each_ending_has_its_state(ending: Outcome, state: PostState, final: bool) -> None:
    recorded = post_outcome_of(ending, lambda post_id: f"https://tiktok/{post_id}")
    assert recorded
    assert (recorded.publish_id, recorded.state) == ("p.1", state)
    assert is_final(ending) is final


@pytest.mark.parametrize(
    "refusal",
    [
        {"code": "scope_not_authorized"},
        {"code": "access_token_invalid", "log_id": "L"},
        {"code": "spam_risk_user_banned_from_posting"},
        {"message": "the connection is not defined"},
    ],
)
def test_a_question_that_is_refused_for_another_reason_says_nothing_of_the_post(
    refusal: dict[str, str],
) -> None:
    ending = outcome("refused", **refusal)
    assert post_outcome_of(ending, lambda _: None) is None
    assert not is_final(ending)


def test_what_tiktok_said_goes_on_record() -> None:
    failed = Outcome("p.1", "failed", {"status": "FAILED", "fail_reason": "frame_rate_check_failed"})
    recorded = post_outcome_of(failed, lambda _: None)
    assert recorded
    assert (recorded.fail_reason, recorded.post_url) == ("frame_rate_check_failed", None)
    refused = outcome("refused", code="invalid_publish_id", log_id="L")
    assert getattr(post_outcome_of(refused, lambda _: None), "log_id", "") == "L"


def test_the_page_is_that_of_the_first_post_id() -> None:
    ending = Outcome("p.1", "done", {"status": "PUBLISH_COMPLETE", "post_ids": ["7", "8"]})
    recorded = post_outcome_of(ending, lambda post_id: f"https://tiktok/{post_id}")
    assert recorded
    assert (recorded.post_ids, recorded.post_url) == (("7", "8"), "https://tiktok/7")


def test_bytes_that_never_came_are_the_reason_of_an_incomplete_upload() -> None:
    recorded = post_outcome_of(outcome("incomplete", "PROCESSING_UPLOAD"), lambda _: None)
    assert recorded
    assert recorded.fail_reason == "upload_incomplete"
