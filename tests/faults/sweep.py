"""Cells of a table, played side by side, and what may come of each."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.faults.proxy import Blow, Cell, Point, Seen, Shot
from tests.faults.publishing_site import NO_SWITCHES, Played, PublishingSite

UPLOAD = "TikTok PUT"
# The call that says that init is about to leave, and the one that says which publish id it gave.
INTEND, START = "store posts/write intend", "store posts/write start finishing"


@dataclass(frozen=True)
class Order:
    """What is published.

    :param name: for the table.
    :param sha256: of the file.
    :param pulled: whether TikTok takes it from a URL.
    """

    name: str
    dag_id: str
    conf: Mapping[str, object]
    sha256: str
    pulled: bool = False


@dataclass(frozen=True)
class Plan:
    """One cell.

    :param name: what happens, for the table.
    :param uncertain: whether the post may end as uncertain.
    :param also: what else goes wrong beforehand.
    """

    order: Order
    name: str
    seen: Seen
    point: Point
    blow: Callable[[Cell], Blow]
    times: int = 1
    uncertain: bool = False
    switches: Mapping[str, object] = field(default_factory=lambda: NO_SWITCHES)

    def shots(self, cell: Cell) -> list[Shot]:
        """Return what goes wrong."""
        return [Shot(self.seen, self.point, self.blow(cell), self.times)]

    def is_kept(self, played: Played) -> bool:
        """Whether the promise is kept: one post with the file's bytes, or the clear word that it cannot be known."""
        once = all(sha256 == self.order.sha256 for sha256 in played.posts) and len(played.posts) <= 1
        done = (played.state, played.record, len(played.posts)) == ("success", "out", 1)
        # A stopped process that wakes up may get TikTok's answer to init after all: then it is uncertain no more.
        word = played.record in ("uncertain", "finishing")
        doubtful = self.uncertain and played.state == "failed" and word
        return once and (done or doubtful)


def always(blow: Blow) -> Callable[[Cell], Blow]:
    """Return the blow for any cell."""
    return lambda cell: blow  # noqa: ARG005


def boundaries(clean: Played, role: str = "task") -> Iterator[tuple[Seen, Point]]:
    """Yield every place where a call of a publish that went well could have gone wrong."""
    for seen in clean.calls:
        if seen.role == role:
            for point in Point:
                if point is not Point.BODY or seen.kind == UPLOAD:
                    yield seen, point


def may_be_uncertain(order: Order, clean: Played, seen: Seen, point: Point) -> bool:
    """Whether nobody can know what TikTok did: it pulls by itself, and only the intent is on record."""
    if not order.pulled or seen.role != "task":
        return False
    kinds = [call.kind for call in clean.calls if call.role == "task"]
    here = [call for call in clean.calls if call.role == "task"].index(seen)
    intend, start = kinds.index(INTEND), kinds.index(START)
    processed = point in (Point.AFTER, Point.ANSWERED)
    return intend + (not processed) <= here < start + (not processed)


def play_all(
    site: PublishingSite, plans: Sequence[Plan], lanes: int, note: Callable[..., None]
) -> list[tuple[Plan, Played]]:
    """Play all cells, write each into the table, and return those that break the promise.

    :raises BaseExceptionGroup: some could not be played; the table has all others.
    """
    with ThreadPoolExecutor(lanes) as pool:
        futures = [pool.submit(_play, site, plan) for plan in plans]
        mend_until_done(site, futures)
    broken, faults = [], []
    for plan, future in zip(plans, futures, strict=True):
        if fault := future.exception():
            faults.append(fault)
        elif not plan.is_kept(future.result()):
            broken.append((plan, future.result()))
        outcome = (fault,) if fault else _row(future.result())
        note(plan.order.name, plan.name, plan.seen, plan.point, *outcome)
    if faults:
        raise BaseExceptionGroup("Some cells could not be played", faults)
    return broken


def _play(site: PublishingSite, plan: Plan) -> Played:
    return site.play(plan.order.dag_id, plan.order.conf, plan.shots, plan.switches)


def _row(played: Played) -> tuple[object, ...]:
    return len(played.posts), played.state, played.record, played.inits, played.tries


def mend_until_done(site: PublishingSite, futures: Sequence[Future[Played]]) -> None:
    """Start again, all the while, what has ended."""
    while not all(future.done() for future in futures):
        site.airflow.mend()
        time.sleep(0.3)
