"""The state of an account, refreshed where that is due: a daily run finds a dead account before a post is due."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tiktok_provider.exceptions import TikTokError
from tiktok_provider.hooks.store_access import open_store
from tiktok_provider.store.errors import AccountDeadError, AccountNotConnectedError, connect_again_before
from tiktok_provider.store.token_sets import EXPIRING, AccountState, Busy, TokenState


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """One account after its check.

    :param state: ``dead``: a person must connect it again; ``unknown``: the check could not be finished.
    :param refresh_expires_at: when the account ends without a person; ISO 8601, UTC; empty if it is not known.
    :param problem: a sentence; empty if there is none.
    """

    conn_id: str
    state: AccountState
    refresh_expires_at: str = ""
    problem: str = ""


def check_health(conn_id: str) -> Health:
    """Check an account through the store, and refresh it if less than five minutes are left of its token."""
    try:
        outcome = _refreshed(conn_id)
    except (AccountDeadError, AccountNotConnectedError) as error:
        return Health(conn_id=conn_id, state=AccountState.DEAD, problem=str(error))
    except TikTokError as error:
        # Among them faults that no new consent would mend, such as a host that is not allowed.
        return Health(conn_id=conn_id, state=AccountState.UNKNOWN, problem=str(error))
    if isinstance(outcome, Busy):
        problem = f"Another process is refreshing it, or TikTok needs a pause, for {outcome.retry_in:.0f} s."
        return Health(conn_id=conn_id, state=AccountState.UNKNOWN, problem=problem)
    if outcome.closed:
        return Health(conn_id=conn_id, state=AccountState.DEAD, problem=outcome.closed)
    return _lifetime(conn_id, outcome.refresh_expires_at)


def describe(accounts: Sequence[Health]) -> str:
    """Name accounts and their problems."""
    return " ".join(f"{account.conn_id}: {account.problem}" for account in accounts)


def _refreshed(conn_id: str) -> TokenState | Busy:
    with open_store(conn_id) as store:
        state = store.look()
        return store.refresh(state.generation) if state.needs_refresh(datetime.now(UTC)) else state


def _lifetime(conn_id: str, end: datetime) -> Health:
    left = end - datetime.now(UTC)
    if left >= EXPIRING:
        return Health(conn_id=conn_id, state=AccountState.OK, refresh_expires_at=end.isoformat())
    return Health(
        conn_id=conn_id,
        state=AccountState.EXPIRING,
        refresh_expires_at=end.isoformat(),
        problem=f"It ends in {max(left.days, 0)} days. {connect_again_before(conn_id)}",
    )
