"""The charts of a run in the order of the report, each in a section.

Lines differ in colour and in their dashes, and errors are named in words, so no chart needs its colours.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from perf.report.analysis import Document, capacity_sentence, ranked
from perf.report.charts.bars import endpoint_bars
from perf.report.charts.capacity import capacity_chart
from perf.report.charts.distribution import distribution
from perf.report.charts.over_time import latency_over_time, machine_over_time, throughput_over_time
from perf.report.markup import paragraph


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section of the report with a title."""

    title: str
    body: Markup
    note: str = ""


def charts(run: Document) -> Iterator[Section]:
    """Yield every chart for which the run has figures."""
    if run["endpoints"]:
        yield Section(
            title="Endpoints against their SLO",
            note="The worst first, in ms on a logarithmic axis.",
            body=endpoint_bars(ranked(run)),
        )
    yield from _over_time(run)
    yield Section(
        title="All requests by latency",
        note="The histograms of all endpoints together. The width of a bar is that of its bucket.",
        body=distribution(run),
    )
    if run["capacity"]:
        body = capacity_chart(run["capacity"], slo_ms=run["plan"]["slo_ms"])
        yield Section(title="Capacity", note=capacity_sentence(run["capacity"]), body=body)


def _over_time(run: Document) -> Iterator[Section]:
    if not run["seconds"]:
        yield Section(title="Over time", body=paragraph("The run has no figures per second."))
        return
    yield Section(title="Latency over time", body=latency_over_time(run))
    yield Section(title="Throughput and failures over time", body=throughput_over_time(run))
    yield Section(title="Processors, memory and disk over time", body=machine_over_time(run))
