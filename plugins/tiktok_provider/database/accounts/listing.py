"""The accounts as people see them."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from tiktok_provider.database.accounts.connections import conn_ids_with_tokens, user_conn_ids
from tiktok_provider.database.tables import AccountRecord
from tiktok_provider.store.token_sets import EXPIRING, AccountState, AccountSummary


def summaries(session: Session, now: datetime) -> list[AccountSummary]:
    """Return all accounts that the store knows or that have a Connection in the metadata database."""
    with_tokens = conn_ids_with_tokens(session)
    known = {
        record.conn_id: _summary(record, now, has_tokens=record.conn_id in with_tokens)
        for record in session.scalars(select(AccountRecord))
    }
    unknown = {conn_id: AccountSummary(conn_id=conn_id) for conn_id in user_conn_ids(session)}
    return sorted({**unknown, **known}.values(), key=lambda account: account.conn_id)


def disconnected_conn_ids(session: Session) -> list[str]:
    """Return the ids of disconnected accounts that have no Connection in the metadata database.

    Their records stay for the initial tokens that they remember, so that none of those is adopted again.
    """
    disconnected = session.scalars(
        select(AccountRecord.conn_id).where(AccountRecord.access_expires_at.is_(None))
    )
    return sorted(set(disconnected).difference(user_conn_ids(session)))


def _summary(record: AccountRecord, now: datetime, *, has_tokens: bool) -> AccountSummary:
    return AccountSummary(
        conn_id=record.conn_id,
        state=_state(record, now) if has_tokens else AccountState.UNKNOWN,
        generation=record.generation,
        open_id=record.open_id,
        username=record.username,
        scopes=tuple(record.scope.replace(",", " ").split()),
        access_expires_at=record.access_expires_at,
        refresh_expires_at=record.refresh_expires_at,
        refreshed_at=record.refreshed_at,
        last_error=record.last_error,
        last_error_at=record.last_error_at,
    )


def _state(record: AccountRecord, now: datetime) -> AccountState:
    if record.refresh_expires_at is None:
        return AccountState.UNKNOWN
    if record.dead_at or record.refresh_expires_at <= now:
        return AccountState.DEAD
    return AccountState.EXPIRING if record.refresh_expires_at - now < EXPIRING else AccountState.OK
