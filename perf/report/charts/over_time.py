"""The charts over time: latency, throughput and failures, CPU, memory and disk in each second of a run."""

from collections.abc import Callable

from markupsafe import Markup

from perf.report.analysis import Document, measure, number, quota
from perf.report.charts.drawing import Plot, Scale, axis_name, legend, linear, logarithmic
from perf.report.markup import join, paragraph

MAX_BANDS = 300
# The number of cores is drawn as a limit if the CPU is at least a quarter of it.
LIMIT_FACTOR = 4


def _points(run: Document, name: str) -> list[tuple[float, float | None]]:
    return [(row["second"] + 0.5, measure(row.get(name))) for row in run["seconds"]]


def _values(run: Document, *names: str) -> list[float]:
    found = [measure(row.get(name)) for row in run["seconds"] for name in names]
    return [value for value in found if value is not None]


def _time(run: Document) -> Scale:
    seconds = [row["second"] for row in run["seconds"]]
    return Scale(low=min(seconds), high=max(seconds) + 1)


def _bands(run: Document, plot: Plot, words: Callable[[Document], str]) -> Markup:
    """Draw a strip with the figures of each second; in a long run, only of every n-th second."""
    rows = run["seconds"]
    step = 1 + (len(rows) - 1) // MAX_BANDS
    return join(
        plot.band(row["second"], row["second"] + step, f"second {row['second']}: {words(row)}") for row in rows[::step]
    )


def latency_over_time(run: Document) -> Markup:
    """Draw the p50 and the p95 of each second."""
    slo = run["plan"]["slo_ms"]
    plot = Plot(x=_time(run), y=logarithmic([*_values(run, "p50_ms", "p95_ms"), slo]), height=210)
    drawn = plot.draw(
        (
            plot.line(_points(run, "p50_ms"), class_="first"),
            plot.line(_points(run, "p95_ms"), class_="second"),
            plot.horizontal(slo, f"SLO {quota(slo)} ms", class_="slo"),
            _bands(run, plot, lambda row: f"p50 {number(row['p50_ms'], 1)} ms, p95 {number(row['p95_ms'], 1)} ms"),
        ),
        title="p50 and p95 in each second of the run",
    )
    key = legend(("first", "p50"), ("second", "p95"))
    return join((key, axis_name("ms, logarithmic"), drawn, axis_name("seconds", class_="across")))


def throughput_over_time(run: Document) -> Markup:
    """Draw the requests of each second, and below them the failures on their own scale."""

    def words(row: Document) -> str:
        return (
            f"{number(row['requests'])} requests, {number(row['failures'])} failures, {number(row.get('users'))} users"
        )

    plot = Plot(x=_time(run), y=linear(_values(run, "requests")))
    line = plot.line(_points(run, "requests"), class_="only")
    parts = [axis_name("requests/s"), plot.draw((line, _bands(run, plot, words)), title="requests in each second")]
    if any(row["failures"] for row in run["seconds"]):
        below = Plot(x=_time(run), y=linear(_values(run, "failures")), height=70)
        bars = [below.bar(row["second"], row["second"] + 1, row["failures"], class_="bad") for row in run["seconds"]]
        drawn = below.draw((*bars, _bands(run, below, words)), title="failures in each second")
        parts += [axis_name("failures/s"), drawn, axis_name("seconds", class_="across")]
    else:
        parts += [axis_name("seconds", class_="across"), paragraph("No request failed.", "quiet")]
    return join(parts)


def machine_over_time(run: Document) -> Markup:
    """Draw the CPU of the server and the database, the memory of the server, and the latency of the disk."""

    def words(row: Document) -> str:
        cores = f"server {number(row.get('server_cpu'), 2)} cores, database {number(row.get('database_cpu'), 2)} cores"
        return f"{cores}, memory {number(row.get('server_memory_mib'), 1)} MiB, disk {number(row.get('disk_ms'), 1)} ms"

    used = _values(run, "server_cpu", "database_cpu")
    cores = measure(run["machine"].get("cpu_count"))
    limit = cores if cores and max(used, default=0.0) * LIMIT_FACTOR >= cores else None
    plot = Plot(x=_time(run), y=linear([*used, limit or 0.0]))
    parts = [
        plot.line(_points(run, "server_cpu"), class_="second"),
        plot.line(_points(run, "database_cpu"), class_="first"),
        _bands(run, plot, words),
    ]
    if limit:
        parts.append(plot.horizontal(limit, f"{quota(limit)} cores", class_="limit"))
    below = Plot(x=_time(run), y=linear(_values(run, "server_memory_mib")), height=90)
    memory = (below.line(_points(run, "server_memory_mib"), class_="only"), _bands(run, below, words))
    disk = Plot(x=_time(run), y=linear(_values(run, "disk_ms")), height=90)
    writes = (disk.line(_points(run, "disk_ms"), class_="only"), _bands(run, disk, words))
    return join(
        (
            legend(("second", "server"), ("first", "database")),
            axis_name("cores"),
            plot.draw(parts, title="processor use in each second"),
            axis_name("server memory, MiB"),
            below.draw(memory, title="memory of the server in each second"),
            axis_name("disk, ms to write 8 KiB"),
            disk.draw(writes, title="latency of an 8 KiB write in each second"),
            axis_name("seconds", class_="across"),
        )
    )
