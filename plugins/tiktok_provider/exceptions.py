"""Everything that can go wrong, as one tree.

::

    TikTokError
    ├── InvalidInputError        found before anything was sent: values, media, texts
    ├── ConnectionSettingsError  the Airflow Connection lacks something
    │   ├── ConnectionUnreadableError  not defined, or not readable for a moment
    │   └── HostNotAllowedError  a host outside TikTok's that [tiktok] allowed_hosts does not list
    ├── TooLateError             the slot of the post is over, so nothing was sent
    ├── AccountClosedError       a 24-hour cap is reached, so nothing was sent
    ├── UnreachableError         no answer: the network, a proxy or TikTok is away
    ├── UnexpectedAnswerError    an answer in a shape that TikTok does not document
    ├── ApiError                 TikTok answered with an error code
    │   ├── InvalidRequestError  it refuses what we sent
    │   ├── AuthorizationError   token or scopes
    │   ├── AccountError         the creator's account cannot do this now
    │   ├── AppError             the TikTok app may not do this
    │   ├── RateLimitedError     too many calls in a minute
    │   ├── CapReachedError      a 24-hour cap
    │   ├── ServiceError         TikTok's own fault
    │   └── UndocumentedError    a code that TikTok does not document, perhaps of a relay on the way
    ├── OAuthError               the token endpoint refused
    ├── UploadError              a chunk was refused
    │   └── UploadExpiredError   the upload URL is no longer valid
    └── PostError                about a post that TikTok has accepted
        ├── PostFailedError      TikTok reports FAILED: nothing is out
        ├── PostInInboxError     it waits in the creator's inbox for a human
        ├── PostTimeoutError     not finished at the deadline; it may still come out
        └── PostUncertainError   whether TikTok has accepted it cannot be known

The store adds its own in ``tiktok_provider.store.errors``, among them ``AccountDeadError``: a person must connect
the account again.

Each says what happened, who can fix it (``actor``), whether a retry helps (``retry``) and, where TikTok says
so, when (``retry_after``). The codes, sentences and decisions are in ``tiktok_provider.error_table``.
No message ever contains a token, a response body or a signed URL.

Airflow shows about 85 columns of an error: the first line says what happened and to what, and fits into them; the
following ones say what to do.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Self

from tiktok_provider.plain_text import one_line

log = logging.getLogger(__name__)


class Actor(StrEnum):
    """Who can fix it, so that a retry can help."""

    DAG_AUTHOR = "the author of the DAG"
    ACCOUNT_OWNER = "the owner of the TikTok account"
    APP_OWNER = "the owner of the TikTok app"
    PLATFORM = "the administrator of Airflow"
    MAINTAINERS = "the maintainers of this provider"
    TIKTOK = "TikTok's support"
    NONE = "it passes by itself"


class Retry(StrEnum):
    """Whether repeating the task helps, and when."""

    NEVER = "never"
    ONCE = "once, after some seconds"
    BACKOFF = "soon, with growing delays"
    NEXT_MINUTE = "after TikTok's window of one minute"
    NEXT_DAY = "after TikTok's window of 24 hours"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What one error code means.

    :param meaning: one clause, what happened.
    :param advice: one sentence, what to do.
    :param starts_nothing: whether it is a documented refusal, which proves that the refused call did nothing.
    """

    meaning: str
    advice: str
    actor: Actor
    retry: Retry
    starts_nothing: bool = False


class TikTokError(Exception):
    """Base of all errors of this provider.

    :param retry_after: seconds to wait before a retry, where TikTok named them.
    """

    actor: Actor = Actor.NONE
    retry: Retry = Retry.NEVER
    retry_after: float | None = None


class InvalidInputError(TikTokError, ValueError):
    """Values, media or texts that TikTok would refuse. Nothing was sent; a retry finds the same.

    :param violations: one line for each, with field, value and limit; all of them, not just the first.
    :param closing: the last line: how far it came.
    """

    actor = Actor.DAG_AUTHOR

    def __init__(self, violations: Sequence[str], closing: str = "Nothing was sent to TikTok.") -> None:
        self.violations = tuple(str(violation) for violation in violations)
        super().__init__("\n".join((*self.violations, closing)))


class ConnectionSettingsError(TikTokError):
    """A field of the Airflow Connection is missing or malformed. Nothing was sent."""

    actor = Actor.PLATFORM


class ConnectionUnreadableError(ConnectionSettingsError):
    """The Connection is not defined or could not be read; a task cannot tell the two apart. Nothing was sent."""

    retry = Retry.BACKOFF


class HostNotAllowedError(ConnectionSettingsError):
    """Neither TikTok's own host nor listed in ``[tiktok] allowed_hosts``. Nothing was sent to it."""


class TooLateError(TikTokError):
    """The slot of the post lies further back than ``max_lateness``. Nothing was sent; a retry finds the same."""

    actor = Actor.DAG_AUTHOR


class AccountClosedError(TikTokError):
    """A 24-hour cap is reached, as TikTok has said to another task of the account. Nothing was sent."""

    retry = Retry.NEXT_DAY


