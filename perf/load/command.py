"""Check whether every endpoint keeps its SLO: `scripts/perf --rows 1000000 --users 100 --seconds 60`.

`python -m perf.load` is the same. The command needs no preparation. It starts a PostgreSQL from the wheel (or creates a
database in the one at --database-url), migrates and fills it, and serves the application on it by several processes
that share one port, as in production. Locust runs perf/locustfile.py in a separate process. After a warm-up every
request is recorded as a raw sample. The bound of an endpoint is `x-slo-ms` in the OpenAPI document.

The exit status is 1 if the 95th percentile of an endpoint is over its bound, a request failed, or an operation was
never called. A stream is timed to its first byte, a batch and a file have 20 elements. `scripts/perf capacity` begins
with --users and adds half as many again until a called endpoint is slow or fails. Its figures are those of the last
step that passed; the exit status is 1 if none did. run.json and the report are written to --output.

Without the product (--factory), everything comes from the OpenAPI document; --profile adds what the document cannot
express.
"""

import argparse
import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import psycopg
from sqlalchemy import make_url

from perf.harness.servers import ServerStartError
from perf.harness.target import MIGRATE, Target
from perf.load.load_run import LoadRun, Result, measure, start_load_run
from perf.load.server_numbers import differences
from perf.product import default_profile
from perf.report.page import write_report
from perf.report.results import VERSION, Machine, Plan, Run, Step, UnreadableRunError, read_run, step, write_run
from rowhouse import Settings, __version__
from rowhouse.load import load_profile
from rowhouse.load.operations import UncallableOperationError
from rowhouse.load.runs.plan import HITS, seconds_needed
from rowhouse.load.runs.report import conclusion, failures, table
from rowhouse.load.runs.results import called, passes
from rowhouse.load.runs.run import GeneratorError, NotReadyError

# The errors that end a run without a verdict.
ERRORS = (
    GeneratorError,
    NotReadyError,
    ServerStartError,
    UncallableOperationError,
    UnreadableRunError,
    httpx2.HTTPError,
    psycopg.Error,
    OSError,
)
CAPACITY, MAX_USERS = "capacity", 5000
URL_OPTION = "--database-url"


