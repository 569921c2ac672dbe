"""Writes the report of a load run: a table of its operations, and one line for each that broke its bound."""

from collections.abc import Iterator, Sequence

from rowhouse.load.runs.results import Endpoint


def table(endpoints: Sequence[Endpoint]) -> str:
    """Return one line an endpoint, those nearest to their bounds first."""
    lines = [
        "| endpoint | measured | requests | conflicts | p50 ms | p95 ms | p99 ms | max ms | SLO ms | |",
        "|---|---|" + "---:|" * 7 + "---|",
    ]
    ordered = sorted(endpoints, key=lambda e: (e["verdict"] == "ok", -e["p95_ms"] / e["slo_ms"]))
    for e in ordered:
        figures = " | ".join(f"{e[key]:.1f}" for key in ("p50_ms", "p95_ms", "p99_ms", "max_ms"))
        counts = f"{e['requests']} | {e['conflicts']}"
        lines.append(f"| {e['name']} | {e['measured']} | {counts} | {figures} | {e['slo_ms']} | {e['verdict']} |")
    return "\n".join(lines)


def failures(endpoints: Sequence[Endpoint]) -> Iterator[str]:
    """Yield a line for each endpoint that is not ok."""
    for e in endpoints:
        if e["verdict"] != "ok":
            reason = e["first_failure"] or f"p95 {e['p95_ms']:.1f} ms, SLO {e['slo_ms']} ms"
            yield f"{e['verdict'].upper()} {e['name']}: {reason if e['requests'] else 'no request'}"


def conclusion(endpoints: Sequence[Endpoint]) -> str:
    """Return the verdict in one line, with the conflicts that other users caused."""
    wrong = sum(e["verdict"] != "ok" for e in endpoints)
    conflicts = sum(e["conflicts"] for e in endpoints)
    said = f"{wrong} of {len(endpoints)} endpoints break the SLO" if wrong or not endpoints else "passed"
    return f"{said}; {conflicts} conflicts with other users" if conflicts else said
