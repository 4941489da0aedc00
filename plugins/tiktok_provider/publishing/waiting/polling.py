"""What to do next while a post is under way: pure decisions, shared by operator, sensor and trigger."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

from tiktok_provider.api.posting import PostStatus, Status
from tiktok_provider.error_table import UPLOAD_INCOMPLETE, api_error, post_failed
from tiktok_provider.exceptions import (
    ApiError,
    ConnectionSettingsError,
    PostError,
    PostInInboxError,
    PostTimeoutError,
    PostUncertainError,
    Retry,
    TikTokError,
)
from tiktok_provider.store.posts import PostRecord, PostState

WaitFor = Literal["complete", "post_id", "inbox", "posted"]
Kind = Literal["done", "failed", "inbox", "incomplete", "deadline", "refused"]

# A post is usually ready within a minute, but moderation can take hours: the pause grows with the age.
SHORTEST_PAUSE, LONGEST_PAUSE = 2.0, 600.0
PAUSE_PER_AGE = 0.15
MINUTE_WINDOW = 60.0
# An upload URL lives an hour. If bytes are missing a while after that, they can never come.
UPLOAD_IS_OVER = 75 * 60.0
# TikTok does not know a publish id, or not any more.
FORGOTTEN = "invalid_publish_id"
# Seconds after which it must know one that it has given.
KNOWN_AFTER = 120.0
# A last poll that cannot be made within so many seconds after the deadline is given up.
LAST_POLL_PATIENCE = 120.0
# What TikTok would say of a post whose end is on record.
_STATUS_ON_RECORD = {
    PostState.OUT: Status.PUBLISH_COMPLETE,
    PostState.IN_INBOX: Status.SEND_TO_USER_INBOX,
    PostState.FAILED: Status.FAILED,
}


@dataclass(frozen=True, slots=True)
class Watch:
    """One post that is waited for.

    :param wait_for: ``complete``: published; ``post_id``: published, and TikTok has given the public id;
        ``inbox``: delivered as a draft; ``posted``: the creator has posted the draft.
    :param started_at: seconds since the epoch, when the last byte left; pauses grow from here.
    :param deadline: seconds since the epoch.
    :param size: bytes of the file that was uploaded; None if it is not known.
    :param post_key: under which the post is on record; None if it is not, as in a sensor.
    :param id_patience: seconds for which ``post_id`` waits once the post is published; None: to the deadline.
    :param cancel_for: the try for which TikTok is asked to stop its pull when a person ends that try; empty: never.
    """

    publish_id: str
    wait_for: WaitFor
    started_at: float
    deadline: float
    size: int | None = None
    post_key: str | None = None
    id_patience: float | None = None
    cancel_for: str = ""

    def lacks_only_id(self, status: PostStatus) -> bool:
        """Whether the post is published, and its id is waited for."""
        complete = status.status == Status.PUBLISH_COMPLETE
        return complete and self.wait_for == "post_id" and not status.post_ids

    def once_out(self, out_at: float) -> "Watch":
        """Return what is waited for of a post that is published: its id, and no longer than ``id_patience``.

        :param out_at: seconds since the epoch.
        """
        if self.id_patience is None or self.wait_for != "post_id":
            return self
        return replace(self, deadline=min(self.deadline, out_at + self.id_patience), id_patience=None)


@dataclass(frozen=True, slots=True)
class PollAgain:
    """Ask again after a pause.

    :param pause: seconds, before jitter.
    """

    pause: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """The waiting is over. It crosses from the triggerer to the worker as plain values.

    :param kind: ``done``, or why not: ``failed`` by TikTok, in the ``inbox``, ``incomplete`` at TikTok for good, at
        the ``deadline``, or the question itself was ``refused``.
    :param status: TikTok's last answer as ``PostStatus`` fields; empty if there was none.
    :param refusal: for ``refused``: what TikTok or the Connection said.
    """

    publish_id: str
    kind: Kind
    status: dict[str, Any] = field(default_factory=dict)
    refusal: dict[str, Any] = field(default_factory=dict)

    def to_event(self) -> dict[str, Any]:
        """Return it as the payload of a trigger event."""
        return asdict(self)

    @classmethod
    def from_event(cls, event: Any) -> "Outcome":
        """Read a trigger event; anything else is refused, so that no task falls through to success.

        :raises ValueError: if it is not one of ours.
        """
        if not isinstance(event, dict) or event.get("kind") not in get_args(Kind):
            raise ValueError(f"The trigger sent an event that is not one of ours: {type(event).__name__}")
        return cls(event["publish_id"], event["kind"], event.get("status") or {}, event.get("refusal") or {})


def on_status(watch: Watch, status: PostStatus, now: float) -> PollAgain | Outcome:
    """Decide after an answer. What is final on the last poll beats the deadline."""
    answer = status.model_dump(mode="json")
    if status.status == Status.FAILED:
        return Outcome(watch.publish_id, "failed", answer)
    if _is_reached(watch.wait_for, status):
        return Outcome(watch.publish_id, "done", answer)
    if status.status == Status.SEND_TO_USER_INBOX and watch.wait_for in ("complete", "post_id"):
        return Outcome(watch.publish_id, "inbox", answer)
    if _can_never_finish(watch, status, now):
        return Outcome(watch.publish_id, "incomplete", answer)
    if now >= watch.deadline:
        return at_deadline(watch, status)
    return PollAgain(next_pause(watch, now))


def on_record(watch: Watch, record: PostRecord, now: float) -> Outcome | None:
    """Decide by what the store knows; None if TikTok must be asked.

    That a post is uncertain ends nothing: another task may have waited less long, and TikTok can still be asked.
    """
    known = _STATUS_ON_RECORD.get(record.state)
    if known is None or record.publish_id != watch.publish_id:
        return None
    fields = {"status": known, "post_ids": list(record.post_ids), "fail_reason": record.fail_reason}
    status = PostStatus.model_validate(fields)
    if record.state == PostState.OUT and record.resolved_by:
        # A person need not know the public id.
        return at_deadline(watch, status)
    step = on_status(watch, status, now)
    return step if isinstance(step, Outcome) else None


def on_error(
    watch: Watch, error: TikTokError, now: float, last: PostStatus | None = None
) -> PollAgain | Outcome:
    """Decide after a poll that failed: faults that pass are waited out, refusals end the waiting.

    :param last: TikTok's last answer, if there was one.
    """
    if not passes(error) and not _may_be_too_new(watch, error, now):
        if last is not None and last.status == Status.PUBLISH_COMPLETE:
            # Only its id is missing, and TikTok gives it no more.
            return at_deadline(watch, last)
        return Outcome(watch.publish_id, "refused", refusal=_as_refusal(error))
    if now >= watch.deadline:
        return at_deadline(watch, last)
    wanted = error.retry_after or (MINUTE_WINDOW if error.retry == Retry.NEXT_MINUTE else 0.0)
    # However long TikTok wants to be left alone: at the deadline there is a decision to make.
    return PollAgain(min(max(wanted, next_pause(watch, now)), watch.deadline - now))


def _may_be_too_new(watch: Watch, error: TikTokError, now: float) -> bool:
    """Whether status may not know yet a publish id that TikTok itself has given us; a sensor's may be mistyped."""
    is_unknown = isinstance(error, ApiError) and error.code == FORGOTTEN
    return is_unknown and watch.post_key is not None and now < watch.started_at + KNOWN_AFTER


