"""How the store's answers and errors travel as JSON: written by the web app, read by the client."""

import json
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from tiktok_provider.api.calls import Answer
from tiktok_provider.exceptions import (
    Actor,
    ConnectionSettingsError,
    ConnectionUnreadableError,
    InvalidInputError,
    Retry,
    TikTokError,
)
from tiktok_provider.plain_text import plain_text
from tiktok_provider.store.errors import (
    AccountChangedError,
    AccountDeadError,
    AccountNotConnectedError,
    PostConflictError,
    PostStateError,
    PostTakenError,
    StoreBusyError,
    StoreNotReadyError,
    StoreVersionError,
)
from tiktok_provider.store.signing import RequestNotAuthenticatedError
from tiktok_provider.store.token_sets import Busy


class StoreAnswerError(TikTokError):
    """The store answered with an error that has no class of its own, or something else answered in its place.

    :param code: the store's code; empty if the answer was not the store's.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        actor: Actor = Actor.PLATFORM,
        retry: Retry = Retry.BACKOFF,
        retry_after: float | None = None,
    ) -> None:
        self.code = code
        self.actor = actor
        self.retry = retry
        self.retry_after = retry_after
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class _Kind:
    """How one class of errors travels.

    :param rebuilt: whether the client raises the same class, made of the sentence alone.
    """

    error: type[TikTokError]
    code: str
    status: int
    rebuilt: bool = True


# The first that fits counts, so subclasses stand above their bases. 503 is what the client repeats by itself.
_KINDS = (
    _Kind(RequestNotAuthenticatedError, "not_authenticated", 401),
    _Kind(AccountDeadError, "account_dead", 409),
    _Kind(AccountChangedError, "account_changed", 409),
    _Kind(PostConflictError, "post_conflict", 409),
    _Kind(PostTakenError, "post_taken", 409),
    _Kind(PostStateError, "post_state", 409),
    _Kind(StoreVersionError, "store_version", 409),
    _Kind(StoreNotReadyError, "store_not_ready", 503),
    _Kind(StoreBusyError, "store_busy", 503),
    _Kind(AccountNotConnectedError, "account_not_connected", 422),
    _Kind(ConnectionUnreadableError, "connection_unreadable", 404),
    _Kind(ConnectionSettingsError, "connection_settings", 422),
    _Kind(InvalidInputError, "invalid_request", 400, rebuilt=False),
    # What TikTok or the way to it spoiled. Not 502: a refresh whose answer was lost must not be repeated blindly.
    _Kind(TikTokError, "tiktok_failed", 424, rebuilt=False),
)
# What the API server says of its own configuration, which may be another than the reader's.
_ABOUT_THE_SERVER = ("connection_settings", "connection_unreadable")
_CLASSES = {kind.code: kind.error for kind in _KINDS if kind.rebuilt}


class _Error(BaseModel):
    error: str
    message: str
    actor: Actor = Actor.PLATFORM
    retry: Retry = Retry.BACKOFF
    retry_after: float | None = None


def encode(outcome: object, adapter: TypeAdapter[Any]) -> tuple[int, Any]:
    """Return status and document of an outcome; the only token in it is encrypted."""
    return 202 if isinstance(outcome, Busy) else 200, adapter.dump_python(outcome, mode="json")


def encode_error(error: TikTokError) -> tuple[int, dict[str, Any]]:
    """Return status and document of an error."""
    kind = next(kind for kind in _KINDS if isinstance(error, kind.error))
    said = _Error(
        error=kind.code,
        message=str(error),
        actor=error.actor,
        retry=error.retry,
        retry_after=error.retry_after,
    )
    return kind.status, said.model_dump(mode="json")


def decode(answer: Answer, adapter: TypeAdapter[Any]) -> Any:
    """Read what ``encode`` or ``encode_error`` wrote.

    :raises TikTokError: the error of the store, in its own class.
    :raises StoreAnswerError: something else answered.
    """
    document = _document(answer)
    if answer.status not in (200, 202):
        raise _error(answer.status, document)
    try:
        return adapter.validate_python(document)
    except ValidationError as error:
        raise StoreAnswerError(
            f"The store's answer is of another version.\nIt differs in: {wrong_fields(error)}."
        ) from None


def wrong_fields(error: ValidationError) -> str:
    """Name the fields that are wrong; their values stay out of messages."""
    return ", ".join(sorted({".".join(map(str, part["loc"])) for part in error.errors()})) or "all of it"


def _document(answer: Answer) -> object:
    try:
        return json.loads(answer.content)
    except (ValueError, RecursionError):
        # Nothing that the store says is a text.
        return ""


def _error(status: int, document: object) -> TikTokError:
    try:
        said = _Error.model_validate(document)
    except ValidationError:
        return _not_the_store(status)
    # It may be a stranger's.
    message = plain_text(said.message)
    if said.error in _ABOUT_THE_SERVER:
        message += "\nThe API server says so: its own configuration counts here, not that of this machine."
    if said.error in _CLASSES:
        error = _CLASSES[said.error](message)
        error.retry = said.retry
        return error
    return StoreAnswerError(
        message, code=said.error, actor=said.actor, retry=said.retry, retry_after=said.retry_after
    )


def _not_the_store(status: int) -> StoreAnswerError:
    # Airflow's own catch-all route answers a POST with 405.
    if status in (404, 405):
        return StoreAnswerError(
            f"The API server has no TikTok store (HTTP {status}).\n"
            "It runs without 'core' (airflow api-server --apps) or without the plugin. Install"
            " airflow-provider-tiktok"
            " where the API server runs, check with 'airflow plugins', and set [tiktok] store_url to an API server"
            " that runs 'core'.",
            retry=Retry.ONCE,
        )
    return StoreAnswerError(
        f"The answer is not the store's (HTTP {status}).\n"
        "Is a proxy answering in its place? Check [tiktok] store_url and the proxy settings of this machine."
    )
