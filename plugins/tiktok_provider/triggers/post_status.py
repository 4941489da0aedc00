"""The trigger that waits for a post."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from tiktok_provider.api.posting import PostStatus
from tiktok_provider.exceptions import TikTokError
from tiktok_provider.publishing.waiting.polling import (
    Outcome,
    PollAgain,
    WaitFor,
    Watch,
    at_deadline,
    given_up_in,
    next_pause,
    on_error,
    on_record,
    on_status,
)
from tiktok_provider.publishing.waiting.worker_poller import with_jitter
from tiktok_provider.store.posts import PostOutcome, PostState
from tiktok_provider.triggers.account_session import AccountSession, account_session
from tiktok_provider.triggers.events import hold_event

log = logging.getLogger(__name__)

# Airflow's own timeout of the deferral is only a net below the trigger's deadline.
DEFERRAL_MARGIN = timedelta(minutes=10)
# Seconds. After a restart many triggers begin together: each takes its first look at a random moment of so many.
FIRST_LOOKS = 8.0
# Seconds from one look at the store's record to the next; most posts are out before the first one.
RECORD_EVERY = 600.0
# Seconds in which one poll is tried even after the deadline, as when no triggerer was up for a while.
LEAST_PATIENCE = 30.0


class TikTokPostStatusTrigger(BaseTrigger):
    """Waits until a post has what is waited for, then fires one event.

    It keeps nothing that a restart of the triggerer would lose: another triggerer goes on with the same deadline, and
    when a post was published whose id is waited for is on record in the store.

    :param tiktok_conn_id: a Connection of type ``tiktok``.
    :param publish_id: TikTok's id of the attempt.
    :param wait_for: see ``publishing.waiting.polling.Watch``.
    :param started_at: seconds since the epoch; polls are frequent at first and rare later.
    :param deadline: seconds since the epoch.
    :param size: bytes of the uploaded file; None if it is not known.
    :param post_key: under which the post is on record; None if it is not.
    :param id_patience: seconds for which the id of a published post is waited for; None: to the deadline.
    :param cancel_for: the try for which the pull is cancelled when a person ends it; empty: never.
    """

    def __init__(
        self,
        tiktok_conn_id: str,
        publish_id: str,
        wait_for: WaitFor,
        started_at: float,
        deadline: float,
        size: int | None = None,
        post_key: str | None = None,
        id_patience: float | None = None,
        cancel_for: str = "",
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.tiktok_conn_id = tiktok_conn_id
        self.watch = Watch(
            publish_id, wait_for, started_at, deadline, size, post_key, id_patience, cancel_for
        )
        self._last: PostStatus | None = None
        self._record_at = 0.0

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments, all plain values."""
        path = "tiktok_provider.triggers.post_status.TikTokPostStatusTrigger"
        return path, {"tiktok_conn_id": self.tiktok_conn_id, **asdict(self.watch)}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait until the end; the event's payload is ``Outcome.to_event()``."""
        begun = time.monotonic()
        async with account_session(self.tiktok_conn_id) as account:
            outcome = await self.wait(account)
        await hold_event(begun)
        yield TriggerEvent(outcome.to_event())

    async def on_kill(self) -> None:
        """Ask TikTok to stop its pull, if that is wanted and a person has ended the task.

        Before Airflow 3.4 this is called, too, when another triggerer takes over: then the task is still waiting.
        """
        watch = self.watch
        if not watch.cancel_for or watch.post_key is None:
            return
        async with account_session(self.tiktok_conn_id) as account:
            if await account.is_try_over(watch.post_key, watch.cancel_for):
                await self._cancel(account)

    async def _cancel(self, account: AccountSession) -> None:
        try:
            await account.cancel(self.watch.publish_id)
        except TikTokError as error:
            log.warning("TikTok does not stop its pull for %s: %s", self.watch.publish_id, error)
        else:
            log.info("TikTok was asked to stop its pull for %s", self.watch.publish_id)

    async def wait(self, account: AccountSession) -> Outcome:
        """Ask again and again until the waiting is over."""
        now = time.time()
        self._record_at = now + with_jitter(RECORD_EVERY)
        await asyncio.sleep(random.uniform(0.0, min(next_pause(self.watch, now), FIRST_LOOKS)))
        while isinstance(step := await self._ask(account), PollAgain):  # noqa: ASYNC110  (TikTok sends no word)
            await asyncio.sleep(with_jitter(step.pause))
        return step

    async def _ask(self, account: AccountSession) -> PollAgain | Outcome:
        patience = max(given_up_in(self.watch, time.time()), LEAST_PATIENCE)
        try:
            async with asyncio.timeout(patience) as limit:
                return await self._ask_store(account) or await self._ask_tiktok(account)
        except TimeoutError:
            if not limit.expired():
                raise
            return at_deadline(self.watch, self._last)

    async def _ask_store(self, account: AccountSession) -> Outcome | None:
        """Return the outcome that the store knows: from a webhook, another task or a person."""
        now = time.time()
        if self.watch.post_key is None or now < self._record_at:
            return None
        self._record_at = now + with_jitter(RECORD_EVERY)
        record = await account.fetch_record(self.watch.post_key)
        return on_record(self.watch, record, now) if record else None

    async def _ask_tiktok(self, account: AccountSession) -> PollAgain | Outcome:
        watch = self.watch
        try:
            self._last = await account.fetch_status(watch.publish_id)
        except TikTokError as error:
            log.warning("Could not ask for %s: %s", watch.publish_id, error)
            return on_error(watch, error, time.time(), self._last)
        log.info("%s is %s", watch.publish_id, self._last.status)
        if watch.id_patience is not None and watch.lacks_only_id(self._last):
            self.watch = watch.once_out(await self._out_at(account, self._last))
        return on_status(self.watch, self._last, time.time())

    async def _out_at(self, account: AccountSession, status: PostStatus) -> float:
        """Record that the post is published, and return when this was first seen; now, if the store does not say."""
        watch, record = self.watch, None
        if watch.post_key is not None:
            outcome = PostOutcome(
                publish_id=watch.publish_id, state=PostState.OUT, status=status.model_dump(mode="json")
            )
            record = await account.record_outcome(watch.post_key, outcome)
        return record.out_at.timestamp() if record and record.out_at else time.time()


def deferral(tiktok_conn_id: str, watch: Watch) -> dict[str, Any]:
    """Return the arguments of ``defer`` that make a task wait for a post and go on in ``execute_complete``."""
    return {
        "trigger": TikTokPostStatusTrigger(tiktok_conn_id=tiktok_conn_id, **asdict(watch)),
        "method_name": "execute_complete",
        "timeout": timedelta(seconds=max(watch.deadline - time.time(), 0.0)) + DEFERRAL_MARGIN,
    }
