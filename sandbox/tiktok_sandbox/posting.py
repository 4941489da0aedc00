"""The endpoints that begin a publish, and creator_info."""

from dataclasses import dataclass
from typing import Literal

from starlette.routing import Route

from tiktok_sandbox.api_routes import ApiCall, Endpoint, route
from tiktok_sandbox.chunk_rules import ChunkPlan, check_plan
from tiktok_sandbox.envelope import CREATOR_INFO_PATH, ParamsError
from tiktok_sandbox.lifecycle import start_pull
from tiktok_sandbox.limits import Limit, check_pending_drafts, check_posting_caps
from tiktok_sandbox.pictures import AVATAR_SECONDS, picture_url
from tiktok_sandbox.post_rules import (
    DraftBody,
    PhotoBody,
    VideoBody,
    check_app_version,
    check_not_banned,
    check_visibility,
    photo_settings,
    video_settings,
)
from tiktok_sandbox.records import PostSettings, Publish, Upload
from tiktok_sandbox.state import SandboxState
from tiktok_sandbox.url_rules import check_ownership, check_url_form

UPLOAD_SECONDS = 3600
_MAX_PHOTOS = 35
Mode = Literal["direct", "inbox"]


@dataclass(frozen=True)
class VideoSource:
    """`video_cover_timestamp_ms` belongs into post_info; some clients send it here, where it has no effect."""

    source: Literal["FILE_UPLOAD", "PULL_FROM_URL"]
    video_url: str | None = None
    video_size: int | None = None
    chunk_size: int | None = None
    total_chunk_count: int | None = None
    video_cover_timestamp_ms: int | None = None


@dataclass(frozen=True)
class PhotoSource:
    source: Literal["PULL_FROM_URL"]
    photo_images: list[str]
    photo_cover_index: int


def posting_routes(state: SandboxState) -> list[Route]:
    publish, upload = ["video.publish"], ["video.upload"]
    endpoints = [
        Endpoint(CREATOR_INFO_PATH, creator_info, publish, Limit("creator_info", 20), body_required=False),
        Endpoint("/v2/post/publish/video/init/", direct_video, publish, Limit("video/init", 6, init=True)),
        Endpoint(
            "/v2/post/publish/inbox/video/init/", draft_video, upload, Limit("inbox/init", 6, init=True)
        ),
        # Which of the two it takes depends on the mode.
        Endpoint(
            "/v2/post/publish/content/init/", photos, publish + upload, Limit("content/init", 6, init=True)
        ),
    ]
    return [route(state, endpoint) for endpoint in endpoints]


async def creator_info(call: ApiCall) -> dict[str, object]:
    account = call.account
    check_not_banned(call)
    check_posting_caps(call.state, call.app, account)
    return {
        "creator_avatar_url": picture_url(call.state, call.base_url, account.username, AVATAR_SECONDS),
        "creator_username": account.username,
        "creator_nickname": account.nickname,
        "privacy_level_options": account.privacy_levels,
        "comment_disabled": account.comment_disabled,
        "duet_disabled": account.duet_disabled or account.private,
        "stitch_disabled": account.stitch_disabled or account.private,
        "max_video_post_duration_sec": account.max_video_post_duration_sec,
    }


async def direct_video(call: ApiCall) -> dict[str, object]:
    body = call.parse(VideoBody, call.body)
    settings = video_settings(call, body.post_info)
    source = _video_source(call, body.source_info)
    _admit_direct(call, settings)
    return _begin_video(call, "direct", settings, source)


async def draft_video(call: ApiCall) -> dict[str, object]:
    body = call.parse(DraftBody, call.body)
    source = _video_source(call, body.source_info)
    check_not_banned(call)
    check_pending_drafts(call.state, call.account)
    return _begin_video(call, "inbox", PostSettings(), source)


