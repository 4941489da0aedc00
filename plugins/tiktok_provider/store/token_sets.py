"""Tokens, and what is reported of them. Imports neither Airflow nor the database."""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from tiktok_provider.api.oauth import TokenResponse
from tiktok_provider.exceptions import UnexpectedAnswerError

# A token with less left than this is refreshed before use.
REFRESH_LEAD = timedelta(minutes=5)
# An account whose refresh token ends sooner than this is shown as expiring.
EXPIRING = timedelta(days=30)
# What TikTok documents; believed only of tokens that say nothing of their own.
ACCESS_LIFETIME = timedelta(days=1)
REFRESH_LIFETIME = timedelta(days=365)


def tokens_conn_id(conn_id: str) -> str:
    """Return the id of the Connection that holds an account's current tokens."""
    return f"{conn_id}.tokens"


@dataclass(frozen=True, slots=True)
class TokenState:
    """The current tokens of an account as workers and triggers receive them. The refresh token is not among it.

    :param generation: grows with every new pair of tokens.
    :param encrypted_access_token: with a key derived from the client secret; empty where no reader needs it.
    :param closed: why there are no newer tokens to be had any more, though this access token still lives; else empty.
    """

    conn_id: str
    generation: int
    access_expires_at: datetime
    refresh_expires_at: datetime
    open_id: str
    scope: str
    # No two encryptions of one token are equal.
    encrypted_access_token: str = field(default="", repr=False, compare=False)
    closed: str = ""

    def needs_refresh(self, now: datetime) -> bool:
        """Whether the access token has less than five minutes left, and a newer one can be had."""
        return not self.closed and self.access_expires_at - now < REFRESH_LEAD


@dataclass(frozen=True, slots=True)
class Busy:
    """Another process is refreshing, or TikTok needs a pause.

    :param retry_in: seconds until it is worth asking again.
    """

    retry_in: float


class AccountState(StrEnum):
    """How an account is doing."""

    OK = "ok"
    EXPIRING = "expiring"
    DEAD = "dead"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSummary:
    """One account as people see it. Never a token.

    :param state: ``expiring``: the refresh token ends within 30 days; ``unknown``: there are no tokens.
    :param refreshed_at: when the current tokens were written.
    :param last_error: why the last refresh failed; None after a good one.
    """

    conn_id: str
    state: AccountState = AccountState.UNKNOWN
    generation: int = 0
    open_id: str = ""
    username: str = ""
    scopes: tuple[str, ...] = ()
    access_expires_at: datetime | None = None
    refresh_expires_at: datetime | None = None
    refreshed_at: datetime | None = None
    last_error: str | None = None
    last_error_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnected:
    """How a disconnect went; the store's tokens are wiped in any case.

    :param revoked: whether TikTok has taken the app's access away, as far as is known.
    :param maybe_revoked: whether it may have, though its answer was lost.
    :param problem: why not, or why that is not known; empty if it has.
    :param initial_tokens_remain: the user's Connection still holds initial tokens, which the store cannot wipe
        because they come from the environment or a secrets backend; they are not used again. Or the Connection
        cannot be decrypted, and may hold some.
    """

    conn_id: str
    revoked: bool
    maybe_revoked: bool = False
    problem: str = ""
    initial_tokens_remain: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTokens:
    """Tokens with absolute times, as a Connection's extra holds it.

    :param refresh_token: empty if they cannot be refreshed.
    :param generation: that the store has given them; 0 for initial tokens.
    """

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    access_expires_at: datetime
    refresh_expires_at: datetime
    open_id: str = ""
    scope: str = ""
    username: str = ""
    generation: int = field(default=0, compare=False)

    @property
    def fingerprint(self) -> str:
        """A hash by which the same set is known again: by its refresh token, whatever became of the access token."""
        return hashlib.sha256((self.refresh_token or self.access_token).encode()).hexdigest()

    def outlives(self, end: datetime | None) -> bool:
        """Whether its access token ends later: of two sets it was then given later."""
        return end is None or self.access_expires_at > end

    def to_extra(self, generation: int) -> dict[str, str | int]:
        """Return the extra of the Connection that holds the set."""
        return {
            "access_token": self.access_token,
            "refresh_token": self.refresh_token,
            "access_expires_at": self.access_expires_at.isoformat(),
            "refresh_expires_at": self.refresh_expires_at.isoformat(),
            "open_id": self.open_id,
            "scope": self.scope,
            "username": self.username,
            "generation": generation,
        }


def granted(answer: TokenResponse, asked_at: datetime, previous: StoredTokens | None = None) -> StoredTokens:
    """Return the set that TikTok gave, with the lifetimes that it gave.

    Where TikTok does not say how long the access token lives, it is the day that TikTok documents. Where it does not
    say so of the refresh token, one that has stayed ends when it did before, and a new one after the documented year.

    :param asked_at: when the request left, so that no time on the way is counted as lifetime.
    :param previous: what stays where the answer is blank.
    :raises UnexpectedAnswerError: there is no access token, or nothing to refresh it with.
    """
    access_token = answer.access_token.strip()
    refresh_token = answer.refresh_token.strip() or (previous.refresh_token if previous else "")
    if not access_token or not refresh_token:
        raise UnexpectedAnswerError("TikTok's answer has a blank token; the stored ones stay.")
    open_id = answer.open_id or (previous.open_id if previous else "")
    return StoredTokens(
        access_token=access_token,
        refresh_token=refresh_token,
        access_expires_at=asked_at + timedelta(seconds=answer.expires_in or ACCESS_LIFETIME.total_seconds()),
        refresh_expires_at=_refresh_end(answer, refresh_token, asked_at, previous),
        open_id=open_id,
        scope=answer.scope or (previous.scope if previous else ""),
        username=previous.username if previous and previous.open_id in ("", open_id) else "",
    )


def _refresh_end(
    answer: TokenResponse, refresh_token: str, asked_at: datetime, previous: StoredTokens | None
) -> datetime:
    if answer.refresh_expires_in is not None:
        return asked_at + timedelta(seconds=answer.refresh_expires_in)
    if previous and previous.refresh_token == refresh_token:
        return previous.refresh_expires_at
    return asked_at + REFRESH_LIFETIME
