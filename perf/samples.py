"""What a load run found, as data: raw samples, the figures made of them, the verdicts, and the run's JSON document.

Percentiles are of raw samples by nearest rank: the p95 of 200 samples is the 190th from below, a value that was measured and never
one between two. A failed request counts in every figure like a right one. Where nothing was measured the milliseconds are 0.0,
beside `requests` 0. Nothing here sends a request, starts a process or knows Locust.
"""

import json
import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, TypedDict, cast

VERSION = 1
Measured = Literal["whole answer", "first byte", "20 elements"]
Verdict = Literal["ok", "slow", "failed", "never hit"]
# Upper bounds in ms, five to a factor of ten, from 1 ms to 10 s; the bucket after the last has none.
BOUNDS = tuple(round(10 ** (step / 5), 1) for step in range(21))


class UnreadableRunError(ValueError):
    """The file is no run document of this version."""


class Machine(TypedDict):
    """Where the run was."""

    cpu_count: int
    python: str
    postgresql: str
    rowhouse: str


class Plan(TypedDict):
    """What was asked of the run. A user waits for `think_seconds` between two tasks, give or take half. `slo_ms` is the bound of an operation that says none of its own."""

    rows: int
    users: int
    seconds: float
    warm_up_seconds: float
    servers: int
    think_seconds: float
    slo_ms: int


class Endpoint(TypedDict):
    """One operation over the whole run. Each entry of `histogram` is an upper bound in ms, None for the last, and a count."""

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
    """One second of the run. CPU is in cores; that of a database on another machine is not known, and 0.0.

    `disk_ms` is how long the disk of the temporary files, on which a PostgreSQL from the wheel is, took to keep 8 KiB.
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
    """One number of users of a capacity run. `worst` is the endpoint whose p95 comes nearest to its bound, or goes furthest over."""

    users: int
    requests_per_second: float
    p95_ms: float
    worst: str
    worst_p95_ms: float
    ok: bool


class Run(TypedDict):
    """The whole document."""

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
    """An operation that the run has to hit, and the milliseconds that 95 of 100 answers may take."""

    name: str
    operation_id: str
    slo_ms: int
    measured: Measured


class Sample(NamedTuple):
    """One answer: when it was asked for, in seconds from the start of the measurement, of which endpoint, and what was wrong."""

    at: float
    name: str
    milliseconds: float
    failure: str | None


class Load(NamedTuple):
    """What the machine did in one second: users, CPU in cores, memory in MiB, the disk as in `Second`."""

    users: int
    server_cpu: float
    server_memory_mib: float
    database_cpu: float
    disk_ms: float


def percentile(ordered: Sequence[float], share: float) -> float:
    """The least of the ascending samples that `share` of them do not exceed (nearest rank); 0.0 of none."""
    # The product of two exact-looking decimals may be a hair above the whole number that it stands for.
    rank = math.ceil(round(share * len(ordered), 6))
    return ordered[max(rank, 1) - 1] if ordered else 0.0


def histogram(milliseconds: Iterable[float]) -> list[tuple[float | None, int]]:
    """How many samples lie in each bucket: above the bound before it, and not above its own."""
    counts = [0] * (len(BOUNDS) + 1)
    for value in milliseconds:
        counts[bisect_left(BOUNDS, value)] += 1
    return list(zip((*BOUNDS, None), counts, strict=True))


def verdict(*, requests: int, failures: int, p95_ms: float, slo_ms: int) -> Verdict:
    """What is worst about an endpoint. A p95 of exactly its bound is within it."""
    if not requests:
        return "never hit"
    if failures:
        return "failed"
    return "slow" if p95_ms > slo_ms else "ok"


def judge(bounds: Iterable[Bound], samples: Iterable[Sample], *, seconds: float) -> list[Endpoint]:
    """Every operation that should have been hit, in the order of the bounds, with its figures and its verdict.

    Raises:
        KeyError: a sample is of an operation that has no bound.
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


