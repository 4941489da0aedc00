"""Posting: init, status, cancel. Sources: TikTok's "Direct Post", "Upload", "Photo", "Get Post Status" pages."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from tiktok_provider.api.calls import Answered, Call, open_envelope, parse, post_json
from tiktok_provider.api.chunks import ChunkPlan

# ``source_info`` of an init: where the media come from.
SourceInfo = Mapping[str, Any]
# Makes sure, right before an init leaves, that it may.
Check = Callable[[], object]


class PrivacyLevel(StrEnum):
    """Who may see a post. Which of them an account offers is in its creator_info."""

    PUBLIC_TO_EVERYONE = "PUBLIC_TO_EVERYONE"
    MUTUAL_FOLLOW_FRIENDS = "MUTUAL_FOLLOW_FRIENDS"
    FOLLOWER_OF_CREATOR = "FOLLOWER_OF_CREATOR"
    SELF_ONLY = "SELF_ONLY"


class Status(StrEnum):
    """The documented states; TikTok may send others, which are not final."""

    PROCESSING_UPLOAD = "PROCESSING_UPLOAD"
    PROCESSING_DOWNLOAD = "PROCESSING_DOWNLOAD"
    SEND_TO_USER_INBOX = "SEND_TO_USER_INBOX"
    PUBLISH_COMPLETE = "PUBLISH_COMPLETE"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoPost:
    """``post_info`` of a direct video post, in TikTok's own terms.

    :param title: the caption, at most 2,200 UTF-16 units, hashtags and mentions included.
    :param video_cover_timestamp_ms: the frame for the cover; None takes the first.
    """

    privacy_level: str
    title: str = ""
    disable_comment: bool = True
    disable_duet: bool = True
    disable_stitch: bool = True
    brand_content_toggle: bool = False
    brand_organic_toggle: bool = False
    is_aigc: bool = False
    video_cover_timestamp_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoPost:
    """``post_info`` of photos. As a draft only title and description are sent.

    :param title: at most 90 UTF-16 units.
    :param description: at most 4,000 UTF-16 units, hashtags and mentions included.
    """

    privacy_level: str
    title: str = ""
    description: str = ""
    disable_comment: bool = True
    auto_add_music: bool = False
    brand_content_toggle: bool = False
    brand_organic_toggle: bool = False


class Started(Answered):
    """What init gave.

    :param upload_url: where the bytes go, valid for one hour; a secret. Absent if TikTok pulls.
    """

    publish_id: str = Field(min_length=1)
    upload_url: str | None = Field(default=None, repr=False)


def _as_count(value: Any) -> int | None:
    """Return a number of bytes or an id, written as a number or as a text; None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _as_ids(value: Any) -> list[str]:
    """Accept what has been seen besides a list: nothing at all, or a single number. What is no id is left out."""
    values = value if isinstance(value, list | tuple) else [value]
    return [str(number) for number in map(_as_count, values) if number]


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else ""


# A success or a failure counts, however odd the rest of the answer is.
_Count = Annotated[int | None, BeforeValidator(_as_count)]


class PostStatus(Answered):
    """One answer of status/fetch.

    :param post_ids: ids of the visible posts, as strings: they have more digits than a double holds.
    :param uploaded_bytes: of a file upload, as a count or the index of the last one; None if TikTok does not say.
    """

    status: str
    fail_reason: Annotated[str, BeforeValidator(_as_text)] = ""
    # TikTok's own spelling.
    post_ids: Annotated[tuple[str, ...], BeforeValidator(_as_ids)] = Field(
        default=(), alias="publicaly_available_post_id"
    )
    uploaded_bytes: _Count = None
    downloaded_bytes: _Count = None


def file_source(plan: ChunkPlan) -> SourceInfo:
    """Return ``source_info`` for bytes that we upload."""
    return {
        "source": "FILE_UPLOAD",
        "video_size": plan.size,
        "chunk_size": plan.chunk_size,
        "total_chunk_count": plan.count,
    }


def url_source(video_url: str) -> SourceInfo:
    """Return ``source_info`` for a video that TikTok pulls."""
    return {"source": "PULL_FROM_URL", "video_url": video_url}


def photo_source(photo_urls: Sequence[str], cover_index: int = 0) -> SourceInfo:
    """Return ``source_info`` for photos, which TikTok always pulls.

    :param photo_urls: 1 to 35 verified https URLs.
    :param cover_index: from 0.
    """
    return {
        "source": "PULL_FROM_URL",
        "photo_images": list(photo_urls),
        "photo_cover_index": cover_index,
    }


def init_video(post: VideoPost, source: SourceInfo, check: Check) -> Call[Started]:
    """Start a direct video post. Scope ``video.publish``; 6 a minute. Never repeated by itself.

    :param source: from ``file_source`` or ``url_source``.
    :param check: called right before the request leaves; what it raises keeps it from being sent.
    """
    return _init("/v2/post/publish/video/init/", {"post_info": _present(post), "source_info": source}, check)


def init_inbox_video(source: SourceInfo, check: Check) -> Call[Started]:
    """Start a video draft. Scope ``video.upload``; 6 a minute, 5 pending. Never repeated by itself.

    :param source: from ``file_source`` or ``url_source``.
    :param check: as in ``init_video``.
    """
    return _init("/v2/post/publish/inbox/video/init/", {"source_info": source}, check)


def init_photos(
    post: PhotoPost, source: SourceInfo, check: Check, *, direct: bool, is_aigc: bool = False
) -> Call[Started]:
    """Start a photo post, or a draft with ``direct=False``. Never repeated by itself.

    :param source: from ``photo_source``.
    :param check: as in ``init_video``.
    """
    drafted = {"title": post.title, "description": post.description}
    body = {
        "media_type": "PHOTO",
        "post_mode": "DIRECT_POST" if direct else "MEDIA_UPLOAD",
        "is_aigc": is_aigc,
        "post_info": _present(post) if direct else drafted,
        "source_info": source,
    }
    return _init("/v2/post/publish/content/init/", body, check)


def fetch_status(publish_id: str) -> Call[PostStatus]:
    """Ask where a post stands. 30 a minute."""
    answer = yield post_json("/v2/post/publish/status/fetch/", {"publish_id": publish_id})
    return parse(PostStatus, open_envelope(answer))


def cancel(publish_id: str) -> Call[None]:
    """Ask TikTok to stop a pull that is under way; best effort."""
    answer = yield post_json("/v2/post/publish/cancel/", {"publish_id": publish_id}, repeatable=False)
    open_envelope(answer)


def _init(path: str, body: Mapping[str, Any], check: Check) -> Call[Started]:
    answer = yield post_json(path, body, repeatable=False, check=check)
    return parse(Started, open_envelope(answer))


def _present(post: VideoPost | PhotoPost) -> dict[str, Any]:
    return {name: value for name, value in asdict(post).items() if value is not None}
