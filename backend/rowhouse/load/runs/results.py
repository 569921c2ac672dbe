"""The verdict on each operation of a load run, from raw samples.

Percentiles are of raw samples by nearest rank: the p95 of 200 samples is the 190th smallest, a measured value and never
one between two. A failed request and a conflict count in every figure like a successful one. Without samples the
milliseconds are 0.0 and `requests` is 0. Nothing here sends a request, starts a process or imports Locust.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypedDict

from rowhouse.load.operations import SLO, Api, Operation, UncallableOperationError

Measured = Literal["whole response", "first byte", "20 elements"]
Verdict = Literal["ok", "slow", "failed", "never hit"]
# Upper bounds of the histogram in ms, five per factor of ten, from 1 ms to 10 s. The last bucket has none.
BOUNDS = tuple(round(10 ** (step / 5), 1) for step in range(21))


class Endpoint(TypedDict):
    """One operation over the whole run.

    `conflicts` are the responses that other users caused, such as a slot that was taken; they are no failures.
    An entry of `histogram` is an upper bound in ms, None for the last, and a count.
    """

    name: str
    operation_id: str
    slo_ms: int
    measured: Measured
    requests: int
    failures: int
    conflicts: int
    first_failure: str | None
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    mean_ms: float
    requests_per_second: float
    histogram: list[tuple[float | None, int]]
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """An operation that the run must call, and the bound of its 95th percentile in milliseconds."""

    name: str
    operation_id: str
    slo_ms: int
    measured: Measured


class Sample(NamedTuple):
    """One request: its start in seconds of the measurement, its endpoint, its latency, its failure or its conflict."""

    at: float
    name: str
    milliseconds: float
    failure: str | None
    conflict: str | None = None


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest sample that `share` of the ascending samples do not exceed; 0.0 without any."""
    # The product of two decimals can be slightly above the integer that it stands for.
    rank = math.ceil(round(share * len(ordered), 6))
    return ordered[max(rank, 1) - 1] if ordered else 0.0


def histogram(milliseconds: Iterable[float]) -> list[tuple[float | None, int]]:
    """Count the samples in each bucket: above the bound before it, and at most its own."""
    counts = [0] * (len(BOUNDS) + 1)
    for value in milliseconds:
        counts[bisect_left(BOUNDS, value)] += 1
    return list(zip((*BOUNDS, None), counts, strict=True))


def verdict(*, requests: int, failures: int, p95_ms: float, slo_ms: int) -> Verdict:
    """Return the verdict on an endpoint. A p95 equal to its bound is ok."""
    if not requests:
        return "never hit"
    if failures:
        return "failed"
    return "slow" if p95_ms > slo_ms else "ok"


def evaluate(bounds: Iterable[Bound], samples: Iterable[Sample], *, seconds: float) -> list[Endpoint]:
    """Return the figures and the verdict of every bounded operation, in the order of the bounds.

    Raises:
        KeyError: a sample is of an operation without a bound.
    """
    by_name: dict[str, list[Sample]] = {bound.name: [] for bound in bounds}
    for sample in samples:
        by_name[sample.name].append(sample)
    return [_endpoint(bound, by_name[bound.name], seconds) for bound in bounds]


def _endpoint(bound: Bound, samples: Sequence[Sample], seconds: float) -> Endpoint:
    ordered = sorted(sample.milliseconds for sample in samples)
    failures = [sample.failure for sample in samples if sample.failure is not None]
    conflicts = [sample.conflict for sample in samples if sample.conflict is not None]
    if conflicts and len(conflicts) == len(samples):
        # Then it is not shown that the operation works.
        failures = [f"every request was a conflict: {conflicts[0]}"]
    p95 = percentile(ordered, 0.95)
    return {
        "name": bound.name,
        "operation_id": bound.operation_id,
        "slo_ms": bound.slo_ms,
        "measured": bound.measured,
        "requests": len(samples),
        "failures": len(failures),
        "conflicts": len(conflicts),
        "first_failure": failures[0] if failures else None,
        "p50_ms": rounded(percentile(ordered, 0.5)),
        "p95_ms": rounded(p95),
        "p99_ms": rounded(percentile(ordered, 0.99)),
        "max_ms": rounded(ordered[-1] if ordered else 0.0),
        "mean_ms": rounded(sum(ordered) / len(ordered) if ordered else 0.0),
        "requests_per_second": rounded(len(samples) / seconds),
        "histogram": histogram(ordered),
        "verdict": verdict(requests=len(samples), failures=len(failures), p95_ms=p95, slo_ms=bound.slo_ms),
    }


def passes(endpoints: Sequence[Endpoint]) -> bool:
    """Return whether there are endpoints, and all are ok."""
    return bool(endpoints) and all(endpoint["verdict"] == "ok" for endpoint in endpoints)


def called(endpoints: Sequence[Endpoint]) -> list[Endpoint]:
    """Return the endpoints that were called. A short step of a capacity run does not call all."""
    return [endpoint for endpoint in endpoints if endpoint["verdict"] != "never hit"]


def bounds_of(api: Api) -> list[Bound]:
    """Return the bound of every operation of the document.

    Raises:
        UncallableOperationError: an operation states none.
    """
    silent = [operation.label for operation in api.operations if not operation.slo_ms]
    if silent:
        raise UncallableOperationError(f"the document states no {SLO} of {', '.join(silent)}")
    return [
        Bound(
            name=f"{operation.method} {operation.path}",
            operation_id=operation.operation_id,
            slo_ms=operation.slo_ms,
            measured=_measured(api, operation),
        )
        for operation in api.operations
    ]


def _measured(api: Api, operation: Operation) -> Measured:
    if operation.is_stream:
        return "first byte"
    return "20 elements" if api.elements_of(operation) > 1 else "whole response"


def name_of(api: Api, label: str) -> str:
    """Return the name of the bound for `GET /books/{id}`, the label in Locust's statistics: it has the whole path."""
    operation = api.by_label.get(label)
    return label if operation is None else f"{operation.method} {operation.path}"


def rounded(value: float) -> float:
    """Round to microseconds, the precision of a measurement."""
    return round(value, 3)
