"""No plan may break any rule of TikTok, in either reading of "MB" and "GB"."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tiktok_provider.api.chunks import MAX_CHUNK, MIN_CHUNK, ChunkPlan, plan_chunks

FOUR_GIB = 4 * 1024**3
MEGABYTES = (10**6, 2**20)

sizes = st.integers(1, FOUR_GIB) | st.integers(1, 200_000_000)
targets = st.integers(MIN_CHUNK, MAX_CHUNK)


def broken_rules(plan: ChunkPlan) -> list[str]:
    """Return the rules of the Media Transfer Guide that a plan breaks in any reading."""
    last = plan.size - plan.chunk_size * (plan.count - 1)
    broken = []
    for mb in MEGABYTES:
        if plan.count != plan.size // plan.chunk_size:
            broken.append("total_chunk_count is floor(video_size / chunk_size)")
        if plan.count == 1 and plan.chunk_size != plan.size:
            broken.append("a single chunk is the whole file")
        if plan.size < 5 * mb and plan.count != 1:
            broken.append("a file below 5 MB is one chunk")
        if plan.size > 64 * mb and plan.count < 2:
            broken.append("a file above 64 MB is several chunks")
        if plan.count > 1 and not 5 * mb <= plan.chunk_size:
            broken.append("a chunk has at least 5 MB")
        if plan.chunk_size > 64 * mb:
            broken.append("a chunk has at most 64 MB")
        if last > 128 * mb or last < 1:
            broken.append("the last chunk has at most 128 MB")
        if not 1 <= plan.count <= 1000:
            broken.append("there are 1 to 1000 chunks")
    return broken


@given(size=sizes, target=targets)
@example(size=1, target=MIN_CHUNK)
@example(size=64_000_000, target=MAX_CHUNK)
@example(size=64_000_001, target=MAX_CHUNK)
@example(size=66_259_900, target=MAX_CHUNK)
@example(size=67_108_864, target=MAX_CHUNK)
@example(size=67_108_865, target=MAX_CHUNK)
@example(size=127_999_999, target=MAX_CHUNK)
@example(size=FOUR_GIB, target=MIN_CHUNK)
@example(size=FOUR_GIB, target=MAX_CHUNK)
def test_no_plan_breaks_any_rule(size: int, target: int) -> None:
    assert broken_rules(plan_chunks(size, target)) == []


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(ChunkPlan(66_000_000, 64_000_000, 1), id="one short chunk"),
        pytest.param(ChunkPlan(100_000_000, 32_000_000, 4), id="count rounded up"),
        pytest.param(ChunkPlan(65_000_000, 65_000_000, 1), id="too large a chunk in one reading"),
        pytest.param(ChunkPlan(70_000_000, 5_000_000, 14), id="too small a chunk in one reading"),
    ],
)
def test_the_rules_above_do_catch_bad_plans(plan: ChunkPlan) -> None:
    assert broken_rules(plan) != []


@given(size=st.integers(1, 400_000_000), target=targets)
def test_the_chunks_cover_the_file_once_and_in_order(size: int, target: int) -> None:
    plan = plan_chunks(size, target)
    position = 0
    for number, chunk in enumerate(plan.chunks()):
        assert (chunk.number, chunk.first) == (number, position)
        position = chunk.last + 1
    assert (number + 1, position) == (plan.count, size)


@pytest.mark.parametrize(
    ("size", "target", "plan"),
    [
        (4_194_304, 64_000_000, (4_194_304, 1)),
        (64_000_001, 64_000_000, (32_000_000, 2)),
        (121_000_000, 64_000_000, (60_500_000, 2)),
        (158_008_374, 64_000_000, (64_000_000, 2)),
        (FOUR_GIB, 64_000_000, (64_000_000, 67)),
    ],
)
def test_plans_that_were_worked_out_by_hand(size: int, target: int, plan: tuple[int, int]) -> None:
    found = plan_chunks(size, target)
    assert (found.chunk_size, found.count) == plan


@pytest.mark.parametrize(
    ("size", "target", "named"),
    [(0, MIN_CHUNK, "size"), (1, MIN_CHUNK - 1, "target"), (1, MAX_CHUNK + 1, "target")],
)
def test_what_cannot_be_planned_is_refused_by_name(size: int, target: int, named: str) -> None:
    with pytest.raises(ValueError, match=f"^{named} is"):
        plan_chunks(size, target)
