"""Sending a file to one publish id, from wherever TikTok stands, through every fault that passes."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from tiktok_provider.api.chunks import Chunk, ChunkPlan
from tiktok_provider.api.posting import Status
from tiktok_provider.exceptions import (
    InvalidInputError,
    InvalidRequestError,
    RateLimitedError,
    ServiceError,
    TikTokError,
    UndocumentedError,
    UnexpectedAnswerError,
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

_NOT_PUBLISHED = "Its last byte was not sent, so nothing is out. The next try sends the file as it is then."

# Faults in a row, with no byte gained in between; what lasts longer is waited out away from the worker.
MAX_SETBACKS = 3
# Ranges in a row that TikTok does not want; a number inside a chunk has two readings. Then no range fits any more.
MAX_OUT_OF_STEP = 3
LONGEST_PAUSE = 30.0
# On the worker; a longer pause is waited out away from it.
LONGEST_RETRY_AFTER = 60.0

_PASSING = (RateLimitedError, ServiceError, UndocumentedError, UnreachableError)
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
    _out_of_step: int = field(default=0, init=False)
    _furthest: int = field(default=0, init=False)
    _may_hold_chunk: bool = field(init=False)
    _may_hold_last_byte: bool = field(init=False)

    def __post_init__(self) -> None:
        self._may_hold_chunk = self.resumed
        self._may_hold_last_byte = self.resumed and self.finishing

    def send(self, position: int = 0) -> None:
        """Send everything from a position on; returns when TikTok has, or may have, the last byte.

        A fault that passes is waited out, then TikTok is asked where it stands before anything is sent again.

        :raises UploadExpiredError: the URL has ended before the last byte left: nothing is out, as is recorded.
        :raises UploadError: TikTok refuses the file, or takes no more of it: nothing is out, as is recorded.
        :raises TikTokError: a fault has lasted too long; the next try goes on from there.
        """
        self._furthest = position
        while position < self.plan.size:
            chunk = self.plan.rest_from(position)
            try:
                position = self._send_chunk(chunk)
            except StoreUnreachableError:
                raise
            except _PASSING as error:
                position = self._after_fault(error, chunk)
            if position > self._furthest + 1:
                # More than the other reading of one and the same number.
                self._furthest, self._setbacks, self._out_of_step = position, 0, 0

    def position_at_tiktok(self, known: int) -> int:
        """Ask TikTok where it stands; what it does not say stays as known.

        :param known: bytes that TikTok has acknowledged.
        :returns: where to go on; the size of the file once TikTok has it all, or has refused it, as the waiting
            will tell.
        :raises InvalidRequestError: TikTok does not know the publish id any more.
        """
        return max(known, self._ask(known) or 0)

    def _ask(self, known: int) -> int | None:
        """Return where TikTok stands; None if it cannot be asked now."""
        try:
            with self.rate_limiter.call(Endpoint.STATUS) as take_again:
                status = self.hook.post_status(self.publish_id, take_again)
        except StoreUnreachableError:
            raise
        except (*_PASSING, UnexpectedAnswerError) as error:
            log.warning("TikTok could not be asked how far the upload is: %s", error)
            return None
        if status.status in _AFTER_UPLOAD:
            if not self.finishing:
                self.stored_post.write_progress(known, is_last=True)
                self.finishing = True
            return self.plan.size
        return self._position_of(status.uploaded_bytes or 0)

    def _ask_again(self, known: int) -> int | None:
        """Ask TikTok during an upload: that it does not know the publish id now can pass."""
        try:
            return self._ask(known)
        except InvalidRequestError as error:
            log.warning("TikTok could not be asked how far the upload is: %s", error)
            return None

    def _after_fault(self, error: TikTokError, chunk: Chunk) -> int:
        """Wait a fault out, and return where to go on."""
        self._setbacks += 1
        wanted = error.retry_after or 0.0
        if self._setbacks > MAX_SETBACKS or wanted > LONGEST_RETRY_AFTER:
            raise error
        log.warning("Chunk %d of %d: %s", chunk.number + 1, self.plan.count, error)
        self._pause(wanted)
        position = max(chunk.first, self._ask_again(self.plan.chunk_with(chunk.first).first) or 0)
        self._may_hold_chunk = position == chunk.first
        return position

    def _pause(self, wanted: float = 0.0) -> None:
        grown = min(2.0 ** (self._setbacks + self._out_of_step), LONGEST_PAUSE)
        self.sleep(max(wanted, grown))

    def _send_chunk(self, chunk: Chunk) -> int:
        """Send one chunk, and return the position after it, or the one that TikTok wants."""
        is_last = chunk.last + 1 == self.plan.size
        if not self.finishing:
            # Once TikTok has the last byte it publishes by itself, whether its answer reaches us or not.
            whole = self.plan.chunk_with(chunk.first).first
            self.stored_post.write_progress(whole, is_last=is_last)
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
            if error.out_of_step:
                return self._position_wanted(error, chunk)
            return self._refused(error)
        except (InvalidInputError, EOFError, OSError) as error:
            self._may_hold_last_byte |= self.upload.last_byte_may_have_left
            return self._refused(self._of_changed_file(error))
        self._may_hold_chunk = False
        if is_last:
            self.stored_post.write_complete(self.plan.size)
        return chunk.last + 1

    def _position_wanted(self, error: UploadError, chunk: Chunk) -> int:
        """Return where to go on after TikTok wanted another range; give the upload up where no range fits."""
        self._out_of_step += 1
        if self._out_of_step >= MAX_OUT_OF_STEP:
            return self._refused(error)
        if error.progress is not None:
            position = self._position_of(error.progress, refused=chunk.first)
        elif self._may_hold_chunk:
            # TikTok had the chunk already.
            position = max(chunk.last + 1, self._ask_again(chunk.first) or 0)
        else:
            return self._refused(error)
        self._may_hold_chunk = False
        self._pause()
        return position

    def _of_changed_file(self, error: InvalidInputError | EOFError | OSError) -> InvalidInputError:
        """Return what a file says that is another one by now; a fault of the storage goes on, for the next try."""
        try:
            if isinstance(error, InvalidInputError) or not self.upload.file_has_changed():
                raise error
        except InvalidInputError as found:
            return InvalidInputError(found.violations, _NOT_PUBLISHED)
        return InvalidInputError([f"the file has changed while it was sent ({error})"], _NOT_PUBLISHED)

    def _refused(self, error: TikTokError) -> int:
        """Record that nothing is out, if that is certain, and raise; else leave it to the waiting to find out."""
        if not self._may_hold_last_byte and not self._may_have_all():
            self.stored_post.write(MarkFailed(reason=str(error)))
            raise error
        log.warning("The last chunk may have arrived, so the post is waited for all the same: %s", error)
        return self.plan.size

    def _may_have_all(self) -> bool:
        """Ask TikTok, if the last byte has left: what refused the chunk can be a relay on the way."""
        if not self.upload.last_byte_may_have_left:
            return False
        position = self._ask_again(self.plan.chunk_with(self.plan.size - 1).first)
        return position is None or position >= self.plan.size

    def _position_of(self, number: int, refused: int | None = None) -> int:
        """Return where TikTok goes on by its own number: a count of bytes, or the index of the last one.

        :param number: mostly the end of a whole chunk, by one of the readings; else TikTok has kept part of a chunk.
        :param refused: where TikTok did not go on.
        """
        whole = self._whole_chunks(number + 1)
        if whole in (number, number + 1, self.plan.size):
            return whole
        return number + 1 if number == refused else number

    def _whole_chunks(self, count: int) -> int:
        """Return the end of the last whole chunk within so many bytes."""
        return self.plan.size if count >= self.plan.size else self.plan.chunk_with(count).first
