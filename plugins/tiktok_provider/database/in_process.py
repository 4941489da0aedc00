"""The store in a process that has a database: the command line, ``dag.test()``."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tiktok_provider.database.services import Stores
from tiktok_provider.store.client import AsyncStore, Store
from tiktok_provider.store.requests import Operation

T = TypeVar("T")


class InProcessStore(Store):
    """Calls the store's own code."""

    def run(self, operation: Operation[T]) -> T:
        """Do one operation in a thread: the caller may sit on an event loop, as in a notebook."""
        with ThreadPoolExecutor(max_workers=1) as thread:
            return thread.submit(lambda: asyncio.run(_in_process(operation))).result()


class AsyncInProcessStore(AsyncStore):
    """Calls the store's own code."""

    async def run(self, operation: Operation[T]) -> T:
        """Do one operation."""
        return await _in_process(operation)


async def _in_process(operation: Operation[T]) -> T:
    return await operation.do(Stores())
