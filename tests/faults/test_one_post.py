"""One post per intent, whatever is killed, stopped or lost, in a real Airflow."""

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial

import pytest

from tests.faults import blows
from tests.faults.proxy import Blow, Cell, Point
from tests.faults.publishing_site import CHUNK_BYTES, Played, PublishingSite, publishing_site
from tests.faults.sweep import (
    UPLOAD,
    Order,
    Plan,
    always,
    boundaries,
    may_be_uncertain,
    mend_until_done,
    play_all,
)
from tiktok_sandbox.clips import make_clip

pytestmark = pytest.mark.integration

# All cells of all kinds take hours: scripts/reliability.sh
EVERYTHING = "TIKTOK_RELIABILITY" in os.environ
only_with_everything = pytest.mark.skipif(not EVERYTHING, reason="takes long: scripts/reliability.sh")
LANES, MANY_LANES = 6, 16
TITLE = "One post: what is published, what happens, at which call, where, posts, task, record, inits, tries"
INIT = "TikTok video/init"
STATUS = "TikTok status/fetch"
Note = Callable[..., None]
Clean = Callable[[Order], Played]
Play = Callable[..., None]
Plans = list[Plan]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PublishingSite]:
    """A real Airflow behind the proxy."""
    with publishing_site(tmp_path_factory.mktemp("airflow"), MANY_LANES if EVERYTHING else LANES) as running:
        yield running


@pytest.fixture(scope="module")
def clean(site: PublishingSite) -> Clean:
    """Return a function that publishes once without a fault, and tells the calls."""

    def play_once(order: Order) -> Played:
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(site.play, order.dag_id, order.conf)
            mend_until_done(site, [future])
        played = future.result()
        assert (played.state, played.record, list(played.posts)) == ("success", "out", [order.sha256])
        return played

    @cache
    def play(name: str) -> Played:
        # Airflow may lose a try of its own accord; its calls are none that a cell could wait for.
        tries = (play_once(_ORDERS[name](site)) for _ in range(3))
        return next(played for played in tries if played.tries == 1)

    return lambda order: play(order.name)


@pytest.fixture
def play(site: PublishingSite, note: Note) -> Play:
    """Return a function that plays cells and checks that each keeps the promise."""

    def play(plans: Sequence[Plan], lanes: int = LANES) -> None:
        assert plans
        assert play_all(site, plans, lanes, partial(note, TITLE)) == []

    return play


def _file(name: str, size: int | None, site: PublishingSite) -> Order:
    clip = site.media.folder / f"{size}.mp4"
    if not clip.exists():
        make_clip(clip, seconds=1, pad_to_bytes=size)
    sha256 = hashlib.sha256(clip.read_bytes()).hexdigest()
    return Order(name, "fault_file", {"video": str(clip)}, sha256)


def _pulled(name: str, site: PublishingSite) -> Order:
    file = _file(name, None, site)
    return Order(name, "fault_url", {"video_url": f"{site.media.url}/None.mp4"}, file.sha256, pulled=True)


ONE_CHUNK, CHUNKS, PULLED = "file, 1 chunk", "file, 3 chunks", "URL"
_ORDERS: dict[str, Callable[[PublishingSite], Order]] = {
    ONE_CHUNK: partial(_file, ONE_CHUNK, None),
    CHUNKS: partial(_file, CHUNKS, 3 * CHUNK_BYTES),
    PULLED: partial(_pulled, PULLED),
}


def _short(name: str) -> str:
    """Return a name that pytest's -k understands."""
    return re.sub(r"\W+", "_", name)


def _everywhere(
    order: Order, clean: Played, name: str, blow: Callable[[Cell], Blow], role: str = "task"
) -> Plans:
    return [
        Plan(order, name, seen, point, blow, uncertain=may_be_uncertain(order, clean, seen, point))
        for seen, point in boundaries(clean, role)
    ]


def _standing_still(order: Order, clean: Played, name: str, blow: Callable[[Cell], Blow]) -> Plans:
    # What stands still in the middle of an answer stands still before the next call, too.
    return [plan for plan in _everywhere(order, clean, name, blow) if plan.point is not Point.ANSWERED]


def _lost(order: Order, clean: Played, times: int) -> Plans:
    return [
        Plan(
            order,
            f"answer lost, {times} in a row",
            seen,
            Point.AFTER,
            always(blows.drop),
            times,
            uncertain=may_be_uncertain(order, clean, seen, Point.AFTER),
        )
        for seen in clean.calls
    ]


def _at(plans: Plans, kind: str, point: Point, number: int = 1) -> Plans:
    """Return the one cell at this place."""
    return [plan for plan in plans if (plan.seen.kind, plan.point, plan.seen.number) == (kind, point, number)]


