"""Redis from Debian's package, in memory only."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.world.services.process import (
    HOST,
    find_program,
    free_port,
    is_listening,
    ordinary_account,
    own_directory,
    start,
    wait_until,
)


@contextmanager
def redis() -> Iterator[str]:
    """The URL of an empty Redis."""
    with own_directory() as directory:
        port = free_port()
        command = [find_program("redis-server"), "--bind", HOST, "--port", str(port), "--dir", str(directory)]
        command += ["--save", "", "--appendonly", "no"]
        running = start(command, log=directory / "log", cwd=directory, **ordinary_account())
        try:
            wait_until(lambda: is_listening(port), running)
            yield f"redis://{HOST}:{port}/0"
        finally:
            running.stop()
