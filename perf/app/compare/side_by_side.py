"""The tables of `perf.bench`: medians over the rounds, and the ratio of Rowhouse to each of the others."""

import itertools
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from perf.app.compare.scenarios import Scenario

# The ratios that are printed, if both applications are measured.
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
    """One application in one scenario and round. `database_ms` is None for a PostgreSQL that was not started here."""

    app: str
    scenario: Scenario
    server_ms: float
    database_ms: float | None
    both_ms: float | None
    latency_p50_ms: float
    requests_per_second: float


def medians(samples: Sequence[Sample]) -> Medians:
    """Return the median over the rounds by scenario, application and measure. Measures that are None are left out."""
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
    """Return a Markdown table for each measure that has figures."""
    there = next(iter(next(iter(table.values())).values()))
    return "\n\n".join(f"**{title}**\n\n{_markdown(table, name)}" for name, title in TITLES.items() if name in there)


def _markdown(table: Medians, measure: str) -> str:
    """Return one row per scenario: the measure of each application, then the ratios."""
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
    """Return a ratio; `-` if the other application used nothing, as one with its own database uses no PostgreSQL."""
    return f"{ours / theirs:.2f}" if theirs else "-"


def _line(head: str, *cells: Iterator[str] | Sequence[str]) -> str:
    return f"| {' | '.join([head, *itertools.chain(*cells)])} |"
