"""Compares the latencies of each operation with its SLO, by the numbers that a scrape of `/metrics` shows.

They begin with the start of the server, where a query of Prometheus can ask for the last minutes. An SLO is the bound
of a bucket, so the share of requests within it is exact.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from rowhouse.metrics.recorder import CLASSES, Metrics

# The share of requests that must be answered within the SLO.
SHARE = 0.95


class Objective(NamedTuple):
    """The SLO of an operation, the number of its finished requests, and how many of them met the SLO.

    `bound` is the upper bound of the bucket of the 95th percentile; it is infinite above the last bound.
    """

    operation: str
    slo_seconds: float
    requests: int
    in_time: int
    bound: float

    @property
    def share(self) -> float:
        """The share of requests within the SLO."""
        return self.in_time / self.requests

    @property
    def is_met(self) -> bool:
        """True if enough requests were within the SLO."""
        return self.in_time >= SHARE * self.requests


def objectives(metrics: Metrics) -> list[Objective]:
    """Return the objective of each operation that has an SLO and a finished request, the smallest share first."""
    total, _ = metrics.totals()
    found = []
    for number, operation in enumerate(metrics.operations):
        buckets = _buckets(metrics, total, number)
        requests = sum(buckets)
        if operation.slo_seconds and requests:
            in_time = sum(buckets[: bisect_left(metrics.bounds, operation.slo_seconds) + 1])
            bound = _bound(metrics.bounds, buckets, SHARE * requests)
            found.append(Objective(operation.name, operation.slo_seconds, int(requests), int(in_time), bound))
    return sorted(found, key=lambda one: one.share)


def _buckets(metrics: Metrics, total: Sequence[float], number: int) -> list[float]:
    """Return the buckets of an operation, summed over the status classes."""
    width = len(metrics.bounds) + 1
    starts = [metrics.histogram_of(metrics.place_of(number), place) for place in range(1, len(CLASSES) + 1)]
    return [sum(total[start + position] for start in starts) for position in range(width)]


def _bound(bounds: Sequence[float], buckets: Sequence[float], rank: float) -> float:
    """Return the upper bound of the bucket that has the request with this rank."""
    count = 0.0
    for bound, number in zip(bounds, buckets, strict=False):
        count += number
        if count >= rank:
            return bound
    return math.inf
