"""What is recorded of a post, and what may be written of it. Imports neither Airflow nor the database."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal
from uuid import uuid4

# Needed from the claim to the last byte; renewed with each chunk and at least every 20 s.
LEASE = timedelta(seconds=60)
RENEW_EVERY = timedelta(seconds=20)

Source = Literal["file", "url"]
# Values that are compared with those of a later try: what is asked for besides the media.
Content = Mapping[str, str | int | bool | None]


_PUBLIC = "PUBLIC_TO_EVERYONE"


class PostState(StrEnum):
    """How far a post has come. Each state says the most that can have happened, not the least."""

    CLAIMED = "claimed"
    """Nothing was asked of TikTok."""
    INTENDED = "intended"
    """An init request may have left; no publish id is known."""
    UPLOADING = "uploading"
    """There is a publish id, and the last byte has not left: nothing can be out."""
    FINISHING = "finishing"
    """The last byte may have left, or TikTok pulls: from here on TikTok publishes by itself."""
    OUT = "out"
    IN_INBOX = "inbox"
    FAILED = "failed"
    """Nothing is out; a new attempt may be made."""
    UNCERTAIN = "uncertain"
    """It cannot be known whether TikTok has accepted it; with a publish id TikTok can be asked again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimant:
    """The try of a task instance that wants to publish.

    :param task: the same for all tries of one task instance: dag id, run id, task id and map index.
    :param try_number: a higher one takes the claim from a lower one at once.
    :param try_id: of the process that runs this try alone. It may repeat its claim and keeps its generation.
    """

    task: str
    try_number: int
    try_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PostClaim:
    """What a try asks for when it claims a post.

    :param kind: ``video`` or later kinds.
    :param fingerprint: of the media: changes whenever an upload can no longer be resumed with them.
    :param content: caption and settings, to tell later what differs.
    :param origin: where the post comes from: ``dag_id``, ``run`` (its slot), ``task_id``, ``map_index``.
    :param location: where the media lie, safe to print.
    :param digest: by which the same media are known elsewhere; empty: not known.
    :param allow_duplicate: whether another post of the slot may have the same media.
    """

    claimant: Claimant
    kind: str
    source: Source
    fingerprint: str
    content: Content
    origin: Mapping[str, str] = field(default_factory=dict)
    location: str = ""
    digest: str = ""
    allow_duplicate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PostRecord:
    """What is on record of a post. It holds no secret in the clear.

    :param generation: grows with every claim by another try; every write names it.
    :param lease_until: until then its holder alone may act; None if there is no holder.
    :param open_id: of the account at the first claim, else at the first intent.
    :param fingerprint: of the last attempt's media, before the first attempt that of the claim. So are ``location``
        and ``digest``; empty in a record that is older than they are.
    :param content: what the last attempt asked for.
    :param attempt: number of the last attempt, 0 before the first.
    :param publish_id: of the last attempt, None before TikTok has given one.
    :param size: bytes of the file; None for a pull.
    :param sent_bytes: of the last attempt, acknowledged by TikTok.
    :param encrypted_upload_url: encrypted with a key derived from the client secret.
    :param finishing_at: when the last byte may have left for the first time.
    :param out_at: when it was first known that the post is out.
    :param status: TikTok's last answer, as ``PostStatus`` fields; empty before there was one.
    :param resolved_by: the person who decided on the outcome; empty if TikTok did.
    :param announced_by: the try that has handed the post on, by its ``try_id``, where its task has the outlet
        ``tiktok_posts``: what is learnt from then on, the store tells. Empty before.
    """

    conn_id: str
    post_key: str
    state: PostState
    generation: int
    kind: str
    source: Source
    fingerprint: str
    location: str = ""
    digest: str = ""
    content: Content = field(default_factory=dict)
    origin: Mapping[str, str] = field(default_factory=dict)
    lease_until: datetime | None = None
    open_id: str = ""
    username: str = ""
    attempt: int = 0
    publish_id: str | None = None
    size: int | None = None
    chunk_size: int | None = None
    sent_bytes: int = 0
    encrypted_upload_url: str | None = field(default=None, repr=False)
    url_expires_at: datetime | None = None
    finishing_at: datetime | None = None
    out_at: datetime | None = None
    profile_url: str = ""
    status: Mapping[str, object] = field(default_factory=dict)
    post_ids: tuple[str, ...] = ()
    post_url: str | None = None
    fail_reason: str = ""
    resolved_by: str = ""
    announced_by: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def lacks_id(self) -> bool:
        """Whether it is out, and TikTok still owes its id: only posts that everybody may see get one, and drafts."""
        is_public = self.content.get("privacy_level", _PUBLIC) == _PUBLIC
        return self.state == PostState.OUT and is_public and not (self.post_ids or self.resolved_by)