def passes(error: TikTokError) -> bool:
    """Whether asking again later can help."""
    return error.retry in (Retry.ONCE, Retry.BACKOFF, Retry.NEXT_MINUTE)


def at_deadline(watch: Watch, last: PostStatus | None) -> Outcome:
    """End the waiting by TikTok's last answer. What is out and only lacks its id is a success all the same."""
    if last is None:
        return Outcome(watch.publish_id, "deadline")
    out = last.status == Status.PUBLISH_COMPLETE
    return Outcome(watch.publish_id, "done" if out else "deadline", last.model_dump(mode="json"))


def given_up_in(watch: Watch, now: float) -> float:
    """Return the seconds after which a last poll that may not be made has been put off for too long."""
    return watch.deadline + LAST_POLL_PATIENCE - now


def next_pause(watch: Watch, now: float) -> float:
    """Return the seconds until the next poll: 2 at first, growing with the age up to 600, never past the deadline."""
    pause = min(max((now - watch.started_at) * PAUSE_PER_AGE, SHORTEST_PAUSE), LONGEST_PAUSE)
    return max(min(pause, watch.deadline - now), 0.1)


def result_of(outcome: Outcome) -> PostStatus:
    """Return the final status of a post that is done.

    :raises PostFailedError: TikTok reports FAILED, or never got the last bytes: nothing is out.
    :raises PostInInboxError: it landed in the inbox where a post was wanted.
    :raises PostTimeoutError: at the deadline.
    :raises PostUncertainError: TikTok no longer tells.
    """
    if outcome.kind == "done":
        return PostStatus.model_validate(outcome.status)
    raise _error_of(outcome)


