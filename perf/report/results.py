"""The results of a load run as data: raw samples, figures, verdicts, and the JSON document of the run.

Percentiles are of raw samples by nearest rank: the p95 of 200 samples is the 190th smallest, a measured value and never
one between two. A failed request counts in every figure like a successful one. Without samples the milliseconds are 0.0
and `requests` is 0. Nothing here sends a request, starts a process or imports Locust.
"""

import json
import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, TypedDict, cast

from perf.harness.meters import MachineSecond

VERSION = 1
Measured = Literal["whole response", "first byte", "20 elements"]
Verdict = Literal["ok", "slow", "failed", "never hit"]
# Upper bounds of the histogram in ms, five per factor of ten, from 1 ms to 10 s. The last bucket has none.
BOUNDS = tuple(round(10 ** (step / 5), 1) for step in range(21))


class UnreadableRunError(ValueError):
    """The file is no document of a run in this version."""


class Machine(TypedDict):
    """The machine of the run."""

    cpu_count: int
    python: str
    postgresql: str
    rowhouse: str


class Plan(TypedDict):
    """The options of the run.

    A user waits for about `think_seconds` between two tasks. `slo_ms` is the bound of an operation that states none.
    """

    rows: int
    users: int
    seconds: float
    warm_up_seconds: float
    servers: int
    think_seconds: float
    slo_ms: int


class Endpoint(TypedDict):
    """One operation over the whole run.

    An entry of `histogram` is an upper bound in ms, None for the last, and a count.
    """

    name: str
    operation_id: str
    slo_ms: int
    measured: Measured
    requests: int
    failures: int
    first_failure: str | None
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    mean_ms: float
    requests_per_second: float
    histogram: list[tuple[float | None, int]]
    verdict: Verdict


class Second(TypedDict):
    """One second of the run. CPU is in cores; that of a database on another machine is unknown: 0.0.

    `disk_ms` is how long an 8 KiB write with fsync took on the disk of the temporary files, where the PostgreSQL of the
    wheel is.
    """

    second: int
    requests: int
    failures: int
    p50_ms: float
    p95_ms: float
    users: int
    server_cpu: float
    server_memory_mib: float
    database_cpu: float
    disk_ms: float


class Totals(TypedDict):
    """All endpoints together."""

    requests: int
    failures: int
    requests_per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    server_cpu_ms_per_request: float
    database_cpu_ms_per_request: float
    disk_p50_ms: float
    disk_max_ms: float


class Step(TypedDict):
    """One step of a capacity run. `worst` is the endpoint whose p95 is the largest share of its bound."""

    users: int
    requests_per_second: float
    p95_ms: float
    worst: str
    worst_p95_ms: float
    ok: bool


class Run(TypedDict):
    """The whole document of a run."""

    version: int
    title: str
    started_at: str
    command: str
    machine: Machine
    plan: Plan
    endpoints: list[Endpoint]
    seconds: list[Second]
    totals: Totals
    capacity: list[Step] | None
    passed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """An operation that the run must call, and the bound of its 95th percentile in milliseconds."""

    name: str
    operation_id: str
    slo_ms: int
    measured: Measured


class Sample(NamedTuple):
    """One request: its start in seconds of the measurement, its endpoint, its latency, and its failure if any."""

    at: float
    name: str
    milliseconds: float
    failure: str | None


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
    p95 = percentile(ordered, 0.95)
    return {
        "name": bound.name,
        "operation_id": bound.operation_id,
        "slo_ms": bound.slo_ms,
        "measured": bound.measured,
        "requests": len(samples),
        "failures": len(failures),
        "first_failure": failures[0] if failures else None,
        "p50_ms": _rounded(percentile(ordered, 0.5)),
        "p95_ms": _rounded(p95),
        "p99_ms": _rounded(percentile(ordered, 0.99)),
        "max_ms": _rounded(ordered[-1] if ordered else 0.0),
        "mean_ms": _rounded(sum(ordered) / len(ordered) if ordered else 0.0),
        "requests_per_second": _rounded(len(samples) / seconds),
        "histogram": histogram(ordered),
        "verdict": verdict(requests=len(samples), failures=len(failures), p95_ms=p95, slo_ms=bound.slo_ms),
    }


