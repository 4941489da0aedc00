"""The control API's view of what was published, and what creators do with it."""

from dataclasses import asdict, dataclass

from starlette.requests import Request
from starlette.routing import Route

from tiktok_sandbox.control import PATIENCE_SECONDS, Body, Handler, NotFoundError, control_route
from tiktok_sandbox.fields import FieldError, build
from tiktok_sandbox.lifecycle import add_post, change_post, fail
from tiktok_sandbox.records import PUBLIC, Post, PrivacyLevel, Publish
from tiktok_sandbox.state import SandboxState
from tiktok_sandbox.webhook_events import all_sent


def control_post_routes(state: SandboxState) -> list[Route]:
    table: dict[tuple[str, str], Handler] = {
        ("GET", "/sandbox/feed"): _feed,
        ("GET", "/sandbox/publishes"): _publishes,
        ("POST", "/sandbox/publishes/{publish_id}/finish-draft"): _finish_draft,
        ("POST", "/sandbox/publishes/{publish_id}/fail"): _fail,
        ("POST", "/sandbox/upload-urls/{publish_id}/expire"): _expire,
        ("POST", "/sandbox/posts/{post_id}"): _change_post,
        ("GET", "/sandbox/requests"): _requests,
        ("DELETE", "/sandbox/requests"): _clear_requests,
        ("GET", "/sandbox/webhooks"): _webhooks,
    }
    return [control_route(state, method, path, handler) for (method, path), handler in table.items()]


async def _feed(state: SandboxState, request: Request, _: Body) -> object:
    return state.feed(str(request.base_url).rstrip("/"))


async def _publishes(state: SandboxState, _request: Request, _: Body) -> object:
    return [_publish_row(publish) for publish in state.publishes.values()]


def _publish_row(publish: Publish) -> dict[str, object]:
    upload = publish.upload
    return {
        "publish_id": publish.publish_id,
        "client_key": publish.app.client_key,
        "open_id": publish.open_id,
        "username": publish.account.username,
        "kind": publish.kind,
        "mode": publish.mode,
        "source": publish.source,
        "status": publish.status,
        "fail_reason": publish.fail_reason,
        "size": upload.size if upload else None,
        "uploaded_bytes": upload.received if upload else 0,
        "downloaded_bytes": publish.downloaded_bytes,
        "chunks": [asdict(receipt) for receipt in upload.chunks] if upload else [],
        "upload_url_expires_at": upload.expires_at if upload else None,
        "created_at": publish.created_at,
        "transferred_at": publish.transferred_at,
        "delivered_at": publish.delivered_at,
        "post_ids": [str(post.post_id) for post in publish.posts],
    }


def _named_publish(state: SandboxState, request: Request) -> Publish:
    publish = state.publishes.get(request.path_params["publish_id"])
    if publish is None:
        raise NotFoundError("There is no such publish_id")
    return publish


@dataclass(frozen=True)
class _Finish:
    privacy_level: PrivacyLevel | None = None


async def _finish_draft(state: SandboxState, request: Request, body: Body) -> object:
    publish, order = _named_publish(state, request), build(_Finish, body)
    if publish.mode != "inbox" or publish.delivered_at is None:
        raise FieldError("publish_id is not of a delivered draft")
    widest = publish.account.privacy_levels[0] if publish.account.privacy_levels else PUBLIC
    post = add_post(state, publish, order.privacy_level or widest, state.clock.now())
    return {"post_id": str(post.post_id)}


@dataclass(frozen=True)
class _Failure:
    reason: str = "internal"


async def _fail(state: SandboxState, request: Request, body: Body) -> object:
    publish, order = _named_publish(state, request), build(_Failure, body)
    if publish.final:
        raise FieldError("publish_id is of a publish that is over")
    fail(state, publish, order.reason)
    return _publish_row(publish)


async def _expire(state: SandboxState, request: Request, _: Body) -> object:
    publish = _named_publish(state, request)
    if publish.upload is None:
        raise FieldError("publish_id has no upload URL")
    publish.upload.expires_at = min(publish.upload.expires_at, state.clock.now())
    return {}


@dataclass(frozen=True)
class _PostChange:
    privacy_level: PrivacyLevel | None = None
    deleted: bool = False


async def _change_post(state: SandboxState, request: Request, body: Body) -> object:
    publish, post = _named_post(state, request.path_params["post_id"])
    order = build(_PostChange, body)
    change_post(state, publish, post, order.privacy_level, order.deleted)
    return next(row for row in state.feed() if row["post_id"] == str(post.post_id))


def _named_post(state: SandboxState, post_id: str) -> tuple[Publish, Post]:
    for publish, post in state.posts():
        if str(post.post_id) == post_id:
            return publish, post
    raise NotFoundError("There is no such post_id")


async def _requests(state: SandboxState, request: Request, _: Body) -> object:
    prefix = request.query_params.get("path", "")
    return [asdict(call) for call in state.requests if call.path.startswith(prefix)]


async def _clear_requests(state: SandboxState, _request: Request, _: Body) -> object:
    state.requests.clear()
    return {}


async def _webhooks(state: SandboxState, _request: Request, _: Body) -> object:
    await all_sent(state, PATIENCE_SECONDS)
    return state.webhooks.deliveries()
