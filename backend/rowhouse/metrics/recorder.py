"""Records requests and everything in `rowhouse.metrics.layout`, in one array of numbers.

Each operation has a number of started requests and a histogram for each status class. Requests are recorded by the
event loop alone. Worker threads add to the same array without a lock: CPython switches threads at calls and jumps, and
`cells[place] += 1` has none between its read and its write, so no addition is lost.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from threading import Lock
from time import perf_counter
from typing import Any, NamedTuple

from starlette.types import Scope

from rowhouse.metrics import layout
from rowhouse.metrics.store import Store

# Upper bounds of a request's seconds. The bounds of the operations are added.
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
# The label of a request that reached no route: an unknown path, or a refusal before the routes.
NO_OPERATION = "none"
TOO_MANY, UNAVAILABLE, LAST_STATUS = 429, 503, 599
# The key in the `state` of a scope, which copies of the scope share.
PLACE = "rowhouse_metrics_place"


class Operation(NamedTuple):
    """One operation: its name, its objective in seconds (0 without one), and the `id()` of its routes or endpoints."""

    name: str
    slo_seconds: float
    handlers: Sequence[int]


class Metrics:
    """The numbers of an application. `cells` may be replaced once, by `open`: read it anew for each use."""

    def __init__(self, *, directory: Path | None = None) -> None:
        self.operations: Sequence[Operation] = ()
        self.bounds: Sequence[float] = BOUNDS
        self._width = len(BOUNDS) + 2  # the numbers of a histogram of requests
        self._directory = directory
        self._store = Store(layout.SIZE)
        self.cells = self._store.cells
        self._places: Mapping[int, int] = {}
        self.publishers: list[Callable[[], None]] = []
        self._publishing = Lock()

    def open(self, operations: Sequence[Operation]) -> None:
        """Create the counters of these operations. Counts so far are kept. Call it before the first request."""
        self.operations = [Operation(NO_OPERATION, 0, ()), *operations]
        self.bounds = _bounds_of(operations)
        self._width = len(self.bounds) + 2
        self._places = {
            handler: self.place_of(number) for number, one in enumerate(self.operations) for handler in one.handlers
        }
        self._store = Store(self.place_of(len(self.operations)), layout=self._fingerprint(), directory=self._directory)
        former, cells = self.cells, self._store.cells
        self._settle(cells)
        for place in range(layout.SIZE):
            cells[place] += former[place]
        self.cells = cells

    def place_of(self, number: int) -> int:
        """Return the place of an operation: of its started requests, which the histogram of each class follows."""
        return layout.SIZE + number * (1 + len(CLASSES) * self._width)

    def histogram_of(self, place: int, status_class: int) -> int:
        """Return the place of the histogram of a status class, 1 to 5."""
        return place + 1 + (status_class - 1) * self._width

    def finished(self, cells: Sequence[float] | memoryview, place: int, status_class: int) -> float:
        """Return the number of finished requests of a status class."""
        start = self.histogram_of(place, status_class)
        return sum(cells[start : start + self._width - 1])

    def begin_request(self, scope: Scope, route: Any) -> None:
        """Count a request that a route is about to handle."""
        place = self._places[id(route)]
        self.cells[place] += 1
        scope["state"][PLACE] = place

    def end_request(self, scope: Scope, status: int, seconds: float) -> None:
        """Record a request that has ended with this status."""
        cells, place = self.cells, scope["state"].get(PLACE)
        if place is None:
            place = self._places.get(id(scope.get("endpoint")), layout.SIZE)
            cells[place] += 1
        if status >= TOO_MANY:
            if status in (TOO_MANY, UNAVAILABLE):
                cells[layout.REFUSALS[str(status)]] += 1
            status = min(status, LAST_STATUS)
        # As `histogram_of`, without a call.
        start = place + 1 + (status // 100 - 1) * self._width
        cells[start + bisect_left(self.bounds, seconds)] += 1
        cells[start + self._width - 1] += seconds

    def record_wait(self, group: str, seconds: float) -> None:
        """Record how long work waited for a thread of a group."""
        cells, start = self.cells, layout.QUEUE_WAIT[group]
        cells[start + bisect_left(layout.WAIT_BOUNDS, seconds)] += 1
        cells[start + len(layout.WAIT_BOUNDS) + 1] += seconds

    def publish(self) -> None:
        """Take over the numbers that other parts count themselves, at each scrape and about once a second."""
        with self._publishing:
            for publish in self.publishers:
                publish()

    def add(self, place: int, amount: float = 1) -> None:
        """Add to a number, where speed does not matter."""
        self.cells[place] += amount

    def totals(self) -> tuple[list[float], int]:
        """Return the sums over all processes of the server, and how many of them live.

        Gauges of a process that has ended do not count.
        """
        self.publish()
        total, living = [0.0] * len(self.cells), 0
        for cells, is_alive in self._store.numbers():
            numbers = list(cells)
            living += is_alive
            if not is_alive:
                self._settle(numbers)
            total = [one + other for one, other in zip(total, numbers, strict=True)]
        return total, living

    def _settle(self, cells: Any) -> None:
        """Set the gauges of an ended process to 0, and count every started request as finished."""
        for place in layout.GAUGES:
            cells[place] = 0
        for number in range(len(self.operations)):
            place = self.place_of(number)
            cells[place] = sum(self.finished(cells, place, status) for status in range(1, len(CLASSES) + 1))

    def _fingerprint(self) -> str:
        """Return a name for the meaning of all numbers."""
        families = [(family.name, *family.places.items(), *family.bounds) for family in layout.FAMILIES]
        meaning = (families, [one[:2] for one in self.operations], self.bounds)
        return hashlib.sha256(repr(meaning).encode()).hexdigest()[:16]


class Stopwatch:
    """Counts a block and adds its seconds: `with Stopwatch(metrics, HASHES, HASH_SECONDS): ...`."""

    __slots__ = ("_count", "_metrics", "_seconds", "_started")

    def __init__(self, metrics: Metrics | None, count: int, seconds: int) -> None:
        self._metrics, self._count, self._seconds = metrics, count, seconds
        self._started = 0.0

    def __enter__(self) -> None:
        self._started = perf_counter()

    def __exit__(self, *_error: object) -> None:
        if self._metrics is not None:
            self._metrics.add(self._count)
            self._metrics.add(self._seconds, perf_counter() - self._started)


def _bounds_of(operations: Iterable[Operation]) -> list[float]:
    """Return the upper bounds of a request's seconds: each SLO, and one above all of them.

    Prometheus takes the last bound for every quantile above it. That must not be an SLO: it would always be held.
    """
    slos = {one.slo_seconds for one in operations if one.slo_seconds}
    longest = max(slos, default=0)
    above = {2 * longest} if longest >= BOUNDS[-1] else set()
    return sorted({*BOUNDS, *slos, *above})