class UnreachableError(TikTokError):
    """No answer came.

    :param maybe_processed: False if the request provably never left this machine.
    """

    actor = Actor.PLATFORM
    retry = Retry.BACKOFF

    def __init__(self, message: str, *, maybe_processed: bool) -> None:
        self.maybe_processed = maybe_processed
        super().__init__(message)


class UnexpectedAnswerError(TikTokError):
    """An answer that is not in TikTok's documented shape, such as a proxy's error page."""

    actor = Actor.PLATFORM
    retry = Retry.BACKOFF


class ApiError(TikTokError):
    """TikTok answered with an error code.

    :param code: TikTok's code, such as ``rate_limit_exceeded``.
    :param http_status: of the answer; some codes come with 200.
    :param detail: TikTok's own message.
    :param log_id: what TikTok's support asks for.
    :param retry_after: seconds, where TikTok named them.
    """

    def __init__(
        self,
        explanation: Explanation,
        *,
        code: str,
        http_status: int,
        detail: str = "",
        log_id: str = "",
        retry_after: float | None = None,
    ) -> None:
        self.explanation = explanation
        self.code = code = one_line(code)
        self.http_status = http_status
        self.detail = detail = one_line(detail)
        self.log_id = log_id = one_line(log_id)
        self.retry_after = retry_after
        self.actor = explanation.actor
        self.retry = explanation.retry
        said = f'TikTok says: "{detail}".\n' if detail else ""
        super().__init__(
            f"{explanation.meaning}.\n{said}{explanation.advice}\n"
            f"(code {code or 'none'}, HTTP {http_status}, log_id {log_id or 'none'})"
        )


class InvalidRequestError(ApiError):
    """TikTok refuses what was sent; the same request will be refused again."""


class AuthorizationError(ApiError):
    """The access token is not accepted, or lacks a scope."""


class AccountError(ApiError):
    """The creator's account cannot do this now."""


class AppError(ApiError):
    """The TikTok app may not do this."""


class RateLimitedError(ApiError):
    """Too many calls with this account's token within one minute."""


class CapReachedError(ApiError):
    """A 24-hour cap is reached: the creator's, the app's, or that of pending drafts."""


class ServiceError(ApiError):
    """TikTok's own fault."""


class OAuthError(ApiError):
    """TikTok's token endpoint refused."""


class UndocumentedError(ApiError):
    """A code or HTTP status that TikTok does not document. What was asked for may have been done all the same."""


class UploadError(ApiError):
    """TikTok refused a chunk. What it already holds publishes nothing until the last byte arrives.

    ``out_of_step``: TikTok wants another range. ``progress``: what it says that it holds, as a count of bytes or the
    index of the last one; None if it does not.
    """

    out_of_step = False
    progress: int | None = None

    @property
    def can_begin_again(self) -> bool:
        """Whether a new upload of the same file can succeed."""
        return self.out_of_step


class UploadExpiredError(UploadError):
    """The upload URL is no longer valid (it lives one hour)."""

    @property
    def can_begin_again(self) -> bool:
        """Yes: with a new URL."""
        return True


class PostError(TikTokError):
    """About a post that has a publish id, or may have one.

    :param publish_id: TikTok's id of this attempt, if known.
    """

    actor = Actor.ACCOUNT_OWNER

    def __init__(self, message: str, *, publish_id: str | None) -> None:
        self.publish_id = publish_id
        super().__init__(message)


class PostFailedError(PostError):
    """TikTok reports FAILED: nothing is out.

    :param fail_reason: TikTok's reason, such as ``frame_rate_check_failed``.
    """

    def __init__(self, explanation: Explanation, *, publish_id: str, fail_reason: str) -> None:
        self.explanation = explanation
        self.fail_reason = fail_reason = one_line(fail_reason)
        self.actor = explanation.actor
        self.retry = explanation.retry
        super().__init__(
            f"TikTok did not publish it: {explanation.meaning}.\n{explanation.advice}\n"
            f"(fail_reason {fail_reason}, publish_id {publish_id})",
            publish_id=publish_id,
        )


class PostInInboxError(PostError):
    """Instead of posting, TikTok delivered to the creator's inbox, where a human must finish it."""


class PostTimeoutError(PostError):
    """Not finished at the deadline. It may still come out: clear the task to go on waiting."""


class PostUncertainError(PostError):
    """Whether TikTok has accepted the post cannot be known from here. A retry could post twice."""


class FewFrames:
    """Context manager around what a task does: its errors leave with one frame, where they were found.

    Airflow's page shows every frame of a failed task, and what a person must do would stand above two dozen of ours.
    An error of this tree says what happened; how the task came there goes to the log at DEBUG. Everything else is
    a bug or another library's, and keeps all frames.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, TikTokError):
            return
        log.debug("All frames of the error:", exc_info=error)
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        error.__traceback__ = trace
        error.__suppress_context__ = True
        if isinstance(error.__cause__, TikTokError):
            error.__cause__ = None
