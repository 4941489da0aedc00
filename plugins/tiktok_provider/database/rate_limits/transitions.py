"""What happens to an account's budgets, each as one step within a transaction; ``budgets`` runs them.

Every step begins with a change of the budget's own row, so that the steps of one budget come one after another.

A time that is later than any that could be written now is the trace of a clock that was ahead for a moment. It is
brought back when it is read, or it would close the account until it comes.
"""

from datetime import datetime, timedelta

from sqlalchemy import CursorResult, func, select, update
from sqlalchemy.orm import Session

from tiktok_provider.database.accounts.transitions import STORE
from tiktok_provider.database.posts.transitions import ABANDONED
from tiktok_provider.database.session import audit
from tiktok_provider.database.tables import AttemptRow, BudgetRow, ClosingRow, PostRow, SlotRow, WaiterRow
from tiktok_provider.store.posts import PostState
from tiktok_provider.store.rate_limits import (
    PER_MINUTE,
    SHORT_WAIT,
    SHORTEST_LEAVE,
    WINDOW,
    Cap,
    Endpoint,
    Granted,
    Wait,
)
from tiktok_provider.store.requests import TakeCalls

# A call that does not tell its end has ended after so many seconds, longer than any of our timeouts, whatever its
# taker has promised.
LONGEST_CALL = 60.0
# What is added to a taker's own promise.
SLACK = 5.0
# Seconds that tasks are called back too early rather than too late: those of an unused slot are lost for all.
EARLY = 1.0
# For so many seconds, the early ones included, a free slot is kept for who is later than most.
KEEP_SLOT = 2.0
# Who is not back even then lets others go first, and loses the place in the line so many seconds later.
KEEP_PLACE = 120.0
# How late tasks come back: what is assumed at first and believed at most, and how much the last one counts.
FIRST_LATENESS, MAX_LATENESS, WEIGHT = 3.0, 30.0, 0.25
# Where nothing tells when a cap ends, it is tried again after an hour.
PROBE_AGAIN = timedelta(hours=1)
DAY = timedelta(hours=24)
SOONEST_END = timedelta(minutes=1)
_SHORTEST_POLL_WAIT = 1.0


def _queues(wanted: TakeCalls) -> bool:
    """Whether it may have a place in the line: pollers have none, they come again anyway."""
    return wanted.count == 1 and wanted.leave == 0


def take(session: Session, conn_id: str, wanted: TakeCalls, now: datetime) -> Granted | Wait:
    """Take free slots, or a place in the line."""
    if wanted.endpoint is Endpoint.INIT and (closed := _closed(session, conn_id, wanted.draft, now)):
        return closed
    budget = _locked(session, conn_id, wanted.endpoint, now)
    slots = _slots(session, budget, now)
    line = _line(session, budget, now)
    mine = next((waiter for waiter in line if waiter.holder == wanted.holder), None)
    ahead = line.index(mine) if mine else len(line)
    held = budget.held_until is not None and budget.held_until > now
    free = [] if held else [slot for slot in slots if slot.free_at <= now]
    if mine is not None:
        _learn(budget, mine, now)
    first = sum(_can_come(budget, waiter, now) for waiter in line[:ahead])
    if (count := min(wanted.count, len(free) - first - wanted.leave)) < 1:
        return _told_to_wait(session, budget, slots, ahead, mine, wanted, now)
    if mine is not None:
        session.delete(mine)
    for slot in free[:count]:
        longest = LONGEST_CALL if wanted.within is None else min(wanted.within + SLACK, LONGEST_CALL)
        slot.holder, slot.in_call = wanted.holder, True
        slot.free_at = now + timedelta(seconds=longest + WINDOW)
    return Granted(count=count)


def end(session: Session, conn_id: str, endpoint: Endpoint, holder: str, now: datetime) -> None:
    """Note that the calls of a holder have ended; without a change if that is known."""
    _locked(session, conn_id, endpoint, now)
    session.execute(
        update(SlotRow)
        .where(SlotRow.conn_id == conn_id, SlotRow.endpoint == endpoint)
        .where(SlotRow.holder == holder, SlotRow.in_call)
        .values(in_call=False, free_at=now + timedelta(seconds=WINDOW))
    )


