"""Looks once a second at what the servers and the database use, and at how long the disk takes, while somebody else loads them."""

import os
import tempfile
import time
from collections.abc import Iterator
from typing import IO

from perf.samples import Load
from perf.servers import Cluster, Server

# What perf.generator says on its standard output when the load is there and warm.
MEASURING = "measuring"
# As much as PostgreSQL's log of a small transaction.
PAGE = b"\0" * 8192


def watch(server: Server, cluster: Cluster, *, seconds: float, users: int) -> Iterator[Load]:
    """One entry a second from now on. CPU of a PostgreSQL that somebody else started is not known, and 0.0."""
    begun = before = time.monotonic()
    used, used_by_database = server.cpu_seconds(), cluster.cpu_seconds()
    with tempfile.TemporaryFile() as file:
        for second in range(1, max(1, round(seconds)) + 1):
            time.sleep(max(0.0, begun + second - time.monotonic()))
            at, now_used, now_used_by_database = time.monotonic(), server.cpu_seconds(), cluster.cpu_seconds()
            passed = at - before
            yield Load(
                users=users,
                server_cpu=(now_used - used) / passed,
                server_memory_mib=server.memory_mib(),
                database_cpu=((now_used_by_database or 0.0) - (used_by_database or 0.0)) / passed,
                disk_ms=disk_ms(file),
            )
            before, used, used_by_database = at, now_used, now_used_by_database


def disk_ms(file: IO[bytes]) -> float:
    """How long the disk of a file takes to keep 8 KiB for good: a commit cannot be quicker."""
    begun = time.perf_counter()
    file.seek(0)
    file.write(PAGE)
    file.flush()
    os.fsync(file.fileno())
    return (time.perf_counter() - begun) * 1000
