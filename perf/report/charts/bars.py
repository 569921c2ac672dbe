"""The bars of the endpoints: p50, p95 and p99 of each, with a mark at its SLO."""

from collections.abc import Sequence

from markupsafe import Markup

from perf.report.analysis import NEVER_HIT, OK, PERCENTILES, Document, latency, measure, number, quota, reason, verdict
from perf.report.charts.drawing import Scale, axis_label, legend, logarithmic, percent
from perf.report.markup import join, path, tag, text

BAR_HEIGHT, AXIS_HEIGHT = 18, 20
MARGIN = 4


def endpoint_bars(endpoints: Sequence[Document]) -> Markup:
    """Draw one row for each endpoint."""
    figures = [latency(endpoint, name) for endpoint in endpoints for name in PERCENTILES]
    limits = [measure(endpoint["slo_ms"]) for endpoint in endpoints]
    scale = logarithmic([value for value in (*figures, *limits) if value is not None])
    names = [axis_label(scale, value, y=AXIS_HEIGHT - 6) for value in scale.ticks()]
    axis = tag(
        "li",
        tag("span", text("endpoint"), class_="name"),
        tag("svg", *names, height=AXIS_HEIGHT, aria_hidden="true"),
        tag("span", text("p95, ms"), class_="value"),
        class_="axis",
    )
    rows = tag("ol", axis, *(_endpoint_bar(endpoint, scale) for endpoint in endpoints), class_="bars")
    return join((legend(("p50", "p50"), ("p95", "p95"), ("p99", "p99"), ("slo", "SLO")), rows))


def _endpoint_bar(endpoint: Document, scale: Scale) -> Markup:
    words = ", ".join(f"{name[:3]} {number(latency(endpoint, name), 1)} ms" for name in PERCENTILES)
    title = f"{endpoint['name']}: {words}; SLO {quota(endpoint['slo_ms'])} ms; {reason(endpoint)}"
    parts = [_vertical(scale, value, "grid") for value in scale.ticks()]
    for name in reversed(PERCENTILES):
        value = latency(endpoint, name)
        if value is not None:
            parts.append(
                tag(
                    "rect",
                    x="0",
                    y=MARGIN,
                    height=BAR_HEIGHT - 2 * MARGIN,
                    width=percent(scale.share(value)),
                    class_=name[:3],
                )
            )
    slo = measure(endpoint["slo_ms"])
    if slo:
        parts.append(_vertical(scale, slo, "slo"))
    return tag(
        "li",
        tag("span", path(endpoint["name"]), class_="name"),
        tag("svg", tag("title", text(title)), *parts, height=BAR_HEIGHT, role="img", aria_label=title),
        tag("span", text(_value(endpoint)), class_="value"),
        class_=None if endpoint["verdict"] == OK else "wrong",
    )


def _value(endpoint: Document) -> str:
    """Return the text beside a bar."""
    if endpoint["verdict"] == NEVER_HIT:
        return verdict(endpoint)
    figure = number(latency(endpoint, "p95_ms"), 1)
    return figure if endpoint["verdict"] == OK else f"{figure} {verdict(endpoint)}"


def _vertical(scale: Scale, value: float, class_: str) -> Markup:
    left = percent(scale.share(value))
    return tag("line", x1=left, x2=left, y1=-1, y2=BAR_HEIGHT + 1, class_=class_)
