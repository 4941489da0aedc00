"""Publishing a post: what is on record decides what is still to be done."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tiktok_provider.exceptions import InvalidInputError, TooLateError, UploadError
from tiktok_provider.publishing import attempt as attempts
from tiktok_provider.publishing.deferral import DeferTask
from tiktok_provider.publishing.identity import has_same_digest, is_another_post
from tiktok_provider.publishing.parameters import OnChangedInput, OnPostKeyConflict
from tiktok_provider.publishing.recovery import Next, differences, next_step, url_lives
from tiktok_provider.publishing.request import check_locally
from tiktok_provider.publishing.session import PublishingSession
from tiktok_provider.publishing.waiting.uncertain import uncertain_post
from tiktok_provider.store.conflicts import forget_command, key_conflict, task_of
from tiktok_provider.store.posts import MarkUncertain, PostClaim, PostRecord, PostState, Verdict

log = logging.getLogger(__name__)

_ENDED = (PostState.OUT, PostState.IN_INBOX)
# While another task publishes the same post: how often to read its record, in seconds.
LONGEST_JOIN_PAUSE = 30.0
# Attempts in one try where an upload URL has ended, or TikTok takes no more bytes; then it is the next try's turn.
_ATTEMPTS_PER_TRY = 3


@dataclass(frozen=True, slots=True)
class Sent:
    """A post that TikTok has, or may have.

    :param record: what is on record of it.
    :param reused: whether another try or task has sent it.
    """

    record: PostRecord
    reused: bool


@dataclass(frozen=True)
class Publisher:
    """Publishes one post for one try of one task instance, or joins the try that is publishing it.

    :param origin: readable parts of the post key.
    :param on_changed_input: what to do where a post that is already under way or out differs from the request.
    :param on_post_key_conflict: what to do where it is another post: ``reuse`` returns it.
    :param latest: after it, nothing is begun.
    """

    session: PublishingSession
    origin: Mapping[str, str] = field(default_factory=dict)
    on_changed_input: OnChangedInput = "warn"
    on_post_key_conflict: OnPostKeyConflict = "fail"
    latest: datetime | None = None

    def publish(self) -> Sent:
        """Do what is still to be done until TikTok has all media.

        :raises InvalidInputError: with every violation; nothing was sent.
        :raises PostConflictError: what is on record under the post key is another post, or the media are another
            post of the slot; nothing was sent.
        :raises TooLateError: nothing is out, and ``latest`` is over; nothing was sent.
        :raises DeferTask: another task is publishing the post, or the rate limit is reached.
        :raises UncertainPostError: only a person can find out whether the post is out.
        :raises TikTokError: what TikTok or the store answers. The next try goes on from what is on record.
        """
        session = self.session
        recorded = session.stored_post.read()
        if recorded and _may_be_out(recorded):
            self._refuse_another_post(recorded)
        else:
            self._refuse_late()
        if recorded and recorded.state in _ENDED and (sent := self._without_media(recorded)):
            return sent
        try:
            check_locally(session.request, session.hook.hosts)
        except Exception as error:
            # Whatever the storage raises: where nothing can be sent any more, the media are not needed.
            gone = isinstance(error, InvalidInputError) or not (
                recorded and url_lives(recorded, session.clock())
            )
            if recorded and gone and (sent := self._without_media(recorded)):
                return sent
            raise
        claimed = session.stored_post.claim(self._claim(session.fingerprint, session.digest))
        if claimed.same_media:
            _report_elsewhere(claimed.same_media)
        if claimed.verdict == Verdict.THEIRS:
            return self._join(claimed.record, claimed.retry_in)
        session.hook.bind_to_account(claimed.record.open_id)
        try:
            return self._go_on()
        except DeferTask:
            session.stored_post.release()
            raise

    def _without_media(self, recorded: PostRecord) -> Sent | None:
        """Return a post that TikTok has or may have as it is: its media may be long gone; None if there is none."""
        if not _is_at_tiktok(recorded):
            return None
        # The claim checks the account.
        record = self.session.stored_post.claim(self._claim(recorded.fingerprint, digest="")).record
        return self._reuse(record, self._fingerprint_if_there()) if _is_at_tiktok(record) else None

    def _go_on(self) -> Sent:
        left = _ATTEMPTS_PER_TRY
        while True:
            try:
                return self._step(self.session.stored_post.record)
            except UploadError as error:
                left -= 1
                if not left or not error.can_begin_again:
                    raise
                # Nothing of that attempt is out, as is on record by now.
                log.warning("%s Making a new attempt.", error)

    def _step(self, record: PostRecord) -> Sent:
        session = self.session
        step = next_step(record, session.fingerprint, session.content, session.clock())
        if step is Next.RESEND_LAST:
            self._report_changes(record, session.fingerprint)
        match step:
            case Next.INIT:
                attempts.begin(session)
                return Sent(session.stored_post.record, reused=False)
            case Next.RESUME | Next.RESEND_LAST if attempts.resume(session, record):
                return Sent(session.stored_post.record, reused=False)
            case Next.ASK_A_PERSON:
                raise self._uncertain(record)
            case _:
                return self._reuse(session.stored_post.record, session.fingerprint)

    def _uncertain(self, record: PostRecord) -> Exception:
        if record.state == PostState.INTENDED:
            reason = "a try was cut off while it asked TikTok to pull the media"
            record = self.session.stored_post.write(MarkUncertain(reason=reason))
        return uncertain_post(self.session.hook, record, "Whether TikTok has accepted the post is not known.")

    def _join(self, record: PostRecord, retry_in: float) -> Sent:
        if record.state == PostState.FINISHING:
            return self._reuse(record, self.session.fingerprint)
        raise DeferTask(min(retry_in, LONGEST_JOIN_PAUSE), "another task is publishing the same post")

    def _reuse(self, record: PostRecord, fingerprint: str | None) -> Sent:
        """Return a post as it is, after saying what differs from the request."""
        self._refuse_another_post(record)
        self._report_changes(record, fingerprint)
        log.info(
            "Post key %s is on record as %s, publish id %s%s: it is not sent again.",
            record.post_key,
            record.state,
            record.publish_id or "unknown",
            f", {record.post_url}" if record.post_url else "",
        )
        return Sent(record, reused=True)

    def _refuse_another_post(self, record: PostRecord) -> None:
        if not is_another_post(record, self.session.request.media, self.origin):
            return
        if self.on_post_key_conflict == "fail":
            raise key_conflict(record, self.session.location, self.origin)
        log.warning(
            "%s is returned in place of %s: on_post_key_conflict is 'reuse'.",
            record.location,
            self.session.location,
        )

    def _refuse_late(self) -> None:
        if self.latest and (late := self.session.clock() - self.latest) > timedelta(0):
            raise TooLateError(
                f"{timedelta(seconds=round(late.total_seconds()))} too late by max_lateness: nothing was sent.\n"
                f"It could be sent until {self.latest:%Y-%m-%d %H:%M:%S} UTC. To send it now, run its date as a"
                " backfill, or set a larger max_lateness and clear this task."
            )

    def _report_changes(self, record: PostRecord, fingerprint: str | None) -> None:
        if fingerprint != record.fingerprint and has_same_digest(record, self.session.request.media):
            # A copy, or the same file written again.
            fingerprint = record.fingerprint
        changed = differences(record, fingerprint, self.session.content)
        if not changed:
            return
        if self.on_changed_input == "fail":
            raise InvalidInputError(
                [f"{change}; a post that is sent cannot be changed" for change in changed]
            )
        for change in changed:
            log.warning("This post is not published again, although %s.", change)
        log.warning(
            "To publish the changed post as well, set another post_key and allow_duplicate=True; or run %s and clear"
            " this task. What is out stays out until its owner deletes it in TikTok.",
            forget_command(record),
        )

    def _claim(self, fingerprint: str, digest: str) -> PostClaim:
        request = self.session.request
        return PostClaim(
            claimant=self.session.stored_post.claimant,
            kind=request.kind,
            source=request.media.source,
            fingerprint=fingerprint,
            content=self.session.content,
            origin=self.origin,
            location=self.session.location,
            digest=digest,
            allow_duplicate=self.session.allow_duplicate,
        )

    def _fingerprint_if_there(self) -> str | None:
        try:
            return self.session.fingerprint
        except Exception as error:
            # Whatever the storage raises: the comparison is a courtesy, and the post is at TikTok.
            log.info("What is on record cannot be compared with the media: %s", error)
            return None


def _report_elsewhere(record: PostRecord) -> None:
    log.warning(
        "The same media are on record as post %s of %s, which is %s.",
        record.post_key,
        task_of(record.origin),
        record.state,
    )


def _may_be_out(record: PostRecord) -> bool:
    """Whether a new attempt could be a second post."""
    return record.state in (*_ENDED, PostState.FINISHING, PostState.UNCERTAIN) or (
        record.state == PostState.INTENDED and record.source == "url"
    )


def _is_at_tiktok(record: PostRecord) -> bool:
    """Whether all that is left to do is to wait, or to return it."""
    return record.state in (*_ENDED, PostState.FINISHING) or (
        record.state == PostState.UNCERTAIN and record.publish_id is not None
    )