def next_users(users: int) -> int:
    """Return half as many again, rounded down to a multiple of five."""
    return max(users + 1, (users * 3 // 2) // 5 * 5)


def find_capacity(run: LoadRun, options: argparse.Namespace) -> tuple[Result, list[Step]]:
    """Add users until an endpoint breaks its SLO; return the result of the last step that passed, or of the first."""
    users, steps, passed = options.users, list[Step](), None
    while users <= MAX_USERS:
        result = _measure(run, options, users)
        steps.append(step(users, result.endpoints, result.totals))
        print(_line_of(steps[-1]), flush=True)
        if passed is None or steps[-1]["ok"]:
            passed = result
        if not steps[-1]["ok"]:
            break
        users = next_users(users)
    if passed is None:
        raise ValueError(f"--users must be at most {MAX_USERS}")
    return passed, steps


def _measure(run: LoadRun, options: argparse.Namespace, users: int) -> Result:
    return measure(run, users=users, seconds=options.seconds, warm_up=options.warm_up, think=options.think)


def document(run: LoadRun, result: Result, options: argparse.Namespace, *, steps: list[Step] | None) -> Run:
    """Return the document of the run, as run.json has it."""
    passed = [s["users"] for s in steps or () if s["ok"]]
    users = passed[-1] if passed else options.users
    endpoints = result.endpoints if steps is None else called(result.endpoints)
    plan: Plan = {
        "rows": options.rows,
        "users": users,
        "seconds": options.seconds,
        "warm_up_seconds": options.warm_up,
        "servers": options.servers,
        "think_seconds": options.think,
        "slo_ms": Settings().slo_ms,
    }
    return {
        "version": VERSION,
        "title": f"{options.title} with {options.rows:,} rows and {users} users",
        "started_at": options.started_at,
        "command": options.command,
        "machine": _machine(run),
        "plan": plan,
        "endpoints": endpoints,
        "seconds": result.seconds,
        "totals": result.totals,
        "capacity": steps,
        "server": result.server,
        "differences": {} if result.server is None else dict(differences(endpoints, result.server)),
        "passed": passes(endpoints),
    }


def _machine(run: LoadRun) -> Machine:
    url = make_url(run.server.database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as connection:
        row = connection.execute("SHOW server_version").fetchone()
    return {
        "cpu_count": os.cpu_count() or 1,
        "python": platform.python_version(),
        "postgresql": str(row[0]) if row else "",
        "rowhouse": __version__,
    }


def _line_of(capacity_step: Step) -> str:
    verdict = "ok" if capacity_step["ok"] else "broken"
    return (
        f"{capacity_step['users']} users: {capacity_step['requests_per_second']:.0f} requests/s, "
        f"p95 {capacity_step['p95_ms']:.1f} ms, "
        f"worst {capacity_step['worst']} with {capacity_step['worst_p95_ms']:.1f} ms: {verdict}"
    )


def write(run: Run, directory: Path, earlier: Run | None) -> None:
    """Write run.json and the report."""
    directory.mkdir(parents=True, exist_ok=True)
    write_run(run, directory / "run.json")
    written = [directory / "run.json", *write_report(run, directory, earlier=earlier)]
    print(f"written: {', '.join(str(path) for path in written)}", file=sys.stderr)


def conclude(run: Run) -> int:
    """Print the table and the endpoints that broke their SLO. Return the exit status."""
    print(table(run["endpoints"]))
    totals = run["totals"]
    print(
        f"\n{run['title']}: {totals['requests']} requests, {totals['requests_per_second']:.0f} a second, "
        f"{totals['failures']} failed; p50 {totals['p50_ms']:.1f} ms, p95 {totals['p95_ms']:.1f} ms; CPU a request: "
        f"server {totals['server_cpu_ms_per_request']:.2f} ms, "
        f"database {totals['database_cpu_ms_per_request']:.2f} ms; "
        f"writing 8 KiB to the disk took {totals['disk_p50_ms']:.1f} ms, at most {totals['disk_max_ms']:.0f} ms"
    )
    for name, said in run.get("differences", {}).items():
        print(f"DIFFERENT {name}: {said}")
    print(*failures(run["endpoints"]), conclusion(run["endpoints"]), sep="\n")
    return 0 if run["passed"] else 1


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/perf", description=__doc__)
    parser.add_argument("what", nargs="?", choices=(CAPACITY,), help="steps the users up until the SLO breaks")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the largest table, if the profile fills it")
    parser.add_argument("--users", type=int, default=100, help="at the same time; with capacity, of the first step")
    parser.add_argument("--seconds", type=float, default=60.0, help="measured")
    parser.add_argument("--warm-up", type=float, default=10.0, help="seconds of load that are not measured")
    parser.add_argument(
        "--think", type=float, default=2.0, help="mean seconds between two tasks of a user; it varies by half"
    )
    parser.add_argument("--servers", type=int, default=2, help="processes of the application that share one port")
    parser.add_argument(URL_OPTION, help="a PostgreSQL to use instead of one from the wheel")
    parser.add_argument("--output", type=Path, default=Path("perf-report"), help="directory of run.json and the report")
    parser.add_argument("--compare", type=Path, help="run.json of an earlier run")
    parser.add_argument("--factory", help="the application, such as app.main:create_app; default: the product's")
    parser.add_argument("--profile", default=default_profile(), help="the rules of the API, as module:attribute")
    parser.add_argument(
        "--migrate", action=argparse.BooleanOptionalAction, default=True, help="run `alembic upgrade head` first"
    )
    options = parser.parse_args(arguments)
    try:
        options.rules = load_profile(options.profile)
    except (ImportError, ValueError) as error:
        parser.error(str(error))
    options.factory = options.factory or options.rules.factory
    if not options.factory:
        parser.error("there is no product to load: give the application with --factory")
    options.title = options.rules.title
    options.started_at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    options.command = command_of(arguments)
    return options


def command_of(arguments: Sequence[str]) -> str:
    """Return the command line without the URL, which may contain a password."""
    shown, is_url = ["scripts/perf"], False
    for argument in arguments:
        name, _, value = argument.partition("=")
        hides = is_url or (name == URL_OPTION and bool(value))
        shown.append(("…" if is_url else f"{URL_OPTION}=…") if hides else argument)
        is_url = argument == URL_OPTION
    return " ".join(shown)


def _run(options: argparse.Namespace) -> Run:
    """Start everything, load it, and return the document of the run."""
    target = Target(name="load", factory=options.factory, migrate_command=MIGRATE if options.migrate else ())
    with start_load_run(
        target,
        options.rules,
        profile_name=options.profile,
        database_url=options.database_url,
        rows=options.rows,
        servers=options.servers,
    ) as load_run:
        needed = seconds_needed(load_run.api, users=options.users, think=options.think)
        print(f"{options.users} users need {needed:.0f} s to call every operation {HITS} times", file=sys.stderr)
        if options.what == CAPACITY:
            result, steps = find_capacity(load_run, options)
            return document(load_run, result, options, steps=steps)
        return document(load_run, _measure(load_run, options, options.users), options, steps=None)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    options = _parsed(sys.argv[1:] if arguments is None else arguments)
    try:
        earlier = read_run(options.compare) if options.compare else None
        run = _run(options)
    except ERRORS as error:
        print(error, file=sys.stderr)
        return 2
    write(run, options.output, earlier)
    return conclude(run)
