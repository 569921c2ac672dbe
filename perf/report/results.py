"""The results of a load run as data: raw samples, figures, verdicts, and the JSON document of the run.

Percentiles are of raw samples by nearest rank: the p95 of 200 samples is the 190th smallest, a measured value and never
one between two. A failed request counts in every figure like a successful one. Without samples the milliseconds are 0.0
and `requests` is 0. Nothing here sends a request, starts a process or imports Locust.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NotRequired, TypedDict, cast

from perf.harness.meters import MachineSecond
from rowhouse.load.runs.results import Endpoint, Sample, called, passes, percentile, rounded

VERSION = 1


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


class ServerNumber(TypedDict):
    """The requests of an operation that the server itself has counted, and those within the SLO."""

    requests: int
    within_slo: int


class Run(TypedDict):
    """The whole document of a run.

    `server` has the server's own numbers by operation id, None if it has no metrics. `differences` has a sentence for
    each endpoint of which it says something else than Locust, by name. Older documents have neither.
    """

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
    server: NotRequired[dict[str, ServerNumber] | None]
    differences: NotRequired[dict[str, str]]
    passed: bool


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
        "p50_ms": rounded(percentile(ordered, 0.5)),
        "p95_ms": rounded(percentile(ordered, 0.95)),
        "users": second.users,
        "server_cpu": rounded(second.server_cpu),
        "server_memory_mib": rounded(second.server_memory_mib),
        "database_cpu": rounded(second.database_cpu),
        "disk_ms": rounded(second.disk_ms),
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
        "requests_per_second": rounded(len(samples) / seconds),
        "p50_ms": rounded(percentile(ordered, 0.5)),
        "p95_ms": rounded(percentile(ordered, 0.95)),
        "p99_ms": rounded(percentile(ordered, 0.99)),
        "server_cpu_ms_per_request": rounded(sum(second.server_cpu for second in machine) * milliseconds_per_core),
        "database_cpu_ms_per_request": rounded(sum(second.database_cpu for second in machine) * milliseconds_per_core),
        "disk_p50_ms": rounded(percentile(disk, 0.5)),
        "disk_max_ms": rounded(percentile(disk, 1.0)),
    }


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
