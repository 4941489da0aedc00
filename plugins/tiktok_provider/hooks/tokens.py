"""Where the hook's access token comes from: the store answers with it, encrypted for readers of the Connection.

The way there is one generator; a synchronous and an asynchronous loop drive it.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tiktok_provider.exceptions import ConnectionSettingsError, ConnectionUnreadableError, TikTokError
from tiktok_provider.security.encryption import Purpose, decrypt
from tiktok_provider.security.masking import TOKEN_MASKS, mask_in_task
from tiktok_provider.store.address import store_is_in_process
from tiktok_provider.store.client import AsyncStore, Store
from tiktok_provider.store.clock import utc_now
from tiktok_provider.store.errors import AccountChangedError, StoreBusyError
from tiktok_provider.store.requests import GetTokens, RefreshTokens, StoreRequest
from tiktok_provider.store.token_sets import REFRESH_LEAD, Busy, TokenState, tokens_conn_id

log = logging.getLogger(__name__)

# Longer than the lease of a process that refreshes, so that the next one gets a turn.
LONGEST_WAIT = timedelta(seconds=90)
# Seconds over which tasks that start together spread their refreshes: they share the API server with heartbeats.
# The first one refreshes the token, and later ones find the new one.
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
                f"Connection {conn_id!r} lacks the scope {scope!r}.\n"
                f"Granted are {', '.join(sorted(self.scopes))}. The owner of the account connects it again and grants"
                f" it: airflow tiktok connect {conn_id}"
            )

    def require_account(self, open_id: str, conn_id: str) -> None:
        """Check whose token it is, as far as both sides are known.

        :raises AccountChangedError: it acts for another TikTok account.
        """
        if open_id and self.open_id and open_id != self.open_id:
            raise AccountChangedError(
                f"Connection {conn_id!r} now belongs to another TikTok account than this post.\n"
                f"The post was begun for open id {open_id}, the connection is that of open id {self.open_id}, so"
                " nothing more is sent. Connect the first account again, or give the post of the other one a post key"
                " of its own."
            )


@dataclass(frozen=True, slots=True)
class RenewSecret:
    """Read the client secret that the Connection has now."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait.

    :param seconds: for so long.
    """

    seconds: float


Step = StoreRequest[Any] | RenewSecret | Pause
Steps = Generator[Step, Any, Token]
Clock = Callable[[], datetime]


def current_token(client_secret: str, rejected: str | None = None, clock: Clock = utc_now) -> Steps:
    """Get the access token of an account, refreshed if it has less than five minutes left.

    :param client_secret: with which the store's answer is decrypted; if it is another one by now, it is read again.
    :param rejected: a token that TikTok no longer accepts; if it is still the current one, it is refreshed.
    :raises AccountDeadError: a person must connect the account again.
    :raises ConnectionUnreadableError: the current token cannot be read now. An older one is never used instead.
    :raises TikTokError: what the store raises.
    """
    state: TokenState = yield GetTokens()
    if state.closed:
        log.warning("%s", state.closed)
    if state.needs_refresh(clock()):
        state = yield from _refreshed_if_possible(state, clock)
    token = yield from _decrypted(state, client_secret)
    if token.value == rejected:
        state = yield from _refreshed(state, clock)
        token = yield from _decrypted(state, client_secret)
    return token


def _refreshed_if_possible(state: TokenState, clock: Clock) -> Generator[Step, Any, TokenState]:
    """Refresh before the token expires; until then a refresh may fail."""
    try:
        return (yield from _refreshed(state, clock))
    except TikTokError as error:
        if state.access_expires_at <= clock():
            raise
        log.warning("The token of %r could not be refreshed before it expires: %s", state.conn_id, error)
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
                f"The token of connection {state.conn_id!r} is not refreshed after {LONGEST_WAIT.seconds} s.\n"
                "Another process is refreshing it, or TikTok needs a pause. It passes by itself."
            )
        yield Pause(outcome.retry_in * random.uniform(1, 1.5))


def _decrypted(state: TokenState, client_secret: str) -> Steps:
    if not state.encrypted_access_token:
        raise _unreadable(state)
    value = decrypt(client_secret, state.encrypted_access_token, Purpose.ACCESS_TOKEN)
    if value is None:
        renewed: str = yield RenewSecret()
        value = decrypt(renewed, state.encrypted_access_token, Purpose.ACCESS_TOKEN)
    if value is None:
        raise ConnectionUnreadableError(
            f"The access token of connection {state.conn_id!r} cannot be decrypted.\n"
            "The API server has another client secret for it than this process. Shortly after a change of the client"
            " secret that passes by itself. If it lasts, the connection is defined in two places: define it in one"
            " that both can read."
        )
    if not value.isascii() or any(sign.isspace() for sign in value):
        raise ConnectionSettingsError(
            f"The access token of connection {state.conn_id!r} has signs that no token has.\n"
            "Blanks or line breaks, for example. Paste it again."
        )
    scopes = frozenset(state.scope.replace(",", " ").split())
    return Token(value, state.access_expires_at, scopes, state.open_id)


def _unreadable(state: TokenState) -> ConnectionUnreadableError:
    tokens = tokens_conn_id(state.conn_id)
    return ConnectionUnreadableError(
        f"The tokens of connection {state.conn_id!r} could not be read by the API server.\n"
        f"It looks for generation {state.generation}. Shortly after a refresh that passes by itself. If it lasts,"
        f" connection {tokens!r}, which holds them, has older ones, as after a rotation of the Fernet key or an"
        " import"
        f" of connections meanwhile: connect the account again with airflow tiktok connect {state.conn_id}"
    )


def run_steps(steps: Steps, store: Store) -> Token:
    """Drive the generator synchronously. The token is masked in this process and in the task's log."""

    def do(step: Step) -> Any:
        if isinstance(step, StoreRequest):
            return store.run(step)
        return store.renew_secret() if isinstance(step, RenewSecret) else time.sleep(step.seconds)

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
        TOKEN_MASKS.mask(store.conn_id, token.value)
        mask_in_task(token.value)
        return token


async def run_steps_async(steps: Steps, store: AsyncStore) -> Token:
    """Drive the generator on an event loop.

    The token is masked in this process alone: the triggerer's supervisor, which lives for months, forgets no mask.
    """

    async def do(step: Step) -> Any:
        if isinstance(step, StoreRequest):
            return await store.run(step)
        return await (store.renew_secret() if isinstance(step, RenewSecret) else asyncio.sleep(step.seconds))

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
        # In a thread: the expression of all masks is built again for it.
        await asyncio.to_thread(TOKEN_MASKS.mask, store.conn_id, token.value)
        return token
