"""How media reach TikTok: we upload a file, or TikTok pulls from URLs. Source: TikTok's "Media Transfer Guide".

What an attempt does otherwise for the one than for the other is here, and nowhere else.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from airflow.sdk.configuration import conf

from tiktok_provider.api.chunks import DEFAULT_CHUNK, MAX_CHUNK, MIN_CHUNK, ChunkPlan, plan_chunks
from tiktok_provider.api.posting import SourceInfo, Started, file_source
from tiktok_provider.exceptions import (
    ConnectionSettingsError,
    InvalidRequestError,
    TikTokError,
    UnexpectedAnswerError,
)
from tiktok_provider.publishing.chunk_stream import Upload, masked
from tiktok_provider.publishing.media.medium import PulledMedia, UploadedMedia
from tiktok_provider.publishing.session import PublishingSession
from tiktok_provider.publishing.upload import Uploader
from tiktok_provider.publishing.waiting.uncertain import uncertain_post
from tiktok_provider.security.encryption import decrypt, encrypt
from tiktok_provider.store.posts import Intend, MarkUncertain, PostRecord, PostState, Start

log = logging.getLogger(__name__)

# How long TikTok takes bytes after init.
UPLOAD_URL_LIFETIME = timedelta(hours=1)


class Transfer(Protocol):
    """What depends on the way that the media take."""

    def prepare(self) -> SourceInfo:
        """Make sure that the media can be sent, and return what init is sent of them.

        :raises InvalidInputError: TikTok would refuse some of them.
        """

    def write_intent(self, intend: Intend) -> None:
        """Record that an init request is about to leave."""

    def check(self, started: Started) -> None:
        """Check TikTok's answer before anything depends on it.

        :raises TikTokError: it cannot be used.
        """

    def on_lost_init(self, error: TikTokError) -> None:
        """Record what it means that TikTok may have accepted an init whose publish id is not known.

        :raises UncertainPostError: only a person can find out whether the post is out.
        """

    def start_step(self, started: Started, profile_url: str, intent_id: str) -> Start:
        """Return what is recorded of TikTok's answer."""

    def send(self, started: Started) -> None:
        """Do what is left to do after init, until TikTok has the media or gets them by itself."""

    def resume(self, record: PostRecord) -> bool | None:
        """Go on with what an earlier try has begun; return whether anything was left to send.

        :returns: None if it cannot be resumed.
        """


def transfer_of(session: PublishingSession) -> Transfer:
    """Return the way that the media of a request take."""
    return session.request.media.transfer(_Transfers(session))


@dataclass(frozen=True)
class _Transfers:
    session: PublishingSession

    def upload(self, media: UploadedMedia) -> Transfer:
        return _Upload(self.session, media)

    def pull(self, media: PulledMedia) -> Transfer:
        return _Pull(self.session, media)


@dataclass(frozen=True)
class _Pull:
    """Init alone makes TikTok publish: an answer that is lost leaves the post uncertain."""

    session: PublishingSession
    media: PulledMedia

    def prepare(self) -> SourceInfo:
        return self.media.prepare(self.session.stored_post.renew_if_due)

    def write_intent(self, intend: Intend) -> None:
        # If this try ended without knowing whether the intent is on record, a person would be asked.
        self.session.stored_post.write_patiently(intend)

    def check(self, started: Started) -> None:
        """Nothing depends on anything but the publish id."""

    def on_lost_init(self, error: TikTokError) -> None:
        record = self.session.stored_post.write_patiently(MarkUncertain(reason=str(error)))
        what = f"TikTok's answer to init was lost. {error}"
        raise uncertain_post(self.session.hook, record, what) from error

    def start_step(self, started: Started, profile_url: str, intent_id: str) -> Start:
        return Start(
            publish_id=started.publish_id, finishing=True, profile_url=profile_url, intent_id=intent_id
        )

    def send(self, started: Started) -> None:
        """TikTok is at work already."""

    def resume(self, record: PostRecord) -> bool | None:  # noqa: ARG002
        return False


