"""Sample results: a quick run, one with a slow endpoint, and one with failures."""

from perf.harness.meters import MachineSecond
from perf.report.results import Run, by_second, totals
from rowhouse.load.runs.results import Bound, Sample, evaluate, passes

GET, POST = "GET /api/v1/things/{id}", "POST /api/v1/things"
SECONDS = 2.0


def bounds() -> list[Bound]:
    """Return the bounds of two operations. The write may take longer."""
    return [
        Bound(name=GET, operation_id="get_thing", slo_ms=200, measured="whole response"),
        Bound(name=POST, operation_id="create_thing", slo_ms=500, measured="whole response"),
    ]


def samples_of(name: str, *milliseconds: float, failure: str | None = None) -> list[Sample]:
    """Return samples of one endpoint, a tenth of a second apart."""
    return [Sample(0.1 * number, name, value, failure) for number, value in enumerate(milliseconds)]


QUICK = [*samples_of(GET, *[3.0] * 20), *samples_of(POST, *[300.0] * 20)]
SLOW = [sample._replace(milliseconds=sample.milliseconds + 250) if sample.name == GET else sample for sample in QUICK]
FAILED = [*QUICK, *samples_of(POST, 2.0, failure="500 oh"), *samples_of(POST, 2.0, failure="503 later")]


def run_of(samples: list[Sample]) -> Run:
    """Return the document of a run."""
    endpoints = evaluate(bounds(), samples, seconds=SECONDS)
    return {
        "version": 1,
        "title": "A run",
        "started_at": "2026-11-21T17:00:00Z",
        "command": "scripts/perf",
        "machine": {"cpu_count": 2, "python": "3.11", "postgresql": "18", "rowhouse": "0"},
        "plan": {
            "rows": 1,
            "users": 1,
            "seconds": SECONDS,
            "warm_up_seconds": 0.0,
            "servers": 1,
            "think_seconds": 1.0,
            "slo_ms": 200,
        },
        "endpoints": endpoints,
        "seconds": by_second(samples, [MachineSecond(1, 0.1, 1.0, 0.0, 0.5)]),
        "totals": totals(samples, [], seconds=SECONDS),
        "capacity": None,
        "passed": passes(endpoints),
    }
