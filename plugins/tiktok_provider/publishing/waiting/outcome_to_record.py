"""What the end of a wait means for the record of a post."""

from collections.abc import Callable

from tiktok_provider.api.posting import PostStatus, Status
from tiktok_provider.error_table import UPLOAD_INCOMPLETE
from tiktok_provider.publishing.waiting.polling import FORGOTTEN, Outcome
from tiktok_provider.store.posts import PostOutcome, PostState


def post_outcome_of(outcome: Outcome, post_url: Callable[[str], str | None]) -> PostOutcome | None:
    """Return what to write; None if the wait has ended with nothing known of the post.

    :param post_url: gives the page of a post id, if it is known.
    """
    state = _state_of(outcome)
    if state is None:
        return None
    status = PostStatus.model_validate(outcome.status) if outcome.status else None
    post_ids = status.post_ids if status else ()
    return PostOutcome(
        publish_id=outcome.publish_id,
        state=state,
        status=outcome.status,
        post_ids=post_ids,
        post_url=post_url(post_ids[0]) if post_ids else None,
        fail_reason=_fail_reason(outcome),
        log_id=str(outcome.refusal.get("log_id", "")),
    )


def is_final(outcome: Outcome) -> bool:
    """Whether TikTok has nothing more to say of the post; the end of a wait alone does not mean that."""
    return outcome.kind != "deadline" and _state_of(outcome) is not None


def _state_of(outcome: Outcome) -> PostState | None:
    match outcome.kind:
        case "done":
            return PostState.IN_INBOX if _is_in_inbox(outcome) else PostState.OUT
        case "inbox":
            return PostState.IN_INBOX
        case "failed" | "incomplete":
            return PostState.FAILED
        case "deadline":
            return PostState.IN_INBOX if _is_in_inbox(outcome) else PostState.UNCERTAIN
        case "refused":
            # Anything but a forgotten id is about the account, and can be mended.
            return PostState.UNCERTAIN if outcome.refusal.get("code") == FORGOTTEN else None


def _is_in_inbox(outcome: Outcome) -> bool:
    return outcome.status.get("status") == Status.SEND_TO_USER_INBOX


def _fail_reason(outcome: Outcome) -> str:
    if outcome.kind == "incomplete":
        return UPLOAD_INCOMPLETE
    return str(outcome.status.get("fail_reason") or "")
