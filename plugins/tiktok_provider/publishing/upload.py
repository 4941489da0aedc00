"""Sending a file to one publish id, from wherever TikTok stands, through every fault that passes."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from tiktok_provider.api.chunks import Chunk, ChunkPlan
from tiktok_provider.api.posting import Status, fetch_status
from tiktok_provider.exceptions import (
    InvalidInputError,
    InvalidRequestError,
    RateLimitedError,
    ServiceError,
    TikTokError,
    UnreachableError,
    UploadError,
)
from tiktok_provider.hooks.tiktok import TikTokHook
from tiktok_provider.publishing.chunk_stream import Upload
from tiktok_provider.publishing.post_record import StoredPost
from tiktok_provider.publishing.rate_limit import RateLimiter
from tiktok_provider.store.errors import StoreUnreachableError
from tiktok_provider.store.posts import MarkFailed
from tiktok_provider.store.rate_limits import Endpoint

log = logging.getLogger(__name__)

# Each one comes after the driver's own four tries. In a row, with no byte gained in between.
MAX_SETBACKS = 6
LONGEST_PAUSE = 30.0
# On the worker; what TikTok wants beyond is for the next try.
LONGEST_RETRY_AFTER = 60.0

_PASSING = (RateLimitedError, ServiceError, UnreachableError)
_AFTER_UPLOAD = (Status.SEND_TO_USER_INBOX, Status.PUBLISH_COMPLETE, Status.FAILED)


@dataclass
class Uploader:
    """Sends what TikTok does not have yet.

    :param finishing: whether it is on record already that the last byte may have left.
    :param resumed: whether an earlier try has sent to this publish id: TikTok may hold more than is on record.
    :param sleep: waits, in seconds.
    """

    hook: TikTokHook
    stored_post: StoredPost
    rate_limiter: RateLimiter
    upload: Upload
    plan: ChunkPlan
    publish_id: str
    finishing: bool
    sleep: Callable[[float], None]
    resumed: bool = False
    _setbacks: int = field(default=0, init=False)
    _may_hold_chunk: bool = field(init=False)
    _may_hold_last_byte: bool = field(init=False)

    def __post_init__(self) -> None:
        self._may_hold_chunk = self.resumed
        self._may_hold_last_byte = self.resumed and self.finishing

    def send(self, position: int = 0) -> None:
        """Send everything from a position on; returns when TikTok has, or may have, the last byte.

        A fault that passes is waited out, then TikTok is asked where it stands: at most one chunk is sent twice.

        :raises UploadExpiredError: the URL has ended before the last byte left: nothing is out, as is recorded.
        :raises UploadError: TikTok refuses the file: nothing is out, as is recorded.
        :raises TikTokError: a fault has lasted too long; the next try goes on from there.
        """
        while position < self.plan.size:
            chunk = self.plan.chunk_with(position)
            try:
                position = self._send_chunk(chunk)
            except StoreUnreachableError:
                raise
            except _PASSING as error:
                self._count_setback(error)
                log.warning("Chunk %d of %d: %s", chunk.number + 1, self.plan.count, error)
                self.sleep(self._pause_after(error))
                self._may_hold_chunk = True
                position = self._position_after_fault(position)

    def position_at_tiktok(self, known: int) -> int:
        """Ask TikTok where it stands; what it does not say stays as known.

        :param known: bytes that TikTok has acknowledged.
        :returns: bytes up to the end of a whole chunk; the size of the file once TikTok has them all, or has
            refused it, as the waiting will tell.
        :raises InvalidRequestError: TikTok does not know the publish id any more.
        """
        try:
            with self.rate_limiter.call(Endpoint.STATUS):
                status = self.hook.run(fetch_status(self.publish_id))
        except (ServiceError, UnreachableError) as error:
            log.warning("TikTok could not be asked how far the upload is: %s", error)
            return known
        if status.status in _AFTER_UPLOAD:
            if not self.finishing:
                self.stored_post.write_progress(known, is_last=True)
                self.finishing = True
            return self.plan.size
        return max(known, self._whole_chunks(status.uploaded_bytes or 0))

    def _position_after_fault(self, known: int) -> int:
        try:
            return self.position_at_tiktok(known)
        except InvalidRequestError as error:
            # It took the chunks before this one: that it does not know the publish id now can pass.
            log.warning("TikTok could not be asked how far the upload is: %s", error)
            return known

    def _pause_after(self, error: TikTokError) -> float:
        wanted = min(error.retry_after or 0.0, LONGEST_RETRY_AFTER)
        return max(wanted, min(2.0**self._setbacks, LONGEST_PAUSE))

    def _send_chunk(self, chunk: Chunk) -> int:
        """Send one chunk, and return the position after it, or the one that TikTok wants."""
        is_last = chunk.last + 1 == self.plan.size
        if not self.finishing:
            # Once TikTok has the last byte it publishes by itself, whether its answer reaches us or not.
            self.stored_post.write_progress(chunk.first, is_last=is_last)
            self.finishing = is_last
        try:
            self.upload.send(chunk)
        except StoreUnreachableError:
            # Nothing is wrong with the chunk: this try ends, and the next one goes on.
            raise
        except _PASSING:
            self._may_hold_last_byte |= self.upload.last_byte_may_have_left
            raise
        except UploadError as error:
            self._may_hold_last_byte |= is_last and error.maybe_stored
            if error.out_of_step:
                return self._position_wanted(error, chunk)
            return self._refused(error)
        except (InvalidInputError, EOFError, OSError) as error:
            self._may_hold_last_byte |= self.upload.last_byte_may_have_left
            return self._refused(self._of_changed_file(error))
        self._setbacks, self._may_hold_chunk = 0, False
        if is_last:
            self.stored_post.write_complete(self.plan.size)
        return chunk.last + 1

    def _position_wanted(self, error: UploadError, chunk: Chunk) -> int:
        """Return where TikTok stands after it wanted another range."""
        self._count_setback(error)
        if error.progress is not None:
            # As a count it is the next position; as an index one less, inside the chunk that it ends.
            return self._whole_chunks(error.progress + 1)
        if self._may_hold_chunk or error.maybe_stored:
            # TikTok had the chunk already.
            return max(chunk.last + 1, self.position_at_tiktok(chunk.first))
        raise error

    def _of_changed_file(self, error: InvalidInputError | EOFError | OSError) -> InvalidInputError:
        """Return what a file says that is another one by now; a fault of the storage goes on, for the next try."""
        if isinstance(error, InvalidInputError):
            return error
        try:
            if not self.upload.file_has_changed():
                raise error
        except InvalidInputError as gone:
            return gone
        return InvalidInputError([f"the file has changed while it was sent ({error})"])

    def _refused(self, error: TikTokError) -> int:
        """Record that nothing is out, if that is certain, and raise; else leave it to the waiting to find out."""
        if not self._may_hold_last_byte:
            self.stored_post.write(MarkFailed(reason=str(error)))
            raise error
        log.warning("The last chunk may have arrived, so the post is waited for all the same: %s", error)
        return self.plan.size

    def _count_setback(self, error: TikTokError) -> None:
        self._setbacks += 1
        if self._setbacks > MAX_SETBACKS:
            raise error

    def _whole_chunks(self, count: int) -> int:
        """Return the end of the last whole chunk within so many bytes."""
        return self.plan.size if count >= self.plan.size else self.plan.chunk_with(count).first
