"""The Display API: who the user is, and which videos are public."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass

from starlette.routing import Route

from tiktok_sandbox.api_routes import ApiCall, Endpoint, route
from tiktok_sandbox.envelope import ApiError, ParamsError
from tiktok_sandbox.limits import Limit
from tiktok_sandbox.pictures import AVATAR_SECONDS, COVER_SECONDS, picture_url
from tiktok_sandbox.records import Post, Publish
from tiktok_sandbox.state import SandboxState
from tiktok_sandbox.video_facts import video_facts

_PAGE = 20
_TEXT = 150
_BASIC = "user.info.basic"
_PROFILE = "user.info.profile"
_STATS = "user.info.stats"
_USER_FIELDS = {
    "open_id": _BASIC,
    "union_id": _BASIC,
    "avatar_url": _BASIC,
    "avatar_url_100": _BASIC,
    "avatar_large_url": _BASIC,
    "display_name": _BASIC,
    "bio_description": _PROFILE,
    "profile_deep_link": _PROFILE,
    "profile_web_link": _PROFILE,
    "is_verified": _PROFILE,
    "username": _PROFILE,
    "follower_count": _STATS,
    "following_count": _STATS,
    "likes_count": _STATS,
    "video_count": _STATS,
}
_VIDEO_FIELDS = {
    *("id", "create_time", "title", "video_description", "duration", "height", "width"),
    *("cover_image_url", "share_url", "embed_html", "embed_link"),
    *("like_count", "comment_count", "share_count", "view_count"),
}


@dataclass(frozen=True)
class _ListBody:
    """`cursor` in UTC milliseconds: only videos before it."""

    cursor: int | None = None
    max_count: int = 10


@dataclass(frozen=True)
class _QueryBody:
    filters: dict[str, object]


@dataclass(frozen=True)
class _Filters:
    video_ids: list[str]


def display_routes(state: SandboxState) -> list[Route]:
    endpoints = [
        Endpoint("/v2/user/info/", user_info, (), _limit("user/info"), method="GET"),
        Endpoint("/v2/video/list/", list_videos, ["video.list"], _limit("video/list"), body_required=False),
        Endpoint("/v2/video/query/", query_videos, ["video.list"], _limit("video/query")),
    ]
    return [route(state, endpoint) for endpoint in endpoints]


def _limit(endpoint: str) -> Limit:
    return Limit(endpoint, 600, per_app=True)


def _fields(call: ApiCall, known: Collection[str]) -> list[str]:
    names = [name for name in call.request.query_params.get("fields", "").split(",") if name]
    if not names:
        raise ParamsError("fields is required")
    if unknown := [name for name in names if name not in known]:
        raise ParamsError(f"fields has an unknown name: {unknown[0]}")
    return names


async def user_info(call: ApiCall) -> dict[str, object]:
    names = _fields(call, _USER_FIELDS)
    granted = call.token.authorization.scope
    if missing := sorted({_USER_FIELDS[name] for name in names} - set(granted)):
        raise ApiError(call.state.switches.display_scope_error, f"The fields need the scope {missing[0]}")
    user = _user(call)
    return {"user": {name: user[name] for name in names}}


def _user(call: ApiCall) -> dict[str, object]:
    account = call.account
    page = f"{call.base_url}/@{account.username}"
    return {
        "open_id": call.token.authorization.open_id,
        "union_id": account.union_id,
        "avatar_url": _avatar(call, account.username),
        "avatar_url_100": _avatar(call, f"{account.username}-100"),
        "avatar_large_url": _avatar(call, f"{account.username}-large"),
        "display_name": account.nickname,
        "bio_description": "",
        "profile_deep_link": page,
        "profile_web_link": page,
        "is_verified": False,
        "username": account.username,
        "follower_count": 0,
        "following_count": 0,
        "likes_count": 0,
        "video_count": len(_public_videos(call)),
    }


def _avatar(call: ApiCall, name: str) -> str:
    return picture_url(call.state, call.base_url, name, AVATAR_SECONDS)


def _public_videos(call: ApiCall) -> list[tuple[Publish, Post]]:
    """The creator's public videos, whichever app they came from, newest first."""
    videos = [
        (publish, post)
        for publish, post in call.state.posts()
        if publish.account is call.account and publish.kind == "video" and post.public_at is not None
    ]
    return sorted(videos, key=lambda video: (video[1].posted_at, video[1].post_id), reverse=True)


async def list_videos(call: ApiCall) -> dict[str, object]:
    names = _fields(call, _VIDEO_FIELDS)
    body = call.parse(_ListBody, call.body)
    if not 1 <= body.max_count <= _PAGE:
        raise ParamsError(f"max_count must be 1 to {_PAGE}")
    if body.cursor is not None and body.cursor < 0:
        raise ParamsError("cursor must not be negative")
    before = [
        video
        for video in _public_videos(call)
        if body.cursor is None or _milliseconds(video[1]) < body.cursor
    ]
    page = before[: body.max_count]
    return {
        "videos": [await _video(call, video, names) for video in page],
        "cursor": _milliseconds(page[-1][1]) if page else body.cursor or 0,
        "has_more": len(before) > len(page),
    }


async def query_videos(call: ApiCall) -> dict[str, object]:
    names = _fields(call, _VIDEO_FIELDS)
    wanted = call.parse(_Filters, call.parse(_QueryBody, call.body).filters).video_ids
    if not 1 <= len(wanted) <= _PAGE:
        raise ParamsError(f"video_ids must have 1 to {_PAGE} ids")
    own = {str(post.post_id): (publish, post) for publish, post in _public_videos(call)}
    if call.state.switches.query_foreign_ids == "error" and not own.keys() >= set(wanted):
        raise ParamsError("video_ids has an id that is not a public video of the user")
    return {"videos": [await _video(call, own[one], names) for one in wanted if one in own]}


def _milliseconds(post: Post) -> int:
    return round(post.posted_at * 1000)


async def _video(call: ApiCall, video: tuple[Publish, Post], names: list[str]) -> dict[str, object]:
    publish, post = video
    facts = await asyncio.to_thread(video_facts, publish.media[0].path)
    share_url = f"{call.base_url}/@{call.account.username}/video/{post.post_id}"
    text = publish.settings.title[:_TEXT]
    everything: dict[str, object] = {
        "id": str(post.post_id),
        "create_time": int(post.posted_at),
        "cover_image_url": picture_url(call.state, call.base_url, f"cover-{post.post_id}", COVER_SECONDS),
        "share_url": share_url,
        "video_description": text,
        "title": text,
        **vars(facts),
        "embed_html": f'<iframe src="{share_url}"></iframe>',
        "embed_link": share_url,
        "like_count": 0,
        "comment_count": 0,
        "share_count": 0,
        "view_count": 0,
    }
    return {name: everything[name] for name in names}
