"""The charts of a run: what is drawn, and where."""

from perf.report.charts.distribution import buckets
from perf.report.charts.drawing import linear, logarithmic
from perf.report.page import html
from tests.perf.run_documents import endpoint, parse, run, second, step, table


def test_a_bar_ends_at_its_latency() -> None:
    """On a logarithmic axis from 1 to 1000 each decade is a third. The SLO has its own mark."""
    page = parse(html(run(endpoint(p50_ms=1.0, p95_ms=10.0, p99_ms=1000.0, slo_ms=100))))
    bar = page.findall(".//ol[@class='bars']/li")[1]
    assert {part.attrib["class"]: part.attrib["width"] for part in bar.iter("rect")} == {
        "p50": "0.00%",
        "p95": "33.33%",
        "p99": "100.00%",
    }
    assert [line.attrib["x1"] for line in bar.iter("line") if line.attrib["class"] == "slo"] == ["66.67%"]


def test_the_capacity_chart_shows_the_first_failed_step() -> None:
    """A later step may be ok."""
    steps = [step(300, ok=True), step(200, ok=False), step(100, ok=True)]
    page = parse(html(run(endpoint(), capacity=steps)))
    words = "".join(page.itertext())
    assert "It serves 100 users at 700.0 requests/s. It breaks at 200 users: POST /orders p95 812.0 ms." in words
    assert [cells[:2] for cells in table(page, "capacity")[1:]] == [["100", "✓ ok"], ["200", "✕ over"], ["300", "✓ ok"]]
    assert len(page.findall(".//line[@class='break']")) == 2
    never = html(run(endpoint(), capacity=[step(100, ok=True)]))
    assert "No step failed." in never
    assert parse(never).findall(".//line[@class='break']") == []
    assert "The first step already failed." in html(run(endpoint(), capacity=[step(100, ok=False)]))


def test_the_distribution_sums_the_histograms() -> None:
    """Empty buckets at both ends are left out."""
    found = buckets([
        endpoint(histogram=[[1.0, 0], [2.0, 3], [4.0, 0], [8.0, 0], [None, 0]]),
        endpoint(histogram=[[1.0, 0], [2.0, 1], [4.0, 0], [8.0, 2], [None, 0]]),
    ])  # fmt: skip
    assert [(one.low, one.high, one.count) for one in found] == [(1.0, 2.0, 4), (2.0, 4.0, 0), (4.0, 8.0, 2)]
    assert [str(one) for one in buckets([endpoint(histogram=[[1.0, 0], [None, 7]])])] == ["over 1.00 ms: 7 requests"]
    assert buckets([endpoint(histogram=[])]) == []


def test_failures_over_time_are_bars() -> None:
    """A second without failures has no bar. Without any failures a sentence says so."""
    seconds = [second(0), second(1, failures=2), second(2), second(3)]
    bars = parse(html(run(endpoint(), seconds=seconds))).findall(".//rect[@class='bad']")
    assert [(bar.attrib["x"], bar.attrib["width"]) for bar in bars] == [("25.00%", "25.00%")]
    calm = html(run(endpoint()))
    assert "No request failed." in calm
    assert parse(calm).findall(".//rect[@class='bad']") == []


def test_a_line_has_a_gap_where_a_second_has_no_figure() -> None:
    """No response is not the same as a latency of zero."""
    seconds = [second(0), second(1, p95_ms=None), second(2), second(3)]
    (line,) = parse(html(run(endpoint(), seconds=seconds))).findall(".//path[@class='line second']")[:1]
    assert line.attrib["d"].count("M") == 2


def test_scales_are_round() -> None:
    """They begin and end at round values, with few ticks."""
    assert (linear([430.0]).high, linear([430.0]).ticks()) == (500.0, [0.0, 100.0, 200.0, 300.0, 400.0, 500.0])
    assert linear([]).high == linear([0.0]).high == 1.0
    assert (logarithmic([3.0, 180.0]).low, logarithmic([3.0, 180.0]).high) == (2.0, 200.0)
    assert logarithmic([3.0]).ticks() == [2.0, 5.0, 10.0, 20.0]
    assert logarithmic([0.1, 20_000.0]).ticks() == [0.1, 1.0, 10.0, 100.0, 1000.0, 10_000.0]
