"""Making an attempt: from the last checks over init to the last byte, or on from where an earlier try was cut off.

Source: https://developers.tiktok.com/doc/content-posting-api-reference-direct-post
"""

import logging
from datetime import timedelta
from urllib.parse import urlsplit

from airflow.sdk.configuration import conf

from tiktok_provider.api.accounts import CreatorInfo
from tiktok_provider.api.chunks import DEFAULT_CHUNK, MAX_CHUNK, MIN_CHUNK, ChunkPlan, plan_chunks
from tiktok_provider.api.posting import Started, VideoPost, file_source, init_video, url_source
from tiktok_provider.exceptions import (
    ApiError,
    ConnectionSettingsError,
    InvalidRequestError,
    ServiceError,
    TikTokError,
    UnexpectedAnswerError,
    UnreachableError,
)
from tiktok_provider.publishing.chunk_stream import masked
from tiktok_provider.publishing.media.video_checks import VideoFacts
from tiktok_provider.publishing.media.video_url import VideoUrl
from tiktok_provider.publishing.request import check_creator
from tiktok_provider.publishing.session import PublishingSession
from tiktok_provider.publishing.waiting.uncertain import uncertain_post
from tiktok_provider.security.encryption import decrypt, encrypt
from tiktok_provider.security.redaction import redact
from tiktok_provider.store.errors import StoreUnreachableError
from tiktok_provider.store.posts import Intend, MarkFailed, MarkUncertain, PostRecord, PostState, Start
from tiktok_provider.store.rate_limits import Endpoint

log = logging.getLogger(__name__)

# How long TikTok takes bytes after init.
UPLOAD_URL_LIFETIME = timedelta(hours=1)


def begin(work: PublishingSession, facts: VideoFacts | None) -> None:
    """Make a new attempt, up to the last byte or until TikTok pulls.

    :param facts: of the file; None if TikTok pulls.
    :raises InvalidInputError: the creator does not offer what is asked for; nothing was sent.
    :raises DeferTask: the account's budget is used up.
    :raises UncertainPostError: TikTok may be pulling, and nobody knows the publish id.
    :raises TikTokError: what TikTok or the store answers; the record says what the next try may do.
    """
    plan = plan_chunks(facts.size_bytes, _chunk_size()) if facts else None
    # The scarcer call first: whoever comes back for it asks nothing else in vain.
    with work.budget.call(Endpoint.INIT):
        started, creator, intent_id = _start(work, facts, plan)
        # First of all: should the store stay away, the log alone knows it.
        log.info("TikTok has started %s", started.publish_id)
        record = work.ledger.write_patiently(_start_of(work, started, plan, creator, intent_id))
    if plan is not None and started.upload_url:
        work.uploader(plan, record, started.upload_url).send()


def _start(
    work: PublishingSession, facts: VideoFacts | None, plan: ChunkPlan | None
) -> tuple[Started, CreatorInfo, str]:
    with work.budget.call(Endpoint.CREATOR_INFO):
        creator = work.hook.creator_info()
    post = check_creator(work.order, facts, creator)
    # A crash from here on may have left an init request behind.
    intend = Intend(
        source=work.order.source,
        fingerprint=work.fingerprint,
        content=work.content,
        open_id=work.hook.open_id,
    )
    # Of a pull a person would be asked, should this try end without knowing whether it is on record.
    write = work.ledger.write if plan else work.ledger.write_patiently
    write(intend)
    log.info("Publishing %s as %s", work.order.video.location, creator.creator_nickname)
    return _init(work, post, plan), creator, intend.intent_id


