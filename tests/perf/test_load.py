"""The command: a real run whose one slowed endpoint fails it, and what it does with what a run found."""

import argparse
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from perf.load import command
from perf.load.fault_injection import Faulty
from perf.load.command import climb, command_of, conclude, main, next_users
from perf.load.operations import Api, Deck, UncallableOperationError
from perf.load.sample_recorder import Recorder
from perf.report.results import Sample, judge, read_run, totals
from perf.load.load_run import Found, bounds_of
from tests.databases import Databases
from tests.openapi_documents import document_of
from tests.perf.made_up import QUICK, REFUSED, SECONDS, SLOWED, answers, bounds, run_of

SLOWED_ENDPOINT = "GET /api/v1/categories/{id}"


def test_an_endpoint_that_is_slowed_fails_the_run(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A real server, slowed by 250 ms in one place, under Locust: that endpoint is slow, and no request failed."""
    monkeypatch.setenv("FAULT", "slow GET /categories/")
    # A busy test machine must not be taken for an overloaded server.
    monkeypatch.setenv("QUEUE_SECONDS", "20")
    options = (
        "--rows 20 --users 6 --seconds 3 --warm-up 0 --think 0.1 --servers 1 --factory tests.perf.small:create_app"
    )
    status = main([*options.split(), "--database-url", databases.administrator_url, "--output", str(tmp_path)])
    run = read_run(tmp_path / "run.json")
    endpoints = {endpoint["name"]: endpoint for endpoint in run["endpoints"]}
    slowed = endpoints[SLOWED_ENDPOINT]
    assert status == 1
    assert (run["passed"], slowed["verdict"], slowed["slo_ms"]) == (False, "slow", 240)
    assert slowed["p50_ms"] >= 250
    assert {endpoint["first_failure"] for endpoint in run["endpoints"]} == {None}
    assert f"SLOW {SLOWED_ENDPOINT}" in capsys.readouterr().out
    assert endpoints["POST /api/v1/auth/login"]["slo_ms"] == 200
    assert endpoints["GET /api/v1/categories/export"]["measured"] == "first byte"
    assert endpoints["POST /api/v1/categories/batch"]["measured"] == "20 elements"
    assert [second["users"] for second in run["seconds"]] == [6] * 3
    assert all(second["server_memory_mib"] > 0 < second["disk_ms"] for second in run["seconds"])
    assert databases.url("postgresql", "") not in run["command"]


def found(samples: list[Sample]) -> Found:
    """What a load found, of samples that were made up."""
    return Found(
        endpoints=judge(bounds(), samples, seconds=SECONDS), seconds=[], totals=totals(samples, [], seconds=SECONDS)
    )


@pytest.mark.parametrize(
    ("samples", "status", "told"),
    [
        (QUICK, 0, "passed"),
        (SLOWED, 1, "SLOW GET /api/v1/things/{id}: p95 253.0 ms, SLO 200 ms"),
        (REFUSED, 1, "FAILED POST /api/v1/things: 500 oh"),
        (answers("POST /api/v1/things", 1.0), 1, "NEVER HIT GET /api/v1/things/{id}: no request"),
    ],
)
def test_the_exit_status_and_what_is_wrong(
    samples: list[Sample], status: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every endpoint is in the table; only what is wrong is named below it."""
    assert conclude(run_of(samples)) == status
    lines = capsys.readouterr().out.splitlines()
    assert told in lines
    assert sum(line.startswith(("| GET", "| POST")) for line in lines) == 2
    assert sum(line.startswith(("SLOW", "FAILED", "NEVER HIT")) for line in lines) == status


@pytest.mark.parametrize(
    ("finds", "steps", "held"),
    [
        ([QUICK, QUICK, SLOWED, QUICK], [(10, True), (15, True), (20, False)], 1),
        ([REFUSED, QUICK], [(10, False)], 0),
    ],
)
def test_capacity_goes_up_until_the_slo_breaks(
    finds: list[list[Sample]], steps: list[Any], held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no further; the figures are those of the last step that held, or of the only one."""
    made = [found(samples) for samples in finds]
    rest = iter(made)
    monkeypatch.setattr(load, "measure", lambda _trial, **_options: next(rest))
    options = argparse.Namespace(users=10, seconds=1.0, warm_up=0.0, think=1.0)
    best, climbed = climb(None, options)  # type: ignore[arg-type]  # nothing is started
    assert [(each["users"], each["ok"]) for each in climbed] == steps
    assert best is made[held]


def test_users_become_half_as_many_again() -> None:
    """Always more."""
    assert [next_users(users) for users in (1, 2, 10, 15, 100, 150)] == [2, 3, 15, 20, 150, 225]


def test_the_command_is_told_without_the_url() -> None:
    """There may be a password in it."""
    assert (
        command_of(["--database-url", "postgresql://u:secret@h/d", "capacity"])
        == "scripts/perf --database-url … capacity"
    )
    assert command_of(["--database-url=postgresql://u:secret@h/d"]) == "scripts/perf --database-url=…"
    assert command_of(["--rows", "5"]) == "scripts/perf --rows 5"


def test_a_run_that_cannot_be_compared_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends with another status than a broken SLO, before a database is made."""
    monkeypatch.setattr(load, "opened", lambda *_arguments, **_options: pytest.fail("something was started"))
    other = tmp_path / "other.json"
    other.write_text('{"version": 0}')
    assert main(["--compare", str(other)]) == 2
    assert main(["--compare", str(tmp_path / "missing.json")]) == 2


def test_only_requests_that_were_begun_in_the_measured_time_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """However late their answers are, and unrounded."""
    recorder, clock = Recorder(), iter([11.0, 10.1, 20.5, 20.5])
    note: dict[str, Any] = {"request_type": "GET", "name": "/things", "response_length": 0, "context": {}}
    recorder.note(**note, response_time=1.0, exception=None)
    recorder.begin, recorder.end = 10.0, 20.0
    monkeypatch.setattr("perf.load.sample_recorder.time.perf_counter", lambda: next(clock))
    recorder.note(**note, response_time=123.4567, exception=None)
    recorder.note(**note, response_time=200.0, exception=None)
    recorder.note(**note, response_time=1000.0, exception=RuntimeError("500 oh"))
    recorder.note(**note, response_time=400.0, exception=None)
    assert [(label, took, failure) for _, label, took, failure in recorder.samples] == [
        ("GET /things", 123.4567, None),
        ("GET /things", 1000.0, "500 oh"),
    ]
    assert recorder.samples[1][0] == pytest.approx(9.5)


def test_every_operation_of_the_document_has_its_bound() -> None:
    """Streams, batches and files are measured in ways of their own, and nothing else is."""
    api = Api(document_of("product"))
    found = {bound.name: bound for bound in bounds_of(api)}
    assert len(found) == len(api.operations)
    assert {bound.slo_ms for bound in found.values()} == {200}
    for name, bound in found.items():
        if name.endswith("/export"):
            assert bound.measured == "first byte"
        elif name.endswith(("/batch", "/import")) and "/users/" not in name:
            assert bound.measured == "20 elements"
        else:
            assert bound.measured == "whole answer"


def test_an_operation_without_a_bound_is_an_error() -> None:
    """A gate that held it to nothing would be none."""
    described = {"operationId": "list_things", "responses": {"200": {}}}
    with pytest.raises(UncallableOperationError, match="x-slo-ms of GET /things"):
        bounds_of(Api({"paths": {"/api/v1/things": {"get": described}}}))


def test_a_deck_deals_every_operation_as_often_as_its_weight_says() -> None:
    """In each round anew, and in another order."""
    api = Api(document_of("product"))
    deck, rounds = Deck(api), []
    for _ in range(2):
        rounds.append([deck.draw().label for _ in list(api.weighted())])
        for operation in api.operations:
            assert rounds[-1].count(operation.label) == operation.weight
    assert rounds[0] != rounds[1]


def test_the_report_is_written_beside_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given the earlier run too."""
    calls: list[Any] = []

    class Report:
        @staticmethod
        def write_report(run: Any, directory: Path, *, earlier: Any) -> list[Path]:
            calls.append((run, directory, earlier))
            return [directory / "report.html"]

    monkeypatch.setattr(load, "find_spec", lambda _name: object())
    monkeypatch.setattr(load, "import_module", lambda _name: Report)
    run, earlier = run_of(QUICK), run_of(SLOWED)
    load.write(run, tmp_path / "new", earlier)
    assert calls == [(run, tmp_path / "new", earlier)]
    assert read_run(tmp_path / "new" / "run.json")["passed"] is True


def test_a_fault_hits_what_it_names_and_nothing_else() -> None:
    """Every fifth request to the list fails; those to one row, and with another method, do not."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(status_code=204)(scope, receive, send)

    client = TestClient(Faulty(answer, "fail GET /things"))
    statuses = [client.get("/api/v1/things").status_code for _ in range(10)]
    assert statuses == [204, 204, 204, 204, 500] * 2
    assert {client.get("/api/v1/things/1").status_code for _ in range(10)} == {204}
    assert {client.post("/api/v1/things").status_code for _ in range(10)} == {204}


@pytest.mark.parametrize(("oks", "users"), [([True, True, False], 15), ([False], 10)])
def test_a_capacity_run_is_written_down_as_the_step_that_held(
    oks: list[bool], users: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With every step beside it, and without the endpoints that it did not come round to."""
    monkeypatch.setattr(load, "_machine", lambda _trial: {})
    best = found(answers("POST /api/v1/things", 1.0, failure=None if oks[0] else "500"))
    steps: list[Any] = [{"users": count, "ok": ok} for count, ok in zip((10, 15, 20), oks, strict=False)]
    options = argparse.Namespace(
        rows=5,
        users=10,
        seconds=1.0,
        warm_up=0.0,
        think=1.0,
        servers=2,
        started_at="now",
        command="scripts/perf capacity",
    )
    run = load.document(None, best, options, steps=steps)  # type: ignore[arg-type]  # nothing is started
    assert (run["plan"]["users"], run["capacity"], run["passed"]) == (users, steps, oks[0])
    assert [endpoint["name"] for endpoint in run["endpoints"]] == ["POST /api/v1/things"]
