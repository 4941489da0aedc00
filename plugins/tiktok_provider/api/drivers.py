"""The two drivers: they run a call's generator on an HTTP client and repeat what is safe to repeat."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    Retrying,
    retry_any,
    retry_if_exception,
    retry_if_result,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)

from tiktok_provider.api.answers import MOST_SECONDS, PLAIN, BoundedAnswer
from tiktok_provider.api.calls import Answer, Call, Request, retry_after, token_is_rejected
from tiktok_provider.exceptions import UnreachableError

T = TypeVar("T")

# An upload may be slow; reading an API's answer should not take this long.
TIMEOUT = httpx.Timeout(connect=10, read=30, write=60, pool=10)
MAX_TRIES = 4
# Seconds. A server that wants a longer pause between two tries is left to the caller.
LONGEST_PAUSE = 10.0
# Raised before a single byte of the request could have left.
NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class _HideUploadTokens(logging.Filter):
    """httpx logs every URL whole at INFO. Those of uploads carry a token, so they lose their query."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record, and let it pass."""
        if isinstance(record.args, tuple):
            record.args = tuple(
                argument.copy_with(query=None)
                if isinstance(argument, httpx.URL) and b"token" in argument.query
                else argument
                for argument in record.args
            )
        return True


logging.getLogger("httpx").addFilter(_HideUploadTokens())


def nothing() -> None:
    """Do nothing before a request is sent once more."""


