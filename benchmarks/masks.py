"""How a process grows that gets a new token for each of many accounts every day, as the triggerer's hook does.

    python benchmarks/masks.py [DAYS] [ACCOUNTS]

Prints, after single days, the patterns of Airflow's masker, the expressions that ``re`` keeps, and the memory; then
the same for masks that are only ever added.
"""

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from secrets import token_urlsafe
from typing import Any

import psutil  # type: ignore[import-untyped]

from tiktok_provider.hooks.tokens import current_token, run_steps_async
from tiktok_provider.security.encryption import Purpose, encrypt
from tiktok_provider.security.masking import mask, maskers
from tiktok_provider.store.client import AsyncStore
from tiktok_provider.store.requests import StoreRequest
from tiktok_provider.store.token_sets import TokenState

SECRET = "fake-client-secret"
END = datetime(2100, 1, 1, tzinfo=UTC)


class NewTokens(AsyncStore):
    """Answers each request with a token as long as TikTok's."""

    async def run(self, request: StoreRequest[Any]) -> Any:  # noqa: ARG002
        encrypted = encrypt(SECRET, new_token(), Purpose.ACCESS_TOKEN)
        return TokenState(self.conn_id, 1, END, END + timedelta(days=300), "", "", encrypted)


def new_token() -> str:
    """Return a token as long as TikTok's."""
    return f"act.{token_urlsafe(45)}!4{token_urlsafe(6)}"


def as_the_hook_does(conn_id: str) -> None:
    """Get a token."""
    asyncio.run(run_steps_async(current_token(SECRET), NewTokens(conn_id)))


def as_airflow_does(_: str) -> None:
    """Mask a token for good."""
    mask(new_token())


WAYS: dict[str, Callable[[str], None]] = {"hook": as_the_hook_does, "added only": as_airflow_does}


def measure(way: str, days: int, accounts: int) -> None:
    """Print one line for each third of the time, and for the first two days."""
    for day in range(1, days + 1):
        began = time.process_time()
        for number in range(accounts):
            WAYS[way](f"account-{number}")
        if day <= 2 or day % max(days // 3, 1) == 0:
            patterns = max(len(masker.patterns) for masker in maskers())
            kept = len(re._cache)  # type: ignore[attr-defined]
            memory = psutil.Process().memory_info().rss / 1e6
            seconds = time.process_time() - began
            print(f"{way:>10} {day:>4} {patterns:>8} {kept:>11} {memory:>9.0f} {seconds:>9.1f}", flush=True)


def main() -> None:
    """Measure each way in a process of its own."""
    days, accounts = (int(value) for value in [*sys.argv[1:3], "30", "134"][:2])
    if len(sys.argv) > 3:
        measure(sys.argv[3], days, accounts)
        return
    print(f"{accounts} accounts, a new token for each on every day")
    print("       way  day patterns expressions memory MB CPU s/day", flush=True)
    for way in WAYS:
        # What is only ever added takes hours for a month.
        shown = days if way == "hook" else min(days, 3)
        subprocess.run([sys.executable, __file__, str(shown), str(accounts), way], check=True)


if __name__ == "__main__":
    main()
