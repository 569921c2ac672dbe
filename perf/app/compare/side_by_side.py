"""The tables of `perf.bench`: medians over the rounds, and the ratio of Rowhouse to each of the others.

A ratio is the median of the rounds' ratios. A machine's speed changes between rounds more than within one.
"""

import itertools
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from perf.app.compare.scenarios import Scenario

# The ratios that are printed, if both applications are measured.
PAIRS = (
    ("rowhouse", "before"),
    ("rowhouse", "without-metrics"),
    ("rowhouse", "fastcrud"),
    ("rowhouse", "textbook"),
    ("rowhouse", "litestar"),
    ("rowhouse", "django-bolt"),
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
    scenarios = dict.fromkeys(sample.scenario for sample in samples)
    for scenario, name in itertools.product(scenarios, names):
        rows = [asdict(sample) for sample in samples if (sample.scenario, sample.app) == (scenario, name)]
        measures = [key for key, value in rows[0].items() if isinstance(value, float)]
        result.setdefault(scenario, {})[name] = {
            measure: statistics.median(row[measure] for row in rows) for measure in measures
        }
    return result


def side_by_side(samples: Sequence[Sample]) -> str:
    """Return a Markdown table for each measure that has figures. Samples of one application are in order of rounds."""
    table = medians(samples)
    there = next(iter(next(iter(table.values())).values()))
    parts = (f"**{title}**\n\n{_markdown(table, samples, name)}" for name, title in TITLES.items() if name in there)
    return "\n\n".join(parts)


def _markdown(table: Medians, samples: Sequence[Sample], measure: str) -> str:
    """Return one row per scenario: the measure of each application, then the ratios."""
    names = list(next(iter(table.values())))
    pairs = [pair for pair in PAIRS if set(pair) <= set(names)]
    lines = [_line("scenario", names, (f"{ours} / {other}" for ours, other in pairs))]
    lines.append(f"|---|{'---:|' * (len(names) + len(pairs))}")
    for scenario, row in table.items():
        figures = (f"{row[name][measure]:.2f}" for name in names)
        rounds = {
            name: [getattr(one, measure) for one in samples if (one.scenario, one.app) == (scenario, name)]
            for name in names
        }
        ratios = (_ratio(rounds[ours], rounds[other]) for ours, other in pairs)
        lines.append(_line(scenario.value, figures, ratios))
    return "\n".join(lines)


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Return the median of the rounds' ratios.

    `-` if the other application used nothing, as one with its own database uses no PostgreSQL.
    """
    ratios = [one / other for one, other in zip(ours, theirs, strict=True) if other]
    return f"{statistics.median(ratios):.2f}" if ratios else "-"


def _line(head: str, *cells: Iterator[str] | Sequence[str]) -> str:
    return f"| {' | '.join([head, *itertools.chain(*cells)])} |"