def resume(work: PublishingSession, record: PostRecord, facts: VideoFacts) -> bool:
    """Go on with an upload that an earlier try has begun; return whether anything was left to send.

    :raises TikTokError: as ``begin``.
    """
    url = decrypt(work.hook.account.client_secret, record.encrypted_upload_url or "")
    if url is None:
        log.info("The upload cannot be resumed, as the client secret has changed meanwhile.")
        return _give_up_upload(work, record, facts)
    chunk_size = record.chunk_size or facts.size_bytes
    plan = ChunkPlan(facts.size_bytes, chunk_size, facts.size_bytes // chunk_size)
    uploader = work.uploader(plan, record, url, resumed=True)
    try:
        position = uploader.position_at_tiktok(record.sent_bytes)
    except InvalidRequestError as error:
        log.warning("TikTok does not know %s any more: %s", record.publish_id, error)
        return _give_up_upload(work, record, facts)
    log.info("%s: TikTok has %d of %d bytes", record.publish_id, position, plan.size)
    if position >= plan.size:
        return False
    if record.state == PostState.FINISHING:
        # The last chunk is announced only when TikTok has all before it.
        position = plan.chunk_with(plan.size - 1).first
    uploader.send(position)
    return True


def _give_up_upload(work: PublishingSession, record: PostRecord, facts: VideoFacts) -> bool:
    """Begin anew if the last byte has not left; else there is only waiting."""
    if record.state != PostState.UPLOADING:
        return False
    begin(work, facts)
    return True


def _init(work: PublishingSession, post: VideoPost, plan: ChunkPlan | None) -> Started:
    try:
        # The token may be long in coming, and this process may have stood still: what has left cannot be called back.
        started = work.hook.run(init_video(post, _source(work, plan), work.ledger.hold))
        if plan is not None:
            _check_upload_url(work, started)
    except TikTokError as error:
        if isinstance(work.order.video, VideoUrl):
            # It may be signed, and TikTok's words may repeat it.
            url = work.order.video.url
            redact(error, url, urlsplit(url).query)
        _record_failed_init(work, error)
        raise
    return started


def _source(work: PublishingSession, plan: ChunkPlan | None) -> dict[str, object]:
    if isinstance(work.order.video, VideoUrl):
        return url_source(work.order.video.url)
    assert plan is not None
    return file_source(plan)


def _check_upload_url(work: PublishingSession, started: Started) -> None:
    """Refuse a place for the bytes that is missing or not TikTok's, before anything depends on it."""
    if not started.upload_url:
        raise UnexpectedAnswerError(
            "TikTok's answer to init has no upload_url, though a file is to be uploaded."
        )
    work.hook.hosts.check_upload(masked(started.upload_url))


def _record_failed_init(work: PublishingSession, error: TikTokError) -> None:
    """Record what a failed init means for the post.

    :raises UncertainPostError: TikTok may be pulling, and nobody knows the publish id.
    """
    if not _may_have_started(error):
        log_id = error.log_id if isinstance(error, ApiError) else ""
        work.ledger.write_patiently(MarkFailed(reason=str(error), log_id=log_id))
    elif work.order.source == "url":
        record = work.ledger.write_patiently(MarkUncertain(reason=str(error)))
        raise uncertain_post(work.hook, record, f"TikTok's answer to init was lost. {error}") from error
    # Else the file's publish id gets no bytes, so it publishes nothing, and the next try may ask again.


def _may_have_started(error: TikTokError) -> bool:
    """Whether TikTok may have begun a publish although init failed."""
    if isinstance(error, StoreUnreachableError):
        # The token could not be had, so nothing left for TikTok.
        return False
    if isinstance(error, UnreachableError):
        return error.maybe_processed
    return isinstance(error, ServiceError | UnexpectedAnswerError)


def _start_of(
    work: PublishingSession, started: Started, plan: ChunkPlan | None, creator: CreatorInfo, intent_id: str
) -> Start:
    profile_url = work.hook.account.page_url(f"/@{creator.creator_username}")
    if plan is None or started.upload_url is None:
        return Start(
            publish_id=started.publish_id, finishing=True, profile_url=profile_url, intent_id=intent_id
        )
    return Start(
        publish_id=started.publish_id,
        # The only chunk is also the last.
        finishing=plan.count == 1,
        size=plan.size,
        chunk_size=plan.chunk_size,
        encrypted_upload_url=encrypt(work.hook.account.client_secret, started.upload_url),
        url_expires_at=work.clock() + UPLOAD_URL_LIFETIME,
        profile_url=profile_url,
        intent_id=intent_id,
    )


def _chunk_size() -> int:
    size: int = conf.getint("tiktok", "upload_chunk_size", fallback=DEFAULT_CHUNK)
    if not MIN_CHUNK <= size <= MAX_CHUNK:
        raise ConnectionSettingsError(
            f"[tiktok] upload_chunk_size is {size}, it must be from {MIN_CHUNK} to {MAX_CHUNK} bytes."
        )
    return size
