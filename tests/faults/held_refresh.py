"""A refresh in a process of its own, which is held at one step until it is told to go on, killed or stopped."""

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from multiprocessing.connection import Connection
from typing import TypeVar

from airflow import settings
from airflow.models.crypto import get_fernet
from sqlalchemy import event
from sqlalchemy.orm import Session

from tiktok_provider.api.calls import Call
from tiktok_provider.database.accounts import token_endpoint as calling
from tiktok_provider.database.accounts.service import AccountService
from tiktok_sandbox.client import Sandbox

T = TypeVar("T")
# In seconds, instead of 20: so a process that stands still for STILL has used its time up, as after a minute.
SHORT_TIMEOUT, STILL = 1.0, 1.75


class Step(StrEnum):
    """Where a refresh can be held."""

    BEGUN = "before it takes the lease"
    LEASED = "it has the lease, nothing is sent"
    SENT = "TikTok has rotated, the answer is on its way"
    ANSWERED = "it has the answer, nothing is written"
    WRITTEN = "the new tokens are written, not committed"
    COMMITTED = "the new tokens are committed"


@dataclass
class Gate:
    """Where the process reports that it has come to its step, and waits."""

    step: Step
    channel: Connection

    def pass_by(self, step: Step) -> None:
        """Wait here for a word if this is the step."""
        if step is self.step:
            self.channel.send(step.name)
            self.channel.recv()


def refresh_held(
    step: Step,
    channel: Connection,
    environment: Mapping[str, str],
    sandbox_url: str,
    way: str,
    *,
    hurried: bool,
) -> None:
    """Refresh the connection ``mia``; the process's whole work.

    :param step: where to be held; at ``SENT`` it is the server that holds the answer back.
    :param environment: with the address of the database and the Connection.
    :param sandbox_url: whose clock is ours.
    :param way: where calls to TikTok are sent.
    :param hurried: whether a call to TikTok has but a short time.
    """
    os.environ.update(environment)
    _use_database()
    if hurried:
        calling.TOTAL_TIMEOUT = SHORT_TIMEOUT
    gate = Gate(step, channel)
    with Sandbox(sandbox_url) as sandbox:
        store = AccountService(clock=clock_of(sandbox), call=_HeldCall(gate, way))
        gate.pass_by(Step.BEGUN)
        asyncio.run(store.refresh("mia", 1))
        gate.pass_by(Step.COMMITTED)


def _use_database() -> None:
    get_fernet.cache_clear()
    settings.dispose_orm(do_log=False)
    settings.configure_vars()
    settings.configure_orm()


def clock_of(sandbox: Sandbox) -> Callable[[], datetime]:
    """Return a clock that goes as the sandbox's does."""
    return lambda: datetime.fromtimestamp(sandbox.now(), UTC)


class _HeldCall:
    """The product's own call, with a gate on both sides, and one in the transaction that follows."""

    def __init__(self, gate: Gate, way: str) -> None:
        self._gate, self._way = gate, way

    async def __call__(self, base_url: str, call: Call[T], /) -> T:  # noqa: ARG002
        self._gate.pass_by(Step.LEASED)
        answer = await calling.call_tiktok(self._way, call)
        self._gate.pass_by(Step.ANSWERED)
        event.listen(Session, "after_flush", lambda *_: self._gate.pass_by(Step.WRITTEN))
        return answer
