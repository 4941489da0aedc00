"""What TikTok allows per account, and how the store answers. Imports neither Airflow nor the database."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal


class Endpoint(StrEnum):
    """What has a rate limit of its own. The three init endpoints share one: whether TikTok counts them together is
    not known, and together they never exceed either rule.
    """

    INIT = "init"
    CREATOR_INFO = "creator_info"
    STATUS = "status"


# Calls within one minute, per account; read at each call, so that a change holds for accounts that exist.
PER_MINUTE = {Endpoint.INIT: 6, Endpoint.CREATOR_INFO: 20, Endpoint.STATUS: 30}
# A call counts until so many seconds after its end: TikTok's sliding window of one minute, and a second.
WINDOW = 61.0
# No pause and no wait is longer than so many seconds.
LONGEST_HOLD = 86_400.0
# Seconds. A longer pause than that of TikTok's own window closes the account, and a person may end it.
LONG_PAUSE = 2 * WINDOW
# A caller that waits on its worker asks again after so many seconds at the latest.
SHORT_WAIT = 2.0
# A task leaves its worker for at least so many seconds, and waits there if it has less to wait. Airflow itself fails
# a task that is queued again before the scheduler has noticed that it had left its worker.
SHORTEST_LEAVE = 10.0


# Drafts that may wait in a creator's inbox. TikTok counts them within 24 hours by its documentation, and as long as
# they wait by what others have seen: here they count for 24 hours or until they are posted, and TikTok has the last
# word.
MAX_PENDING_DRAFTS = 5
PENDING_FOR = timedelta(hours=24)


class Cap(StrEnum):
    """What can close an account for up to 24 hours."""

    POSTS = "posts"
    """The creator's posts through all apps within 24 hours; closes direct posts."""
    DRAFTS = "drafts"
    """Pending drafts within 24 hours; closes drafts."""
    ACTIVE_USERS = "active_users"
    """Creators who post through the app within 24 hours; closes both."""


# What can close an account: a cap, or a pause that TikTok wants of an endpoint.
ClosedBy = Cap | Endpoint


def closed_by(name: str) -> ClosedBy:
    """Return the cap or the endpoint of this name."""
    return Cap(name) if name in list(Cap) else Endpoint(name)


# For people; a clause without its verb.
WHOSE_CAP = {
    Cap.POSTS: "the creator's cap of API posts in 24 hours",
    Cap.DRAFTS: "the cap of drafts in the creator's inbox",
    Cap.ACTIVE_USERS: "the TikTok app's cap of users in 24 hours",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Closure:
    """Something that keeps an account from calling for a while.

    :param by: the cap that has closed it, or the endpoint that TikTok wants to be left alone after a 429.
    :param until: when it ends, as far as can be known.
    """

    conn_id: str
    by: ClosedBy
    until: datetime

    @property
    def why(self) -> str:
        """A clause for people."""
        return (
            f"{WHOSE_CAP[self.by]} is reached"
            if isinstance(self.by, Cap)
            else f"TikTok wants fewer {self.by} calls"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingDraft:
    """A draft that waits in the creator's inbox, or is on its way there.

    :param since: when it was begun.
    """

    post_key: str
    publish_id: str | None
    since: datetime

    def __str__(self) -> str:
        return (
            f"{self.post_key} of {self.since:%Y-%m-%d %H:%M} UTC ({self.publish_id or 'no publish id yet'})"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """Calls may be made now.

    :param count: how many, at least 1.
    """

    count: int = 1
    type: Literal["granted"] = "granted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """No call may be made now.

    :param retry_in: seconds after which to ask again; a hint, not a reservation.
    :param cap: what has closed the account, None if only the rate limit is used up.
    :param until: when the cap's window, or a long pause after a 429, ends, as far as can be known.
    :param pending: the drafts that must be posted or discarded before another one may be sent.
    """

    retry_in: float
    cap: Cap | None = None
    until: datetime | None = None
    pending: tuple[PendingDraft, ...] = ()
    type: Literal["wait"] = "wait"
