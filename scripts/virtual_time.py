"""An event loop whose waiting takes no real time: when nothing is under way, its clock jumps to the next timer."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from unittest.mock import patch

import httpx

T = TypeVar("T")


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its time stands still while a thread works or an HTTP request is under way.

    :param jump: called before the clock moves, with the seconds.
    """

    def __init__(self, jump: Callable[[float], object]) -> None:
        super().__init__()
        self._jump = jump
        self._passed = 0.0
        self._under_way = 0

    def time(self) -> float:
        """Return the seconds since the start."""
        return self._passed

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Let the time stand still."""
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    def run_in_executor(self, executor: Any, function: Any, *arguments: Any) -> Any:  # type: ignore[override]
        """Work in a thread, which takes no time."""
        future = super().run_in_executor(executor, function, *arguments)
        self._under_way += 1
        future.add_done_callback(self._end)
        return future

    def _end(self, _: object) -> None:
        self._under_way -= 1

    def _run_once(self) -> None:
        if not self._ready and not self._under_way:  # type: ignore[attr-defined]
            timers = (timer for timer in self._scheduled if not timer.cancelled())  # type: ignore[attr-defined]
            moment = min((timer.when() for timer in timers), default=self._passed)
            if moment > self._passed:
                self._jump(moment - self._passed)
                self._passed = moment
        super()._run_once()  # type: ignore[misc]


def run_in_virtual_time(test: Coroutine[Any, Any, T], jump: Callable[[float], object]) -> T:
    """Run a coroutine on a ``VirtualLoop``, as ``asyncio.run`` does."""
    send = httpx.AsyncClient.send
    loop = VirtualLoop(jump)

    async def send_in_no_time(client: httpx.AsyncClient, *arguments: Any, **options: Any) -> httpx.Response:
        with loop.busy():
            return await send(client, *arguments, **options)

    with (
        patch.object(httpx.AsyncClient, "send", send_in_no_time),
        asyncio.Runner(loop_factory=lambda: loop) as runner,
    ):
        return runner.run(test)