def by_second(samples: Iterable[Sample], machine: Sequence[MachineSecond]) -> list[Second]:
    """Return one entry for each measured second of the machine. A request counts in the second in which it begins."""
    grouped: list[list[Sample]] = [[] for _ in machine]
    for sample in samples:
        if 0 <= sample.at < len(machine):
            grouped[int(sample.at)].append(sample)
    return [_second(number, grouped[number], second) for number, second in enumerate(machine)]


def _second(number: int, samples: Sequence[Sample], second: MachineSecond) -> Second:
    ordered = sorted(sample.milliseconds for sample in samples)
    return {
        "second": number,
        "requests": len(samples),
        "failures": sum(sample.failure is not None for sample in samples),
        "p50_ms": _rounded(percentile(ordered, 0.5)),
        "p95_ms": _rounded(percentile(ordered, 0.95)),
        "users": second.users,
        "server_cpu": _rounded(second.server_cpu),
        "server_memory_mib": _rounded(second.server_memory_mib),
        "database_cpu": _rounded(second.database_cpu),
        "disk_ms": _rounded(second.disk_ms),
    }


def totals(samples: Sequence[Sample], machine: Sequence[MachineSecond], *, seconds: float) -> Totals:
    """Return the figures of all endpoints together, and the CPU of a request."""
    ordered = sorted(sample.milliseconds for sample in samples)
    disk = sorted(second.disk_ms for second in machine)
    # The number of measured seconds can differ from that of the run by one.
    milliseconds_per_core = 1000 * seconds / max(1, len(machine)) / max(1, len(samples))
    return {
        "requests": len(samples),
        "failures": sum(sample.failure is not None for sample in samples),
        "requests_per_second": _rounded(len(samples) / seconds),
        "p50_ms": _rounded(percentile(ordered, 0.5)),
        "p95_ms": _rounded(percentile(ordered, 0.95)),
        "p99_ms": _rounded(percentile(ordered, 0.99)),
        "server_cpu_ms_per_request": _rounded(sum(second.server_cpu for second in machine) * milliseconds_per_core),
        "database_cpu_ms_per_request": _rounded(sum(second.database_cpu for second in machine) * milliseconds_per_core),
        "disk_p50_ms": _rounded(percentile(disk, 0.5)),
        "disk_max_ms": _rounded(percentile(disk, 1.0)),
    }


def passes(endpoints: Sequence[Endpoint]) -> bool:
    """Return whether there are endpoints, and all are ok."""
    return bool(endpoints) and all(endpoint["verdict"] == "ok" for endpoint in endpoints)


def called(endpoints: Sequence[Endpoint]) -> list[Endpoint]:
    """Return the endpoints that were called. A short step of a capacity run does not call all."""
    return [endpoint for endpoint in endpoints if endpoint["verdict"] != "never hit"]


def step(users: int, endpoints: Sequence[Endpoint], totals: Totals) -> Step:
    """Return a run with this number of users as one step of a capacity run."""
    worst = max(endpoints, key=lambda endpoint: endpoint["p95_ms"] / endpoint["slo_ms"])
    return {
        "users": users,
        "requests_per_second": totals["requests_per_second"],
        "p95_ms": totals["p95_ms"],
        "worst": worst["name"],
        "worst_p95_ms": worst["p95_ms"],
        "ok": passes(called(endpoints)),
    }


def write_run(run: Run, path: Path) -> None:
    """Write the document. NaN and infinity raise a ValueError."""
    path.write_text(json.dumps(run, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_run(path: Path) -> Run:
    """Read the document that `write_run` wrote.

    Raises:
        UnreadableRunError: it is another file, or of another version. The message says which.
        OSError: there is no such file.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UnreadableRunError(f"{path} is no JSON document: {error}") from error
    version = found.get("version") if isinstance(found, dict) else None
    if version != VERSION:
        raise UnreadableRunError(
            f"{path} is a run of version {version}, but this program reads version {VERSION}: measure it again"
        )
    return cast("Run", found)


def _rounded(value: float) -> float:
    """Round to microseconds, the precision of a measurement."""
    return round(value, 3)
