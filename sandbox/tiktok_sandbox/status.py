"""The endpoints that ask for a publish, and that cancel one."""

from dataclasses import dataclass

from starlette.routing import Route

from tiktok_sandbox.api_routes import ApiCall, Endpoint, route
from tiktok_sandbox.envelope import CANCEL_PATH, ApiError
from tiktok_sandbox.lifecycle import fail
from tiktok_sandbox.limits import Limit
from tiktok_sandbox.records import Publish, Upload
from tiktok_sandbox.state import SandboxState


@dataclass(frozen=True)
class _Body:
    publish_id: str


def status_routes(state: SandboxState) -> list[Route]:
    either = ["video.upload", "video.publish"]
    endpoints = [
        Endpoint("/v2/post/publish/status/fetch/", fetch_status, either, Limit("status/fetch", 30)),
        Endpoint(CANCEL_PATH, cancel, either),
    ]
    return [route(state, endpoint) for endpoint in endpoints]


async def fetch_status(call: ApiCall) -> dict[str, object]:
    publish = _own_publish(call)
    data: dict[str, object] = {"status": publish.status, **_progress(call.state, publish)}
    if publish.fail_reason is not None:
        data["fail_reason"] = publish.fail_reason
    return {**data, **_public_ids(call.state, publish)}


async def cancel(call: ApiCall) -> None:
    """Only what is still being transferred can be cancelled; an upload only where the switch says so."""
    publish = _own_publish(call)
    uploads_too = call.state.switches.cancel_file_upload == "accepted"
    allowed = publish.source == "PULL_FROM_URL" or uploads_too
    if publish.final or publish.transferred_at is not None or not allowed:
        raise ApiError("publish_not_cancellable", "The publish can no longer be cancelled")
    fail(call.state, publish, "publish_cancelled")


def _own_publish(call: ApiCall) -> Publish:
    publish = call.state.publishes.get(call.parse(_Body, call.body).publish_id)
    if publish is None or _forgotten(call.state, publish):
        raise ApiError("invalid_publish_id", "The publish_id does not exist")
    if publish.account is not call.account or publish.app is not call.app:
        code = "token_not_authorized_for_specified_publish_id"
        raise ApiError(code, "The access token does not belong to the publish_id")
    return publish


def _forgotten(state: SandboxState, publish: Publish) -> bool:
    retention = state.switches.publish_id_retention_seconds
    return retention is not None and state.clock.now() - publish.created_at > retention


def _progress(state: SandboxState, publish: Publish) -> dict[str, object]:
    switch = state.switches.status_progress
    if switch == "absent":
        return {}
    if publish.upload is None:
        return {"downloaded_bytes": _downloaded(state, publish)}
    upload = publish.upload
    counted = {"exact": upload.received, "last_index": max(upload.received - 1, 0), "lags": _lagging(upload)}
    return {"uploaded_bytes": counted[switch]}


def _downloaded(state: SandboxState, publish: Publish) -> int:
    if publish.pull_rate is None or publish.transferred_at is not None:
        return publish.downloaded_bytes
    so_far = int((state.clock.now() - publish.created_at) * publish.pull_rate)
    return min(publish.downloaded_bytes, so_far)


def _lagging(upload: Upload) -> int:
    return upload.received if upload.complete else upload.previous_boundary


def _public_ids(state: SandboxState, publish: Publish) -> dict[str, object]:
    """Ids of what is public now, spelled as TikTok spells it."""
    ids = [post.post_id for post in publish.posts if post.public_at is not None]
    shape = state.switches.post_id_shape
    if shape == "absent" or not ids:
        return {}
    shapes: dict[str, object] = {"list": ids, "empty": [], "scalar": ids[0]}
    return {"publicaly_available_post_id": shapes[shape]}
