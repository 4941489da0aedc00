"""Making an attempt: from the last checks over init to the last byte, or on from where an earlier try was cut off.

Source: https://developers.tiktok.com/doc/content-posting-api-reference-direct-post
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from tiktok_provider.api.calls import Call
from tiktok_provider.api.posting import Started
from tiktok_provider.exceptions import (
    ApiError,
    TikTokError,
    UnexpectedAnswerError,
    UnreachableError,
)
from tiktok_provider.publishing.deferral import DeferTask
from tiktok_provider.publishing.request import PostRequest, Target, check_creator
from tiktok_provider.publishing.session import PublishingSession
from tiktok_provider.publishing.transfer import Transfer, transfer_of
from tiktok_provider.security.redaction import redact
from tiktok_provider.store.errors import StoreUnreachableError
from tiktok_provider.store.posts import Intend, MarkFailed, PostRecord, PostState
from tiktok_provider.store.rate_limits import Endpoint

log = logging.getLogger(__name__)


def begin(session: PublishingSession) -> None:
    """Make a new attempt, up to the last byte or until TikTok pulls.

    :raises InvalidInputError: the creator does not offer what is asked for; nothing was sent.
    :raises DeferTask: the account's rate limit is reached.
    :raises UncertainPostError: TikTok may be pulling, and its publish id is not known.
    :raises TikTokError: what TikTok or the store answers; the record says what the next try may do.
    """
    transfer = transfer_of(session)
    source = transfer.prepare()
    # The call of which there are fewest first: a try that gets none of these makes no other in vain.
    with session.rate_limiter.call(Endpoint.INIT) as take_again:
        outgoing = _prepare(session)
        intend = _intend(session)
        # A crash from here on may have left an init request behind.
        transfer.write_intent(intend)
        log.info("Publishing %s as %s", session.request.media.location, outgoing.shown_as)
        call = outgoing.request.init(source, session.stored_post.verify_claim)
        started = _init(session, transfer, call, take_again)
        # First of all: should the store stay away, the log alone has it.
        log.info("TikTok has started %s", started.publish_id)
        step = transfer.start_step(started, outgoing.profile_url, intend.intent_id)
        session.stored_post.write_patiently(step)
    transfer.send(started)


def resume(session: PublishingSession, record: PostRecord) -> bool:
    """Go on with an upload that an earlier try has begun; return whether anything was left to send.

    :raises TikTokError: as ``begin``.
    """
    sent = transfer_of(session).resume(record)
    if sent is not None:
        return sent
    if record.state != PostState.UPLOADING:
        # The last byte may have left: there is only waiting.
        return False
    begin(session)
    return True


@dataclass(frozen=True, slots=True)
class _Outgoing:
    """A request as it can go out.

    :param profile_url: the creator's page, empty if it is not known.
    :param shown_as: the creator's name for the log.
    """

    request: PostRequest
    profile_url: str
    shown_as: str


def _prepare(session: PublishingSession) -> _Outgoing:
    request, account = session.request, session.hook.account
    if not request.target.needs_creator_info:
        session.hook.require_scope(request.target.scope)
        page = account.page_url(f"/@{account.username}") if account.username else ""
        return _Outgoing(request, page, account.username or account.conn_id)
    with session.rate_limiter.call(Endpoint.CREATOR_INFO) as take_again:
        creator = session.hook.creator_info(take_again)
    page = account.page_url(f"/@{creator.creator_username}")
    return _Outgoing(check_creator(request, creator), page, creator.creator_nickname)


def _intend(session: PublishingSession) -> Intend:
    return Intend(
        source=session.request.media.source,
        fingerprint=session.fingerprint,
        content=session.content,
        location=session.location,
        digest=session.digest,
        allow_duplicate=session.allow_duplicate,
        open_id=session.hook.open_id,
        draft=session.request.target is Target.DRAFT,
    )


def _init(
    session: PublishingSession, transfer: Transfer, call: Call[Started], take_again: Callable[[], None]
) -> Started:
    """Make the init call. Whether it may leave is checked right before it does, as it cannot be taken back: a token
    may be long in coming, and this process may have stood still.
    """
    try:
        started = session.hook.run(call, take_again)
        transfer.check(started)
    except DeferTask as pause:
        # An init is sent once more only after TikTok has refused the token of the first one.
        session.stored_post.write_patiently(MarkFailed(reason=str(pause)))
        raise
    except TikTokError as error:
        redact(error, *session.request.media.secrets)
        if _may_have_started(error):
            transfer.on_lost_init(error)
        else:
            log_id = error.log_id if isinstance(error, ApiError) else ""
            session.stored_post.write_patiently(MarkFailed(reason=str(error), log_id=log_id))
        raise
    return started


def _may_have_started(error: TikTokError) -> bool:
    """Whether TikTok may have accepted a post although init failed: only a documented refusal proves the contrary."""
    if isinstance(error, StoreUnreachableError):
        # The token could not be had, so nothing left for TikTok.
        return False
    if isinstance(error, UnreachableError):
        return error.maybe_processed
    if isinstance(error, ApiError):
        return not error.explanation.starts_nothing
    return isinstance(error, UnexpectedAnswerError)
