"""The command `perf.load`: a run that a slow endpoint fails, exit statuses, capacity runs and the written files."""

import argparse
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from perf import product
from perf.load import command
from perf.load.command import command_of, conclude, find_capacity, main, next_users
from perf.load.fault_injection import FaultInjector
from perf.load.load_run import Result
from perf.report.results import read_run, totals
from rowhouse.load.runs.results import Sample, evaluate
from tests.databases import Databases
from tests.load.sample_runs import FAILED, QUICK, SECONDS, SLOW, bounds, run_of, samples_of

SLOW_ENDPOINT = "GET /api/v1/shelfs/{id}"


def test_a_slow_endpoint_fails_the_run(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Locust loads a real server that delays one endpoint by 250 ms. That endpoint is slow, and no request fails."""
    monkeypatch.setenv("FAULT", "slow GET /shelfs/")
    # A slow test machine must not look like an overloaded server.
    monkeypatch.setenv("QUEUE_SECONDS", "20")
    # A run raises the limit: all of its users sign up from one address.
    monkeypatch.setenv("SIGN_UPS_PER_ADDRESS", "2")
    load = "--users 6 --seconds 3 --warm-up 0 --think 0.1 --servers 1"
    application = "--factory tests.perf.small_app:create_app --profile= --no-migrate"
    status = main(
        [*load.split(), *application.split(), "--database-url", databases.administrator_url, "--output", str(tmp_path)]
    )
    run = read_run(tmp_path / "run.json")
    endpoints = {endpoint["name"]: endpoint for endpoint in run["endpoints"]}
    slow = endpoints[SLOW_ENDPOINT]
    assert status == 1
    assert (run["passed"], slow["verdict"], slow["slo_ms"]) == (False, "slow", 240)
    assert slow["p50_ms"] >= 250
    assert {endpoint["first_failure"] for endpoint in run["endpoints"]} == {None}
    assert f"SLOW {SLOW_ENDPOINT}" in capsys.readouterr().out
    assert endpoints["POST /api/v1/auth/login"]["slo_ms"] == 200
    assert endpoints["GET /api/v1/shelfs/export"]["measured"] == "first byte"
    assert endpoints["POST /api/v1/shelfs/batch"]["measured"] == "20 elements"
    assert [second["users"] for second in run["seconds"]] == [6] * 3
    assert all(second["server_memory_mib"] > 0 < second["disk_ms"] for second in run["seconds"])
    assert databases.url("postgresql", "") not in run["command"]
    # The delay is outside of the application, so its own metrics do not have it, unless the test machine is slow too.
    numbers = (run["server"] or {})["get_shelf"]
    assert numbers["requests"] > 0
    assert (numbers["within_slo"] >= 0.95 * numbers["requests"]) is (SLOW_ENDPOINT in run["differences"])


def result_of(samples: list[Sample]) -> Result:
    """Return the result of a load with these samples."""
    endpoints = evaluate(bounds(), samples, seconds=SECONDS)
    return Result(endpoints=endpoints, seconds=[], totals=totals(samples, [], seconds=SECONDS))


@pytest.mark.parametrize(
    ("samples", "status", "printed"),
    [
        (QUICK, 0, "passed"),
        (SLOW, 1, "SLOW GET /api/v1/things/{id}: p95 253.0 ms, SLO 200 ms"),
        (FAILED, 1, "FAILED POST /api/v1/things: 500 oh"),
        (samples_of("POST /api/v1/things", 1.0), 1, "NEVER HIT GET /api/v1/things/{id}: no request"),
    ],
)
def test_the_exit_status_and_the_failed_endpoints(
    samples: list[Sample], status: int, printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every endpoint is in the table. Only the endpoints that are not ok are listed below it."""
    assert conclude(run_of(samples)) == status
    lines = capsys.readouterr().out.splitlines()
    assert printed in lines
    assert sum(line.startswith(("| GET", "| POST")) for line in lines) == 2
    assert sum(line.startswith(("SLOW", "FAILED", "NEVER HIT")) for line in lines) == status


@pytest.mark.parametrize(
    ("loads", "steps", "passed"),
    [
        ([QUICK, QUICK, SLOW, QUICK], [(10, True), (15, True), (20, False)], 1),
        ([FAILED, QUICK], [(10, False)], 0),
    ],
)
def test_a_capacity_run_adds_users_until_the_slo_breaks(
    loads: list[list[Sample]], steps: list[Any], passed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The result is that of the last step that passed, or of the only step."""
    results = [result_of(samples) for samples in loads]
    remaining = iter(results)
    monkeypatch.setattr(command, "measure", lambda _run, **_options: next(remaining))
    options = argparse.Namespace(users=10, seconds=1.0, warm_up=0.0, think=1.0)
    best, measured = find_capacity(None, options)  # type: ignore[arg-type]  # nothing is started
    assert [(each["users"], each["ok"]) for each in measured] == steps
    assert best is results[passed]


def test_a_step_has_half_as_many_users_again() -> None:
    """It always has more."""
    assert [next_users(users) for users in (1, 2, 10, 15, 100, 150)] == [2, 3, 15, 20, 150, 225]


def test_the_recorded_command_hides_the_url() -> None:
    """The URL may contain a password."""
    assert (
        command_of(["--database-url", "postgresql://u:secret@h/d", "capacity"])
        == "scripts/perf --database-url … capacity"
    )
    assert command_of(["--database-url=postgresql://u:secret@h/d"]) == "scripts/perf --database-url=…"
    assert command_of(["--rows", "5"]) == "scripts/perf --rows 5"


def test_without_a_product_the_application_must_be_given(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(product, "is_there", lambda: False)
    with pytest.raises(SystemExit):
        main([])
    assert "give the application with --factory" in capsys.readouterr().err


def test_a_run_that_cannot_be_compared_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit status differs from that of a broken SLO. No database is created."""
    monkeypatch.setattr(command, "start_load_run", lambda *_arguments, **_options: pytest.fail("something was started"))
    other = tmp_path / "other.json"
    other.write_text('{"version": 0}')
    for file in (other, tmp_path / "missing.json"):
        assert main(["--factory", "shop:create_app", "--compare", str(file)]) == 2


def test_the_report_is_written_beside_the_run(tmp_path: Path) -> None:
    """The report compares with the earlier run."""
    run, earlier = run_of(QUICK), run_of(SLOW)
    command.write(run, tmp_path / "new", earlier)
    assert read_run(tmp_path / "new" / "run.json")["passed"] is True
    assert "Against the run of" in (tmp_path / "new" / "report.md").read_text(encoding="utf-8")


def test_an_injected_error_affects_only_its_endpoint() -> None:
    """Every fifth request to the list fails. Requests to one row, and with another method, do not."""

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(status_code=204)(scope, receive, send)

    client = TestClient(FaultInjector(respond, "fail GET /things"))
    statuses = [client.get("/api/v1/things").status_code for _ in range(10)]
    assert statuses == [204, 204, 204, 204, 500] * 2
    assert {client.get("/api/v1/things/1").status_code for _ in range(10)} == {204}
    assert {client.post("/api/v1/things").status_code for _ in range(10)} == {204}


@pytest.mark.parametrize(("oks", "users"), [([True, True, False], 15), ([False], 10)])
def test_the_document_of_a_capacity_run_is_that_of_the_last_step_that_passed(
    oks: list[bool], users: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It also lists every step, but not the endpoints that were not called."""
    monkeypatch.setattr(command, "_machine", lambda _run: {})
    best = result_of(samples_of("POST /api/v1/things", 1.0, failure=None if oks[0] else "500"))
    steps: list[Any] = [{"users": count, "ok": ok} for count, ok in zip((10, 15, 20), oks, strict=False)]
    options = argparse.Namespace(
        rows=5,
        title="Rowhouse",
        users=10,
        seconds=1.0,
        warm_up=0.0,
        think=1.0,
        servers=2,
        started_at="now",
        command="scripts/perf capacity",
    )
    run = command.document(None, best, options, steps=steps)  # type: ignore[arg-type]  # nothing is started
    assert (run["plan"]["users"], run["capacity"], run["passed"]) == (users, steps, oks[0])
    assert [endpoint["name"] for endpoint in run["endpoints"]] == ["POST /api/v1/things"]