class Verdict(StrEnum):
    """What a claim has led to."""

    YOURS = "yours"
    """The claimant holds the lease and goes on from the recorded state."""
    THEIRS = "theirs"
    """Another task is publishing it: join, by polling if there is a publish id and the state is FINISHING."""
    ENDED = "ended"
    """OUT, IN_INBOX or UNCERTAIN: nothing may be sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """The answer to a claim, after which ``record.generation`` is the one to write with if it is ``YOURS``.

    :param retry_in: with ``THEIRS``: seconds until the lease ends at the latest.
    :param same_media: the newest post of another slot that has the same media and is, or may be, out.
    """

    verdict: Verdict
    record: PostRecord
    retry_in: float = 0.0
    same_media: PostRecord | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Intend:
    """An init request is about to leave; begins a new attempt. From any state in which nothing can be out:
    CLAIMED, FAILED, UPLOADING, and INTENDED of a file (an unused publish id publishes nothing).

    :param open_id: of the TikTok account whose token is at hand; it stays with the post. Empty: not known.
    :param draft: whether it is delivered to the creator's inbox, where few drafts may wait.
    :param intent_id: by it a repetition is known whose answer was lost: it begins nothing new.
    :param digest: where it is known, no other post of the same slot may have it from here on, unless
        ``allow_duplicate``.
    """

    source: Source
    fingerprint: str
    content: Content
    location: str = ""
    digest: str = ""
    allow_duplicate: bool = False
    open_id: str = ""
    draft: bool = False
    intent_id: str = field(default_factory=lambda: uuid4().hex, compare=False)
    type: Literal["intend"] = "intend"


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """TikTok has given a publish id. From INTENDED to UPLOADING, or with ``finishing`` to FINISHING; may be repeated.

    :param finishing: the next request carries the last byte, or TikTok pulls already.
    :param intent_id: of the ``Intend`` before it. By it the publish id of a pull is recorded even if the post was
        claimed by another try or decided by a person meanwhile: no other try can know it.
    """

    publish_id: str
    finishing: bool
    size: int | None = None
    chunk_size: int | None = None
    encrypted_upload_url: str | None = field(default=None, repr=False)
    url_expires_at: datetime | None = None
    profile_url: str = ""
    intent_id: str = ""
    type: Literal["start"] = "start"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """TikTok holds so many bytes. UPLOADING stays; with ``finishing`` the next request carries the last byte, and
    the post is FINISHING. In FINISHING it may be written too: that chunk is sent again to the same publish id, or,
    with all bytes of the file, TikTok has confirmed the last one.
    """

    sent_bytes: int
    finishing: bool = False
    type: Literal["progress"] = "progress"


@dataclass(frozen=True, slots=True, kw_only=True)
class Renew:
    """The holder is alive. In any state."""

    type: Literal["renew"] = "renew"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """The holder gives its lease back; the state stays. In any state."""

    type: Literal["release"] = "release"


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkFailed:
    """Nothing of the attempt is out, for certain: init was refused, or a chunk was, and the last byte has certainly
    not arrived. From INTENDED, UPLOADING, FINISHING or FAILED to FAILED.
    """

    reason: str
    log_id: str = ""
    type: Literal["mark_failed"] = "mark_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkUncertain:
    """Whether TikTok has accepted the post cannot be known. From INTENDED, UPLOADING or FINISHING to UNCERTAIN."""

    reason: str
    type: Literal["mark_uncertain"] = "mark_uncertain"


PostStep = Intend | Start | Progress | Renew | Release | MarkFailed | MarkUncertain


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What a person has seen of an uncertain post.

    :param posted: whether it is out.
    :param actor: the person who says so.
    """

    posted: bool
    actor: str
    post_id: str | None = None
    post_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PostOutcome:
    """How an attempt ended, reported by the task that waited for it. It needs no lease: it names the publish id.

    The more certain outcome counts: OUT beats IN_INBOX, which beats FAILED, which beats UNCERTAIN. Of two
    equals the first counts, to which the second adds post ids. An earlier attempt that turns out to be OUT or
    IN_INBOX makes the post so, whatever a later attempt is doing.

    UNCERTAIN, as at the deadline of a task that waits along, does not count while another task may still be sending.

    :param state: OUT, IN_INBOX, FAILED or UNCERTAIN.
    :param task: of the task that has waited, as in ``Claimant``; it sends nothing any more.
    """

    publish_id: str
    state: PostState
    task: str = ""
    status: Mapping[str, object] = field(default_factory=dict)
    post_ids: tuple[str, ...] = ()
    post_url: str | None = None
    fail_reason: str = ""
    log_id: str = ""
