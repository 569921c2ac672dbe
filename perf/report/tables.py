"""The tables of a run. The report shows the same ones in HTML and in Markdown."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from perf.report.analysis import (
    OK,
    PERCENTILES,
    Document,
    by_name,
    difference,
    label,
    latency,
    number,
    quota,
    ranked,
    verdict,
)
from perf.report.markup import clean, path, tag, text

# The columns with words; the others have numbers.
WORDS = frozenset({"verdict", "measured by", "worst endpoint", "answer", "value"})
LATENCIES = (*PERCENTILES, "max_ms")
DIGITS = {"requests": 0, "failures": 0}
# The characters that Markdown would interpret.
SPECIAL = re.compile(r"([\\`*_\[\]|~])")


@dataclass(frozen=True)
class Row:
    """The cells of a row; `is_wrong` highlights it."""

    cells: tuple[str, ...]
    is_wrong: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table with a title. Its first column and those in WORDS have words, the others numbers."""

    name: str
    title: str
    head: tuple[str, ...]
    rows: list[Row]
    note: str = ""

    def html(self) -> Markup:
        """Return the table as an element that scrolls if it is wider than the page."""
        head = tag(
            "tr", *(tag("th", text(word), scope="col", class_=self._kind(n)) for n, word in enumerate(self.head))
        )
        rows = [tag("tr", *self._cells(row), class_="wrong" if row.is_wrong else None) for row in self.rows]
        return tag("div", tag("table", tag("thead", head), tag("tbody", *rows), id=self.name), class_="wide")

    def _cells(self, row: Row) -> Iterator[Markup]:
        for position, cell in enumerate(row.cells):
            element, scope = ("th", "row") if position == 0 else ("td", None)
            yield tag(element, path(cell) if position == 0 else text(cell), scope=scope, class_=self._kind(position))

    def _kind(self, position: int) -> str | None:
        return None if position == 0 or self.head[position] in WORDS else "number"

    def markdown(self) -> str:
        """Return the table in GitHub's Markdown."""
        rule = ["---:" if self._kind(position) else "---" for position in range(len(self.head))]
        rows = [self.head, *(row.cells for row in self.rows)]
        first, *others = [f"| {' | '.join(map(plain, cells))} |" for cells in rows]
        return "\n".join([first, f"| {' | '.join(rule)} |", *others])


def plain(value: object) -> str:
    """Escape a value for Markdown."""
    entities = clean(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return SPECIAL.sub(r"\\\1", entities)


def tables(run: Document, earlier: Document | None) -> Iterator[Table]:
    """Yield every table for which the run has figures."""
    yield endpoint_table(run, earlier)
    if run["capacity"]:
        yield capacity_table(run)
    yield totals_table(run, earlier)
    if run.get("differences"):
        yield difference_table(run)
    failures = [e for e in ranked(run) if e["first_failure"] is not None]
    if failures:
        rows = [Row((e["name"], e["first_failure"])) for e in failures]
        yield Table(name="failures", title="First failures", head=("endpoint", "answer"), rows=rows)
    yield run_table(run)


def endpoint_table(run: Document, earlier: Document | None) -> Table:
    """Return one row per endpoint, the worst first."""
    head = ("endpoint", "verdict", "SLO ms", "p50 ms", "p95 ms", "p99 ms", "max ms", "requests")
    before = by_name(earlier) if earlier else None
    rows = [Row((*_cells(e), *_before(e, before)), is_wrong=e["verdict"] != OK) for e in ranked(run)]
    added = () if before is None else ("earlier p95 ms", "change")
    head = (*head, "failures", "requests/s", "measured by", *added)
    return Table(name="endpoints", title="Endpoints", head=head, rows=rows)


def _cells(endpoint: Document) -> tuple[str, ...]:
    return (
        endpoint["name"],
        verdict(endpoint),
        quota(endpoint["slo_ms"]),
        *(number(latency(endpoint, name), 1) for name in LATENCIES),
        number(endpoint["requests"]),
        number(endpoint["failures"]),
        number(endpoint["requests_per_second"], 1),
        endpoint["measured"],
    )


def _before(endpoint: Document, before: dict[str, Document] | None) -> tuple[str, ...]:
    if before is None:
        return ()
    then = before.get(endpoint["name"])
    if then is None:
        return ("new", "")
    old = latency(then, "p95_ms")
    return (number(old, 1), difference(latency(endpoint, "p95_ms"), old))


def capacity_table(run: Document) -> Table:
    """Return one row per step of a capacity run."""
    steps = sorted(run["capacity"], key=lambda step: step["users"])
    rows = [
        Row(
            (
                number(step["users"]),
                "✓ ok" if step["ok"] else "✕ over",
                step["worst"],
                number(step["worst_p95_ms"], 1),
                number(step["p95_ms"], 1),
                number(step["requests_per_second"], 1),
            ),
            is_wrong=not step["ok"],
        )
        for step in steps
    ]
    head = ("users", "verdict", "worst endpoint", "its p95 ms", "p95 ms of all", "requests/s")
    return Table(name="capacity", title="Capacity", head=head, rows=rows)


def difference_table(run: Document) -> Table:
    """Return one row per endpoint of which the server's own metrics say something else than Locust."""
    return Table(
        name="differences",
        title="Where the server says something else",
        head=("endpoint", "answer"),
        rows=[Row((name, said)) for name, said in run["differences"].items()],
        note="The server measures from its middleware on, without the queues before it. Locust's times decide.",
    )


def totals_table(run: Document, earlier: Document | None) -> Table:
    """Return the figures of all endpoints together."""
    rows = []
    for name, value in run["totals"].items():
        digits = DIGITS.get(name, 2 if "cpu" in name else 1)
        cells: tuple[str, ...] = (label(name), number(value, digits))
        if earlier:
            then = earlier["totals"].get(name)
            cells = (*cells, number(then, digits), difference(value, then))
        rows.append(Row(cells))
    head = ("of all endpoints", "figure", *(("earlier", "change") if earlier else ()))
    return Table(name="totals", title="Totals", head=head, rows=rows)


def run_table(run: Document) -> Table:
    """Return the command, the options and the machine."""
    parts = [*run["machine"].items(), *run["plan"].items()]
    pairs = [("command", run["command"]), ("started at", run["started_at"]), *((label(k), v) for k, v in parts)]
    rows = [Row((name, clean(value))) for name, value in pairs]
    return Table(name="run", title="The run", head=("of the run", "value"), rows=rows)