def by_second(samples: Iterable[Sample], loads: Sequence[Load]) -> list[Second]:
    """One entry for each second that the machine was looked at; an answer counts in the second in which it was asked for."""
    answers: list[list[Sample]] = [[] for _ in loads]
    for sample in samples:
        if 0 <= sample.at < len(loads):
            answers[int(sample.at)].append(sample)
    return [_second(number, answers[number], load) for number, load in enumerate(loads)]


def _second(number: int, samples: Sequence[Sample], load: Load) -> Second:
    ordered = sorted(sample.milliseconds for sample in samples)
    return {
        "second": number,
        "requests": len(samples),
        "failures": sum(sample.failure is not None for sample in samples),
        "p50_ms": _rounded(percentile(ordered, 0.5)),
        "p95_ms": _rounded(percentile(ordered, 0.95)),
        "users": load.users,
        "server_cpu": _rounded(load.server_cpu),
        "server_memory_mib": _rounded(load.server_memory_mib),
        "database_cpu": _rounded(load.database_cpu),
        "disk_ms": _rounded(load.disk_ms),
    }


def totals(samples: Sequence[Sample], loads: Sequence[Load], *, seconds: float) -> Totals:
    """All endpoints together, and what a request cost in CPU."""
    ordered = sorted(sample.milliseconds for sample in samples)
    disk = sorted(load.disk_ms for load in loads)
    # Of the seconds that were looked at, whose number may differ from the run's by one.
    milliseconds_per_core = 1000 * seconds / max(1, len(loads)) / max(1, len(samples))
    return {
        "requests": len(samples),
        "failures": sum(sample.failure is not None for sample in samples),
        "requests_per_second": _rounded(len(samples) / seconds),
        "p50_ms": _rounded(percentile(ordered, 0.5)),
        "p95_ms": _rounded(percentile(ordered, 0.95)),
        "p99_ms": _rounded(percentile(ordered, 0.99)),
        "server_cpu_ms_per_request": _rounded(sum(load.server_cpu for load in loads) * milliseconds_per_core),
        "database_cpu_ms_per_request": _rounded(sum(load.database_cpu for load in loads) * milliseconds_per_core),
        "disk_p50_ms": _rounded(percentile(disk, 0.5)),
        "disk_max_ms": _rounded(percentile(disk, 1.0)),
    }


def passes(endpoints: Sequence[Endpoint]) -> bool:
    """Whether there are endpoints, and each of them is as it should be."""
    return bool(endpoints) and all(endpoint["verdict"] == "ok" for endpoint in endpoints)


def hit(endpoints: Sequence[Endpoint]) -> list[Endpoint]:
    """Those that a capacity run judges: a short step with few users does not come round to all."""
    return [endpoint for endpoint in endpoints if endpoint["verdict"] != "never hit"]


def step(users: int, endpoints: Sequence[Endpoint], found: Totals) -> Step:
    """A run with so many users as one step of a capacity run."""
    worst = max(endpoints, key=lambda endpoint: endpoint["p95_ms"] / endpoint["slo_ms"])
    return {
        "users": users,
        "requests_per_second": found["requests_per_second"],
        "p95_ms": found["p95_ms"],
        "worst": worst["name"],
        "worst_p95_ms": worst["p95_ms"],
        "ok": passes(hit(endpoints)),
    }


def write_run(run: Run, path: Path) -> None:
    """Write the document, a figure that is no number excluded."""
    path.write_text(json.dumps(run, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_run(path: Path) -> Run:
    """The document that `write_run` wrote.

    Raises:
        UnreadableRunError: it is another file, or of another version; says which.
        OSError: there is none.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UnreadableRunError(f"{path} is no JSON document: {error}") from error
    version = found.get("version") if isinstance(found, dict) else None
    if version != VERSION:
        raise UnreadableRunError(f"{path} is a run of version {version}, and only {VERSION} is read: measure it again")
    return cast("Run", found)


def _rounded(value: float) -> float:
    """Microseconds are as fine as a figure can be believed."""
    return round(value, 3)
