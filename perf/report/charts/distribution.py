"""All answers of a run by latency: the sum of the endpoints' histograms."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from perf.report.analysis import PERCENTILES, Document, measure, quota
from perf.report.charts.drawing import Plot, axis_name, linear, logarithmic
from perf.report.markup import Markup, join, paragraph

HEAD = 64


@dataclass(frozen=True)
class Bucket:
    """Answers between two latencies in ms; the last one of a histogram is open, and drawn like its neighbour."""

    low: float
    high: float
    count: int
    is_open: bool = False

    def __str__(self) -> str:
        bounds = f"over {self.low:,.2f} ms" if self.is_open else f"{self.low:,.2f} to {self.high:,.2f} ms"
        return f"{bounds}: {self.count:,} answers"


def buckets(endpoints: Sequence[Document]) -> list[Bucket]:
    """The sum of the histograms, from the first bucket that is not empty to the last."""
    counts: dict[float, int] = {}
    beyond = 0
    for upper, count in (pair for endpoint in endpoints for pair in endpoint["histogram"]):
        if upper is None:
            beyond += count
        else:
            counts[upper] = counts.get(upper, 0) + count
    bounds = sorted(counts) or [1.0]
    ratio = bounds[1] / bounds[0] if len(bounds) > 1 else 2.0
    found = [Bucket(low, high, counts.get(high, 0)) for low, high in pairwise((bounds[0] / ratio, *bounds))]
    found.append(Bucket(bounds[-1], bounds[-1] * ratio, beyond, is_open=True))
    full = [position for position, bucket in enumerate(found) if bucket.count]
    return found[full[0] : full[-1] + 1] if full else []


def distribution(run: Document) -> Markup:
    """All answers by latency, with the percentiles and the SLO as lines."""
    found = buckets(run["endpoints"])
    if not found:
        return paragraph("There were no answers.")
    marks = [(name[:3], "mark", measure(run["totals"].get(name))) for name in PERCENTILES]
    marks.append(("SLO", "slo", measure(run["plan"]["slo_ms"])))
    known = [(name, class_, value) for name, class_, value in marks if value]
    edges = [edge for bucket in found for edge in (bucket.low, bucket.high)]
    x = logarithmic([*edges, *(value for _, _, value in known)])
    plot = Plot(x=x, y=linear(bucket.count for bucket in found), head=HEAD)
    parts = [plot.bar(bucket.low, bucket.high, bucket.count, class_="bucket") for bucket in found]
    parts += [
        plot.upright(value, f"{name} {quota(value)} ms", class_=class_, row=row)
        for row, (name, class_, value) in enumerate(known)
    ]
    parts += [plot.band(bucket.low, bucket.high, str(bucket)) for bucket in found]
    drawn = plot.draw(parts, title="number of answers by latency")
    return join((axis_name("answers"), drawn, axis_name("ms, logarithmic", class_="across")))
