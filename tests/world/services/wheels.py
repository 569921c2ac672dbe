"""PostgreSQL 16 from the wheel `pgserver`: an older version that needs no package of the system."""

from collections.abc import Iterator
from contextlib import contextmanager

from pgserver.postgres_server import get_server

from tests.databases import Wheel


@contextmanager
def postgresql_16() -> Iterator[Wheel]:
    """A running cluster."""
    wheel = Wheel(get_server)
    try:
        yield wheel
    finally:
        wheel.close()
