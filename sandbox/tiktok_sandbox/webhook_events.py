"""The webhooks that go out when something has happened."""

import asyncio
from collections.abc import Mapping

from tiktok_sandbox.records import Account, App, Post, Publish
from tiktok_sandbox.state import SandboxState


def notify(
    state: SandboxState, app: App, account: Account, event: str, content: Mapping[str, object]
) -> None:
    """Send a webhook, where the app has an address for it; no call waits for the receiver."""
    if app.webhook_url is None:
        return
    task = asyncio.create_task(_send(state, app, app.webhook_url, account, event, content))
    state.sending.add(task)
    task.add_done_callback(state.sending.discard)


async def _send(
    state: SandboxState, app: App, url: str, account: Account, event: str, content: Mapping[str, object]
) -> None:
    open_id = account.open_ids[app.client_key]
    # One after the other, so that events arrive in the order in which they happened.
    async with state.webhook_order:
        await state.webhooks.deliver(
            url,
            app.client_key,
            app.client_secret,
            event,
            open_id,
            dict(content),
            milliseconds=state.switches.webhook_milliseconds,
        )


async def all_sent(state: SandboxState, seconds: float) -> None:
    """Wait until webhooks that are on their way have been answered, for up to `seconds` of real time."""
    if state.sending:
        await asyncio.wait(set(state.sending), timeout=seconds)


def notify_publish(
    state: SandboxState, publish: Publish, event: str, more: Mapping[str, object] | None = None
) -> None:
    publish_type = state.switches.webhook_publish_type if publish.mode == "direct" else "INBOX_SHARE"
    content = {"publish_id": publish.publish_id, "publish_type": publish_type, **(more or {})}
    notify(state, publish.app, publish.account, event, content)


def notify_post(state: SandboxState, publish: Publish, post: Post, event: str) -> None:
    as_text = state.switches.webhook_post_id == "string"
    post_id = str(post.post_id) if as_text else post.post_id
    notify_publish(state, publish, event, {"post_id": post_id})
