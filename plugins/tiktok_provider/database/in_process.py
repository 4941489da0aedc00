"""The store in a process that has a database: the command line, ``dag.test()``."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

from tiktok_provider.database.services import Services
from tiktok_provider.store.client import AsyncStore, Store
from tiktok_provider.store.requests import StoreRequest

T = TypeVar("T")


class InProcessStore(Store):
    """Calls the store's own code."""

    def run(self, request: StoreRequest[T]) -> T:
        """Ask the store in a thread: the caller may sit on an event loop, as in a notebook."""
        with ThreadPoolExecutor(max_workers=1) as thread:
            answer = Services().answer(self.conn_id, request)
            return thread.submit(copy_context().run, asyncio.run, answer).result()


class AsyncInProcessStore(AsyncStore):
    """Calls the store's own code."""

    async def run(self, request: StoreRequest[T]) -> T:
        """Ask the store."""
        return await Services().answer(self.conn_id, request)
