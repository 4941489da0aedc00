"""One address for several servers, as a load balancer in front of two API servers gives it."""

import asyncio
import itertools
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from queue import SimpleQueue

from local_ports import free_port

_PIECE = 65_536


class _Balancer:
    """Passes each connection on to the next of the servers that takes it."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = ports
        self._turns = itertools.cycle(range(len(ports)))

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = next(self._turns)
        for place in range(len(self._ports)):
            with suppress(OSError):
                port = self._ports[(first + place) % len(self._ports)]
                their_reader, their_writer = await asyncio.open_connection("127.0.0.1", port)
                await asyncio.gather(_copy(reader, their_writer), _copy(their_reader, writer))
                return
        writer.close()


@contextmanager
def one_address(ports: Sequence[int]) -> Iterator[int]:
    """Serve for servers on this machine, in a thread, and give the port to connect to."""
    port = free_port()
    handed_over: SimpleQueue[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = SimpleQueue()

    async def serve() -> None:
        ended = asyncio.Event()
        async with await asyncio.start_server(_Balancer(ports).pass_on, "127.0.0.1", port):
            handed_over.put((asyncio.get_running_loop(), ended))
            await ended.wait()

    # Its end cancels what still copies.
    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="one-address", daemon=True)
    thread.start()
    loop, ended = handed_over.get(timeout=10)
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(timeout=10)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    # A server that is killed breaks its connections; its caller then finds the other one.
    with suppress(OSError):
        while piece := await reader.read(_PIECE):
            writer.write(piece)
            await writer.drain()
    writer.close()
