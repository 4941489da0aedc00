"""The rules for cutting a video into chunks."""

from dataclasses import dataclass

from tiktok_sandbox.envelope import ParamsError
from tiktok_sandbox.switches import Switches

_BAD_COUNT = "The total chunk count is invalid"
_BAD_CHUNK = "The chunk size is invalid"
_BAD_SIZE = "The video size is invalid"
_MAX_CHUNKS = 1000
_UNITS = {
    "decimal": ((10**6, 10**9),),
    "binary": ((2**20, 2**30),),
    # Both readings must be content.
    "strict": ((10**6, 10**9), (2**20, 2**30)),
}


@dataclass(frozen=True)
class ChunkPlan:
    """What a caller announces, all in bytes but the count."""

    video_size: int
    chunk_size: int
    count: int


def check_plan(plan: ChunkPlan, switches: Switches) -> None:
    """Raise ParamsError, with TikTok's words, for a plan that TikTok refuses."""
    if plan.video_size < 1:
        raise ParamsError(_BAD_SIZE)
    if plan.chunk_size < 1:
        raise ParamsError(_BAD_CHUNK)
    if not 1 <= plan.count <= _MAX_CHUNKS or plan.count != plan.video_size // plan.chunk_size:
        raise ParamsError(_BAD_COUNT)
    lax = switches.single_chunk_rule == "lax"
    if plan.count == 1 and plan.chunk_size != plan.video_size and not lax:
        raise ParamsError(_BAD_CHUNK)
    for megabyte, gigabyte in _UNITS[switches.size_units]:
        _check_sizes(plan, megabyte, gigabyte)


def _check_sizes(plan: ChunkPlan, megabyte: int, gigabyte: int) -> None:
    if plan.video_size > 4 * gigabyte:
        raise ParamsError(_BAD_SIZE)
    smallest = min(5 * megabyte, plan.video_size)
    if not smallest <= plan.chunk_size <= 64 * megabyte:
        raise ParamsError(_BAD_CHUNK)
    last = plan.video_size - plan.chunk_size * (plan.count - 1)
    if last > 128 * megabyte:
        raise ParamsError(_BAD_CHUNK)
