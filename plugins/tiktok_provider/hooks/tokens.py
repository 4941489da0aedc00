"""Where the hook's access token comes from: the store knows which set is current, a Connection holds it.

The way there is one generator; a synchronous and an asynchronous loop drive it.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tiktok_provider.exceptions import ConnectionSettingsError, ConnectionUnreadableError, TikTokError
from tiktok_provider.store.address import store_is_in_process
from tiktok_provider.store.client import AsyncStore, Store
from tiktok_provider.store.clock import utc_now
from tiktok_provider.store.connection import tokens_in
from tiktok_provider.store.errors import AccountChangedError, AccountDeadError, StoreBusyError
from tiktok_provider.store.requests import GetTokens, RefreshTokens, StoreRequest
from tiktok_provider.store.token_sets import REFRESH_LEAD, Busy, TokenState

log = logging.getLogger(__name__)

# Longer than the lease of somebody who refreshes, so that the next one gets a turn.
LONGEST_WAIT = timedelta(seconds=90)
# Seconds over which tasks that start together spread their refreshes: they share the API server with heartbeats.
# The first one gets the new token, and who comes later finds it there.
SPREAD = 3.0


@dataclass(frozen=True, slots=True)
class Token:
    """An access token that can be used now.

    :param expires_at: UTC.
    :param scopes: what was granted.
    :param open_id: of the TikTok account that it acts for; empty if that is not known.
    """

    value: str = field(repr=False)
    expires_at: datetime
    scopes: frozenset[str]
    open_id: str = ""

    def needs_refresh(self, now: datetime) -> bool:
        """Whether it has less than five minutes left."""
        return self.expires_at - now < REFRESH_LEAD

    def require(self, scope: str, conn_id: str) -> None:
        """Check a scope before anything is sent.

        :raises ConnectionSettingsError: it was not granted.
        """
        if self.scopes and scope not in self.scopes:
            raise ConnectionSettingsError(
                f"Connection {conn_id!r} lacks the scope {scope!r}: granted are {', '.join(sorted(self.scopes))}."
                " The owner of the account connects it again and grants it."
            )

    def require_account(self, open_id: str, conn_id: str) -> None:
        """Check whose token it is, as far as both sides are known.

        :raises AccountChangedError: it acts for another TikTok account.
        """
        if open_id and self.open_id and open_id != self.open_id:
            raise AccountChangedError(
                f"Connection {conn_id!r} has gone over to another TikTok account (open id {self.open_id}) while a"
                f" post of the account with open id {open_id} was under way, so nothing more is sent. Connect the"
                " first account again, or give the post of the other one a post key of its own."
            )


@dataclass(frozen=True, slots=True)
class Read:
    """Read the extra of a Connection."""

    conn_id: str


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait.

    :param seconds: for so long.
    """

    seconds: float


Step = StoreRequest[Any] | Read | Pause
Steps = Generator[Step, Any, Token]
Clock = Callable[[], datetime]


def current_token(rejected: str | None = None, clock: Clock = utc_now) -> Steps:
    """Get the access token of an account, refreshed if it has less than five minutes left.

    :param rejected: a token that TikTok no longer accepts; if it is still the current one, it is refreshed.
    :raises AccountDeadError: a person must connect the account again.
    :raises ConnectionUnreadableError: the current set cannot be read now. An older one is never taken instead.
    :raises TikTokError: what the store raises.
    """
    state: TokenState = yield GetTokens()
    if state.needs_refresh(clock()):
        state = yield from _refreshed_if_possible(state, clock)
    token = yield from _read(state, clock)
    if token.value == rejected:
        state = yield from _refreshed(state, clock)
        token = yield from _read(state, clock)
    return token


def _refreshed_if_possible(state: TokenState, clock: Clock) -> Generator[Step, Any, TokenState]:
    """Refresh ahead of time; a fault that passes is no harm as long as the token lives."""
    try:
        return (yield from _refreshed(state, clock))
    except AccountDeadError:
        raise
    except TikTokError as error:
        if state.access_expires_at <= clock():
            raise
        log.warning("The token of %r could not be refreshed ahead of time: %s", state.conn_id, error)
        return state


def _refreshed(state: TokenState, clock: Clock) -> Generator[Step, Any, TokenState]:
    deadline = clock() + LONGEST_WAIT
    if not store_is_in_process():
        yield Pause(random.uniform(0, SPREAD))
    while True:
        outcome: TokenState | Busy = yield RefreshTokens(state.generation)
        if isinstance(outcome, TokenState):
            return outcome
        if clock() >= deadline:
            raise StoreBusyError(
                f"The token of connection {state.conn_id!r} is being refreshed elsewhere, or TikTok needs a pause,"
                f" for more than {LONGEST_WAIT.seconds} s."
            )
        yield Pause(outcome.retry_in * random.uniform(1, 1.5))


def _read(state: TokenState, clock: Clock) -> Steps:
    extra: Mapping[str, Any] = yield Read(state.tokens_conn_id)
    tokens = tokens_in(state.tokens_conn_id, extra, clock())
    if tokens is None or int(extra.get("generation", 0)) < state.generation:
        raise ConnectionUnreadableError(
            f"Connection {state.tokens_conn_id!r}, which holds the tokens of {state.conn_id!r}, could not be read in"
            f" generation {state.generation}. Shortly after a refresh that passes by itself. If it lasts, somebody"
            " put an older set back, as a rotation of the Fernet key or an import of connections meanwhile does:"
            f" connect the account again with airflow tiktok connect {state.conn_id}. Or a secrets backend of yours"
            " has a connection of that name."
        )
    if not tokens.access_token.isascii() or any(sign.isspace() for sign in tokens.access_token):
        raise ConnectionSettingsError(
            f"The access token of connection {state.conn_id!r} has blanks, line breaks or signs that no token has."
            " Paste it anew."
        )
    scopes = frozenset(tokens.scope.replace(",", " ").split())
    return Token(tokens.access_token, tokens.access_expires_at, scopes, tokens.open_id)


def run_steps(steps: Steps, store: Store, read: Callable[[str], Mapping[str, Any]]) -> Token:
    """Drive the generator synchronously.

    :param read: reads the extra of a Connection.
    """

    def do(step: Step) -> Any:
        if isinstance(step, StoreRequest):
            return store.run(step)
        return read(step.conn_id) if isinstance(step, Read) else time.sleep(step.seconds)

    step = next(steps)
    try:
        while True:
            try:
                found = do(step)
            except TikTokError as error:
                step = steps.throw(error)
            else:
                step = steps.send(found)
    except StopIteration as done:
        token: Token = done.value
        return token


async def run_steps_async(
    steps: Steps, store: AsyncStore, read: Callable[[str], Awaitable[Mapping[str, Any]]]
) -> Token:
    """Drive the generator on an event loop; see ``run_steps``."""

    async def do(step: Step) -> Any:
        if isinstance(step, StoreRequest):
            return await store.run(step)
        return await (read(step.conn_id) if isinstance(step, Read) else asyncio.sleep(step.seconds))

    step = next(steps)
    try:
        while True:
            try:
                found = await do(step)
            except TikTokError as error:
                step = steps.throw(error)
            else:
                step = steps.send(found)
    except StopIteration as done:
        token: Token = done.value
        return token
