"""The side-by-side bench: what it prints, that one command makes it, and that it takes no answer on trust."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import psutil
import pytest
import uvloop

from perf.app.compare import bench, proof
from perf.app.compare.targets import FLOOR, App
from perf.app.compare.bench import Bench, FailedRequestError, Plan, main
from perf.app.compare.side_by_side import Sample, medians, side_by_side
from perf.harness.client import Call, Outcome, _run
from perf.app.datasets.benchmark_rows import _book as filled_book
from perf.app.compare.equivalence_check import AnswerError, prove
from perf.app.compare.scenarios import Scenario
from perf.harness.servers import JWT_SECRET, Cluster, Server, cpu_seconds

BOOKS = 500


def sample(app: str, server_ms: float, database_ms: float | None = 1.0) -> Sample:
    """One round of the first scenario."""
    both_ms = None if database_ms is None else server_ms + database_ms
    return Sample(
        app=app,
        scenario=Scenario.GET,
        server_ms=server_ms,
        database_ms=database_ms,
        both_ms=both_ms,
        latency_p50_ms=1.0,
        requests_per_second=1.0,
    )


def test_the_table_has_medians_and_our_part_of_each_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the server, for PostgreSQL and for both together."""
    monkeypatch.setattr("perf.app.compare.side_by_side.Scenario", [Scenario.GET])
    figures = {"textbook": (4.0, 9.0, 5.0), "floor": (0.25, 0.25, 0.9), "rowhouse": (0.5, 0.4, 0.7)}
    table = medians([sample(app, value) for app, values in figures.items() for value in values])
    printed = side_by_side(table).splitlines()
    assert printed[2] == "| scenario | textbook | floor | rowhouse | rowhouse / textbook | rowhouse / floor |"
    assert [line for line in printed if line.startswith("| get")] == [
        "| get | 5.00 | 0.25 | 0.50 | 0.10 | 2.00 |",
        "| get | 1.00 | 1.00 | 1.00 | 1.00 | 1.00 |",
        "| get | 6.00 | 1.25 | 1.50 | 0.25 | 1.20 |",
    ]


def test_what_a_foreign_database_uses_is_not_made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """One table is left, and no ratio without Rowhouse."""
    monkeypatch.setattr("perf.app.compare.side_by_side.Scenario", [Scenario.GET])
    printed = side_by_side(medians([sample("floor", 0.2, None)]))
    assert "PostgreSQL" not in printed
    assert printed.splitlines()[2:] == ["| scenario | floor |", "|---|---:|", "| get | 0.20 |"]


def test_who_uses_no_postgresql_has_no_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """PocketBase has its own database; both together are compared."""
    monkeypatch.setattr("perf.app.compare.side_by_side.Scenario", [Scenario.GET])
    printed = side_by_side(medians([sample("rowhouse", 0.5), sample("pocketbase", 0.75, 0.0)])).splitlines()
    assert [line for line in printed if line.startswith("| get")] == [
        "| get | 0.50 | 0.75 | 0.67 |",
        "| get | 1.00 | 0.00 | - |",
        "| get | 1.50 | 0.75 | 2.00 |",
    ]


def drive_here(port: int, calls: Sequence[Call], *, connections: int, timeout_seconds: float) -> Outcome:
    """`drive` without a process of its own."""
    requests = [call.encode() for call in calls]
    return uvloop.run(_run(port, requests=requests, connections=connections, timeout_seconds=timeout_seconds))


def test_one_command_makes_the_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real servers, of which every answer of the floor is that of Rowhouse; every sample is in the file."""
    monkeypatch.setattr(bench, "drive", drive_here)
    options = f"--apps floor,rowhouse --rounds 1 --books {BOOKS} --requests 12 --warm-up 1 --connections 2"
    written = tmp_path / "bench.json"
    main([*options.split(), "--json", str(written)])
    rows = [line.split(" | ")[0] for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    # The server's CPU, the database's, and both together.
    assert rows == ["| scenario", *(f"| {scenario.value}" for scenario in Scenario)] * 3
    document = json.loads(written.read_text())
    assert len(document["samples"]) == 2 * len(Scenario)
    assert all(each["server_ms"] > 0 and each["database_ms"] is not None for each in document["samples"])
    assert document["medians"]["update"]["rowhouse"]["server_ms"] > 0


def test_a_failed_request_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are no numbers for wrong answers."""
    monkeypatch.setattr(bench, "drive", lambda *_arguments, **_options: Outcome(failures=1, first_failure="oh"))
    plan = Plan(apps=[FLOOR], rounds=1, books=1, requests=1, warm_up=1, connections=1)
    here: Any = Bench(plan=plan, cluster=None, servers=[])  # type: ignore[arg-type]  # nothing is started
    with pytest.raises(FailedRequestError, match="floor get: 1 of 1 failed, the first:\noh"):
        here.measure(server("floor"), Scenario.GET, token="")


