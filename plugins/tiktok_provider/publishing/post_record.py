"""One post's record in the store, as the try that publishes it sees it."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential

from tiktok_provider.exceptions import ConnectionUnreadableError, PostError, UnreachableError
from tiktok_provider.metrics import BYTES_SENT, count
from tiktok_provider.store.client import Store
from tiktok_provider.store.errors import (
    PostStateError,
    PostTakenError,
    StoreBusyError,
    StoreNotReadyError,
    StoreVersionError,
)
from tiktok_provider.store.posts import (
    RENEW_EVERY,
    Claimant,
    Claimed,
    PostClaim,
    PostOutcome,
    PostRecord,
    PostStep,
    Progress,
    Release,
    Renew,
)
from tiktok_provider.store.requests import AnnouncePost, ClaimPost, GetPost, RecordOutcome, WritePost
from tiktok_provider.store.serialization import StoreAnswerError
from tiktok_provider.store.signing import RequestNotAuthenticatedError

log = logging.getLogger(__name__)

# What passes when the API server is back. Not among them: that another try has taken the post over.
STORE_FAULTS = (StoreBusyError, StoreNotReadyError, StoreVersionError, StoreAnswerError, UnreachableError)
# What may pass, too: a Connection that cannot be read for a moment, here or at the API server, proves nothing.
PERHAPS_PASSING = (*STORE_FAULTS, RequestNotAuthenticatedError, ConnectionUnreadableError)
# A publish id that only this process knows is worth waiting for the store.
PATIENCE = 120.0
_ROUNDS = 4


class StoredPost:
    """Reads and writes the record of one post.

    Every write names the generation of the claim; once another try has taken the post over, each one raises
    ``PostTakenError``, and this try must stop.

    :param clock: monotonic seconds.
    :param sleep: waits, in seconds.
    """

    def __init__(
        self,
        store: Store,
        post_key: str,
        claimant: Claimant,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self._store = store
        self.post_key = post_key
        self.claimant = claimant
        self._clock, self._sleep = clock, sleep or time.sleep
        # When the last write began that the store has acknowledged, and when a renewal was last asked for.
        self._confirmed_at = self._renewed_at = clock()
        self._record: PostRecord | None = None

    @property
    def record(self) -> PostRecord:
        """What is on record since the last claim or write."""
        assert self._record is not None, "a claim comes first"
        return self._record

    def read(self) -> PostRecord | None:
        """Return what is on record, if anything; no claim is made."""
        return self._store.run(GetPost(self.post_key))

    def read_existing(self) -> PostRecord:
        """Return what is on record of a post that is under way.

        :raises PostError: nothing is, because a person has had it forgotten.
        """
        record = self.read()
        if record is None:
            raise PostError(
                "The post was forgotten while this task waited: it is no longer on record.\n"
                f"Its post key was {self.post_key!r}. What TikTok has published stays out; clear this task only if it"
                " shall be posted again.",
                publish_id=None,
            )
        return record

    def claim(self, claim: PostClaim) -> Claimed:
        """Ask for the lease."""
        begun = self._clock()
        claimed = self._store.run(ClaimPost(self.post_key, claim))
        self._record, self._confirmed_at = claimed.record, begun
        return claimed

    def write(self, step: PostStep) -> PostRecord:
        """Write one step; what follows from it may only be done once this has returned."""
        generation, begun = self.record.generation, self._clock()
        record = self._store.run(WritePost(self.post_key, generation, step))
        self._record, self._confirmed_at = record, begun
        return record

    def write_patiently(self, step: PostStep) -> PostRecord:
        """Write one step; waits two minutes for a store that is away."""
        retrying = Retrying(
            retry=retry_if_exception_type(PERHAPS_PASSING),
            stop=stop_after_delay(PATIENCE),
            wait=wait_exponential(multiplier=1, max=15),
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(self.write, step)

    def write_progress(self, sent_bytes: int, *, is_last: bool) -> None:
        """Record how far the upload is before a chunk leaves; without this the last one must not be sent.

        An API server that restarts is waited for: the generation of the claim still guards what follows.
        """
        self.write_patiently(Progress(sent_bytes=sent_bytes, finishing=is_last))

    def write_complete(self, size: int) -> None:
        """Record that TikTok has confirmed the last byte: whatever its status says, it lacks nothing any more.

        This try knows it even if it cannot be recorded.
        """
        count(BYTES_SENT, size)
        self._record = replace(self.record, sent_bytes=size)
        try:
            self.write_patiently(Progress(sent_bytes=size, finishing=True))
        except PERHAPS_PASSING as error:
            log.warning("That TikTok has the last byte could not be recorded: %s", error)
        except (PostStateError, PostTakenError) as error:
            # The task that was faster knows how the post has ended, or waits for it as this one does.
            log.info("That TikTok has the last byte is not on record: %s", error)

    def verify_claim(self) -> None:
        """Make sure, right before what cannot be undone, that this try still has the claim.

        :raises PostTakenError: another try has it.
        :raises StoreBusyError: the store answers so slowly that its answer is old when it comes.
        """
        for _ in range(_ROUNDS):
            if self._clock() - self._confirmed_at < RENEW_EVERY.total_seconds():
                return
            # Once more if this process has stood still just while it asked.
            self.write_patiently(Renew())
        raise StoreBusyError(f"The store takes longer than {RENEW_EVERY} to answer. Nothing was sent.")

    def renew_if_due(self) -> None:
        """Keep the lease during a long chunk; the progress of the next one is refused if that was in vain."""
        if self._clock() - max(self._confirmed_at, self._renewed_at) >= RENEW_EVERY.total_seconds():
            try:
                self._try(Renew())
            finally:
                # At the end of a call that may have taken long, or each megabyte would make one.
                self._renewed_at = self._clock()

    def release(self) -> None:
        """Give the lease back, so that no other task waits for it to end."""
        self._try(Release())

    def _try(self, step: PostStep) -> None:
        """Write what is no harm to miss."""
        try:
            self.write(step)
        except PERHAPS_PASSING as error:
            log.warning("%r could not be recorded: %s", step.type, error)

    def announce(self, *, waited: bool) -> bool:
        """Say that this try hands the post on, and return whether it may send the post's event; needs no claim.

        :param waited: whether it has waited for the post's end.
        """
        return self._store.run(AnnouncePost(self.post_key, self.claimant, waited))

    def record_outcome(self, post_outcome: PostOutcome) -> PostRecord:
        """Write how an attempt has ended; needs no claim."""
        ours = replace(post_outcome, task=self.claimant.task)
        return self._store.run(RecordOutcome(self.post_key, ours))
