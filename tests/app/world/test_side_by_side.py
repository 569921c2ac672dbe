"""The side-by-side benchmark: its tables, its command, and the check that all applications respond the same."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import uvloop

from perf.app.compare import bench, equivalence_check
from perf.app.compare.bench import Bench, FailedRequestError, Plan, main
from perf.app.compare.equivalence_check import ResponseMismatchError, check_equivalence
from perf.app.compare.scenarios import Scenario, parse_scenarios
from perf.app.compare.side_by_side import Sample, side_by_side
from perf.app.compare.targets import FACTORY, FLOOR, FORMER_FACTORY, BookServer, before
from perf.harness.client import Call, Outcome, _run
from perf.harness.servers import REPOSITORY, Cluster, cpu_seconds
from tests.app.perf.fake_bookstore import BOOKS, FakeBookstore, server_of


def sample(app: str, server_ms: float, database_ms: float | None = 1.0) -> Sample:
    """Return one round of the first scenario."""
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


def test_the_tables_have_medians_and_ratios() -> None:
    """One table each for the server, for PostgreSQL and for both. A ratio is the median of the rounds' ratios."""
    figures = {"textbook": (4.0, 9.0, 5.0), "floor": (0.25, 0.25, 0.9), "rowhouse": (0.5, 0.4, 0.7)}
    printed = side_by_side([sample(app, value) for app, values in figures.items() for value in values]).splitlines()
    assert printed[2] == "| scenario | textbook | floor | rowhouse | rowhouse / textbook | rowhouse / floor |"
    assert [line for line in printed if line.startswith("| get")] == [
        "| get | 5.00 | 0.25 | 0.50 | 0.12 | 1.60 |",
        "| get | 1.00 | 1.00 | 1.00 | 1.00 | 1.00 |",
        "| get | 6.00 | 1.25 | 1.50 | 0.28 | 1.12 |",
    ]


def test_the_cpu_of_a_postgresql_that_was_not_started_here_has_no_table() -> None:
    """Without Rowhouse there is no ratio."""
    printed = side_by_side([sample("floor", 0.2, None)])
    assert "PostgreSQL" not in printed
    assert printed.splitlines()[2:] == ["| scenario | floor |", "|---|---:|", "| get | 0.20 |"]


def test_an_application_without_postgresql_has_no_ratio_for_it() -> None:
    """PocketBase has its own database. The table for both together has a ratio."""
    printed = side_by_side([sample("rowhouse", 0.5), sample("pocketbase", 0.75, 0.0)]).splitlines()
    assert [line for line in printed if line.startswith("| get")] == [
        "| get | 0.50 | 0.75 | 0.67 |",
        "| get | 1.00 | 0.00 | - |",
        "| get | 1.50 | 0.75 | 2.00 |",
    ]


def drive_here(port: int, calls: Sequence[Call], *, connections: int, timeout_seconds: float) -> Outcome:
    """Do what `drive` does, in this process."""
    requests = [call.encode() for call in calls]
    return uvloop.run(_run(port, requests=requests, connections=connections, timeout_seconds=timeout_seconds))


def test_one_command_prints_the_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It compares real servers, and writes each sample to a file."""
    monkeypatch.setattr(bench, "drive", drive_here)
    options = f"--apps floor,rowhouse,without-metrics,litestar,django-bolt --rounds 1 --books {BOOKS} --requests 12 --warm-up 1 --connections 2"
    written = tmp_path / "bench.json"
    main([*options.split(), "--pocketbase", "--json", str(written)])
    rows = [line.split(" | ")[0] for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    # The server's CPU, the database's, and both together.
    assert rows == ["| scenario", *(f"| {scenario.value}" for scenario in Scenario)] * 3
    document = json.loads(written.read_text())
    assert len(document["samples"]) == 6 * len(Scenario)
    assert all(each["server_ms"] > 0 and each["database_ms"] is not None for each in document["samples"])
    assert document["medians"]["update"]["rowhouse"]["server_ms"] > 0


def test_scenarios_are_chosen_by_name() -> None:
    """An unknown name is named, with those that there are."""
    assert parse_scenarios("update,get") == (Scenario.UPDATE, Scenario.GET)
    with pytest.raises(argparse.ArgumentTypeError, match=r"'delete' is not a valid Scenario; there are .*'update'"):
        parse_scenarios("get,delete")


def test_a_failed_request_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are no figures for wrong responses."""
    monkeypatch.setattr(bench, "drive", lambda *_arguments, **_options: Outcome(failures=1, first_failure="oh"))
    plan = Plan(targets=[FLOOR], rounds=1, books=1, requests=1, warm_up=1, connections=1)
    stopped: Any = Bench(plan=plan, cluster=None, servers=[])  # type: ignore[arg-type]  # nothing is started
    with pytest.raises(FailedRequestError, match="floor get: 1 of 1 failed, the first:\noh"):
        stopped.measure(server_of(FLOOR), Scenario.GET, token="")


def test_cpu_seconds_are_those_of_the_process() -> None:
    """A PostgreSQL that was not started here has none."""
    process = psutil.Process()
    times = process.cpu_times()
    assert cpu_seconds(process) >= times.user + times.system - 0.02
    assert Cluster(url=None, process=None).cpu_seconds() is None  # type: ignore[arg-type]  # it is not used


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("", ""),
        ("ignores filters", "found-20 of other differs from first"),
        ("ignores sorting", "found-20 of other differs from first"),
        ("lacks a member", "page-20 of other differs from first"),
        ("lacks the total", "other: no page of 20 with its total"),
        ("ignores updates", "other: stock of book 1 is 1 and not 0"),
        ("accepts any token", "other: a forged token returned 200"),
    ],
)
def test_a_different_response_is_an_error(fault: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two applications that respond the same pass."""
    shops = {"first": FakeBookstore(), "other": FakeBookstore(fault)}

    def request(
        server: BookServer, method: str, *, path: str, body: Any = None, headers: Any = None
    ) -> tuple[int, Any]:
        return shops[server.target.name].respond(method, path, body, headers or {})

    monkeypatch.setattr(equivalence_check, "_request", request)
    servers = [server_of(replace(FLOOR, name=name)) for name in shops]
    if not message:
        check_equivalence(servers, books=BOOKS)
        return
    with pytest.raises(ResponseMismatchError, match=message):
        check_equivalence(servers, books=BOOKS)


def test_an_earlier_checkout_is_started_by_its_own_factory(tmp_path: Path) -> None:
    """In former checkouts engine and product were one package."""
    assert before(str(REPOSITORY)).factory == FACTORY
    (tmp_path / "backend").mkdir()
    (tmp_path / "backend" / "main.py").touch()
    former = before(str(tmp_path))
    assert (former.name, former.factory, former.directory) == ("before", FORMER_FACTORY, tmp_path)


def test_another_directory_is_no_checkout(tmp_path: Path) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is no checkout of Rowhouse"):
        before(str(tmp_path))
