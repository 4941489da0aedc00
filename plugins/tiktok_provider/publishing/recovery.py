"""What a later try may do, by what is on record: the table that keeps one post to one intent."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from tiktok_provider.store.posts import Content, PostRecord, PostState

# An upload must be able to begin before the URL ends; the end itself is TikTok's.
URL_MARGIN = timedelta(seconds=30)


class Next(StrEnum):
    """What to do with a post that this try has claimed."""

    INIT = "init"
    """A new attempt: nothing is out, and nothing of an earlier attempt can come out."""
    RESUME = "resume"
    """Ask TikTok where the upload stands, and go on with it."""
    RESEND_LAST = "resend_last"
    """Ask TikTok first; if bytes are missing, send the last chunk again to the same publish id."""
    POLL = "poll"
    """It is at TikTok: only wait."""
    RETURN = "return"
    """It is out: return it."""
    ASK_A_PERSON = "ask_a_person"
    """It cannot be known by asking TikTok."""


def next_step(record: PostRecord, fingerprint: str, content: Content, now: datetime) -> Next:
    """Decide. Whether the post may go on at all, the claim has decided already.

    :param fingerprint: of the media as they are now.
    :param content: texts and settings as they are requested now.
    """
    match record.state:
        case PostState.OUT | PostState.IN_INBOX:
            return Next.RETURN
        case PostState.UNCERTAIN:
            return Next.POLL if record.publish_id else Next.ASK_A_PERSON
        case PostState.CLAIMED | PostState.FAILED:
            return Next.INIT
        case PostState.INTENDED:
            # A publish id that gets no bytes publishes nothing; a pull begins by itself.
            return Next.INIT if record.source == "file" else Next.ASK_A_PERSON
        case PostState.UPLOADING:
            same = record.fingerprint == fingerprint and record.content == content
            return Next.RESUME if same and url_lives(record, now) else Next.INIT
        case PostState.FINISHING:
            can_send = (
                record.source == "file" and record.fingerprint == fingerprint and url_lives(record, now)
            )
            return Next.RESEND_LAST if can_send else Next.POLL


def url_lives(record: PostRecord, now: datetime) -> bool:
    """Whether bytes can still be sent to the attempt."""
    return (
        record.encrypted_upload_url is not None
        and record.url_expires_at is not None
        and now + URL_MARGIN < record.url_expires_at
    )


def differences(record: PostRecord, fingerprint: str | None, content: Content) -> list[str]:
    """Say what is asked for now and was not what is on record, one sentence each.

    :param fingerprint: None if the media can no longer be looked at.
    """
    found = []
    if fingerprint is not None and fingerprint != record.fingerprint:
        found.append(f"the media are now {fingerprint}, on record are {record.fingerprint}")
    return found + [
        f"{name} is now {_shown(content, name)}, on record is {_shown(record.content, name)}"
        for name in sorted({*content, *record.content})
        if content.get(name) != record.content.get(name)
    ]


def _shown(content: Mapping[str, object], name: str) -> str:
    text = repr(content.get(name))
    return text if len(text) <= 80 else f"{text[:77]}..."
