"""Measure what PgBouncer costs, and what prepared statements save: `python -m perf.pooler --pgbouncer pgbouncer`.

One Rowhouse in one worker reaches one PostgreSQL directly and through PgBouncer, in session and in transaction mode,
with prepared statements, without them, and with its own choice (`PREPARE_STATEMENTS`). It prints the CPU of a request
for the server, for PostgreSQL and for PgBouncer. The routes take turns, round by round. `tests/world` checks the
responses.
"""

import argparse
import itertools
import os
import pwd
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import make_url

from perf.app.compare.equivalence_check import sign_in
from perf.app.compare.scenarios import Scenario, calls
from perf.app.compare.targets import ROWHOUSE, BookServer
from perf.app.datasets.benchmark_rows import fill, trim
from perf.harness.client import HOST, drive
from perf.harness.servers import Cluster, ServerStartError, cpu_seconds, free_port, postgres, serve

SCENARIOS = (Scenario.GET, Scenario.CREATE)
TIMEOUT_SECONDS, START_SECONDS = 30.0, 10.0
MODES = ("session", "transaction")
USERS = '"postgres" ""\n'


@dataclass(frozen=True, kw_only=True)
class DatabaseRoute:
    """How the server reaches its database: the mode of the pooler, and when it prepares statements."""

    mode: str
    prepare: str

    def __str__(self) -> str:
        return f"{self.mode}, {self.prepare}"