# What happens to a task, and all cells of it. None of it harms the tasks of other cells.
_CELLS: dict[str, Callable[[Order, Played], Plans]] = {
    "killed": partial(_everywhere, name="SIGKILL", blow=always(blows.kill)),
    "killed_with_supervisor": partial(
        _everywhere, name="SIGKILL, supervisor too", blow=always(blows.kill_with_supervisor)
    ),
    "stopped": partial(_standing_still, name="SIGSTOP 66 s", blow=always(blows.stop)),
    "stopped_and_another_try": partial(
        _standing_still,
        name="SIGSTOP 66 s, supervisor too: another try comes",
        blow=always(blows.stop_with_supervisor),
    ),
    "stopped_and_another_task": partial(
        _standing_still, name="SIGSTOP 66 s, another task comes", blow=blows.stop_while_another_comes
    ),
    "lost_once": partial(_lost, times=1),
    "lost_three_times": partial(_lost, times=3),
}


def test_a_file_in_one_chunk_is_posted_once_wherever_its_task_is_killed(
    site: PublishingSite, clean: Clean, play: Play
) -> None:
    order = _ORDERS[ONE_CHUNK](site)
    play(_CELLS["killed"](order, clean(order)))


def test_posts_go_out_at_most_once_in_one_cell_of_each_other_kind(
    site: PublishingSite, clean: Clean, play: Play
) -> None:
    plans: Plans = []
    for name, happens, kind, point, number in (
        (CHUNKS, "killed", UPLOAD, Point.BODY, 2),
        (PULLED, "killed", INIT, Point.AFTER, 1),
        (ONE_CHUNK, "killed_with_supervisor", UPLOAD, Point.AFTER, 1),
        (ONE_CHUNK, "stopped_and_another_try", INIT, Point.AFTER, 1),
        (ONE_CHUNK, "stopped_and_another_task", INIT, Point.AFTER, 1),
        (ONE_CHUNK, "lost_once", UPLOAD, Point.AFTER, 1),
    ):
        order = _ORDERS[name](site)
        [plan] = _at(_CELLS[happens](order, clean(order)), kind, point, number)
        plans.append(plan)
    play(plans)


@only_with_everything
@pytest.mark.parametrize("name", _ORDERS, ids=_short)
@pytest.mark.parametrize("happens", _CELLS)
def test_posts_go_out_at_most_once_whatever_happens_to_their_task_wherever(
    site: PublishingSite, clean: Clean, play: Play, name: str, happens: str
) -> None:
    if (name, happens) == (ONE_CHUNK, "killed"):
        pytest.skip("has a test of its own")
    order = _ORDERS[name](site)
    # Who stands still needs no processor.
    play(_CELLS[happens](order, clean(order)), lanes=MANY_LANES if "stopped" in happens else LANES)


@pytest.mark.parametrize("name", [ONE_CHUNK, PULLED], ids=_short)
def test_posts_go_out_once_when_the_triggerer_is_killed_while_it_waits(
    site: PublishingSite, clean: Clean, play: Play, name: str
) -> None:
    _only_one_chunk_without_everything(name)
    order = _ORDERS[name](site)
    blow = always(blows.kill_component(site.airflow.kill, "triggerer"))
    plans = _everywhere(order, clean(order), "triggerer SIGKILL", blow, "triggerer")
    play(plans if EVERYTHING else _at(plans, STATUS, Point.AFTER), lanes=2)


@pytest.mark.parametrize("name", _ORDERS, ids=_short)
def test_posts_go_out_at_most_once_when_the_api_server_is_killed_in_a_store_call(
    site: PublishingSite, clean: Clean, play: Play, name: str
) -> None:
    _only_one_chunk_without_everything(name)
    order = _ORDERS[name](site)
    blow = always(blows.kill_component(site.airflow.kill, "api-server"))
    plans = [
        plan
        for plan in _everywhere(order, clean(order), "API server SIGKILL", blow)
        if plan.seen.kind.startswith("store") and plan.point is not Point.ANSWERED
    ]
    one = [plan for plan in plans if "start" in plan.seen.kind and plan.point is Point.AFTER]
    play(plans if EVERYTHING else one, lanes=2)


@pytest.mark.parametrize("name", _ORDERS, ids=_short)
def test_posts_go_out_at_most_once_when_the_scheduler_is_killed_during_a_run(
    site: PublishingSite, clean: Clean, play: Play, name: str
) -> None:
    _only_one_chunk_without_everything(name)
    order = _ORDERS[name](site)
    blow = always(blows.kill_component(site.airflow.kill, "scheduler"))
    plans = _everywhere(order, clean(order), "scheduler SIGKILL, tasks too", blow)
    plans = [plan for plan in plans if plan.seen.kind in (INIT, UPLOAD) and plan.point is Point.AFTER]
    play(plans if EVERYTHING else _at(plans, INIT, Point.AFTER), lanes=1)


def _only_one_chunk_without_everything(name: str) -> None:
    if not EVERYTHING and name != ONE_CHUNK:
        pytest.skip("takes long: scripts/reliability.sh")
