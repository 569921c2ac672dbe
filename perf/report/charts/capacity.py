"""The chart of a capacity run: latency and throughput at each step, and the step that fails."""

from collections.abc import Sequence

from markupsafe import Markup

from perf.report.analysis import Document, breaking_point, measure, number, quota
from perf.report.charts.drawing import Plot, axis_name, legend, linear, logarithmic
from perf.report.markup import join


def capacity_chart(steps: Sequence[Document], *, slo_ms: float) -> Markup:
    """Draw the p95 of all requests and of the worst endpoint over the number of users, and below it the throughput."""
    steps = sorted(steps, key=lambda step: step["users"])
    x = linear(step["users"] for step in steps)
    latencies = [_known(step[name]) for step in steps for name in ("p95_ms", "worst_p95_ms")]
    above = Plot(x=x, y=logarithmic([*latencies, slo_ms]), height=210)
    below = Plot(x=x, y=linear(_known(step["requests_per_second"]) for step in steps), height=120)
    lines = (
        above.horizontal(slo_ms, f"SLO {quota(slo_ms)} ms", class_="slo"),
        _series(above, steps, "worst_p95_ms", class_="second"),
        _series(above, steps, "p95_ms", class_="first"),
        _break(above, steps),
    )
    throughput = (_series(below, steps, "requests_per_second", class_="only"), _break(below, steps))
    return join(
        (
            legend(("second", "p95 of the worst endpoint"), ("first", "p95 of all requests")),
            axis_name("ms, logarithmic; a cross is a step that failed"),
            above.draw(lines, title="p95 over the number of users"),
            axis_name("requests/s"),
            below.draw(throughput, title="throughput over the number of users"),
            axis_name("users", class_="across"),
        )
    )


def _known(value: object) -> float:
    return measure(value) or 0.0


def _series(plot: Plot, steps: Sequence[Document], name: str, *, class_: str) -> Markup:
    """Draw a line, and for each step a point with its figures."""
    known = [(step, value) for step in steps if (value := measure(step[name])) is not None]
    line = plot.line([(step["users"], value) for step, value in known], class_=class_)
    dots = [
        plot.dot(step["users"], value, _words(step), is_ok=bool(step["ok"]), class_=class_) for step, value in known
    ]
    return join((line, *dots))


def _words(step: Document) -> str:
    worst = f"worst {step['worst']} {number(step['worst_p95_ms'], 1)} ms"
    speed = f"{number(step['requests_per_second'], 1)} requests/s"
    return f"{number(step['users'])} users: {speed}, p95 {number(step['p95_ms'], 1)} ms, {worst}"


def _break(plot: Plot, steps: Sequence[Document]) -> Markup:
    broken = breaking_point(steps)
    if broken is None:
        return Markup("")
    return plot.vertical(broken["users"], f"breaks at {number(broken['users'])}", class_="break")
