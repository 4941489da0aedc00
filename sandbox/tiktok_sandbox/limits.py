"""Sliding windows of a minute, and the caps of 24 hours."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from tiktok_sandbox.envelope import ApiError
from tiktok_sandbox.records import AccessToken, Account, App, Publish
from tiktok_sandbox.state import SandboxState

WINDOW_SECONDS = 60
DAY_SECONDS = 86_400
PENDING_DRAFTS = 5


@dataclass(frozen=True)
class Limit:
    """So many calls a minute. `init` marks those that may share a bucket; `per_app` counts all creators."""

    endpoint: str
    calls: int
    init: bool = False
    per_app: bool = False


class RateLimitedError(ApiError):
    def __init__(self, retry_after: float | None) -> None:
        super().__init__("rate_limit_exceeded", "The API rate limit was exceeded. Please try again later.")
        self.retry_after = retry_after


def take(state: SandboxState, limit: Limit, token: AccessToken) -> None:
    """Count a call, or refuse it; refused calls do not count."""
    if not state.switches.rate_limits:
        return
    now = state.clock.now()
    window = state.calls_in_window.setdefault(_bucket(state, limit, token), deque())
    while window and now - window[0] >= WINDOW_SECONDS:
        window.popleft()
    if len(window) >= limit.calls:
        wait = window[0] + WINDOW_SECONDS - now
        raise RateLimitedError(wait if state.switches.retry_after else None)
    window.append(now)


def _bucket(state: SandboxState, limit: Limit, token: AccessToken) -> tuple[str, str]:
    shared = limit.init and state.switches.init_bucket == "shared"
    endpoint = "init" if shared else limit.endpoint
    if limit.per_app:
        return endpoint, token.authorization.app.client_key
    if state.switches.rate_window_survives_refresh:
        return endpoint, f"{token.authorization.app.client_key} {token.authorization.open_id}"
    return endpoint, token.value


def check_posting_caps(state: SandboxState, app: App, account: Account) -> None:
    """Refuse a direct post beyond the creator's or the app's cap."""
    if not state.switches.caps:
        return
    recent = list(_recent(state, "direct"))
    creators = {publish.account.open_id for publish in recent if publish.app is app}
    if app.user_cap is not None and len(creators - {account.open_id}) >= app.user_cap:
        raise ApiError("reached_active_user_cap", "The daily quota of active publishing users is reached")
    if sum(publish.account is account for publish in recent) >= account.daily_post_cap:
        raise ApiError("spam_risk_too_many_posts", "The daily post cap of this user is reached")


def check_pending_drafts(state: SandboxState, account: Account) -> None:
    """Refuse a draft beyond five; whether posted ones still count is a switch."""
    concurrent = state.switches.pending_drafts == "concurrent"
    pending = [
        publish
        for publish in _recent(state, "inbox", within=None if concurrent else DAY_SECONDS)
        if publish.account is account and not (concurrent and publish.status == "PUBLISH_COMPLETE")
    ]
    if state.switches.caps and len(pending) >= PENDING_DRAFTS:
        raise ApiError("spam_risk_too_many_pending_share", "Too many drafts wait in the inbox of this user")


def _recent(state: SandboxState, mode: str, within: float | None = DAY_SECONDS) -> Iterator[Publish]:
    """Attempts that became something or still can: each holds its place from init on, until it fails."""
    now = state.clock.now()
    for publish in state.publishes.values():
        at = publish.delivered_at or publish.created_at
        expired = publish.upload is not None and publish.upload.abandoned(now)
        dead = publish.status == "FAILED" or expired
        if publish.mode == mode and not dead and (within is None or now - at < within):
            yield publish
