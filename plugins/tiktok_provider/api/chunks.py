"""How a file is cut for the upload. Source: TikTok's "Media Transfer Guide".

TikTok does not say whether its "MB" has 1,000,000 or 1,048,576 bytes, so every plan stays inside both readings.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

MIN_CHUNK = 5 * 1024 * 1024
MAX_CHUNK = 64_000_000
DEFAULT_CHUNK = 32_000_000


@dataclass(frozen=True, slots=True)
class Chunk:
    """One inclusive byte range."""

    number: int
    first: int
    last: int

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class ChunkPlan:
    """The plan that init sends to TikTok.

    :param size: bytes of the file.
    :param chunk_size: bytes of each chunk but the last, which takes the remainder besides.
    :param count: number of chunks.
    """

    size: int
    chunk_size: int
    count: int

    def chunks(self) -> Iterator[Chunk]:
        """Yield the chunks in the order in which TikTok wants them."""
        for number in range(self.count):
            yield self.chunk_with(number * self.chunk_size)

    def chunk_with(self, position: int) -> Chunk:
        """Return the chunk that this byte is in: where to go on when TikTok holds so many bytes, or fewer.

        :param position: 0 to ``size - 1``.
        """
        number = min(position // self.chunk_size, self.count - 1)
        first = number * self.chunk_size
        last = self.size - 1 if number == self.count - 1 else first + self.chunk_size - 1
        return Chunk(number, first, last)

    def rest_from(self, position: int) -> Chunk:
        """Return what is left of the chunk that this byte is in, from there on.

        :param position: 0 to ``size - 1``.
        """
        return replace(self.chunk_with(position), first=position)


def plan_chunks(size: int, target: int = DEFAULT_CHUNK) -> ChunkPlan:
    """Plan the upload of a file.

    :param size: bytes of the file, from 1.
    :param target: wanted bytes of a chunk, 5,242,880 to 64,000,000. Memory does not depend on it: it decides how
        much is sent again after a fault.
    :raises ValueError: if ``size`` or ``target`` is out of range.
    """
    if size < 1:
        raise ValueError(f"size is {size}: there is nothing to upload")
    if not MIN_CHUNK <= target <= MAX_CHUNK:
        raise ValueError(f"target is {target}: it must be from {MIN_CHUNK} to {MAX_CHUNK} bytes")
    if size <= MAX_CHUNK:
        return ChunkPlan(size, size, 1)
    # At most half the file: a single chunk that is shorter than the file is refused since August 2026.
    chunk = min(target, size // 2)
    return ChunkPlan(size, chunk, size // chunk)
