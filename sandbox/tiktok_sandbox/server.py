"""Serves the sandbox: in a thread of this process, or as the program's main loop."""

import asyncio
import socket
import tempfile
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from tiktok_sandbox.application import create_application
from tiktok_sandbox.middleware import TRANSPORT
from tiktok_sandbox.state import SandboxState

_BACKLOG = 128


class _Protocol(H11Protocol):
    """Hands the connection's transport to the application, which must be able to close it without an answer."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        application = cast(ASGIApp, self.app)

        async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            scope[TRANSPORT] = transport
            await application(scope, receive, send)

        self.app = with_transport


@dataclass(frozen=True)
class ServedSandbox:
    """A sandbox that listens. `url` is its base address without a slash at the end."""

    url: str
    state: SandboxState
    server: uvicorn.Server
    listener: socket.socket

    def run(self) -> None:
        """Serve until `server.should_exit` is set."""
        self.server.run(sockets=[self.listener])


@contextmanager
def prepared_sandbox(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    seed: int = 1,
    storage: Path | None = None,
    switches: Mapping[str, object] | None = None,
    names: Collection[str] = (),
) -> Iterator[ServedSandbox]:
    """A sandbox whose socket is open already: calls wait until it runs.

    :param host: the address to listen on. Default: this machine only.
    :param port: 0 takes a free one.
    :param seed: makes all ids repeatable.
    :param storage: folder for received media. Default: a temporary one, removed at the end.
    :param switches: values that also a reset goes back to. Default: those of the README.
    :param names: hosts by which it is called besides ``localhost``, addresses and ``host``, such as a container's.
    """
    with tempfile.TemporaryDirectory(prefix="tiktok-sandbox-") as temporary:
        folder = storage or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        state = SandboxState(folder, seed, switches)
        config = uvicorn.Config(
            create_application(state, {host, *names}),
            http=_Protocol,
            lifespan="on",
            log_level="warning",
            access_log=False,
            timeout_keep_alive=60,
            timeout_graceful_shutdown=1,
        )
        with socket.create_server((host, port), backlog=_BACKLOG) as listener:
            shown = "127.0.0.1" if host == "0.0.0.0" else host
            url = f"http://{shown}:{listener.getsockname()[1]}"
            yield ServedSandbox(url, state, uvicorn.Server(config), listener)


@contextmanager
def running_sandbox(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    seed: int = 1,
    storage: Path | None = None,
    switches: Mapping[str, object] | None = None,
    names: Collection[str] = (),
) -> Iterator[ServedSandbox]:
    """Serve a sandbox from a thread of this process; arguments as for `prepared_sandbox`."""
    with prepared_sandbox(
        host=host, port=port, seed=seed, storage=storage, switches=switches, names=names
    ) as served:
        thread = threading.Thread(target=served.run, name="tiktok-sandbox", daemon=True)
        thread.start()
        try:
            yield served
        finally:
            served.server.should_exit = True
            thread.join()