ROUTES = (
    DatabaseRoute(mode="direct", prepare="always"),
    DatabaseRoute(mode="direct", prepare="never"),
    DatabaseRoute(mode="direct", prepare="auto"),
    *(DatabaseRoute(mode=mode, prepare=prepare) for mode in MODES for prepare in ("never", "auto")),
)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is sent."""

    rounds: int
    requests: int
    warm_up: int
    books: int
    connections: int


@dataclass(frozen=True, kw_only=True)
class Running:
    """One server, and the PgBouncer between it and the database."""

    route: DatabaseRoute
    server: BookServer
    pooler: psutil.Process | None


@dataclass(frozen=True, kw_only=True)
class Sample:
    """CPU of one request in ms."""

    route: DatabaseRoute
    scenario: Scenario
    server_ms: float
    database_ms: float
    pooler_ms: float


@contextmanager
def pgbouncer(program: str, cluster: Cluster, *, mode: str) -> Iterator[tuple[int, psutil.Process]]:
    """Start a PgBouncer with default settings in front of the cluster; yield its port and its process.

    Raises:
        ServerStartError: it did not start.
    """
    with tempfile.TemporaryDirectory(prefix="perf-pooler-") as directory:
        account = _account(_host_of(cluster))
        if account:
            os.chown(directory, account["user"], account["group"])
        port, folder = free_port(), Path(directory)
        (folder / "users").write_text(USERS)
        settings = (
            f"[databases]\n* = host={_host_of(cluster)} port={cluster.url.port or 5432}\n"
            f"[pgbouncer]\nlisten_addr = {HOST}\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = trust\nauth_file = {folder / 'users'}\npool_mode = {mode}\n"
        )
        (folder / "ini").write_text(settings)
        process = subprocess.Popen([program, "--quiet", str(folder / "ini")], **account)
        try:
            started = time.monotonic()
            while not _listens(process.pid):
                if process.poll() is not None or time.monotonic() - started > START_SECONDS:
                    raise ServerStartError(f"{program} did not start")
                time.sleep(0.05)
            yield port, psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait()


def _listens(pid: int) -> bool:
    return any(connection.status == psutil.CONN_LISTEN for connection in psutil.Process(pid).net_connections("tcp"))


def _host_of(cluster: Cluster) -> str:
    """Return the address of the cluster, or the directory of its socket."""
    return str(cluster.url.host or cluster.url.query["host"])


def _account(host: str) -> dict[str, Any]:
    """Return the arguments that start PgBouncer as the owner of the socket directory, or as nobody: it refuses root."""
    if os.geteuid() != 0:
        return {}
    owner = Path(host).stat().st_uid if host.startswith("/") else pwd.getpwnam("nobody").pw_uid
    account = pwd.getpwuid(owner)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


@contextmanager
def running(plan: Plan, program: str, database_url: str | None) -> Iterator[tuple[Cluster, list[Running]]]:
    """Yield the cluster, and a server for each route to it, each with a database of its own."""
    with ExitStack() as stack:
        cluster = stack.enter_context(postgres(database_url))
        poolers = {mode: stack.enter_context(pgbouncer(program, cluster, mode=mode)) for mode in MODES}
        found = []
        for route in ROUTES:
            url = stack.enter_context(cluster.database("perf_pooler"))
            target = replace(ROWHOUSE, name=str(route), environment={"PREPARE_STATEMENTS": route.prepare})
            port, process = poolers.get(route.mode, (None, None))
            reached = url
            if port is not None:
                through = make_url(url).set(host=HOST, port=port, query={})
                reached = through.render_as_string(hide_password=False)
            server = stack.enter_context(serve(target, reached))
            fill(url, books=plan.books, with_user=False)
            found.append(Running(route=route, server=server, pooler=process))
        yield cluster, found


def measure(plan: Plan, cluster: Cluster, servers: Sequence[Running]) -> Iterator[Sample]:
    """Yield every sample. The routes take turns.

    Raises:
        RuntimeError: a request failed.
    """
    for _round, scenario, running in itertools.product(range(plan.rounds), SCENARIOS, servers):
        token = sign_in(running.server)
        _drive(plan, running, scenario, token=token, numbers=range(plan.warm_up))
        before = _cpu(cluster, running)
        _drive(plan, running, scenario, token=token, numbers=range(plan.warm_up, plan.warm_up + plan.requests))
        spent = [
            (after - earlier) * 1000 / plan.requests
            for after, earlier in zip(_cpu(cluster, running), before, strict=True)
        ]
        if scenario is Scenario.CREATE:
            trim(running.server.database_url, last_id=plan.books)
        yield Sample(
            route=running.route, scenario=scenario, server_ms=spent[0], database_ms=spent[1], pooler_ms=spent[2]
        )


def _cpu(cluster: Cluster, running: Running) -> tuple[float, float, float]:
    return (
        running.server.cpu_seconds(),
        cluster.cpu_seconds() or 0.0,
        cpu_seconds(running.pooler) if running.pooler else 0.0,
    )


def _drive(plan: Plan, running: Running, scenario: Scenario, *, token: str, numbers: range) -> None:
    requests = calls(running.server.target, scenario, numbers=numbers, books=plan.books, token=token)
    outcome = drive(running.server.port, requests, connections=plan.connections, timeout_seconds=TIMEOUT_SECONDS)
    if outcome.failures:
        raise RuntimeError(
            f"{running.route} {scenario}: {outcome.failures} failed, the first:\n{outcome.first_failure}"
        )


def report(samples: Sequence[Sample]) -> str:
    """Return the medians as a Markdown table."""
    lines = [
        "| route, prepared | request | server, ms | PostgreSQL, ms | PgBouncer, ms | all, ms |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for scenario, route in itertools.product(SCENARIOS, ROUTES):
        chosen = [sample for sample in samples if sample.scenario is scenario and sample.route == route]
        if chosen:
            parts = [
                statistics.median(getattr(sample, name) for sample in chosen)
                for name in ("server_ms", "database_ms", "pooler_ms")
            ]
            figures = " | ".join(f"{part:.2f}" for part in (*parts, sum(parts)))
            lines.append(f"| {route} | {scenario} | {figures} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status: 1 if there is no PgBouncer."""
    parser = argparse.ArgumentParser(prog="python -m perf.pooler", description=__doc__)
    parser.add_argument("--pgbouncer", default="pgbouncer", help="the program")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=1_000, help="measured, for each route, request and round")
    parser.add_argument("--warm-up", type=int, default=200, help="sent first, not measured")
    parser.add_argument("--books", type=int, default=10_000)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--database-url", help="a PostgreSQL to use instead of one from the wheel")
    options = vars(parser.parse_args(arguments))
    program = shutil.which(options.pop("pgbouncer"), path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    database_url = options.pop("database_url")
    if program is None:
        print("There is no PgBouncer; name one with --pgbouncer.", file=sys.stderr)
        return 1
    plan = Plan(**options)
    with running(plan, program, database_url) as (cluster, servers):
        samples = list(measure(plan, cluster, servers))
    print(f"Medians of {plan.rounds} rounds of {plan.requests} requests over {plan.connections} connections.\n")
    print(report(samples))
    return 0
