"""The things a TikTok knows: apps, creators, authorisations, uploads, publishes and posts."""

import asyncio
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

ALL_SCOPES = (
    "user.info.basic",
    "user.info.profile",
    "user.info.stats",
    "video.list",
    "video.upload",
    "video.publish",
)
PUBLIC = "PUBLIC_TO_EVERYONE"
PrivacyLevel = Literal["PUBLIC_TO_EVERYONE", "MUTUAL_FOLLOW_FRIENDS", "FOLLOWER_OF_CREATOR", "SELF_ONLY"]
FINAL_STATUSES = frozenset({"FAILED", "SEND_TO_USER_INBOX", "PUBLISH_COMPLETE"})


@dataclass
class App:
    """A registered client. `url_prefixes` are its verified URL properties: domains or https:// prefixes."""

    client_key: str
    client_secret: str
    audited: bool = True
    sandbox: bool = False
    scopes: list[str] = field(default_factory=lambda: list(ALL_SCOPES))
    redirect_uris: list[str] = field(default_factory=list)
    platform: Literal["web", "desktop"] = "web"
    url_prefixes: list[str] = field(default_factory=list)
    webhook_url: str | None = None
    active_user_cap: int | None = None

    @property
    def restricted(self) -> bool:
        """Sandbox apps may not publish publicly either, so they count as unaudited."""
        return self.sandbox or not self.audited

    @property
    def user_cap(self) -> int | None:
        """How many creators may post through this app within 24 hours; None for no cap."""
        return 5 if self.restricted and self.active_user_cap is None else self.active_user_cap


@dataclass
class Account:
    """A creator. `open_id` is the first app's id of this creator; `open_ids` has one for each app."""

    open_id: str
    union_id: str
    username: str
    nickname: str
    private: bool = False
    comment_disabled: bool = False
    duet_disabled: bool = False
    stitch_disabled: bool = False
    max_video_post_duration_sec: int = 600
    hidden_privacy_levels: list[PrivacyLevel] = field(default_factory=list)
    banned: bool = False
    app_version: str = "40.0"
    daily_post_cap: int = 15
    open_ids: dict[str, str] = field(default_factory=dict)

    @property
    def privacy_levels(self) -> list[str]:
        widest = "FOLLOWER_OF_CREATOR" if self.private else PUBLIC
        levels = [widest, "MUTUAL_FOLLOW_FRIENDS", "SELF_ONLY"]
        return [level for level in levels if level not in self.hidden_privacy_levels]


@dataclass
class Authorization:
    """What one consent gave one app. All tokens that descend from it share its refresh expiry."""

    app: App
    account: Account
    open_id: str
    scope: list[str]
    refresh_expires_at: float


@dataclass
class AccessToken:
    value: str
    authorization: Authorization
    expires_at: float
    revoked: bool = False


@dataclass
class RefreshToken:
    value: str
    authorization: Authorization
    access: AccessToken
    expires_at: float
    rotated: bool = False
    revoked: bool = False


@dataclass(frozen=True)
class ChunkReceipt:
    """One PUT with a well-formed range. `answer` is None if the connection broke before there was one."""

    at: float
    first: int
    last: int
    answer: int | None


@dataclass
class Upload:
    """The upload task behind an upload URL. `received` counts whole chunks only, unless a switch keeps parts."""

    upload_id: str
    token: str
    size: int
    chunk_size: int
    chunk_count: int
    expires_at: float
    path: Path
    received: int = 0
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    chunks: list[ChunkReceipt] = field(default_factory=list)
    writer: object = None

    @property
    def complete(self) -> bool:
        return self.received == self.size

    def abandoned(self, now: float) -> bool:
        """Whether the URL expired before all bytes were there."""
        return not self.complete and now >= self.expires_at

    def range_at(self, offset: int) -> tuple[int, int]:
        """From `offset` to the last byte of the planned chunk that it is in; the last takes the remainder."""
        index = min(offset // self.chunk_size, self.chunk_count - 1)
        last = self.size if index == self.chunk_count - 1 else (index + 1) * self.chunk_size
        return offset, last - 1

    def starts_chunk(self, offset: int) -> bool:
        """Whether a planned chunk starts there."""
        return offset % self.chunk_size == 0 and offset // self.chunk_size < self.chunk_count

    @property
    def previous_boundary(self) -> int:
        """Where the upload stood one stored chunk ago."""
        return max(0, (self.received - 1) // self.chunk_size * self.chunk_size)


@dataclass(frozen=True)
class MediaFile:
    path: Path
    size: int
    sha256: str


@dataclass(frozen=True)
class PostSettings:
    """Everything a caller may say about a post, video and photo alike; null where it was not said."""

    title: str = ""
    description: str = ""
    privacy_level: str | None = None
    disable_comment: bool = False
    disable_duet: bool = False
    disable_stitch: bool = False
    brand_content_toggle: bool = False
    brand_organic_toggle: bool = False
    is_aigc: bool = False
    auto_add_music: bool = False
    video_cover_timestamp_ms: int | None = None
    photo_cover_index: int | None = None


@dataclass
class Post:
    """A post on the creator's profile. `public_at` is set when moderation has let it through.

    `in_review_since` is when it was last asked to be public.
    """

    post_id: int
    privacy_level: str
    posted_at: float
    in_review_since: float
    public_at: float | None = None
    deleted: bool = False


@dataclass
class Publish:
    """One attempt to publish, known by its publish id."""

    publish_id: str
    app: App
    account: Account
    kind: Literal["video", "photo"]
    mode: Literal["direct", "inbox"]
    source: Literal["FILE_UPLOAD", "PULL_FROM_URL"]
    settings: PostSettings
    created_at: float
    status: str
    upload: Upload | None = None
    urls: list[str] = field(default_factory=list)
    media: list[MediaFile] = field(default_factory=list)
    downloaded_bytes: int = 0
    pull_rate: int | None = None
    pulled_at: float | None = None
    transferred_at: float | None = None
    delivered_at: float | None = None
    fail_reason: str | None = None
    pull: "asyncio.Task[None] | None" = None
    check: "asyncio.Task[str | None] | None" = None
    posts: list[Post] = field(default_factory=list)

    @property
    def open_id(self) -> str:
        return self.account.open_ids[self.app.client_key]

    @property
    def final(self) -> bool:
        return self.status in FINAL_STATUSES


@dataclass
class Call:
    """One call to TikTok's routes, as the request log shows it. `status` stays None if no answer left."""

    time: float
    method: str
    path: str
    log_id: str
    status: int | None = None
    code: str | None = None
    publish_id: str | None = None
    open_id: str | None = None
    fault: str | None = None
