"""A proxy before TikTok and before the store, which can let one call of an account go wrong.

It knows nothing of the product but the shape of its requests. One server listens at several doors; the door, or the
connection id in the path, says whose call it is.
"""

import asyncio
import json
import re
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Thread
from typing import Protocol, cast
from urllib.parse import unquote
from weakref import WeakKeyDictionary

import httpx
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from tests.faults.owners import Owner, owner_of

_TRANSPORT = "proxy.transport"
# What belongs to one connection and not to the message.
_HOP_BY_HOP = {b"connection", b"keep-alive", b"transfer-encoding"}
_STORE_ROUTE = re.compile(r"/tiktok/store/accounts/(?P<conn_id>[^/]+)/(?P<route>.+)")
# Fields of a store request that tell calls of one route apart.
_TELLING = ("type", "endpoint", "state")


class Point(StrEnum):
    """Where a call can go wrong."""

    BEFORE = "before forwarding"
    BODY = "in mid-body"
    AFTER = "after forwarding"
    ANSWERED = "after answering"


@dataclass(frozen=True)
class Seen:
    """A call that came by.

    :param kind: where it went, and what for, for example ``store posts/claim`` or ``TikTok video/init``.
    :param role: what kind of process made it.
    :param number: counts the calls of this kind by this role, from 1.
    """

    kind: str
    role: str
    number: int

    def __str__(self) -> str:
        return f"{self.kind} ({self.number})"


# Does something to whoever calls; afterwards the call goes on, unless it raises one of the two errors.
Blow = Callable[[Owner], Awaitable[None]]


class HangUpError(Exception):
    """The connection is closed without an answer."""


class UnavailableError(Exception):
    """The answer is 503, as of something that stands between."""


class Fault(Protocol):
    """Something that can go wrong."""

    @property
    def fired(self) -> int: ...

    def hits(self, seen: Seen, point: Point) -> bool:
        """Whether this call goes wrong here; it counts then."""

    def blow(self, owner: Owner, /) -> Awaitable[None]:
        """Let it go wrong."""


@dataclass
class Shot:
    """What goes wrong, once or some times in a row.

    :param seen: the first call that is hit.
    :param times: how many calls of that kind are hit. Default: 1.
    """

    seen: Seen
    point: Point
    blow: Blow
    times: int = 1
    fired: int = 0

    def hits(self, seen: Seen, point: Point) -> bool:
        """Whether this call goes wrong here; it counts then."""
        first = self.seen
        due = (
            (seen.kind, seen.role, point) == (first.kind, first.role, self.point)
            and seen.number >= first.number
            and self.fired < self.times
        )
        self.fired += due
        return due


@dataclass
class Cell:
    """One account and what happens to its calls.

    :param followed: whether another task is wanted for the same post.
    :param open_calls: how many calls are on their way, those included that wait for who stands still.
    :param missed: where something should have gone wrong, but nobody knows any more who was calling.
    """

    calls: list[Seen] = field(default_factory=list)
    shots: Sequence[Fault] = field(default_factory=list)
    followed: bool = False
    open_calls: int = 0
    missed: list[str] = field(default_factory=list)
    _counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    @contextmanager
    def calling(self) -> Iterator[None]:
        """Count a call as long as it is on its way."""
        self.open_calls += 1
        try:
            yield
        finally:
            self.open_calls -= 1

    def note(self, kind: str, role: str) -> Seen:
        """Write a call down."""
        self._counts[kind, role] += 1
        seen = Seen(kind, role, self._counts[kind, role])
        self.calls.append(seen)
        return seen

    async def strike(self, seen: Seen, point: Point, owner: Owner) -> None:
        """Let go wrong what is due here."""
        for shot in self.shots:
            if shot.hits(seen, point):
                try:
                    await shot.blow(owner)
                except LookupError:
                    self.missed.append(f"{seen} {point}")


class Door:
    """A port of the proxy.

    :param target: origin that its calls go to; may be set later.
    :param cell_of: whose call it is, by its path; None lets it pass.
    """

    def __init__(self, target: str, cell_of: Callable[[str], Cell | None], port: int = 0) -> None:
        self.target = target
        self.cell_of = cell_of
        self.socket = socket.create_server(("127.0.0.1", port), backlog=128)
        self.port: int = self.socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"


class Proxy:
    """An ASGI application that forwards.

    :param role_of: tells what kind of process a caller is; None: callers are not looked for, all are tasks.
    """

    def __init__(self, doors: Sequence[Door], role_of: Callable[[Owner], str] | None) -> None:
        self._doors = {door.port: door for door in doors}
        self._role_of = role_of
        self._owners: WeakKeyDictionary[asyncio.Transport, Owner] = WeakKeyDictionary()
        # A kept connection may be closed by the other side in the moment it is used, a fault that nobody ordered.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._client = httpx.AsyncClient(limits=limits, timeout=None, trust_env=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        door = self._doors[scope["server"][1]]
        cell = door.cell_of(scope["path"])
        exchange = _Exchange(self._client, door.target, scope, receive, send)
        try:
            if cell is None:
                await exchange.forward(exchange.body())
                await exchange.answer()
            else:
                with cell.calling():
                    await self._play(exchange, cell, await self._owner(scope))
        except HangUpError:
            await exchange.hang_up()
        except UnavailableError:
            await exchange.refuse()

    async def _owner(self, scope: Scope) -> Owner:
        if self._role_of is None:
            return Owner(())
        transport = scope[_TRANSPORT]
        if transport not in self._owners:
            self._owners[transport] = await asyncio.to_thread(
                owner_of, tuple(scope["client"]), tuple(scope["server"])
            )
        return self._owners[transport]

    async def _play(self, exchange: "_Exchange", cell: Cell, owner: Owner) -> None:
        role = self._role_of(owner) if self._role_of else "task"
        seen = cell.note(await exchange.kind(), role)

        async def strike(point: Point) -> None:
            await cell.strike(seen, point, owner)

        await strike(Point.BEFORE)
        await exchange.forward(exchange.body(lambda: strike(Point.BODY)))
        await strike(Point.AFTER)
        await exchange.answer()
        await strike(Point.ANSWERED)


