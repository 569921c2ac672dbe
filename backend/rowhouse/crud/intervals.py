"""Which intervals of which resource the rows of a batch hold, while they are judged one after the other; nothing of the database."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable
from operator import itemgetter
from typing import Any, NamedTuple

Window = tuple[Any, Any]
END_OF = itemgetter(1)


class Reservation(NamedTuple):
    """A half-open interval of a resource."""

    resource: Any
    window: Window


class IntervalSet:
    """Intervals that do not overlap, so that those of a resource are in one order by their starts and by their ends."""

    def __init__(self, places: Iterable[Reservation]) -> None:
        self._windows: dict[Any, list[Window]] = {}
        for place in places:
            self.take(place)

    def take(self, place: Reservation | None) -> None:
        """Hold a place that has no rival."""
        if place is not None:
            insort(self._windows.setdefault(place.resource, []), place.window)

    def leave(self, place: Reservation | None) -> None:
        """Free a place that is held."""
        if place is not None:
            windows = self._windows[place.resource]
            del windows[bisect_left(windows, place.window)]

    def rival(self, place: Reservation | None) -> Window | None:
        """The earliest interval that overlaps this one."""
        if place is None:
            return None
        windows = self._windows.get(place.resource, [])
        start, end = place.window
        first = bisect_right(windows, start, key=END_OF)
        return windows[first] if first < len(windows) and windows[first][0] < end else None
