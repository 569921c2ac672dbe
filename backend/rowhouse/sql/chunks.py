"""Cut many rows into chunks of few sizes, so that a few compiled statements serve all of them.

The sizes respect the databases' limit of parameters in one statement.
"""

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
LARGEST_CHUNK = 512
MAX_PARAMETERS = 30_000  # SQLite accepts 32,766, PostgreSQL 65,535


def chunked(items: Sequence[T], *, columns: int) -> Iterator[tuple[int, Sequence[T]]]:
    """Yield chunks of `items` whose lengths are powers of two, each with the position of its first item.

    `columns` is the number of values of one item.
    """
    largest = LARGEST_CHUNK
    while largest * columns > MAX_PARAMETERS and largest > 1:
        largest //= 2
    start = 0
    while start < len(items):
        size = largest
        while size > len(items) - start:
            size //= 2
        yield start, items[start : start + size]
        start += size


def pad_to_power_of_two(items: Sequence[T]) -> list[T]:
    """Return `items` with the last one repeated up to a power of two, for a statement that accepts repeated values."""
    size = 1 << (len(items) - 1).bit_length()
    return [*items, *[items[-1]] * (size - len(items))]
