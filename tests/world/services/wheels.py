"""PostgreSQL 16 from the wheel `pgserver`: an older version that needs no package of the system."""

from collections.abc import Iterator
from contextlib import contextmanager

from pgserver.postgres_server import get_server

from tests.databases import WheelServer


@contextmanager
def postgresql_16() -> Iterator[WheelServer]:
    """A running cluster."""
    wheel = WheelServer(get_server)
    try:
        yield wheel
    finally:
        wheel.close()
