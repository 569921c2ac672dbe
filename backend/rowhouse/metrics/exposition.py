"""Writes the numbers as text for Prometheus: version 0.0.4 of its own format, or OpenMetrics 1.0.

A scrape has the sums over all processes of the server. An operation without a request yet has no lines.
"""

import platform
from collections.abc import Iterator, Sequence

from rowhouse.metrics import layout
from rowhouse.metrics.layout import Family
from rowhouse.metrics.recorder import CLASSES, Metrics

OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
ESCAPED = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
TOTAL = "_total"
REQUESTS = Family("rowhouse_requests_total", "counter", "Requests by operation and status class.")
DURATION = Family("rowhouse_request_seconds", "histogram", "Time until the end of a request's response.")
IN_FLIGHT = Family("rowhouse_requests_in_flight", "gauge", "Requests that a route handles now.")
OBJECTIVE = Family("rowhouse_slo_seconds", "gauge", "Time within which 95 of 100 requests must be answered.")
PROCESSES = Family("rowhouse_processes", "gauge", "Processes of this server.")
BUILD = Family("rowhouse_build_info", "gauge", "Versions of the engine, the application and Python.")
FAMILIES = (REQUESTS, DURATION, IN_FLIGHT, OBJECTIVE, PROCESSES, BUILD, *layout.FAMILIES)


def media_type(accept: str) -> str:
    """Return the format for a header `Accept`."""
    return OPEN_METRICS if "application/openmetrics-text" in accept else PROMETHEUS


def render(metrics: Metrics, *, media_type: str, version: str, engine: str) -> bytes:
    """Return the text of a scrape. `version` is the application's, `engine` the package's."""
    is_open = media_type == OPEN_METRICS
    total, living = metrics.totals()
    build = f'version="{quoted(version)}",rowhouse="{engine}",python="{platform.python_version()}"'
    lines = [*_requests(metrics, total, is_open=is_open)]
    lines += [*_head(PROCESSES, is_open=is_open), f"{PROCESSES.name} {living}"]
    lines += [*_head(BUILD, is_open=is_open), f"{BUILD.name}{{{build}}} 1"]
    for family in layout.FAMILIES:
        lines += _head(family, is_open=is_open)
        for labels, place in family.places.items():
            if family.bounds:
                lines += _histogram(family.name, labels, family.bounds, total[place : place + len(family.bounds) + 2])
            else:
                lines.append(f"{family.name}{f'{{{labels}}}' if labels else ''} {total[place]!r}")
    if is_open:
        lines.append("# EOF")
    return "\n".join([*lines, ""]).encode()


def _requests(metrics: Metrics, total: Sequence[float], *, is_open: bool) -> Iterator[str]:
    """Yield the lines of the four metrics of requests."""
    counts, durations, in_flight, objectives = list[str](), list[str](), list[str](), list[str]()
    width = len(metrics.bounds) + 2
    for number, operation in enumerate(metrics.operations):
        place = metrics.place_of(number)
        if not total[place]:
            continue
        label, ended = f'operation="{quoted(operation.name)}"', 0.0
        for position, name in enumerate(CLASSES, start=1):
            start = metrics.histogram_of(place, position)
            numbers = total[start : start + width]
            if count := sum(numbers[:-1]):
                ended += count
                labels = f'{label},status="{name}"'
                counts.append(f"{REQUESTS.name}{{{labels}}} {count!r}")
                durations += _histogram(DURATION.name, labels, metrics.bounds, numbers)
        in_flight.append(f"{IN_FLIGHT.name}{{{label}}} {max(total[place] - ended, 0.0)!r}")
        if operation.slo_seconds:
            objectives.append(f"{OBJECTIVE.name}{{{label}}} {operation.slo_seconds!r}")
    for family, lines in zip(FAMILIES, (counts, durations, in_flight, objectives), strict=False):
        yield from _head(family, is_open=is_open)
        yield from lines


def _histogram(name: str, labels: str, bounds: Sequence[float], numbers: Sequence[float]) -> Iterator[str]:
    """Yield the lines of one histogram: cumulative buckets, the count and the sum."""
    count = 0.0
    for bound, number in zip([*map(repr, bounds), "+Inf"], numbers, strict=False):
        count += number
        yield f'{name}_bucket{{{labels},le="{bound}"}} {count!r}'
    yield f"{name}_count{{{labels}}} {count!r}"
    yield f"{name}_sum{{{labels}}} {numbers[-1]!r}"


def _head(family: Family, *, is_open: bool) -> list[str]:
    # OpenMetrics names a counter without the suffix of its samples.
    name = family.name.removesuffix(TOTAL) if is_open and family.kind == "counter" else family.name
    return [f"# HELP {name} {family.text}", f"# TYPE {name} {family.kind}"]


def quoted(text: str) -> str:
    """Return text as the value of a label."""
    return text.translate(ESCAPED)