@dataclass
class _Exchange:
    """One request and its answer."""

    client: httpx.AsyncClient
    target: str
    scope: Scope
    receive: Receive
    send: Send
    _ahead: bytes = b""
    _more: bool = True
    _response: httpx.Response | None = None

    @property
    def _length(self) -> int:
        return int(dict(self.scope["headers"]).get(b"content-length", b"0"))

    async def kind(self) -> str:
        """Return what the call is for; a body that tells it is read ahead."""
        path, method = self.scope["path"], self.scope["method"]
        if method == "PUT":
            return "TikTok PUT"
        if not (found := _STORE_ROUTE.fullmatch(path)):
            return "TikTok " + "/".join(path.strip("/").split("/")[-2:])
        while self._more:
            self._ahead += await self._receive_piece()
        return " ".join(["store", found["route"], *_telling(self._ahead)])

    async def _receive_piece(self) -> bytes:
        message = await self.receive()
        if message["type"] == "http.disconnect":
            raise HangUpError
        self._more = message.get("more_body", False)
        piece: bytes = message.get("body", b"")
        return piece

    async def body(self, at_half: Callable[[], Awaitable[None]] | None = None) -> AsyncIterator[bytes]:
        """Yield the request's body as it comes, and stop for a blow when half of it has gone."""
        passed, half = 0, self._length // 2
        while self._ahead or self._more:
            piece = self._ahead or await self._receive_piece()
            self._ahead = b""
            if at_half and half and passed < half <= passed + len(piece):
                yield piece[: half - passed]
                await at_half()
                piece = piece[half - passed :]
                passed = half
            passed += len(piece)
            yield piece

    async def forward(self, body: AsyncIterator[bytes]) -> None:
        """Send the request on and read the answer; who gets none gives none."""
        path = self.scope["raw_path"].decode("latin-1")
        query = self.scope["query_string"].decode("latin-1")
        headers = [(name, value) for name, value in self.scope["headers"] if name not in _HOP_BY_HOP]
        url = f"{self.target}{path}?{query}" if query else f"{self.target}{path}"
        content = body if self._length else None
        request = httpx.Request(self.scope["method"], url, headers=headers, content=content)
        try:
            self._response = await self.client.send(request)
        except httpx.TransportError:
            raise HangUpError from None

    async def answer(self) -> None:
        """Give the answer back."""
        response = self._response
        assert response is not None
        # The content was decoded when it was read.
        without = _HOP_BY_HOP | {b"content-encoding", b"content-length"}
        headers = [(name, value) for name, value in response.headers.raw if name.lower() not in without]
        headers.append((b"content-length", str(len(response.content)).encode()))
        await self.send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        await self.send({"type": "http.response.body", "body": response.content})

    async def refuse(self) -> None:
        """Answer in the place of who was called."""
        await self.send(
            {"type": "http.response.start", "status": 503, "headers": [(b"content-length", b"0")]}
        )
        await self.send({"type": "http.response.body"})

    async def hang_up(self) -> None:
        """Close the connection without a byte of answer."""
        transport: asyncio.Transport = self.scope[_TRANSPORT]
        transport.abort()
        # The server must have noticed before we return, or it would send an answer of its own.
        while (await self.receive())["type"] != "http.disconnect":
            pass


def _telling(body: bytes) -> Iterator[str]:
    """Yield what tells this request from others at its route, wherever it stands in the body."""
    document = json.loads(body or b"{}")
    levels = [document, *(value for value in document.values() if isinstance(value, dict))]
    for level in levels:
        for name in _TELLING:
            if isinstance(level.get(name), str):
                yield level[name]
        if level.get("finishing"):
            yield "finishing"


class _Protocol(H11Protocol):
    """Hands the connection's transport to the application, which must be able to close it without an answer."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        application = cast(ASGIApp, self.app)

        async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            scope[_TRANSPORT] = transport
            await application(scope, receive, send)

        self.app = with_transport


@contextmanager
def running_proxy(doors: Sequence[Door], role_of: Callable[[Owner], str] | None = None) -> Iterator[None]:
    """Serve all doors from a thread of this process."""
    config = uvicorn.Config(
        Proxy(doors, role_of),
        http=_Protocol,
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=600,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    sockets = [door.socket for door in doors]
    thread = Thread(target=server.run, kwargs={"sockets": sockets}, name="proxy", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()
        for listener in sockets:
            listener.close()


def store_cells(cells: Mapping[str, Cell]) -> Callable[[str], Cell | None]:
    """Return how the door before the store finds the cell: by the connection id in the path."""

    def cell_of(path: str) -> Cell | None:
        found = _STORE_ROUTE.fullmatch(path)
        return cells.get(unquote(found["conn_id"])) if found else None

    return cell_of
