"""Answers are bounded in memory, in time and in depth."""

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest

from tiktok_provider.api import answers, drivers
from tiktok_provider.api.accounts import creator_info
from tiktok_provider.api.answers import MOST_BYTES, MOST_SECONDS, BoundedAnswer
from tiktok_provider.api.drivers import AsyncDriver, SyncDriver
from tiktok_provider.exceptions import UnexpectedAnswerError, UnreachableError

BASE = "https://open.tiktokapis.example"
CREATOR = {
    "creator_username": "mia",
    "creator_nickname": "Mia",
    "privacy_level_options": ["SELF_ONLY"],
    "max_video_post_duration_sec": 60,
}
ENVELOPE = {"data": CREATOR, "error": {"code": "ok", "message": "", "log_id": ""}}
GOOD = json.dumps(ENVELOPE).encode()


class Pieces(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that comes piece by piece, and counts how many were asked for."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces, self.given = pieces, 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self.pieces:
            self.given += 1
            yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece


def no_pause(seconds: float) -> None:
    """Pass no time."""


async def no_async_pause(seconds: float) -> None:
    """Pass no time."""


def ask(kind: str, respond: Callable[[httpx.Request], httpx.Response]) -> Any:
    """Ask for creator info with one of the drivers, of a server that answers so."""
    transport = httpx.MockTransport(respond)

    async def ask_async() -> Any:
        async with httpx.AsyncClient(base_url=BASE, transport=transport) as client:
            return await AsyncDriver(client, sleep=no_async_pause).run(creator_info())

    if kind == "async":
        return asyncio.run(ask_async())
    with httpx.Client(base_url=BASE, transport=transport) as client:
        return SyncDriver(client, sleep=no_pause).run(creator_info())


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_nothing_compressed_is_asked_for(kind: str) -> None:
    asked = []

    def respond(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers["accept-encoding"])
        return httpx.Response(200, stream=Pieces(GOOD))

    assert ask(kind, respond).creator_username == "mia"
    assert asked == ["identity"]


def test_an_answer_without_end_is_left_at_its_bound(kind: str) -> None:
    body = Pieces(*[b" " * 1_000_000] * 100)
    with pytest.raises(UnexpectedAnswerError, match="longer than 4,000,000 bytes"):
        ask(kind, lambda _: httpx.Response(200, stream=body))
    assert body.given <= MOST_BYTES // 1_000_000 + 1


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress], ids=["gzip", "deflate"])
@pytest.mark.parametrize("coding", ["gzip", "deflate", "x-gzip"])
def test_what_comes_compressed_all_the_same_is_read(
    kind: str, compress: Callable[[bytes], bytes], coding: str
) -> None:
    answer = httpx.Response(200, stream=Pieces(compress(GOOD)), headers={"content-encoding": coding})
    assert ask(kind, lambda _: answer).creator_username == "mia"


def test_a_small_answer_that_grows_large_is_left_at_the_same_bound(kind: str) -> None:
    bomb = gzip.compress(b" " * (10 * MOST_BYTES))
    answer = httpx.Response(200, stream=Pieces(bomb), headers={"content-encoding": "gzip"})
    with pytest.raises(UnexpectedAnswerError, match="longer than 4,000,000 bytes"):
        ask(kind, lambda _: answer)


@pytest.mark.parametrize(("coding", "said"), [("br", "not asked for"), ("gzip", "damaged")])
def test_what_cannot_be_decompressed_is_named(kind: str, coding: str, said: str) -> None:
    answer = httpx.Response(200, stream=Pieces(b"nothing"), headers={"content-encoding": coding})
    with pytest.raises(UnexpectedAnswerError, match=said):
        ask(kind, lambda _: answer)


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b'{"data":' * 100_000,
        json.dumps({**ENVELOPE, "data": {**CREATOR, "privacy_level_options": None}})
        .encode()
        .replace(b"null", b"[" * 900 + b"]" * 900),
    ],
    ids=["lists", "objects", "in a field"],
)
def test_an_answer_that_is_nested_without_end_is_an_odd_answer_like_others(kind: str, content: bytes) -> None:
    with pytest.raises(UnexpectedAnswerError):
        ask(kind, lambda _: httpx.Response(200, stream=Pieces(content)))


def test_an_answer_that_drips_is_left_when_its_time_is_over() -> None:
    now = [0.0]
    response = httpx.Response(200, request=httpx.Request("POST", BASE))
    answer = BoundedAnswer(response, clock=lambda: now[0])
    answer.add(b"{")
    now[0] = MOST_SECONDS + 1
    with pytest.raises(httpx.ReadTimeout):
        answer.add(b"}")


def test_an_answer_that_never_begins_ends_one_call_and_not_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(drivers, "MOST_SECONDS", 0.01)
    monkeypatch.setattr(answers, "MOST_SECONDS", 0.01)

    async def never(_: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    async def ask_once() -> None:
        async with httpx.AsyncClient(base_url=BASE, transport=httpx.MockTransport(never)) as client:
            await AsyncDriver(client, sleep=no_async_pause).run(creator_info())

    with pytest.raises(UnreachableError, match="ReadTimeout"):
        asyncio.run(ask_once())