def pause(session: Session, conn_id: str, endpoint: Endpoint, seconds: float, now: datetime) -> None:
    """Let nobody call for so many seconds."""
    budget = _locked(session, conn_id, endpoint, now)
    until = now + timedelta(seconds=seconds)
    budget.held_until = max(until, budget.held_until or until)


def close(session: Session, conn_id: str, cap: Cap, retry_in: float | None, now: datetime) -> Wait:
    """Close an account until a cap's window ends, as far as can be known, and tell when that is."""
    until = _end_of_window(session, conn_id, now) if retry_in is None else now + timedelta(seconds=retry_in)
    closing = session.get(ClosingRow, (conn_id, cap))
    if closing is not None:
        closing.until = min(closing.until, now + DAY)
    else:
        closing = ClosingRow(conn_id=conn_id, cap=cap, until=until)
        session.add(closing)
    if closing.until < until or closing.until <= now:
        closing.until = until
    audit(
        session,
        "tiktok_account_closed",
        actor=STORE,
        conn_id=conn_id,
        cap=cap,
        until=closing.until.isoformat(),
    )
    return _wait_for(closing, now)


def _closed(session: Session, conn_id: str, draft: bool, now: datetime) -> Wait | None:
    caps = (Cap.DRAFTS if draft else Cap.POSTS, Cap.ACTIVE_USERS)
    closings = session.scalars(
        select(ClosingRow)
        .where(ClosingRow.conn_id == conn_id, ClosingRow.cap.in_(caps), ClosingRow.until > now)
        .order_by(ClosingRow.until)
    ).all()
    for closing in closings:
        closing.until = min(closing.until, now + DAY)
    return _wait_for(closings[-1], now) if closings else None


def _wait_for(closing: ClosingRow, now: datetime) -> Wait:
    return Wait(retry_in=(closing.until - now).total_seconds(), cap=Cap(closing.cap), until=closing.until)


def _end_of_window(session: Session, conn_id: str, now: datetime) -> datetime:
    """Return when the oldest of our own posts of the last 24 hours no longer counts."""
    oldest = session.scalar(
        select(func.min(AttemptRow.started_at))
        .join(PostRow, PostRow.id == AttemptRow.post_id)
        .where(PostRow.conn_id == conn_id, AttemptRow.started_at > now - DAY)
        .where(AttemptRow.publish_id.is_not(None), AttemptRow.outcome.not_in([PostState.FAILED, ABANDONED]))
    )
    return now + PROBE_AGAIN if oldest is None else max(min(oldest, now) + DAY, now + SOONEST_END)


def _locked(session: Session, conn_id: str, endpoint: Endpoint, now: datetime) -> BudgetRow:
    """Return the budget, which nobody else can change until this transaction ends."""
    one_turn = (
        update(BudgetRow)
        .where(BudgetRow.conn_id == conn_id, BudgetRow.endpoint == endpoint)
        .values(turns=BudgetRow.turns + 1)
    )
    result = session.execute(one_turn)
    assert isinstance(result, CursorResult)
    if result.rowcount:
        budget = session.get_one(BudgetRow, (conn_id, endpoint))
        budget.held_until = budget.held_until and min(budget.held_until, now + DAY)
        return budget
    budget = BudgetRow(conn_id=conn_id, endpoint=endpoint, lateness=FIRST_LATENESS)
    session.add(budget)
    # Free for long, or whoever told the time a moment before us and comes after us would have to wait for nothing.
    free_at = now - timedelta(seconds=WINDOW)
    for number in range(PER_MINUTE[endpoint]):
        session.add(SlotRow(conn_id=conn_id, endpoint=endpoint, number=number, free_at=free_at))
    session.flush()
    return budget


