"""The threads in which the store blocks: two for its work on the database, four for lookups before it."""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

T = TypeVar("T")

# One, because it shares Python's lock with Airflow's heartbeats: a burst of callers queues here, where transactions
# are short. And not from the event loop's own thread pool, which the heartbeats need.
_POOL = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tiktok-store")

# SQLite lets others read while a write waits for its lock, so questions do not queue behind that write.
_READS = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tiktok-store-reads")

# Connections of callers that have not authenticated yet are looked up apart: a slow secrets backend must not make the
# store wait for strangers.
_LOOKUPS = ThreadPoolExecutor(max_workers=2, thread_name_prefix="tiktok-lookup")
_KNOWN_LOOKUPS = ThreadPoolExecutor(max_workers=2, thread_name_prefix="tiktok-known-lookup")


async def in_thread(function: Callable[..., T], *arguments: object) -> T:
    """Run a blocking function without blocking the event loop; it sees the caller's context variables."""
    return await _run_in(_POOL, function, *arguments)


async def in_read_thread(function: Callable[..., T], *arguments: object) -> T:
    """Run what mostly only reads; see ``in_thread``."""
    return await _run_in(_READS, function, *arguments)


async def in_lookup_thread(function: Callable[..., T], *arguments: object) -> T:
    """Run a lookup for a caller that has not authenticated yet; see ``in_thread``."""
    return await _run_in(_LOOKUPS, function, *arguments)


async def in_known_lookup_thread(function: Callable[..., T], *arguments: object) -> T:
    """Run a lookup for a connection whose callers have authenticated lately; see ``in_thread``."""
    return await _run_in(_KNOWN_LOOKUPS, function, *arguments)


async def _run_in(pool: ThreadPoolExecutor, function: Callable[..., T], *arguments: object) -> T:
    context = contextvars.copy_context()
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(pool, partial(context.run, function, *arguments))
