"""Whether every endpoint keeps its SLO: `scripts/perf --rows 1000000 --users 100 --seconds 60`, or `python -m perf.load`.

One command, nothing to prepare: a PostgreSQL from the wheel (or a database of its own in the one at --database-url), migrated and
filled; Rowhouse on it in several processes of one port, as it is deployed; Locust with perf/locustfile.py in a process beside them.
After a warm-up every request is kept as a raw sample. An endpoint's bound is what the OpenAPI document says of it, `x-slo-ms`.

The exit status is 1 when the p95 of an endpoint is over its bound, when any request failed, or when an operation of the document was
never hit. A stream is judged by its first byte, a batch and a file at 20 elements. `scripts/perf capacity` begins with --users and
has half as many again come until an endpoint that is hit is slow or fails; the figures are then those of the last step that held, and
the exit status is 1 when none did. run.json and the report are
written to --output.
"""

import argparse
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import httpx2
import psycopg
from sqlalchemy import make_url

from perf.apps import ROWHOUSE
from perf.operations import UncallableOperationError
from perf.samples import (
    VERSION,
    Endpoint,
    Machine,
    Plan,
    Run,
    Step,
    UnreadableRunError,
    hit,
    passes,
    read_run,
    step,
    write_run,
)
from perf.servers import ServerStartError
from perf.trial import Found, GeneratorError, Trial, measure, opened
from rowhouse import __version__
from rowhouse.core.settings import Settings

# What ends a run without a verdict.
FAULTS = (
    GeneratorError,
    ServerStartError,
    UncallableOperationError,
    UnreadableRunError,
    httpx2.HTTPError,
    psycopg.Error,
    OSError,
)
CAPACITY, MOST_USERS = "capacity", 5000
REPORT = "perf.report"
URL_OPTION = "--database-url"


