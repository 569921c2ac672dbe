"""Measure once a second what the server, the database and the disk do while a load generator runs."""

import os
import tempfile
import time
from collections.abc import Iterator
from typing import IO, NamedTuple

from perf.harness.servers import Cluster, Server
from perf.harness.target import Target

# As much as PostgreSQL writes to its log for a small transaction.
PAGE = b"\0" * 8192


class MachineSecond(NamedTuple):
    """One second of the machine: CPU in cores, memory in MiB, and the milliseconds that the disk took for one page."""

    users: int
    server_cpu: float
    server_memory_mib: float
    database_cpu: float
    disk_ms: float


def watch(server: Server[Target], cluster: Cluster, *, seconds: float, users: int) -> Iterator[MachineSecond]:
    """Yield one entry a second from now on. The CPU of a PostgreSQL that was not started here is unknown: 0.0."""
    begun = before = time.monotonic()
    used, used_by_database = server.cpu_seconds(), cluster.cpu_seconds()
    with tempfile.TemporaryFile() as file:
        for second in range(1, max(1, round(seconds)) + 1):
            time.sleep(max(0.0, begun + second - time.monotonic()))
            at, now_used, now_used_by_database = time.monotonic(), server.cpu_seconds(), cluster.cpu_seconds()
            passed = at - before
            yield MachineSecond(
                users=users,
                server_cpu=(now_used - used) / passed,
                server_memory_mib=server.memory_mib(),
                database_cpu=((now_used_by_database or 0.0) - (used_by_database or 0.0)) / passed,
                disk_ms=disk_ms(file),
            )
            before, used, used_by_database = at, now_used, now_used_by_database


def disk_ms(file: IO[bytes]) -> float:
    """Return the milliseconds that an 8 KiB write with fsync takes. No commit can be faster."""
    begun = time.perf_counter()
    file.seek(0)
    file.write(PAGE)
    file.flush()
    os.fsync(file.fileno())
    return (time.perf_counter() - begun) * 1000