def _error_of(outcome: Outcome) -> PostError:
    publish_id = outcome.publish_id
    if outcome.kind == "failed":
        return post_failed(publish_id, str(outcome.status.get("fail_reason", "")))
    if outcome.kind == "incomplete":
        return post_failed(publish_id, UPLOAD_INCOMPLETE)
    if outcome.kind == "inbox":
        return PostInInboxError(
            "TikTok delivered the post to the creator's inbox instead of publishing it.\n"
            "The creator finishes it in the TikTok app; wait for that with TikTokPostStatusSensor and"
            f" wait_for='posted'.\n(publish_id {publish_id})",
            publish_id=publish_id,
        )
    if outcome.kind == "deadline" and outcome.status.get("status") == Status.SEND_TO_USER_INBOX:
        return PostTimeoutError(
            "The creator had not posted the draft at the deadline; it is still in the inbox.\n"
            "The creator finds it in the TikTok app under Inbox, not under Drafts. Clear this task to go on waiting"
            f" for the same draft.\n(publish_id {publish_id})",
            publish_id=publish_id,
        )
    if outcome.kind == "deadline":
        return PostTimeoutError(
            f"TikTok had not finished at the deadline; its last word: {outcome.status.get('status', 'none')}.\n"
            "The post may still come out: look at the account, or clear this task to go on waiting for the same"
            f" post.\n(publish_id {publish_id})",
            publish_id=publish_id,
        )
    return _uncertain(publish_id, outcome.refusal)


def _uncertain(publish_id: str, refusal: dict[str, Any]) -> PostUncertainError:
    """Say what can be done: a publish id that TikTok has forgotten is lost, anything else can be mended."""
    way_out = (
        "It may be out: look at the account."
        if refusal.get("code") == FORGOTTEN
        else "It may come out all the same. Once this is mended, clear this task: it goes on with the same post."
    )
    return PostUncertainError(
        f"TikTok cannot be asked what became of the post.\n{_from_refusal(refusal)}\n{way_out}\n"
        f"(publish_id {publish_id})",
        publish_id=publish_id,
    )


def _can_never_finish(watch: Watch, status: PostStatus, now: float) -> bool:
    if watch.size is None or status.uploaded_bytes is None or now < watch.started_at + UPLOAD_IS_OVER:
        return False
    # It may be the index of the last byte and no count, as in the answers to chunks: then nothing is missing.
    return status.status == Status.PROCESSING_UPLOAD and status.uploaded_bytes + 1 < watch.size


def _is_reached(wait_for: WaitFor, status: PostStatus) -> bool:
    complete = status.status == Status.PUBLISH_COMPLETE
    if wait_for == "post_id":
        return complete and bool(status.post_ids)
    if wait_for == "inbox":
        return complete or status.status == Status.SEND_TO_USER_INBOX
    return complete


def _as_refusal(error: TikTokError) -> dict[str, Any]:
    if isinstance(error, ApiError):
        return {
            "code": error.code,
            "http_status": error.http_status,
            "detail": error.detail,
            "log_id": error.log_id,
        }
    return {"message": str(error)}


def _from_refusal(refusal: dict[str, Any]) -> TikTokError:
    if "code" in refusal:
        return api_error(
            refusal["code"], refusal["http_status"], detail=refusal["detail"], log_id=refusal["log_id"]
        )
    return ConnectionSettingsError(str(refusal.get("message", "")))
