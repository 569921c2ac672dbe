"""Cuts many rows into blocks that a handful of compiled statements serves, within the databases' limit of parameters."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
LARGEST_BLOCK = 512
MAX_PARAMETERS = 30_000  # SQLite takes 32,766, PostgreSQL 65,535


def blocks(items: Sequence[T], *, columns: int) -> Iterator[tuple[int, Sequence[T]]]:
    """`items` cut into power-of-two blocks, each with its first position; `columns` is the number of values of an item."""
    largest = LARGEST_BLOCK
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
    """`items` with the last one repeated up to a power of two, where a statement takes any number of the same."""
    size = 1 << (len(items) - 1).bit_length()
    return [*items, *[items[-1]] * (size - len(items))]
