"""What workers and triggers can ask of the store, each defined once: its route, what is said, what comes back.

The client and the web app are both made of ``ROUTES``.
"""

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import quote

from pydantic import Field, NonNegativeInt, PositiveInt, StringConstraints, TypeAdapter

from tiktok_provider.api.calls import Call, Request
from tiktok_provider.store.posts import Claimed, PostClaim, PostRecord, PostStep, Settlement
from tiktok_provider.store.rate_limits import LONGEST_HOLD, WINDOW, Cap, Endpoint, Granted, Wait
from tiktok_provider.store.serialization import decode
from tiktok_provider.store.token_sets import Busy, TokenState

SaidT = TypeVar("SaidT")
T = TypeVar("T")

MOUNT = "/tiktok"
ACCOUNTS = "/store/accounts"

# PostgreSQL takes no NUL in a text.
PostKey = Annotated[str, StringConstraints(min_length=1, max_length=250, pattern=r"^[^\x00]*$")]
Holder = Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=r"^[^\x00]*$")]
# TikTok's longest windows are 24 hours.
Seconds = Annotated[float, Field(gt=0, le=LONGEST_HOLD, allow_inf_nan=False)]


@cache
def adapter(kind: Hashable) -> TypeAdapter[Any]:
    """Return what reads and writes values of a type as JSON; made when it is first needed, for that takes time."""
    accepted: Any = kind
    return TypeAdapter(accepted)


@dataclass(frozen=True, slots=True)
class Route(Generic[SaidT, T]):
    """One thing that the store does for an account.

    :param name: the last part of its path. None ends like another one: a connection id may contain slashes.
    :param said: type of the request's body.
    :param outcome: type of the answer.
    :param do: does it on the store itself.
    :param writes: whether the same request must not be taken twice.
    """

    name: str
    said: Hashable
    outcome: Hashable
    do: Callable[[Any, str, SaidT], Awaitable[T]]
    writes: bool = True


@dataclass(frozen=True, slots=True)
class Operation(Generic[T]):
    """One request to the store, over HTTP or in process.

    :param said: of the type that the route names.
    """

    conn_id: str
    route: Route[Any, T]
    said: Any

    def call(self) -> Call[T]:
        """Ask over HTTP. Repeating is safe: every operation says what it has seen, and is proved anew."""
        path = f"{MOUNT}{ACCOUNTS}/{quote(self.conn_id, safe='')}/{self.route.name}"
        body = adapter(self.route.said).dump_python(self.said, mode="json")
        answer = yield Request("POST", path, json=body, authorized=False)
        outcome: T = decode(answer, adapter(self.route.outcome))
        return outcome

    async def do(self, stores: Any) -> T:
        """Do it on the store itself."""
        return await self.route.do(stores, self.conn_id, self.said)


@dataclass(frozen=True, slots=True)
class Nothing:
    """A body without content."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The token set that was found too old."""

    seen_generation: NonNegativeInt


@dataclass(frozen=True, slots=True)
class Post:
    """Which post."""

    post_key: PostKey


@dataclass(frozen=True, slots=True)
class Wish:
    """Who wants to publish what."""

    post_key: PostKey
    claim: PostClaim


@dataclass(frozen=True, slots=True)
class Written:
    """A step of the holder."""

    post_key: PostKey
    generation: NonNegativeInt
    step: Annotated[PostStep, Field(discriminator="type")]


@dataclass(frozen=True, slots=True)
class Settled:
    """How an attempt has ended."""

    post_key: PostKey
    settlement: Settlement


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """Which calls are to be made."""

    endpoint: Endpoint
    holder: Holder
    count: PositiveInt = 1
    leave: NonNegativeInt = 0
    within: Seconds | None = None
    draft: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """Whose calls have ended."""

    endpoint: Endpoint
    holder: Holder


@dataclass(frozen=True, slots=True)
class Closed:
    """Which cap TikTok has named."""

    cap: Cap
    retry_in: Seconds | None = None


@dataclass(frozen=True, slots=True)
class HeldBack:
    """Which endpoint TikTok wants to rest."""

    endpoint: Endpoint
    seconds: Seconds


