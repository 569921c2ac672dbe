"""A clock that stands still, for tests of rules about time."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Self

from rowhouse.core.clock import now, set_clock


class FrozenClock:
    """The clock behind `now()`. It stands at `now` until a test moves it; at first at the present full second.

    Example:
        frozen_clock.move_to(datetime(2030, 1, 31, 9, tzinfo=UTC))
        frozen_clock.tick(minutes=16)
    """

    def __init__(self) -> None:
        self.now = now().replace(microsecond=0)

    def move_to(self, instant: datetime) -> None:
        """Set the clock to an instant.

        Raises:
            ValueError: the instant has no time zone.
        """
        if instant.tzinfo is None:
            raise ValueError(f"{instant!r} has no time zone; write datetime(..., tzinfo=UTC)")
        self.now = instant

    def tick(self, **amount: float) -> None:
        """Advance the clock by the arguments of `timedelta`, such as `hours=1`."""
        self.move_to(self.now + timedelta(**amount))

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Use this clock instead of the system's within the block."""
        with set_clock(lambda: self.now):
            yield self
