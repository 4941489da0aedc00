"""Tasks that need a token after something has happened, on the sandbox's clock."""

import asyncio
from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx

from tests.unit.databases import Mia
from tiktok_provider.api.accounts import creator_info
from tiktok_provider.api.drivers import SyncDriver
from tiktok_provider.database.services import Services
from tiktok_provider.exceptions import TikTokError
from tiktok_provider.hooks.tokens import Pause, RenewSecret, Step, Token, current_token
from tiktok_provider.store.errors import AccountDeadError
from tiktok_provider.store.requests import StoreRequest

# As Airflow waits between two tries of a task by default.
RETRY_DELAY = timedelta(minutes=5)
TRIES = 4


@dataclass
class TaskTry:
    """One try of a task: gets its token as the hook does, and asks for creator_info."""

    mia: Mia
    held: Token | None = field(default=None, init=False)

    def run(self) -> None:
        """Call TikTok.

        :raises AccountDeadError: a person must connect the account again.
        :raises TikTokError: anything else; the task would be retried.
        """
        with httpx.Client(base_url=self.mia.sandbox.url, trust_env=False) as client:
            SyncDriver(client, self._token).run(creator_info())

    def _token(self, spent: str | None) -> str | None:
        if self.held is None or spent:
            self.held = self._drive(current_token(self.mia.app.client_secret, spent, self.mia.clock))
        return self.held.value if self.held.value != spent else None

    def _drive(self, steps: Generator[Step, Any, Token]) -> Token:
        step = next(steps)
        try:
            while True:
                try:
                    found = self._do(step)
                except TikTokError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(found)
        except StopIteration as done:
            token: Token = done.value
            return token

    def _do(self, step: Step) -> Any:
        if isinstance(step, Pause):
            return self.mia.clock.advance(seconds=step.seconds)
        assert not isinstance(step, RenewSecret), "the client secret has not changed"
        return asyncio.run(self._ask(step))

    async def _ask(self, request: StoreRequest[Any]) -> Any:
        return await Services(accounts=self.mia.store()).answer("mia", request)


def fate(mia: Mia) -> str:
    """Let a task run, with its retries, and tell what became of the account."""
    for number in range(1, TRIES + 1):
        try:
            TaskTry(mia).run()
        except AccountDeadError:
            return "reconnect"
        except TikTokError:
            mia.clock.advance(seconds=RETRY_DELAY.total_seconds())
        else:
            return "survives" if number == 1 else f"survives, try {number}"
    return "no token"
