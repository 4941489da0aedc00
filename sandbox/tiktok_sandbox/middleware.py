"""Every call passes here first: it is logged, and goes wrong where a fault rule says so."""

import asyncio
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import parse_qs, parse_qsl

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tiktok_sandbox.fault_answers import fault_answer
from tiktok_sandbox.faults import ENDING, Action
from tiktok_sandbox.fields import FieldError, json_object
from tiktok_sandbox.lifecycle import catch_up
from tiktok_sandbox.records import AccessToken, Call, RefreshToken
from tiktok_sandbox.state import SandboxState

TRANSPORT = "sandbox.transport"
# What a handler answers when its caller has gone.
CLIENT_GONE = 499
_NAMES_A_PUBLISH = ("/v2/post/publish/status/fetch/", "/v2/post/publish/cancel/")
_NAMES_A_TOKEN = ("/v2/oauth/token/", "/v2/oauth/revoke/")
_PEEK_BYTES = 65_536


class CallMiddleware:
    """ASGI middleware around all routes."""

    def __init__(self, app: ASGIApp, state: SandboxState) -> None:
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        if path != "/upload":
            await catch_up(self._state)
        if path == "/upload" or path.startswith("/v2/"):
            await self._serve(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = self._state
        call = Call(state.clock.now(), scope["method"], scope["path"], state.log_id())
        state.requests.append(call)
        scope["sandbox.call"] = call
        receive, body = await self._peeked(scope["path"], receive)
        call.publish_id = self._named_publish(scope, body)
        bearer = _token_in_form(body) if scope["path"] in _NAMES_A_TOKEN else _bearer(scope)
        actions = state.faults.due(call.method, call.path, self._open_ids(bearer, call), call.publish_id)
        call.fault = ", ".join(action.type for action in actions) or None
        requests = state.requests
        for action in actions:
            await self._prepare(action, bearer, call)
        if state.requests is not requests:
            # A reset came while this call was delayed: it must not meddle with what began since.
            await _hang_up(scope, receive)
        elif actions and actions[-1].type in ENDING:
            await self._end(actions[-1], scope, receive, _Answer(send, call), call)
        else:
            await self._app(scope, receive, _Answer(send, call))

    async def _peeked(self, path: str, receive: Receive) -> tuple[Receive, bytes]:
        """The body of a call that says in it what it is about, and a `receive` that still has all of it."""
        if path in _NAMES_A_PUBLISH or path in _NAMES_A_TOKEN:
            return await _peek(receive)
        return receive, b""

    def _named_publish(self, scope: Scope, body: bytes) -> str | None:
        if scope["path"] == "/upload":
            query = parse_qs(scope["query_string"].decode("latin-1"))
            publish = self._state.uploads.get(query.get("upload_id", [""])[0])
            return publish.publish_id if publish else None
        return _publish_id(body) if scope["path"] in _NAMES_A_PUBLISH else None

    def _open_ids(self, bearer: str, call: Call) -> list[str]:
        """Whose call it is: the token says it, and the upload URL, which needs no token."""
        publish = self._state.publishes.get(call.publish_id or "")
        if publish is not None and call.path == "/upload":
            call.open_id = publish.open_id
            return [publish.open_id, publish.account.open_id]
        token = self._known(bearer)
        return [] if token is None else [token.authorization.open_id, token.authorization.account.open_id]

    def _known(self, token: str) -> AccessToken | RefreshToken | None:
        tokens = self._state.tokens
        return tokens.access.get(token) or tokens.refresh.get(token)

    async def _prepare(self, action: Action, bearer: str, call: Call) -> None:
        publish = self._state.publishes.get(call.publish_id or "")
        token = self._known(bearer)
        if action.type == "delay":
            await asyncio.sleep(action.seconds)
        elif action.type == "expire_upload_url" and publish is not None and publish.upload is not None:
            publish.upload.expires_at = self._state.clock.now()
        elif action.type == "revoke_token" and token is not None:
            token.revoked = True

    async def _end(self, action: Action, scope: Scope, receive: Receive, send: Send, call: Call) -> None:
        if action.type == "lost_answer":
            await self._app(scope, receive, _mute)
            await _hang_up(scope, receive)
        elif action.type == "wrong_answer":
            await self._app(scope, receive, _mute)
            await fault_answer(self._state, action, call)(scope, receive, send)
        elif action.type == "cut":
            length = int(Headers(scope=scope).get("content-length", "0"))
            await self._app(scope, _Cut(receive, action.after_bytes, length), _mute)
            await _hang_up(scope, receive)
        else:
            await fault_answer(self._state, action, call)(scope, receive, send)


class _Answer:
    """Passes the answer on and notes its status."""

    def __init__(self, send: Send, call: Call) -> None:
        self._send = send
        self._call = call

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] != CLIENT_GONE:
            self._call.status = message["status"]
        await self._send(message)


class _Cut:
    """A `receive` that loses the connection when it has given `after_bytes` of a longer body."""

    def __init__(self, receive: Receive, after_bytes: int, length: int) -> None:
        self._receive = receive
        self._left = after_bytes
        self._cuts = after_bytes < length

    async def __call__(self) -> Message:
        if not self._cuts:
            return await self._receive()
        if self._left == 0:
            return {"type": "http.disconnect"}
        message = await self._receive()
        body = message.get("body", b"")[: self._left]
        self._left -= len(body)
        return {**message, "body": body, "more_body": True}


async def _mute(message: MutableMapping[str, Any]) -> None:
    """Let the answer fall."""


async def _hang_up(scope: Scope, receive: Receive) -> None:
    """Close the TCP connection without a byte of answer."""
    transport: asyncio.Transport = scope[TRANSPORT]
    transport.abort()
    # The server must have noticed before we return, or it would send an answer of its own.
    while (await receive())["type"] != "http.disconnect":
        pass


def _bearer(scope: Scope) -> str:
    return Headers(scope=scope).get("authorization", "").removeprefix("Bearer ")


async def _peek(receive: Receive) -> tuple[Receive, bytes]:
    """Read a small body ahead. A longer one is no call that names something, and is passed on as it comes."""
    messages: list[Message] = []
    size = 0
    while not messages or (messages[-1].get("more_body") and size <= _PEEK_BYTES):
        messages.append(await receive())
        size += len(messages[-1].get("body", b""))
    waiting = iter(messages)

    async def replay() -> Message:
        ahead = next(waiting, None)
        return await receive() if ahead is None else ahead

    return replay, b"".join(message.get("body", b"") for message in messages)


def _token_in_form(body: bytes) -> str:
    """The token that a refresh trades or a revocation ends; empty for other calls."""
    form = dict(parse_qsl(body.decode("latin-1")))
    return form.get("refresh_token", "") or form.get("token", "")


def _publish_id(raw: bytes) -> str | None:
    try:
        publish_id = json_object(raw).get("publish_id")
    except FieldError:
        return None
    return publish_id if isinstance(publish_id, str) else None
