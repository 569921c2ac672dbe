"""Write the report of a run: `python -m perf.report run.json --compare earlier.json --output directory`.

It is one HTML file that opens from a disk, without scripts and references, and the same tables in Markdown. It shows
the figures and verdicts of the document and calculates none.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from perf.report.analysis import Document, check, comparison, headline, label, measure, number
from perf.report.markup import paragraph, tag, text
from perf.report.sections import Section, charts
from perf.report.tables import plain, tables

STYLE = Path(__file__).with_name("page.css")
# The browser fetches nothing and runs nothing.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
TILES = {
    "requests": 0,
    "failures": 0,
    "requests_per_second": 1,
    "p50_ms": 1,
    "p95_ms": 1,
    "p99_ms": 1,
    "server_cpu_ms_per_request": 2,
    "database_cpu_ms_per_request": 2,
    "disk_max_ms": 0,
}


def write_report(run: Mapping[str, Any], directory: Path, *, earlier: Mapping[str, Any] | None = None) -> list[Path]:
    """Write `report.html` and `report.md`, and return their paths. Create the directory if necessary.

    Raises:
        UnreadableRunError: a document is no run, or of another version.
    """
    check(run)
    if earlier is not None:
        check(earlier)
    directory.mkdir(parents=True, exist_ok=True)
    contents = {"report.html": html(run, earlier), "report.md": markdown(run, earlier)}
    for name, content in contents.items():
        (directory / name).write_text(content, encoding="utf-8")
    return [directory / name for name in contents]


def html(run: Document, earlier: Document | None = None) -> str:
    """Return the whole page."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", text(run["title"])),
        tag("style", Markup(STYLE.read_text(encoding="utf-8"))),  # noqa: S704  our own style sheet
    )
    sections = [Section(title=table.title, body=table.html(), note=table.note) for table in tables(run, earlier)]
    main = tag("main", _header(run, earlier), *map(_section, charts(run)), *map(_section, sections))
    return f"<!DOCTYPE html>\n{tag('html', head, tag('body', main), lang='en')}\n"


def _header(run: Document, earlier: Document | None) -> Markup:
    return tag(
        "header",
        tag("h1", text(run["title"])),
        paragraph(headline(run), f"verdict {'passed' if run['passed'] else 'not-passed'}"),
        paragraph(f"{run['started_at']} · {_plan(run)}", "quiet"),
        *(paragraph(sentence) for sentence in _sentences(run, earlier)),
        tag("dl", *(_tile(run, name, digits) for name, digits in TILES.items()), class_="tiles"),
    )


def _sentences(run: Document, earlier: Document | None) -> list[str]:
    return [] if earlier is None else comparison(run, earlier)


def _plan(run: Document) -> str:
    known = [(label(name), measure(value)) for name, value in run["plan"].items()]
    return ", ".join(f"{name} {value:,.10g}" for name, value in known if value is not None)


def _tile(run: Document, name: str, digits: int) -> Markup:
    figure = tag("dd", text(number(run["totals"].get(name), digits)))
    return tag("div", tag("dt", text(label(name))), figure)


def _section(section: Section) -> Markup:
    note = [paragraph(section.note, "quiet")] if section.note else []
    return tag("section", tag("h2", text(section.title)), *note, section.body)


def markdown(run: Document, earlier: Document | None = None) -> str:
    """Return the verdict and the tables."""
    parts = [f"# {plain(run['title'])}", f"**{plain(headline(run))}**", *map(plain, _sentences(run, earlier))]
    for table in tables(run, earlier):
        parts += [f"## {table.title}", *([plain(table.note)] if table.note else []), table.markdown()]
    return "\n\n".join(parts) + "\n"


def read_run(path: str) -> Document:
    """Read the run in a file.

    Raises:
        argparse.ArgumentTypeError: the file is no readable run.
    """
    try:
        run: Any = json.loads(Path(path).read_text(encoding="utf-8"))
        check(run)
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{path}: {error}") from error
    found: Document = run
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m perf.report", description=__doc__)
    parser.add_argument("run", type=read_run, help="the run.json of a run")
    parser.add_argument("--compare", type=read_run, metavar="RUN", help="the run.json of an earlier run")
    parser.add_argument("--output", type=Path, default=Path(), help="the directory to write to")
    options = parser.parse_args(arguments)
    for path in write_report(options.run, options.output, earlier=options.compare):
        print(path)
