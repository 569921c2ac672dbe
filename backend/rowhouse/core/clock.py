"""The one clock of the application. Nothing else may ask the operating system for the time.

Instants are aware datetimes in UTC throughout. Tests replace the clock with `set_clock`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime


def _system_clock() -> datetime:
    return datetime.now(UTC)


_clock: Callable[[], datetime] = _system_clock


def now() -> datetime:
    """Return the present instant: an aware datetime in UTC, to the microsecond.

    Example:
        invoice.paid_at = now()
    """
    return _clock()


@contextmanager
def set_clock(clock: Callable[[], datetime]) -> Iterator[None]:
    """Use `clock` instead of the system's within the block. For tests of rules about time.

    Example:
        with set_clock(lambda: datetime(2030, 1, 31, tzinfo=UTC)):
            client.post("/api/v1/bookings", json=booking)
    """
    global _clock  # noqa: PLW0603  one process has one clock, and a test must reach every reader of it
    previous, _clock = _clock, clock
    try:
        yield
    finally:
        _clock = previous
