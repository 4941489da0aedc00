"""The store, as one process that has the database holds it, and which service answers which request."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from tiktok_provider.database.accounts.service import AccountService
from tiktok_provider.database.posts.service import PostService
from tiktok_provider.database.rate_limits.service import RateLimitService
from tiktok_provider.store import requests
from tiktok_provider.store.requests import StoreRequest
from tiktok_provider.store.token_sets import Busy, TokenState

T = TypeVar("T")


class Accounts(Protocol):
    """What workers and triggers ask of ``AccountService``."""

    async def look(self, conn_id: str) -> TokenState: ...

    async def refresh(self, conn_id: str, seen_generation: int) -> TokenState | Busy: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The store; by default on Airflow's own database and clock."""

    accounts: Accounts = field(default_factory=AccountService)
    posts: PostService = field(default_factory=PostService)
    rate_limits: RateLimitService = field(default_factory=RateLimitService)

    async def answer(self, conn_id: str, request: StoreRequest[T]) -> T:
        """Do what a request asks for.

        :raises TikTokError: what the service raises.
        """
        answer: T = await HANDLERS[type(request)](self, conn_id, request)
        return answer


HANDLERS: Mapping[type[StoreRequest[Any]], Callable[[Services, str, Any], Awaitable[Any]]] = {
    requests.GetTokens: lambda store, conn_id, _: store.accounts.look(conn_id),
    requests.RefreshTokens: lambda store, conn_id, asked: store.accounts.refresh(
        conn_id, asked.seen_generation
    ),
    requests.GetPost: lambda store, conn_id, asked: store.posts.look(conn_id, asked.post_key),
    requests.ClaimPost: lambda store, conn_id, asked: store.posts.claim(conn_id, asked.post_key, asked.claim),
    requests.WritePost: lambda store, conn_id, asked: store.posts.write(
        conn_id, asked.post_key, asked.generation, asked.step
    ),
    requests.RecordOutcome: lambda store, conn_id, asked: store.posts.record_outcome(
        conn_id, asked.post_key, asked.outcome
    ),
    requests.AnnouncePost: lambda store, conn_id, asked: store.posts.announce(
        conn_id, asked.post_key, asked.claimant, waited=asked.waited
    ),
    requests.GetPostsWithoutId: lambda store, conn_id, asked: store.posts.posts_without_id(
        conn_id, asked.limit
    ),
    requests.IsTryOver: lambda store, conn_id, asked: store.posts.is_try_over(
        conn_id, asked.post_key, asked.try_id
    ),
    requests.GetUnfinishedDrafts: lambda store, conn_id, _: store.posts.unfinished_drafts(conn_id),
    requests.TakeCalls: lambda store, conn_id, asked: store.rate_limits.take(conn_id, asked),
    requests.EndCalls: lambda store, conn_id, asked: store.rate_limits.end(
        conn_id, asked.endpoint, asked.holder
    ),
    requests.CloseAccount: lambda store, conn_id, asked: store.rate_limits.close(
        conn_id, asked.cap, asked.retry_in
    ),
    requests.GetClosures: lambda store, conn_id, _: store.rate_limits.closures(conn_id),
    requests.PauseCalls: lambda store, conn_id, asked: store.rate_limits.pause(
        conn_id, asked.endpoint, asked.seconds
    ),
}
