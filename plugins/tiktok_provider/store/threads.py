"""The thread in which the store works on the database."""

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


async def in_thread(function: Callable[..., T], *arguments: object) -> T:
    """Run a blocking function without holding up the event loop; it sees the caller's context variables."""
    context = contextvars.copy_context()
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_POOL, partial(context.run, function, *arguments))