@dataclass(frozen=True)
class _Upload:
    """Nothing is published before the last byte: an answer to init that is lost has no effect."""

    session: PublishingSession
    media: UploadedMedia

    def prepare(self) -> SourceInfo:
        return file_source(self._plan())

    def write_intent(self, intend: Intend) -> None:
        self.session.stored_post.write(intend)

    def check(self, started: Started) -> None:
        """Refuse a place for the bytes that is missing or not TikTok's."""
        if not started.upload_url:
            raise UnexpectedAnswerError(
                "TikTok's answer to init has no upload_url, though a file is to be uploaded."
            )
        self.session.hook.hosts.check_upload(masked(started.upload_url))

    def on_lost_init(self, error: TikTokError) -> None:
        """The publish id gets no bytes, so it publishes nothing, and the next try may ask again."""

    def start_step(self, started: Started, profile_url: str, intent_id: str) -> Start:
        plan = self._plan()
        return Start(
            publish_id=started.publish_id,
            # The only chunk is also the last.
            finishing=plan.count == 1,
            size=plan.size,
            chunk_size=plan.chunk_size,
            encrypted_upload_url=encrypt(self._secret, started.upload_url or ""),
            url_expires_at=self._url_expiry(),
            profile_url=profile_url,
            intent_id=intent_id,
        )

    def send(self, started: Started) -> None:
        record = self.session.stored_post.record
        self._uploader(self._plan(), record, started.upload_url or "").send()

    def resume(self, record: PostRecord) -> bool | None:
        url = decrypt(self._secret, record.encrypted_upload_url or "")
        if url is None:
            log.info("The upload cannot be resumed, as the client secret has changed since.")
            return None
        plan = _plan_on_record(record, self.media.size)
        uploader = self._uploader(plan, record, url, resumed=True)
        try:
            position = uploader.position_at_tiktok(record.sent_bytes)
        except InvalidRequestError as error:
            log.warning("TikTok does not know %s any more: %s", record.publish_id, error)
            return None
        log.info("%s: TikTok has %d of %d bytes", record.publish_id, position, plan.size)
        if position >= plan.size:
            return False
        if record.state == PostState.FINISHING:
            # The last chunk is announced only when TikTok has all before it.
            position = max(position, plan.chunk_with(plan.size - 1).first)
        uploader.send(position)
        return True

    @property
    def _secret(self) -> str:
        return self.session.hook.account.client_secret

    def _plan(self) -> ChunkPlan:
        return plan_chunks(self.media.size, _chunk_size())

    def _url_expiry(self) -> datetime:
        return self.session.clock() + UPLOAD_URL_LIFETIME

    def _uploader(self, plan: ChunkPlan, record: PostRecord, url: str, *, resumed: bool = False) -> Uploader:
        """Return what sends the file to the attempt on record.

        :param url: the upload URL in the clear; it is masked in every log from here on.
        :param resumed: whether an earlier try has sent to it.
        """
        assert record.publish_id
        session, stored_post = self.session, self.session.stored_post
        return Uploader(
            session.hook,
            stored_post,
            session.rate_limiter,
            Upload(session.hook, self.media, plan, url, stored_post.renew_if_due, stored_post.verify_claim),
            plan,
            record.publish_id,
            finishing=record.state == PostState.FINISHING,
            resumed=resumed,
            sleep=session.wait,
        )


def _plan_on_record(record: PostRecord, size: int) -> ChunkPlan:
    """Return the plan that TikTok has been given at init, whatever is configured now."""
    chunk_size = record.chunk_size or size
    return ChunkPlan(size, chunk_size, size // chunk_size)


def _chunk_size() -> int:
    size: int = conf.getint("tiktok", "upload_chunk_size", fallback=DEFAULT_CHUNK)
    if not MIN_CHUNK <= size <= MAX_CHUNK:
        raise ConnectionSettingsError(
            f"[tiktok] upload_chunk_size is {size}, allowed: {MIN_CHUNK} to {MAX_CHUNK} bytes."
        )
    return size
