"""The distribution of all requests by latency: the sum of the histograms of the endpoints."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from perf.report.analysis import PERCENTILES, Document, measure, quota
from perf.report.charts.drawing import Plot, axis_name, linear, logarithmic
from perf.report.markup import join, paragraph

HEAD = 64


@dataclass(frozen=True)
class Bucket:
    """The number of requests between two latencies in ms. The last bucket is open and as wide as the one before."""

    low: float
    high: float
    count: int
    is_open: bool = False

    def __str__(self) -> str:
        """Return its bounds and its count."""
        bounds = f"over {self.low:,.2f} ms" if self.is_open else f"{self.low:,.2f} to {self.high:,.2f} ms"
        return f"{bounds}: {self.count:,} requests"


def buckets(endpoints: Sequence[Document]) -> list[Bucket]:
    """Add the histograms. Leave out empty buckets at both ends."""
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
    """Draw the distribution, with lines for the percentiles and the SLO."""
    found = buckets(run["endpoints"])
    if not found:
        return paragraph("There were no requests.")
    marks = [(name[:3], "mark", measure(run["totals"].get(name))) for name in PERCENTILES]
    marks.append(("SLO", "slo", measure(run["plan"]["slo_ms"])))
    known = [(name, class_, value) for name, class_, value in marks if value]
    edges = [edge for bucket in found for edge in (bucket.low, bucket.high)]
    x = logarithmic([*edges, *(value for _, _, value in known)])
    plot = Plot(x=x, y=linear(bucket.count for bucket in found), head=HEAD)
    parts = [plot.bar(bucket.low, bucket.high, bucket.count, class_="bucket") for bucket in found]
    parts += [
        plot.vertical(value, f"{name} {quota(value)} ms", class_=class_, row=row)
        for row, (name, class_, value) in enumerate(known)
    ]
    parts += [plot.band(bucket.low, bucket.high, str(bucket)) for bucket in found]
    drawn = plot.draw(parts, title="number of requests by latency")
    return join((axis_name("requests"), drawn, axis_name("ms, logarithmic", class_="across")))