async def photos(call: ApiCall) -> dict[str, object]:
    body = call.parse(PhotoBody, call.body)
    if body.media_type != "PHOTO":
        raise ParamsError("media_type must be PHOTO")
    if body.post_mode not in ("DIRECT_POST", "MEDIA_UPLOAD"):
        raise ParamsError("post_mode must be DIRECT_POST or MEDIA_UPLOAD")
    direct = body.post_mode == "DIRECT_POST"
    call.require("video.publish" if direct else "video.upload")
    source = _photo_source(call, body.source_info)
    settings = photo_settings(call, body, source.photo_cover_index)
    if direct:
        _admit_direct(call, settings)
    else:
        check_app_version(call)
        check_not_banned(call)
        check_pending_drafts(call.state, call.account)
    for url in source.photo_images:
        check_ownership(call.state, call.app, url)
    publish = _new_publish(call, "p_pub_url~v2.", "direct" if direct else "inbox", settings, kind="photo")
    publish.urls = list(source.photo_images)
    start_pull(call.state, publish)
    return {"publish_id": publish.publish_id}


def _admit_direct(call: ApiCall, settings: PostSettings) -> None:
    check_not_banned(call)
    check_visibility(call, settings.privacy_level)
    check_posting_caps(call.state, call.app, call.account)


def _video_source(call: ApiCall, source_info: dict[str, object]) -> VideoSource | ChunkPlan:
    """A checked source: the plan of an upload, or a source with an address."""
    source = call.parse(VideoSource, source_info)
    if source.source == "PULL_FROM_URL":
        if source.video_url is None:
            raise ParamsError("video_url is required")
        check_url_form(source.video_url)
        return source
    if source.video_size is None or source.chunk_size is None or source.total_chunk_count is None:
        raise ParamsError("video_size, chunk_size and total_chunk_count are required")
    plan = ChunkPlan(source.video_size, source.chunk_size, source.total_chunk_count)
    check_plan(plan, call.state.switches)
    return plan


def _photo_source(call: ApiCall, source_info: dict[str, object]) -> PhotoSource:
    source = call.parse(PhotoSource, source_info)
    if not 1 <= len(source.photo_images) <= _MAX_PHOTOS:
        raise ParamsError(f"photo_images must have 1 to {_MAX_PHOTOS} URLs")
    if not 0 <= source.photo_cover_index < len(source.photo_images):
        raise ParamsError("photo_cover_index is not the index of a photo")
    for url in source.photo_images:
        check_url_form(url)
    return source


def _begin_video(
    call: ApiCall, mode: Mode, settings: PostSettings, source: VideoSource | ChunkPlan
) -> dict[str, object]:
    direct = mode == "direct"
    if isinstance(source, ChunkPlan):
        publish = _new_publish(call, "v_pub_file~v2-1." if direct else "v_inbox_file~v2.", mode, settings)
        return {"publish_id": publish.publish_id, "upload_url": _open_upload(call, publish, source)}
    url = source.video_url or ""
    check_ownership(call.state, call.app, url)
    publish = _new_publish(call, "v_pub_url~v2." if direct else "v_inbox_url~v2.", mode, settings)
    publish.urls = [url]
    start_pull(call.state, publish)
    return {"publish_id": publish.publish_id}


def _new_publish(
    call: ApiCall,
    prefix: str,
    mode: Mode,
    settings: PostSettings,
    kind: Literal["video", "photo"] = "video",
) -> Publish:
    state = call.state
    from_file = "_file~" in prefix
    publish = Publish(
        publish_id=f"{prefix}{state.number_id()}",
        app=call.app,
        account=call.account,
        kind=kind,
        mode=mode,
        source="FILE_UPLOAD" if from_file else "PULL_FROM_URL",
        settings=settings,
        created_at=state.clock.now(),
        status="PROCESSING_UPLOAD" if from_file else "PROCESSING_DOWNLOAD",
    )
    state.publishes[publish.publish_id] = publish
    call.log.publish_id = publish.publish_id
    return publish


def _open_upload(call: ApiCall, publish: Publish, plan: ChunkPlan) -> str:
    state = call.state
    publish.upload = Upload(
        upload_id=str(state.number_id()),
        token=state.text_id(32),
        size=plan.video_size,
        chunk_size=plan.chunk_size,
        chunk_count=plan.count,
        expires_at=state.clock.now() + UPLOAD_SECONDS,
        path=state.new_media_path(),
    )
    publish.upload.path.touch()
    state.uploads[publish.upload.upload_id] = publish
    query = f"upload_id={publish.upload.upload_id}&upload_token={publish.upload.token}"
    return f"{call.base_url}/upload?{query}"
