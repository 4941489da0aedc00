"""The threads in which the store blocks: one for its work on the database, two for lookups before it."""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

T = TypeVar("T")

# One, for it shares Python's lock with Airflow's heartbeats: a burst of callers waits in line here, where
# transactions are short. And none of the thread pool that the heartbeats themselves need.
_POOL = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tiktok-store")

# Whom to believe is looked up before anything is believed: a slow secrets backend holds up no store for strangers.
_LOOKUPS = ThreadPoolExecutor(max_workers=2, thread_name_prefix="tiktok-lookup")


async def in_thread(function: Callable[..., T], *arguments: object) -> T:
    """Run a blocking function without holding up the event loop; it sees the caller's context variables."""
    return await _run_in(_POOL, function, *arguments)


async def in_lookup_thread(function: Callable[..., T], *arguments: object) -> T:
    """Run a lookup for a caller that has proved nothing yet; see ``in_thread``."""
    return await _run_in(_LOOKUPS, function, *arguments)


async def _run_in(pool: ThreadPoolExecutor, function: Callable[..., T], *arguments: object) -> T:
    context = contextvars.copy_context()
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(pool, partial(context.run, function, *arguments))
