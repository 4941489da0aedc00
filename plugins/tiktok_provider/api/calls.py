"""What an endpoint is made of: the requests it yields, the answers it gets, and how an answer is read."""

import json as jsonlib
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from tiktok_provider.error_table import api_error
from tiktok_provider.exceptions import UnexpectedAnswerError
from tiktok_provider.plain_text import one_line, plain_text

_MOST_DIGITS = 100
# Seconds: TikTok's longest window.
LONGEST_RETRY_AFTER = 86_400.0

T = TypeVar("T")
ModelT = TypeVar("ModelT", bound="Answered")


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request.

    :param url: a path under the API's base URL, or an absolute URL (uploads).
    :param json: body of an API call.
    :param form: body of an OAuth call.
    :param body: returns the bytes each time it is called, so that the request can be repeated.
    :param authorized: whether the account's access token goes with it.
    :param repeatable: whether repeating it is safe when it may have been processed already.
    :param check: called right before each time that it leaves, when the token is at hand; what it raises keeps the
        request from being sent.
    """

    method: Literal["GET", "POST", "PUT"]
    url: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Mapping[str, Any] | None = None
    form: Mapping[str, str] | None = None
    body: Callable[[], Iterator[bytes]] | None = None
    authorized: bool = True
    repeatable: bool = True
    check: Callable[[], object] | None = None

    @property
    def place(self) -> str:
        """Method and URL without query, which may carry a token: safe to print."""
        return f"{self.method} {self.url.partition('?')[0]}"


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes


Call = Generator[Request, Answer, T]


class Answered(BaseModel):
    """Base of all parsed answers: unknown fields are ignored, nulls count as left out, no text steers a terminal, and
    values never show in error messages.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
        coerce_numbers_to_str=True,
        populate_by_name=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _prepare(cls, fields: Any) -> Any:
        if not isinstance(fields, Mapping):
            return fields
        return {name: _plain(value) for name, value in fields.items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return plain_text(value) if isinstance(value, str) else value


def post_json(
    path: str,
    body: Mapping[str, Any],
    *,
    repeatable: bool = True,
    check: Callable[[], object] | None = None,
) -> Request:
    """Return an API call with a JSON body."""
    return Request(
        "POST",
        path,
        headers={"Content-Type": "application/json; charset=UTF-8"},
        json=body,
        repeatable=repeatable,
        check=check,
    )


def decode(answer: Answer) -> dict[str, Any]:
    """Return the JSON object of an answer; integers keep all their digits.

    :raises UnexpectedAnswerError: if it is not a JSON object, for example a proxy's page.
    """
    try:
        document = jsonlib.loads(answer.content, parse_int=_integer)
    except (ValueError, RecursionError) as error:
        raise _not_json(answer) from error
    if not isinstance(document, dict):
        raise _not_json(answer)
    return document


def _integer(digits: str) -> int | float:
    """Read an integer. Python refuses those of thousands of digits, and one odd number must not cost an answer."""
    return int(digits) if len(digits) <= _MOST_DIGITS else float(digits)


def open_envelope(answer: Answer) -> dict[str, Any]:
    """Return ``data`` of TikTok's envelope.

    Success is ``error.code == "ok"`` and nothing else: TikTok sends some errors with HTTP 200.

    :raises ApiError: for any other code.
    """
    if answer.status >= 500 and not answer.content.lstrip().startswith(b"{"):
        raise api_error("", answer.status, log_id=_log_id(answer, {}), retry_after=retry_after(answer))
    document = decode(answer)
    error = document.get("error")
    if not isinstance(error, dict):
        raise UnexpectedAnswerError(
            f"TikTok's answer has no error envelope (HTTP {answer.status}).\n"
            "Is something else answering in its place?"
        )
    code = str(error.get("code", ""))
    if code != "ok":
        raise api_error(
            code,
            answer.status,
            detail=str(error.get("message", "")),
            log_id=_log_id(answer, error),
            retry_after=retry_after(answer),
        )
    data = document.get("data")
    return data if isinstance(data, dict) else {}


def token_is_rejected(answer: Answer) -> bool:
    """Tell whether TikTok refused the call for its access token alone, which proves that it did nothing else."""
    return answer.status == HTTPStatus.UNAUTHORIZED and b'"access_token_invalid"' in answer.content


def parse(model: type[ModelT], data: Mapping[str, Any]) -> ModelT:
    """Validate an answer's data.

    :raises UnexpectedAnswerError: naming the fields, never their values.
    """
    try:
        return model.model_validate(data)
    except RecursionError:
        raise UnexpectedAnswerError("TikTok's answer is nested too deeply to be one of its own.") from None
    except ValidationError as error:
        fields = ", ".join(sorted({".".join(map(str, e["loc"])) for e in error.errors(include_input=False)}))
        raise UnexpectedAnswerError(
            f"TikTok's answer does not fit its documentation.\nIt differs in: {fields}."
        ) from None


def _log_id(answer: Answer, error: Mapping[str, Any]) -> str:
    return str(error.get("log_id") or error.get("logid") or answer.headers.get("x-tt-logid") or "")


def retry_after(answer: Answer) -> float | None:
    """Return the seconds of a ``Retry-After`` header, or until the time that it names, a day at most.

    Nonsense counts as absent.
    """
    value = answer.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value), LONGEST_RETRY_AFTER)
    until = _http_time(value)
    if until is None:
        return None
    # By the server's own clock, where it says it.
    now = _http_time(answer.headers.get("date", "")) or datetime.now(UTC)
    return min(max((until - now).total_seconds(), 0.0), LONGEST_RETRY_AFTER)


def _http_time(value: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(value)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _not_json(answer: Answer) -> UnexpectedAnswerError:
    return UnexpectedAnswerError(
        f"An answer that is no JSON object (HTTP {answer.status}, {len(answer.content)} bytes).\n"
        "Is a proxy answering in TikTok's place? Its content type:"
        f" {one_line(answer.headers.get('content-type', 'none'))}."
    )
