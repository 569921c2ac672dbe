"""Samples and runs that were made up: one that is quick, one that is slowed, one that is refused."""

from perf.report.results import Bound, Load, Run, Sample, by_second, judge, passes, totals

GET, POST = "GET /api/v1/things/{id}", "POST /api/v1/things"
SECONDS = 2.0


def bounds() -> list[Bound]:
    """Two operations; writing may take longer."""
    return [
        Bound(name=GET, operation_id="get_thing", slo_ms=200, measured="whole answer"),
        Bound(name=POST, operation_id="create_thing", slo_ms=500, measured="whole answer"),
    ]


def answers(name: str, *milliseconds: float, failure: str | None = None) -> list[Sample]:
    """Samples of one endpoint, a tenth of a second apart."""
    return [Sample(0.1 * number, name, value, failure) for number, value in enumerate(milliseconds)]


QUICK = [*answers(GET, *[3.0] * 20), *answers(POST, *[300.0] * 20)]
SLOWED = [sample._replace(milliseconds=sample.milliseconds + 250) if sample.name == GET else sample for sample in QUICK]
REFUSED = [*QUICK, *answers(POST, 2.0, failure="500 oh"), *answers(POST, 2.0, failure="503 later")]


def run_of(samples: list[Sample]) -> Run:
    """A run document."""
    endpoints = judge(bounds(), samples, seconds=SECONDS)
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
        "seconds": by_second(samples, [Load(1, 0.1, 1.0, 0.0, 0.5)]),
        "totals": totals(samples, [], seconds=SECONDS),
        "capacity": None,
        "passed": passes(endpoints),
    }