def test_cpu_is_counted_finer_than_in_hundredths() -> None:
    """And alike where the kernel has no such clock; who has ended is not taken for one who does nothing."""
    here = psutil.Process()
    times = here.cpu_times()
    assert cpu_seconds(here) >= times.user + times.system - 0.02
    assert Cluster(url=None, process=None).cpu_seconds() is None  # type: ignore[arg-type]  # not asked for


class Shop:
    """An application without a server: it answers `proof` as the floor does, but for its `fault`."""

    def __init__(self, fault: str = "") -> None:
        self.fault = fault
        self.books = {number: _wire(filled_book(number)) for number in range(1, BOOKS + 1)}

    def ask(self, method: str, path: str, body: str | None, headers: Mapping[str, str]) -> tuple[int, Any]:
        """The status and the answer."""
        place, *key = urlsplit(path).path.strip("/").split("/")
        if place == "me-books" and self.fault != "trusting":
            try:
                jwt.decode(headers["authorization"].removeprefix("Bearer "), JWT_SECRET, algorithms=["HS256"])
            except jwt.InvalidTokenError:
                return 401, {}
        if method == "POST":
            self.books[BOOKS + 1] = {**_wire(filled_book(BOOKS + 1)), **json.loads(body or "")}
        if method == "PATCH" and self.fault != "forgetful":
            self.books[int(key[0])] |= json.loads(body or "")
        if method == "POST" or key:
            return 200, self.books[int(key[0]) if key else BOOKS + 1]
        return 200, self._page(parse_qs(urlsplit(path).query))

    def _page(self, query: Mapping[str, list[str]]) -> Mapping[str, Any]:
        found = list(self.books.values())
        if "min_price" in query and self.fault != "unfiltered":
            least, most = float(query["min_price"][0]), float(query["max_price"][0])
            found = [book for book in found if least <= float(book["price"]) <= most]
        if "sort" in query and self.fault != "unsorted":
            found.sort(key=lambda book: -float(book["price"]))
        size, page = int(query["size"][0]), int(query["page"][0])
        shown = found[(page - 1) * size : page * size]
        if self.fault == "narrow":
            shown = [{name: value for name, value in book.items() if name != "cover_image"} for book in shown]
        return {"items": shown, "total": None if self.fault == "uncounted" else len(found)}


def _wire(book: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: f"{value}" if name in {"price", "created_at", "updated_at"} else value for name, value in book.items()
    }


def server(name: str) -> Server:
    """What nobody listens at."""
    app: App = replace(FLOOR, name=name)
    return Server(app=app, port=1, database_url="", process=psutil.Process())


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("", ""),
        ("unfiltered", "found-20 of other is not that of first"),
        ("unsorted", "found-20 of other is not that of first"),
        ("narrow", "page-20 of other is not that of first"),
        ("uncounted", "other: no page of 20 with its total"),
        ("forgetful", "other: stock of book 1 is 1 and not 0"),
        ("trusting", "other: a forged token gave 200"),
    ],
)
def test_an_answer_of_its_own_is_found_out(fault: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is measured; two that answer alike pass."""
    shops = {"first": Shop(), "other": Shop(fault)}

    def ask(asked: Server, method: str, *, path: str, body: Any = None, headers: Any = None) -> tuple[int, Any]:
        return shops[asked.app.name].ask(method, path, body, headers or {})

    monkeypatch.setattr(proof, "_ask", ask)
    servers = [server("first"), server("other")]
    if not told:
        prove(servers, books=BOOKS)
        return
    with pytest.raises(AnswerError, match=told):
        prove(servers, books=BOOKS)
