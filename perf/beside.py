"""The side-by-side tables of `perf.bench`: medians over the rounds, and Rowhouse as a part of each of the others."""

import itertools
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from perf.scenarios import Scenario

# Ours and another's, where both are there.
PAIRS = (
    ("rowhouse", "before"),
    ("rowhouse", "fastcrud"),
    ("rowhouse", "textbook"),
    ("rowhouse", "floor"),
    ("rowhouse", "pocketbase"),
    ("rowhouse-sqlite", "pocketbase"),
)
TITLES = {
    "server_ms": "CPU of the server, ms a request",
    "database_ms": "CPU of PostgreSQL, ms a request",
    "both_ms": "CPU of both together, ms a request",
}
Measures = Mapping[str, float]
Medians = Mapping[Scenario, Mapping[str, Measures]]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One application in one scenario in one round. What PostgreSQL used is None for one that somebody else started."""

    app: str
    scenario: Scenario
    server_ms: float
    database_ms: float | None
    both_ms: float | None
    latency_p50_ms: float
    requests_per_second: float


def medians(samples: Sequence[Sample]) -> Medians:
    """Scenario, application, measure: the median over the rounds; a measure that is None is left out."""
    result: dict[Scenario, dict[str, Measures]] = {}
    names = dict.fromkeys(sample.app for sample in samples)
    for scenario, name in itertools.product(Scenario, names):
        rows = [asdict(sample) for sample in samples if (sample.scenario, sample.app) == (scenario, name)]
        measures = [key for key, value in rows[0].items() if isinstance(value, float)]
        result.setdefault(scenario, {})[name] = {
            measure: statistics.median(row[measure] for row in rows) for measure in measures
        }
    return result


def side_by_side(table: Medians) -> str:
    """A markdown table for each of the measures that are there."""
    there = next(iter(next(iter(table.values())).values()))
    return "\n\n".join(f"**{title}**\n\n{_markdown(table, name)}" for name, title in TITLES.items() if name in there)


def _markdown(table: Medians, measure: str) -> str:
    """One row per scenario: the measure of each application, then Rowhouse's as a part of the others'."""
    names = list(next(iter(table.values())))
    pairs = [pair for pair in PAIRS if set(pair) <= set(names)]
    lines = [_line("scenario", names, (f"{ours} / {other}" for ours, other in pairs))]
    lines.append(f"|---|{'---:|' * (len(names) + len(pairs))}")
    for scenario, row in table.items():
        figures = (f"{row[name][measure]:.2f}" for name in names)
        ratios = (_ratio(row[ours][measure], row[other][measure]) for ours, other in pairs)
        lines.append(_line(scenario.value, figures, ratios))
    return "\n".join(lines)


def _ratio(ours: float, theirs: float) -> str:
    """Nothing is no part of anything: an application with a database of its own uses none of PostgreSQL."""
    return f"{ours / theirs:.2f}" if theirs else "-"


def _line(head: str, *cells: Iterator[str] | Sequence[str]) -> str:
    return f"| {' | '.join([head, *itertools.chain(*cells)])} |"
