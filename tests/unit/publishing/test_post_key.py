"""The post key survives what a run does not."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from airflow.sdk import Context

from tiktok_provider.exceptions import InvalidInputError
from tiktok_provider.publishing.post_key import claimant_of, origin_of, post_key_of

DATE = datetime(2026, 11, 20, tzinfo=UTC)


def context(**changes: Any) -> Context:
    """Return the context of a task; ``run_`` fields are those of its run."""
    run = {"partition_key": None, "logical_date": DATE, "run_id": "manual__1"}
    ti = {
        "dag_id": "spring",
        "run_id": "manual__1",
        "task_id": "publish",
        "map_index": -1,
        "try_number": 1,
        "id": "a",
    }
    run |= {name.removeprefix("run_"): value for name, value in changes.items() if name.startswith("run_")}
    ti |= {name: value for name, value in changes.items() if not name.startswith("run_")}
    return cast(Context, {"ti": SimpleNamespace(**ti), "dag_run": SimpleNamespace(**run)})


def key(**changes: Any) -> str:
    return post_key_of(None, origin_of(context(**changes)))


def test_the_default_key_is_that_of_the_slot_and_not_of_the_run_or_the_try() -> None:
    assert key(run_run_id="backfill__2", try_number=3, id="b") == key()


@pytest.mark.parametrize(
    "changes",
    [
        {"dag_id": "summer"},
        {"task_id": "again"},
        {"run_logical_date": DATE.replace(day=21)},
        {"run_partition_key": "italy"},
    ],
)
def test_another_slot_has_another_key(changes: dict[str, Any]) -> None:
    assert key(**changes) != key()


def test_a_partition_counts_more_than_the_date_and_a_date_more_than_the_run() -> None:
    partition = {"run_partition_key": "italy"}
    assert key(**partition, run_logical_date=None) == key(**partition)
    assert key(run_logical_date=None, run_run_id="x") != key(run_logical_date=None, run_run_id="y")


def test_a_users_own_key_is_taken_as_it_is() -> None:
    assert post_key_of(" spring-42 ", {}) == "spring-42"


@pytest.mark.parametrize("wanted", ["", "   ", "x" * 251, "a\x00b", "a\nb", "a\x1b[31m", "\ud800"])
def test_a_key_that_is_none_is_refused_before_the_store_is_asked(wanted: str) -> None:
    with pytest.raises(InvalidInputError, match=r"post_key (is|has)"):
        post_key_of(wanted, {})


@pytest.mark.parametrize("wanted", ["Frühling/7", "春 1", "🎬", "a\u200db", "x" * 250])
def test_a_key_may_be_of_any_script(wanted: str) -> None:
    assert post_key_of(wanted, {}) == wanted


def test_a_mapped_task_is_known_by_its_media_and_not_by_its_place_in_the_list() -> None:
    def mapped(index: int, name: str) -> str:
        return post_key_of(None, origin_of(context(map_index=index)), name)

    assert mapped(0, "/videos/a.mp4") == mapped(3, "/videos/a.mp4")
    assert mapped(0, "/videos/a.mp4") != mapped(0, "/videos/b.mp4")
    assert mapped(0, "/videos/a.mp4") != key()


def test_a_task_that_is_not_mapped_is_one_post_wherever_its_video_lies() -> None:
    origin = origin_of(context())
    assert post_key_of(None, origin, "/tmp/a.mp4") == post_key_of(None, origin, "/tmp/b.mp4")


def test_all_tries_of_a_task_instance_are_one_task_and_each_is_a_try_of_its_own() -> None:
    first, second = claimant_of(context()), claimant_of(context(try_number=2, id="b"))
    assert first.task == second.task
    assert (first.try_number, first.try_id) != (second.try_number, second.try_id)
    assert claimant_of(context(map_index=1)).task != first.task
