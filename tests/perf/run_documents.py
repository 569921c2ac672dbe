"""Documents of runs, and parsers of their reports."""

from typing import Any
from xml.etree import ElementTree as ET

Run = dict[str, Any]
NEVER: Run = {"requests": 0, "p50_ms": None, "p95_ms": None, "p99_ms": None, "max_ms": None, "verdict": "never hit"}


def endpoint(name: str = "GET /books", **changes: Any) -> Run:
    """Return an endpoint that is ok, with changes."""
    latencies = {"p50_ms": 3.14, "p95_ms": 40.06, "p99_ms": 85.0, "max_ms": 1234.5, "mean_ms": 9.0}
    counts = {"requests": 1500, "failures": 0, "first_failure": None, "requests_per_second": 25.04}
    words = {"name": name, "operation_id": "list_books", "measured": "whole response", "verdict": "ok"}
    return {**words, "slo_ms": 200, **latencies, **counts, "histogram": [[1.0, 5], [2.0, 1490], [None, 5]], **changes}


def second(number: int, **changes: Any) -> Run:
    """Return a second of a run, with changes."""
    load = {"requests": 310, "failures": 0, "p50_ms": 3.0, "p95_ms": 20.0, "users": 100}
    machine = {"server_cpu": 1.42, "server_memory_mib": 180.5, "database_cpu": 0.61, "disk_ms": 0.8}
    return {"second": number, **load, **machine, **changes}


def run(*endpoints: Run, **changes: Any) -> Run:
    """Return a run of these endpoints. It passed if all are ok."""
    totals = {
        "requests": 12345,
        "failures": 0,
        "requests_per_second": 205.75,
        "p50_ms": 3.0,
        "p95_ms": 40.0,
        "p99_ms": 90,
        "disk_p50_ms": 0.8,
        "disk_max_ms": 12.0,
    }
    return {
        "version": 1,
        "title": "A run",
        "started_at": "2026-11-21T17:00:00Z",
        "command": "scripts/perf --rows 100",
        "machine": {"cpu_count": 2, "python": "3.11.7", "postgresql": "18.4", "rowhouse": "0.1"},
        "plan": {"rows": 100, "users": 100, "seconds": 3.0, "warm_up_seconds": 1.0, "servers": 2, "slo_ms": 200},
        "endpoints": list(endpoints),
        "seconds": [second(number) for number in range(3)],
        "totals": {**totals, "server_cpu_ms_per_request": 2.714, "database_cpu_ms_per_request": None},
        "capacity": None,
        "passed": all(endpoint["verdict"] == "ok" for endpoint in endpoints),
        **changes,
    }


def step(users: int, *, ok: bool) -> Run:
    """Return a step of a capacity run."""
    worst = {"worst": "POST /orders", "worst_p95_ms": 150.0 if ok else 812.04}
    return {"users": users, "requests_per_second": users * 7.0, "p95_ms": 80.0, **worst, "ok": ok}


def parse(page: str) -> ET.Element:
    """Parse the page as XML, which is stricter than HTML."""
    return ET.fromstring(page)  # noqa: S314  the text of our own report


def table(page: ET.Element, name: str) -> list[list[str]]:
    """Return the cells of a table, its head first."""
    return [["".join(cell.itertext()) for cell in row] for row in page.findall(f".//table[@id='{name}']//tr")]
