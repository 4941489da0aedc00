"""Refreshes to which something happens."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from tests.unit.databases import Mia
from tiktok_provider.api.calls import Call
from tiktok_provider.database.accounts.token_endpoint import call_tiktok
from tiktok_provider.store.token_sets import Busy, TokenState

T = TypeVar("T")
TOKEN = "/v2/oauth/token/"


class Killed(BaseException):
    """The process dies here: nothing of what follows happens."""


class Interrupted:
    """Calls TikTok, with something happening around it."""

    def __init__(
        self, before: Callable[[], object] = lambda: None, after: Callable[[], object] = lambda: None
    ) -> None:
        self.before, self.after = before, after

    async def __call__(self, base_url: str, call: Call[T], /) -> T:
        await asyncio.to_thread(self.before)
        answer = await call_tiktok(base_url, call)
        await asyncio.to_thread(self.after)
        return answer


def die() -> None:
    raise Killed


def refresh(mia: Mia, generation: int = 1, **options: Any) -> TokenState | Busy:
    return asyncio.run(mia.store(**options).refresh("mia", generation))


def killed_refresh(mia: Mia, **moment: Callable[[], object]) -> None:
    """Refresh in a process that dies before or after the call."""
    with pytest.raises(Killed):
        refresh(mia, call=Interrupted(**moment))


def revoke_all(mia: Mia) -> None:
    """The creator removes the app in TikTok's settings."""
    mia.sandbox._call(
        "POST", f"/sandbox/accounts/{mia.account.open_id}/revoke", {"client_key": mia.app.client_key}
    )


def stopped(mia: Mia, meanwhile: Callable[[], object] = lambda: None) -> Interrupted:
    """A process that stands still, with TikTok's answer in its hands, for longer than its lease."""

    def stand_still() -> None:
        mia.clock.advance(seconds=61)
        meanwhile()

    return Interrupted(after=stand_still)