def next_users(users: int) -> int:
    """Half as many again, rounded down to fives."""
    return max(users + 1, (users * 3 // 2) // 5 * 5)


def climb(trial: Trial, options: argparse.Namespace) -> tuple[Found, list[Step]]:
    """More and more users until an endpoint breaks its SLO; what the last step that held found, or else the first."""
    users, steps, held = options.users, list[Step](), None
    while users <= MOST_USERS:
        found = _measured(trial, options, users)
        steps.append(step(users, found.endpoints, found.totals))
        print(_line_of(steps[-1]), flush=True)
        if held is None or steps[-1]["ok"]:
            held = found
        if not steps[-1]["ok"]:
            break
        users = next_users(users)
    if held is None:
        raise ValueError(f"--users must be at most {MOST_USERS}")
    return held, steps


def _measured(trial: Trial, options: argparse.Namespace, users: int) -> Found:
    return measure(trial, users=users, seconds=options.seconds, warm_up=options.warm_up, think=options.think)


def document(trial: Trial, found: Found, options: argparse.Namespace, *, steps: list[Step] | None) -> Run:
    """The run as it is written down."""
    held = [s["users"] for s in steps or () if s["ok"]]
    users = held[-1] if held else options.users
    endpoints = found.endpoints if steps is None else hit(found.endpoints)
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
        "title": f"Rowhouse with {options.rows:,} books and {users} users",
        "started_at": options.started_at,
        "command": options.command,
        "machine": _machine(trial),
        "plan": plan,
        "endpoints": endpoints,
        "seconds": found.seconds,
        "totals": found.totals,
        "capacity": steps,
        "passed": passes(endpoints),
    }


def _machine(trial: Trial) -> Machine:
    url = make_url(trial.server.database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as connection:
        row = connection.execute("SHOW server_version").fetchone()
    return {
        "cpu_count": os.cpu_count() or 1,
        "python": platform.python_version(),
        "postgresql": str(row[0]) if row else "",
        "rowhouse": __version__,
    }


def table(endpoints: Sequence[Endpoint]) -> str:
    """One line an endpoint, those that are nearest to their bounds first."""
    lines = [
        "| endpoint | measured | requests | p50 ms | p95 ms | p99 ms | max ms | SLO ms | |",
        "|---|---|" + "---:|" * 6 + "---|",
    ]
    ordered = sorted(endpoints, key=lambda e: (e["verdict"] == "ok", -e["p95_ms"] / e["slo_ms"]))
    for e in ordered:
        figures = " | ".join(f"{e[key]:.1f}" for key in ("p50_ms", "p95_ms", "p99_ms", "max_ms"))
        lines.append(
            f"| {e['name']} | {e['measured']} | {e['requests']} | {figures} | {e['slo_ms']} | {e['verdict']} |"
        )
    return "\n".join(lines)


def _line_of(found: Step) -> str:
    verdict = "ok" if found["ok"] else "broken"
    return (
        f"{found['users']} users: {found['requests_per_second']:.0f} requests/s, p95 {found['p95_ms']:.1f} ms, "
        f"worst {found['worst']} with {found['worst_p95_ms']:.1f} ms: {verdict}"
    )


def write(run: Run, directory: Path, earlier: Run | None) -> None:
    """run.json, and the report of it."""
    directory.mkdir(parents=True, exist_ok=True)
    write_run(run, directory / "run.json")
    written = [directory / "run.json"]
    if find_spec(REPORT) is not None:
        written += import_module(REPORT).write_report(run, directory, earlier=earlier)
    print(f"written: {', '.join(str(path) for path in written)}", file=sys.stderr)


def conclude(run: Run) -> int:
    """Print the table and what is wrong; the exit status."""
    print(table(run["endpoints"]))
    found, wrong = run["totals"], [e for e in run["endpoints"] if e["verdict"] != "ok"]
    print(
        f"\n{run['title']}: {found['requests']} requests, {found['requests_per_second']:.0f} a second, "
        f"{found['failures']} failed; p50 {found['p50_ms']:.1f} ms, p95 {found['p95_ms']:.1f} ms; CPU a request: "
        f"server {found['server_cpu_ms_per_request']:.2f} ms, database {found['database_cpu_ms_per_request']:.2f} ms; "
        f"the disk kept 8 KiB in {found['disk_p50_ms']:.1f} ms, at the slowest in {found['disk_max_ms']:.0f} ms"
    )
    for e in wrong:
        reason = e["first_failure"] or f"p95 {e['p95_ms']:.1f} ms, SLO {e['slo_ms']} ms"
        print(f"{e['verdict'].upper()} {e['name']}: {reason if e['requests'] else 'no request'}")
    print("passed" if run["passed"] else f"{len(wrong)} of {len(run['endpoints'])} endpoints break the SLO")
    return 0 if run["passed"] else 1


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/perf", description=__doc__)
    parser.add_argument("what", nargs="?", choices=(CAPACITY,), help="steps the users up until the SLO breaks")
    parser.add_argument("--rows", type=int, default=1_000_000, help="books; other tables in proportion")
    parser.add_argument("--users", type=int, default=100, help="at once; with capacity, to begin with")
    parser.add_argument("--seconds", type=float, default=60.0, help="measured")
    parser.add_argument("--warm-up", type=float, default=10.0, help="seconds of load that are not measured")
    parser.add_argument(
        "--think", type=float, default=2.0, help="seconds between two tasks of a user, give or take half"
    )
    parser.add_argument("--servers", type=int, default=2, help="processes of the application, behind one port")
    parser.add_argument(URL_OPTION, help="a PostgreSQL to use instead of one from the wheel")
    parser.add_argument("--output", type=Path, default=Path("perf-report"), help="directory of run.json and the report")
    parser.add_argument("--compare", type=Path, help="run.json of an earlier run")
    parser.add_argument("--factory", default=ROWHOUSE.factory, help="the application, if it is another one")
    options = parser.parse_args(arguments)
    options.started_at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    options.command = command_of(arguments)
    return options


def command_of(arguments: Sequence[str]) -> str:
    """The command line without the URL, in which there may be a password."""
    shown, is_url = ["scripts/perf"], False
    for argument in arguments:
        name, _, value = argument.partition("=")
        hides = is_url or (name == URL_OPTION and bool(value))
        shown.append(("…" if is_url else f"{URL_OPTION}=…") if hides else argument)
        is_url = argument == URL_OPTION
    return " ".join(shown)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; gives the exit status."""
    options = _parsed(sys.argv[1:] if arguments is None else arguments)
    try:
        earlier = read_run(options.compare) if options.compare else None
        app = replace(ROWHOUSE, factory=options.factory)
        with opened(app, options.database_url, rows=options.rows, servers=options.servers) as trial:
            if options.what == CAPACITY:
                found, steps = climb(trial, options)
            else:
                found = _measured(trial, options, options.users)
                steps = None
            run = document(trial, found, options, steps=steps)
    except FAULTS as error:
        print(error, file=sys.stderr)
        return 2
    write(run, options.output, earlier)
    return conclude(run)


if __name__ == "__main__":
    sys.exit(main())