class SyncDriver:
    """Runs calls on an ``httpx.Client``.

    :param client: its ``base_url`` is the API's.
    :param token: gives the access token for authorized requests. It is called with None at first; once more with a
        token that TikTok no longer accepts, and then returns a newer one, or None if there is none.
    :param sleep: waits between tries, in seconds.
    """

    def __init__(
        self,
        client: httpx.Client,
        token: Callable[[str | None], str | None] = lambda rejected: None,  # noqa: ARG005
        *,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self._client = client
        self._token = token
        self._sleep = sleep or time.sleep

    def run(self, call: Call[T], before_repeat: Callable[[], object] = nothing) -> T:
        """Drive one call to its value.

        :param before_repeat: called each time before a request leaves that the server may have had already, as it
            counts for the rate limit once more; what it raises keeps the request from being sent.
        :raises UnreachableError: if no answer came after the tries that are safe.
        :raises TikTokError: what the call itself raises.
        """
        request = next(call)
        while True:
            token = self._token(None) if request.authorized else None
            answer = self._answer(request, token, before_repeat)
            if token and token_is_rejected(answer) and (newer := self._token(token)):
                before_repeat()
                answer = self._answer(request, newer, before_repeat)
            try:
                request = call.send(answer)
            except StopIteration as done:
                value: T = done.value
                return value

    def _answer(self, request: Request, token: str | None, before_repeat: Callable[[], object]) -> Answer:
        doubt = _Doubt()

        def send() -> Answer:
            if doubt.raised:
                before_repeat()
            return self._send(request, token)

        try:
            return Retrying(**_retry_options(request, doubt), sleep=self._sleep)(send)
        except httpx.RequestError as error:
            raise _unreachable(request, error, doubt) from None

    def _send(self, request: Request, token: str | None) -> Answer:
        if request.check:
            request.check()
        body = request.body() if request.body else None
        with self._client.stream(**_arguments(request, token), content=body) as response:
            answer = BoundedAnswer(response)
            for piece in response.iter_raw():
                answer.add(piece)
            return answer.finish()


class AsyncDriver:
    """Runs calls on an ``httpx.AsyncClient``; see ``SyncDriver``."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        token: Callable[[str | None], Awaitable[str | None]] | None = None,
        *,
        sleep: Callable[[float], Awaitable[None]] | None = None,
    ) -> None:
        self._client = client
        self._token = token or _no_token
        self._sleep = sleep or asyncio.sleep

    async def run(self, call: Call[T], before_repeat: Callable[[], object] = nothing) -> T:
        """Drive one call to its value; see ``SyncDriver.run``."""
        request = next(call)
        while True:
            token = await self._token(None) if request.authorized else None
            answer = await self._answer(request, token, before_repeat)
            if token and token_is_rejected(answer) and (newer := await self._token(token)):
                before_repeat()
                answer = await self._answer(request, newer, before_repeat)
            try:
                request = call.send(answer)
            except StopIteration as done:
                value: T = done.value
                return value

    async def _answer(
        self, request: Request, token: str | None, before_repeat: Callable[[], object]
    ) -> Answer:
        doubt = _Doubt()

        async def send() -> Answer:
            if doubt.raised:
                before_repeat()
            return await self._send(request, token)

        try:
            return await AsyncRetrying(**_retry_options(request, doubt), sleep=self._sleep)(send)
        except httpx.RequestError as error:
            raise _unreachable(request, error, doubt) from None

    async def _send(self, request: Request, token: str | None) -> Answer:
        if request.check:
            await asyncio.to_thread(request.check)
        body = _as_async(request) if request.body else None
        try:
            # httpx limits each read alone: an answer that drips would hold up all that wait for the same account.
            async with (
                asyncio.timeout(None if body else MOST_SECONDS),
                self._client.stream(**_arguments(request, token), content=body) as response,
            ):
                answer = BoundedAnswer(response)
                async for piece in response.aiter_raw():
                    answer.add(piece)
                return answer.finish()
        except TimeoutError:
            raise httpx.ReadTimeout("The answer takes too long.") from None


async def _no_token(rejected: str | None) -> str | None:  # noqa: ARG001
    return None


async def _as_async(request: Request) -> AsyncIterator[bytes]:
    for piece in request.body() if request.body else ():
        yield piece


def _arguments(request: Request, token: str | None) -> dict[str, Any]:
    headers = {**PLAIN, **request.headers}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    return {
        "method": request.method,
        "url": request.url,
        "params": request.query or None,
        "headers": headers,
        "json": request.json,
        "data": request.form,
    }


@dataclass
class _Doubt:
    """Whether a try that failed may have been processed all the same, and how many have been made."""

    raised: bool = False
    tries: int = 1

    def note(self, state: RetryCallState) -> None:
        assert state.outcome is not None
        self.tries = state.attempt_number + 1
        if not isinstance(state.outcome.exception(), NEVER_SENT):
            self.raised = True


def _retry_options(request: Request, doubt: _Doubt) -> dict[str, Any]:
    def worth_repeating(error: BaseException) -> bool:
        return isinstance(error, NEVER_SENT) or (request.repeatable and isinstance(error, httpx.RequestError))

    def server_failed(answer: Answer) -> bool:
        return request.repeatable and answer.status >= 500 and (retry_after(answer) or 0.0) <= LONGEST_PAUSE

    return {
        "stop": stop_after_attempt(MAX_TRIES),
        "wait": _pause,
        "retry": retry_any(retry_if_exception(worth_repeating), retry_if_result(server_failed)),
        "before_sleep": doubt.note,
        # After the last try its outcome counts, be it an answer or an exception.
        "retry_error_callback": _last_outcome,
    }


_backoff = wait_exponential(multiplier=0.5, max=8) + wait_random(0, 0.5)


def _pause(state: RetryCallState) -> float:
    """Back off, or wait as long as the server asks if that is longer."""
    assert state.outcome is not None
    wanted = None if state.outcome.failed else retry_after(state.outcome.result())
    return max(_backoff(state), wanted or 0.0)


def _last_outcome(state: RetryCallState) -> Answer:
    assert state.outcome is not None
    answer: Answer = state.outcome.result()
    return answer


def _unreachable(request: Request, error: httpx.RequestError, doubt: _Doubt) -> UnreachableError:
    """Name the host and the kind of failure; httpx's own text could repeat a signed URL."""
    try:
        host = urlsplit(str(error.request.url)).netloc
    except RuntimeError:  # httpx has not got as far as a request
        host = "TikTok"
    tries = "1 try" if doubt.tries == 1 else f"{doubt.tries} tries"
    return UnreachableError(
        f"No answer from {host} ({type(error).__name__}) after {tries}.\n"
        f"It was asked for {request.place}. Check the network and proxy settings of this machine.",
        maybe_processed=doubt.raised or not isinstance(error, NEVER_SENT),
    )
