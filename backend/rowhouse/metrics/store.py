"""The numbers of one process in an array, which the other processes of the server can read.

With a directory, each process has a file of its own there, mapped into its memory, and a lock on that file. A process
that starts takes over the file of one that has ended, so no count is lost and files do not pile up. Without a
directory, the array is this process's alone.
"""

import fcntl
import mmap
import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple

NUMBER = 8  # bytes


class Numbers(NamedTuple):
    """The numbers of one process, and whether it lives."""

    cells: "memoryview[float]"
    is_alive: bool


class Store:
    """The array of this process, `cells`, and those of all processes of the server.

    `layout` identifies the meaning of the numbers. Processes with another layout, such as those of another release, are
    ignored.
    """

    def __init__(self, size: int, *, layout: str = "", directory: Path | None = None) -> None:
        self._layout, self._directory, self._own = layout, directory, Path()
        length = size * NUMBER
        if directory is None:
            self.cells = memoryview(bytearray(length)).cast("d")
            return
        directory.mkdir(parents=True, exist_ok=True)
        self._own, mapped = _take(directory, layout, length)
        self.cells = memoryview(mapped).cast("d")

    def numbers(self) -> list[Numbers]:
        """Return the numbers of every process, this one first."""
        return [Numbers(self.cells, is_alive=True), *self._others()]

    def _others(self) -> Iterator[Numbers]:
        if self._directory is None:
            return
        for path in sorted(self._directory.glob(f"{self._layout}-*")):
            if path != self._own:
                with path.open("rb") as file:
                    is_alive = not _lock(file.fileno(), fcntl.LOCK_SH)
                    content = file.read()
                if len(content) == self.cells.nbytes:  # else its process has just made it
                    yield Numbers(memoryview(content).cast("d"), is_alive)


def _take(directory: Path, layout: str, length: int) -> tuple[Path, mmap.mmap]:
    """Return the first file that no living process holds, and its mapping, which holds the lock from now on."""
    for number in count():
        path = directory / f"{layout}-{number}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if _lock(descriptor, fcntl.LOCK_EX):
                os.ftruncate(descriptor, length)
                # The mapping duplicates the descriptor, and with it the lock.
                return path, mmap.mmap(descriptor, length)
        finally:
            os.close(descriptor)
    raise AssertionError  # pragma: no cover  # `count` does not end


def _lock(descriptor: int, kind: int) -> bool:
    """Lock a file unless another process has locked it. Return whether it is locked now."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
