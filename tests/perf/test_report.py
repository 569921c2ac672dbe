"""The report of a run: its numbers are right, it is well-formed and self-contained, and it escapes all texts."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest

from perf.report.analysis import UnreadableRunError, difference, headline, ranked
from perf.report.page import html, main, markdown, write_report
from tests.perf.run_documents import NEVER, Run, endpoint, parse, run, second, step, table

SCRIPT = '<script src="https://evil.example/x.js">alert("&")</script>'


def row(report: Run, name: str, earlier: Run | None = None) -> dict[str, str]:
    """Return the only row of an endpoint by the names of its columns."""
    head, *rows = table(parse(html(report, earlier)), "endpoints")
    (found,) = [cells for cells in rows if cells[0] == name]
    return dict(zip(head, found, strict=True))


def titles(page: Element) -> list[str]:
    """Return the headings of the sections."""
    return ["".join(heading.itertext()) for heading in page.iter("h2")]


CASES: Mapping[str, tuple[Run, Run | None]] = {
    "passed": (run(endpoint()), None),
    "slow": (run(endpoint(verdict="slow", p95_ms=431.0)), None),
    "failed": (
        run(endpoint(verdict="failed", failures=3, first_failure="500 oh"), seconds=[second(0, failures=3)]),
        None,
    ),
    "never hit": (run(endpoint(**NEVER)), None),
    "an unknown verdict": (run(endpoint(verdict="odd"), passed=True), None),
    "no endpoint": (run(), None),
    "no answers": (run(endpoint(histogram=[])), None),
    "no seconds": (run(endpoint(), seconds=[]), None),
    "empty seconds": (run(endpoint(), seconds=[second(n, p50_ms=None, p95_ms=None, requests=0) for n in (0, 1)]), None),
    "a foreign database": (run(endpoint(), seconds=[second(0, database_cpu=None, server_memory_mib=None)]), None),
    "long": (run(endpoint(), seconds=[second(number) for number in range(1000)]), None),
    "many": (run(*(endpoint(f"GET /{number}", p95_ms=float(number)) for number in range(120))), None),
    "compared": (run(endpoint(), endpoint("GET /new")), run(endpoint(p95_ms=10.0), endpoint("GET /gone"))),
    "capacity": (run(endpoint(), capacity=[step(200, ok=False), step(100, ok=True)]), None),
    "another word": (run(endpoint(), differences={"GET /books": SCRIPT}), None),
    "not finite": (run(endpoint(p95_ms=float("nan"), p99_ms=float("inf"))), None),
    "zeros": (run(endpoint(p50_ms=0.0, p95_ms=0.0, p99_ms=0.0, slo_ms=0)), run(endpoint(p95_ms=0.0))),
    "unprintable": (run(endpoint("GET /\x00\ud800\ufffe]]>", measured="a\nb"), title="\x1b[1m"), None),
    "scripts": (run(endpoint(SCRIPT, first_failure=SCRIPT), title=SCRIPT, command=SCRIPT), run(endpoint(SCRIPT + "!"))),
}


@pytest.mark.parametrize("case", CASES)
def test_every_report_is_well_formed_and_self_contained(case: str, tmp_path: Path) -> None:
    """It has no script, reference, image or imported style. Every endpoint is in the table once."""
    report, earlier = CASES[case]
    page_path, text_path = write_report(report, tmp_path / "new" / "place", earlier=earlier)
    page = parse(page_path.read_text(encoding="utf-8"))
    assert {element.tag for element in page.iter()} & {"script", "link", "img", "iframe", "object", "a", "use"} == set()
    attributes = {name for element in page.iter() for name in element.attrib}
    assert {name for name in attributes if name in ("href", "src", "style") or name.startswith("on")} == set()
    assert re.search(r"url\(|@import", "".join(page.itertext())) is None
    assert len(table(page, "endpoints")) == 1 + len(report["endpoints"])
    assert "<script" not in text_path.read_text(encoding="utf-8")
    assert "nan" not in {cell for cells in table(page, "endpoints") for cell in cells}


@pytest.mark.parametrize("case", CASES)
def test_markdown_has_the_same_tables(case: str) -> None:
    """Each row has as many cells as the head, whatever they contain."""
    report, earlier = CASES[case]
    page, text = parse(html(report, earlier)), markdown(report, earlier)
    for name in [found.attrib["id"] for found in page.iter("table")]:
        head, *rows = table(page, name)
        lines = text.split(f"| {' | '.join(head)} |\n")[1].split("\n\n")[0].splitlines()
        assert len(lines) == 1 + len(rows)
        assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {1 + len(head)}


def test_texts_of_the_document_are_escaped() -> None:
    page = parse(html(*CASES["scripts"]))
    assert page.findtext(".//h1") == page.findtext(".//head/title") == SCRIPT
    assert table(page, "endpoints")[1][0] == SCRIPT
    assert table(page, "failures")[1] == [SCRIPT, SCRIPT]
    assert ["command", SCRIPT] in table(page, "run")


def test_characters_of_markdown_are_escaped() -> None:
    """A bar would end the cell, and an asterisk begin an emphasis."""
    assert r"| a\|b \*c\* \_d\_ &amp;lt; | ✓ ok |" in markdown(run(endpoint("a|b *c*\n_d_ &lt;")))


def test_the_figures_of_an_endpoint() -> None:
    """They are rounded to a tenth, with separators between thousands. The limit is as it was set."""
    cells = row(run(endpoint(slo_ms=12.5, measured="first byte")), "GET /books")
    assert cells == {
        "endpoint": "GET /books",
        "verdict": "✓ ok",
        "SLO ms": "12.5",
        "p50 ms": "3.1",
        "p95 ms": "40.1",
        "p99 ms": "85.0",
        "max ms": "1,234.5",
        "requests": "1,500",
        "failures": "0",
        "requests/s": "25.0",
        "measured by": "first byte",
    }


def test_an_endpoint_that_was_never_called_has_no_latency() -> None:
    """A zero would be the best latency of all."""
    for latency in (None, 0.0):
        cells = row(run(endpoint(**{**NEVER, "p50_ms": latency, "p95_ms": latency})), "GET /books")
        assert (cells["p50 ms"], cells["p95 ms"], cells["verdict"]) == ("-", "-", "○ never hit")


def test_the_worst_endpoint_is_first() -> None:
    """Failed ones are before those never called. The others are sorted by their share of the SLO."""
    names = ["failed much", "failed", "never", "slow", "near", "far"]
    found = run(
        endpoint("far", p95_ms=190.0, slo_ms=1000),
        endpoint("near", p95_ms=90.0, slo_ms=100),
        endpoint("slow", p95_ms=300.0, verdict="slow"),
        endpoint("never", **NEVER),
        endpoint("failed", failures=1, verdict="failed"),
        endpoint("failed much", failures=9, verdict="failed"),
    )
    assert [one["name"] for one in ranked(found)] == names
    page = parse(html(found))
    assert [cells[0] for cells in table(page, "endpoints")[1:]] == names
    bars = page.findall(".//ol[@class='bars']/li")
    assert ["".join(bar[0].itertext()) for bar in bars] == ["endpoint", *names]
    assert headline(found) == (
        "✕ Failed: 2 failed, 1 never hit, 1 slow of 6 endpoints. "
        "Worst: failed much 9 of 1,500 failed; failed 1 of 1,500 failed; never never hit."
    )


def test_the_verdict_in_one_line() -> None:
    """It has words and a sign."""
    near = "Nearest to the limit: GET /books p95 40.1 of 200 ms."
    assert headline(run(endpoint())) == f"✓ Passed: 1 endpoint ok. {near}"
    assert headline(run(endpoint(), passed=False)).startswith("✕ Failed: 1 endpoint ok, but not the run. Worst: ")
    assert headline(run(passed=False)) == "✕ Failed: no endpoint was measured."


def test_a_change_within_the_noise_is_not_marked() -> None:
    """The noise is 20 %."""
    assert [difference(now, 100.0) for now in (80.0, 100.0, 120.0)] == ["≈", "≈", "≈"]
    assert [difference(now, 100.0) for now in (79.0, 121.0, 1350.0)] == ["▼ -21 %", "▲ +21 %", "▲ +1,250 %"]
    assert [difference(1.0, None), difference(None, 1.0), difference(1.0, 0.0)] == ["-", "-", "-"]


def test_a_run_is_compared_with_an_earlier_one() -> None:
    """Endpoints are matched by name. New and removed endpoints and different options are listed."""
    now = run(endpoint("slower", p95_ms=200.0), endpoint("same"), endpoint("new"))
    then = run(endpoint("gone"), endpoint("same"), endpoint("slower", p95_ms=100.0), plan={**now["plan"], "users": 50})
    assert row(now, "slower", then)["change"] == "▲ +100 %"
    assert row(now, "slower", then)["earlier p95 ms"] == "100.0"
    assert row(now, "same", then)["change"] == "≈"
    assert row(now, "new", then)["earlier p95 ms"] == "new"
    words = "".join(parse(html(now, then)).itertext())
    for text in (words, markdown(now, then)):
        assert "more than 20 % higher: 1, lower: 0" in text
        assert "No longer there: gone." in text
        assert "users 100, then 50" in text
    assert "change" not in row(now, "slower")
    assert "Against the run" not in markdown(now)


def test_charts_are_before_tables() -> None:
    """A chart without figures is left out."""
    capacity = [step(100, ok=True), step(200, ok=False)]
    charts = ["Endpoints against their SLO", "Latency over time", "Throughput and failures over time",
                "Processors, memory and disk over time", "All requests by latency"]  # fmt: skip
    tables = ["Endpoints", "Totals", "The run"]
    assert titles(parse(html(run(endpoint())))) == [*charts, *tables]
    assert titles(parse(html(run(endpoint(), seconds=[])))) == [charts[0], "Over time", charts[-1], *tables]
    assert titles(parse(html(run(endpoint(), capacity=capacity)))) == [
        *charts,
        "Capacity",
        "Endpoints",
        "Capacity",
        *tables[1:],
    ]


@pytest.mark.parametrize("document", [[], {}, {"version": 2, "endpoints": []}, "no json"])
def test_another_document_is_rejected(document: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message has its path, and nothing is written."""
    path = tmp_path / "run.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    with pytest.raises(SystemExit):
        main([str(path), "--output", str(tmp_path / "out")])
    assert str(path) in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_earlier_run_of_another_version_is_rejected(tmp_path: Path) -> None:
    """Nothing is written."""
    with pytest.raises(UnreadableRunError, match="version 2"):
        write_report(run(endpoint()), tmp_path / "out", earlier=run(endpoint(), version=2))
    assert not (tmp_path / "out").exists()


def test_the_command_line_writes_both_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It does not change the documents."""
    now, then = tmp_path / "run.json", tmp_path / "earlier.json"
    now.write_text(json.dumps(run(endpoint())), encoding="utf-8")
    then.write_text(json.dumps(run(endpoint(p95_ms=20.0))), encoding="utf-8")
    main([str(now), "--compare", str(then), "--output", str(tmp_path)])
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / "report.html"), str(tmp_path / "report.md")]
    assert "▲ +100 %" in (tmp_path / "report.md").read_text(encoding="utf-8")
    assert json.loads(now.read_text(encoding="utf-8")) == run(endpoint())


def test_what_the_server_says_is_a_table_of_its_own() -> None:
    """Only where it says something else than Locust."""
    other = run(endpoint(), differences={"GET /books": "p95 253.0 ms for Locust"})
    assert table(parse(html(other)), "differences")[1:] == [["GET /books", "p95 253.0 ms for Locust"]]
    assert table(parse(html(run(endpoint(), differences={}))), "differences") == []