def _slots(session: Session, budget: BudgetRow, now: datetime) -> list[SlotRow]:
    """Return the slots, the one that is free first first."""
    rows = select(SlotRow).where(SlotRow.conn_id == budget.conn_id, SlotRow.endpoint == budget.endpoint)
    slots = list(session.scalars(rows))
    for slot in slots:
        longest = WINDOW + (LONGEST_CALL if slot.in_call else 0)
        slot.free_at = min(slot.free_at, now + timedelta(seconds=longest))
    return sorted(slots, key=lambda slot: (slot.free_at, slot.number))


def _line(session: Session, budget: BudgetRow, now: datetime) -> list[WaiterRow]:
    """Return who waits and can still be expected, the head of the line first; the others lose their place."""
    rows = select(WaiterRow).where(WaiterRow.conn_id == budget.conn_id, WaiterRow.endpoint == budget.endpoint)
    line = list(session.scalars(rows.order_by(WaiterRow.id)))
    gone = [waiter for waiter in line if waiter.back_at + timedelta(seconds=KEEP_PLACE) < now]
    for waiter in gone:
        session.delete(waiter)
    line = [waiter for waiter in line if waiter not in gone]
    latest = _latest_return(budget, len(line), now)
    for waiter in line:
        waiter.back_at = min(waiter.back_at, latest)
    return line


def _latest_return(budget: BudgetRow, waiting: int, now: datetime) -> datetime:
    """Return when the last of a line is back if all slots have just been taken."""
    rounds = 1 + waiting // PER_MINUTE[Endpoint(budget.endpoint)]
    latest = now + timedelta(seconds=LONGEST_CALL + rounds * WINDOW)
    return max(latest, budget.held_until or latest)


def _can_come(budget: BudgetRow, waiter: WaiterRow, now: datetime) -> bool:
    """Whether a waiter is still expected; the others ahead keep their place, but no slot is kept for them."""
    late = KEEP_SLOT + (budget.lateness if waiter.was_away else 0.0)
    return now <= waiter.back_at + timedelta(seconds=late)


def _learn(budget: BudgetRow, waiter: WaiterRow, now: datetime) -> None:
    """Learn how long after the time that was told a task that had left its worker is back."""
    if waiter.was_away:
        late = min(max((now - waiter.back_at).total_seconds(), 0.0), MAX_LATENESS)
        budget.lateness += WEIGHT * (late - budget.lateness)


def _told_to_wait(
    session: Session,
    budget: BudgetRow,
    slots: list[SlotRow],
    ahead: int,
    mine: WaiterRow | None,
    wanted: TakeCalls,
    now: datetime,
) -> Wait:
    expected = _expected(budget, slots, ahead + wanted.leave, now)
    if not _queues(wanted):
        return Wait(retry_in=max((expected - now).total_seconds(), _SHORTEST_POLL_WAIT))
    seconds = _call_back_in((expected - now).total_seconds(), budget.lateness)
    if mine is None:
        mine = WaiterRow(conn_id=budget.conn_id, endpoint=budget.endpoint, holder=wanted.holder)
        session.add(mine)
    mine.back_at = now + timedelta(seconds=seconds)
    mine.was_away = seconds > SHORT_WAIT
    return Wait(retry_in=seconds)


def _expected(budget: BudgetRow, slots: list[SlotRow], ahead: int, now: datetime) -> datetime:
    """Return when a slot is free for who has so many before it: they take the slots in turn, again and again."""
    window = timedelta(seconds=WINDOW)
    # Most calls are short: a slot that is in call now is mostly free a window from now.
    free_at = sorted(min(slot.free_at, now + window) if slot.in_call else slot.free_at for slot in slots)
    rounds, number = divmod(ahead, len(slots))
    expected = max(free_at[number], now) + rounds * window
    return max(expected, budget.held_until or expected)


def _call_back_in(remaining: float, lateness: float) -> float:
    """Return what to tell a task whose slot is free in so many seconds."""
    told = remaining - lateness - EARLY
    if told >= SHORTEST_LEAVE:
        return told
    return min(max(remaining, 0.05), SHORT_WAIT)