LOOK: Route[Nothing, TokenState] = Route(
    "look", Nothing, TokenState, lambda stores, conn_id, _said: stores.accounts.look(conn_id), writes=False
)
REFRESH: Route[Seen, TokenState | Busy] = Route(
    "refresh",
    Seen,
    TokenState | Busy,
    lambda stores, conn_id, said: stores.accounts.refresh(conn_id, said.seen_generation),
)
# Not "posts/look": that would end like "look".
LOOK_POST: Route[Post, PostRecord | None] = Route(
    "posts/find",
    Post,
    PostRecord | None,
    lambda stores, conn_id, said: stores.posts.look(conn_id, said.post_key),
    writes=False,
)
CLAIM_POST: Route[Wish, Claimed] = Route(
    "posts/claim",
    Wish,
    Claimed,
    lambda stores, conn_id, said: stores.posts.claim(conn_id, said.post_key, said.claim),
)
WRITE_POST: Route[Written, PostRecord] = Route(
    "posts/write",
    Written,
    PostRecord,
    lambda stores, conn_id, said: stores.posts.write(conn_id, said.post_key, said.generation, said.step),
)
SETTLE_POST: Route[Settled, PostRecord] = Route(
    "posts/settle",
    Settled,
    PostRecord,
    lambda stores, conn_id, said: stores.posts.settle(conn_id, said.post_key, said.settlement),
)

TAKE_CALLS: Route[Taken, Granted | Wait] = Route(
    "budgets/take",
    Taken,
    Annotated[Granted | Wait, Field(discriminator="type")],
    lambda stores, conn_id, said: stores.budgets.take(
        conn_id,
        said.endpoint,
        said.holder,
        count=said.count,
        leave=said.leave,
        within=said.within,
        draft=said.draft,
    ),
)
END_CALLS: Route[Ended, None] = Route(
    "budgets/end",
    Ended,
    None,
    lambda stores, conn_id, said: stores.budgets.end(conn_id, said.endpoint, said.holder),
)
CLOSE_ACCOUNT: Route[Closed, Wait] = Route(
    "budgets/close",
    Closed,
    Wait,
    lambda stores, conn_id, said: stores.budgets.close(conn_id, said.cap, said.retry_in),
)
HOLD_BACK: Route[HeldBack, None] = Route(
    "budgets/hold_back",
    HeldBack,
    None,
    lambda stores, conn_id, said: stores.budgets.hold_back(conn_id, said.endpoint, said.seconds),
)

ROUTES: tuple[Route[Any, Any], ...] = (
    *(LOOK, REFRESH),
    *(LOOK_POST, CLAIM_POST, WRITE_POST, SETTLE_POST),
    *(TAKE_CALLS, END_CALLS, CLOSE_ACCOUNT, HOLD_BACK),
)


def look(conn_id: str) -> Operation[TokenState]:
    """Ask where the tokens of an account are, and which generation."""
    return Operation(conn_id, LOOK, Nothing())


def refresh(conn_id: str, seen_generation: int) -> Operation[TokenState | Busy]:
    """Ask for a newer set than the one that was seen."""
    return Operation(conn_id, REFRESH, Seen(seen_generation))


def look_post(conn_id: str, post_key: str) -> Operation[PostRecord | None]:
    """Ask what is on record of a post."""
    return Operation(conn_id, LOOK_POST, Post(post_key))


def claim_post(conn_id: str, post_key: str, claim: PostClaim) -> Operation[Claimed]:
    """Ask for the right to publish; see ``PostStore.claim``.

    :param post_key: up to 250 characters.
    """
    return Operation(conn_id, CLAIM_POST, Wish(post_key, claim))


def write_post(conn_id: str, post_key: str, generation: int, step: PostStep) -> Operation[PostRecord]:
    """Write one step of the holder; see ``PostStore.write``."""
    return Operation(conn_id, WRITE_POST, Written(post_key, generation, step))


def settle_post(conn_id: str, post_key: str, settlement: Settlement) -> Operation[PostRecord]:
    """Write how an attempt has ended; see ``PostStore.settle``."""
    return Operation(conn_id, SETTLE_POST, Settled(post_key, settlement))


def take_calls(
    conn_id: str,
    endpoint: Endpoint,
    holder: str,
    count: int = 1,
    leave: int = 0,
    within: float | None = None,
    draft: bool = False,
) -> Operation[Granted | Wait]:
    """Ask for the right to call now; see ``BudgetStore.take``."""
    taken = Taken(endpoint=endpoint, holder=holder, count=count, leave=leave, within=within, draft=draft)
    return Operation(conn_id, TAKE_CALLS, taken)


def end_calls(conn_id: str, endpoint: Endpoint, holder: str) -> Operation[None]:
    """Tell that the calls of a holder have ended; see ``BudgetStore.end``."""
    return Operation(conn_id, END_CALLS, Ended(endpoint, holder))


def close_account(conn_id: str, cap: Cap, retry_in: float | None = None) -> Operation[Wait]:
    """Tell that TikTok named a cap of hours; see ``BudgetStore.close``."""
    return Operation(conn_id, CLOSE_ACCOUNT, Closed(cap, retry_in))


def hold_back(conn_id: str, endpoint: Endpoint, seconds: float = WINDOW) -> Operation[None]:
    """Let nobody call an endpoint for up to 24 hours; see ``BudgetStore.hold_back``."""
    return Operation(conn_id, HOLD_BACK, HeldBack(endpoint, seconds))
