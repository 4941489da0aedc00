"""What workers and triggers can ask of the store. Each request is one class: its body, its route and its answer.

The client sends them (``client``), the server's table of handlers is in ``tiktok_provider.database.services``.
"""

from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, ClassVar, Generic, TypeVar
from urllib.parse import quote

from pydantic import Field, NonNegativeInt, PositiveInt, StringConstraints, TypeAdapter

from tiktok_provider.api.calls import Call, Request
from tiktok_provider.store.posts import Claimant, Claimed, PostClaim, PostOutcome, PostRecord, PostStep
from tiktok_provider.store.rate_limits import LONGEST_HOLD, WINDOW, Cap, Closure, Endpoint, Granted, Wait
from tiktok_provider.store.serialization import decode
from tiktok_provider.store.token_sets import Busy, TokenState

T = TypeVar("T")

# Grows with a change that an older worker or API server could not read; a new field with a default is none.
PROTOCOL = "1"
PROTOCOL_HEADER = "TikTok-Store-Protocol"
MOUNT = "/tiktok"
ACCOUNTS = "/store/accounts"

# PostgreSQL takes no NUL in a text.
PostKey = Annotated[str, StringConstraints(min_length=1, max_length=250, pattern=r"^[^\x00]*$")]
Holder = Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=r"^[^\x00]*$")]
# TikTok's longest windows are 24 hours.
Seconds = Annotated[float, Field(gt=0, le=LONGEST_HOLD, allow_inf_nan=False)]


@cache
def adapter(kind: Any) -> TypeAdapter[Any]:
    """Return what reads and writes values of a type as JSON; made when it is first needed, for that takes time."""
    return TypeAdapter(kind)


@dataclass(frozen=True, slots=True)
class StoreRequest(Generic[T]):
    """Base of all requests. The fields of a subclass are the request's body.

    :cvar route: the last part of the path. No route ends like another one: a connection id may contain slashes.
    :cvar answer: the type ``T`` as pydantic reads it.
    :cvar writes: whether the store must not take the same request twice.
    """

    route: ClassVar[str]
    answer: ClassVar[Any]
    writes: ClassVar[bool] = True

    @classmethod
    def body(cls) -> TypeAdapter[Any]:
        """Return what reads and writes the body."""
        kind: Any = cls
        return adapter(kind)

    def call(self, conn_id: str) -> Call[T]:
        """Ask over HTTP for one account. Repeating is safe: each request says what its sender has seen."""
        path = f"{MOUNT}{ACCOUNTS}/{quote(conn_id, safe='')}/{self.route}"
        body = self.body().dump_python(self, mode="json")
        response = yield Request("POST", path, json=body, authorized=False)
        answer: T = decode(response, adapter(self.answer))
        return answer


@dataclass(frozen=True, slots=True)
class GetTokens(StoreRequest[TokenState]):
    """Where the tokens of the account are, and which generation."""

    route = "tokens/get"
    answer = TokenState
    writes = False


@dataclass(frozen=True, slots=True)
class RefreshTokens(StoreRequest[TokenState | Busy]):
    """Newer tokens than those of ``seen_generation``."""

    route = "tokens/refresh"
    answer = TokenState | Busy

    seen_generation: NonNegativeInt


@dataclass(frozen=True, slots=True)
class GetPost(StoreRequest[PostRecord | None]):
    """What is on record of a post; None if there is nothing."""

    route = "posts/get"
    answer = PostRecord | None
    writes = False

    post_key: PostKey


@dataclass(frozen=True, slots=True)
class ClaimPost(StoreRequest[Claimed]):
    """The right to publish a post; see ``PostService.claim``."""

    route = "posts/claim"
    answer = Claimed

    post_key: PostKey
    claim: PostClaim


@dataclass(frozen=True, slots=True)
class WritePost(StoreRequest[PostRecord]):
    """One step of the claim's holder; see ``PostService.write``."""

    route = "posts/write"
    answer = PostRecord

    post_key: PostKey
    generation: NonNegativeInt
    step: Annotated[PostStep, Field(discriminator="type")]


@dataclass(frozen=True, slots=True)
class RecordOutcome(StoreRequest[PostRecord]):
    """How an attempt has ended; see ``PostService.record_outcome``."""

    route = "posts/outcome"
    answer = PostRecord

    post_key: PostKey
    outcome: PostOutcome


@dataclass(frozen=True, slots=True)
class AnnouncePost(StoreRequest[bool]):
    """A task with the outlet ``tiktok_posts`` hands a post on; see ``PostService.announce``."""

    route = "posts/announce"
    answer = bool

    post_key: PostKey
    claimant: Claimant
    waited: bool


@dataclass(frozen=True, slots=True)
class GetPostsWithoutId(StoreRequest[tuple[PostRecord, ...]]):
    """Posts that are out, and whose id no task waits for any more; see ``PostService.posts_without_id``."""

    route = "posts/without-id"
    answer = tuple[PostRecord, ...]
    writes = False

    limit: PositiveInt = 3


@dataclass(frozen=True, slots=True)
class IsTryOver(StoreRequest[bool]):
    """Whether a try that has left its worker was ended by a person; see ``PostService.is_try_over``."""

    route = "posts/try-over"
    answer = bool
    writes = False

    post_key: PostKey
    try_id: Holder


@dataclass(frozen=True, slots=True)
class TakeCalls(StoreRequest[Granted | Wait]):
    """The right to make calls now; see ``RateLimitService.take``.

    :param holder: who makes the calls.
    :param count: how many at the most.
    :param leave: how many of the minute's calls must stay for others.
    :param within: seconds in which the calls are made; None: the holder says when they have ended.
    :param draft: whether the post is a draft; caps differ.
    """

    route = "rate-limits/take"
    answer = Annotated[Granted | Wait, Field(discriminator="type")]

    endpoint: Endpoint
    holder: Holder
    count: PositiveInt = 1
    leave: NonNegativeInt = 0
    within: Seconds | None = None
    draft: bool = False


@dataclass(frozen=True, slots=True)
class GetUnfinishedDrafts(StoreRequest[tuple[PostRecord, ...]]):
    """The drafts that wait in the creator's inbox, as far as is known; see ``PostService.unfinished_drafts``."""

    route = "posts/unfinished-drafts"
    answer = tuple[PostRecord, ...]
    writes = False


@dataclass(frozen=True, slots=True)
class EndCalls(StoreRequest[None]):
    """The calls of a holder have ended; see ``RateLimitService.end``."""

    route = "rate-limits/end"
    answer = None

    endpoint: Endpoint
    holder: Holder


@dataclass(frozen=True, slots=True)
class CloseAccount(StoreRequest[Wait]):
    """TikTok has named a cap of 24 hours; see ``RateLimitService.close``."""

    route = "rate-limits/close"
    answer = Wait

    cap: Cap
    retry_in: Seconds | None = None


@dataclass(frozen=True, slots=True)
class GetClosures(StoreRequest[tuple[Closure, ...]]):
    """What closes the account now; see ``RateLimitService.closures``."""

    route = "rate-limits/closures"
    answer = tuple[Closure, ...]
    writes = False


@dataclass(frozen=True, slots=True)
class PauseCalls(StoreRequest[None]):
    """No call to an endpoint for up to 24 hours; see ``RateLimitService.pause``."""

    route = "rate-limits/pause"
    answer = None

    endpoint: Endpoint
    seconds: Seconds = WINDOW
