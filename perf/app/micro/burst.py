"""Send many requests in the same instant: `python -m perf.burst --requests 200`.

Every request has a connection of its own and asks for a page of 20. It prints how many fail and how long the slowest
takes. An application whose requests hold a connection while they wait for a thread stalls here: of 200 requests the
textbook app returns 500 for 40 after 30 s, for the next 40 after 60 s, and so on, so within the time-out every request
fails. Default settings, one worker. It measures no CPU and compares no throughput: use `perf.bench`.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from perf.app.compare.scenarios import Scenario, calls
from perf.app.compare.targets import ROWHOUSE, TEXTBOOK, BookTarget, parse_targets
from perf.app.datasets.benchmark_rows import fill
from perf.harness.client import Outcome, drive
from perf.harness.servers import Cluster, postgres, serve, sqlite

# Longer than the 30 s that SQLAlchemy's default pool waits, so its own error is seen.
TIMEOUT_SECONDS = 35.0
WARM_UP = 50
DATABASES = ("sqlite", "postgresql")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is sent."""

    targets: list[BookTarget]
    requests: int
    bursts: int
    books: int


@dataclass(frozen=True, kw_only=True)
class Row:
    """All bursts at one application on one database. Latencies are in ms and include failed requests."""

    target: str
    database: str
    requests: int
    errors: int
    latencies_ms: list[float]
    first_failure: str

    def quantile(self, share: float) -> float:
        """Return the latency that `share` of the requests did not exceed."""
        return sorted(self.latencies_ms)[max(0, round(share * len(self.latencies_ms)) - 1)]


def run(plan: Plan, cluster: Cluster) -> Iterator[Row]:
    """Yield one row per application and database."""
    for target in plan.targets:
        for database in DATABASES:
            with _database(database, target=target, cluster=cluster) as url:
                with serve(target, url):
                    fill(url, books=plan.books, with_user=target.login_path is None)
                outcomes = [_burst(plan, target, url) for _ in range(plan.bursts)]
            yield _row(outcomes, target=target, database=database)


def _burst(plan: Plan, target: BookTarget, database_url: str) -> Outcome:
    """Send one burst to a new server: a server that stalls would spoil the next burst for minutes."""
    pages = calls(target, Scenario.PAGE_20, numbers=range(plan.requests), books=plan.books, token="")
    with serve(target, database_url) as server:
        drive(server.port, pages[:WARM_UP], connections=1, timeout_seconds=TIMEOUT_SECONDS)
        return drive(server.port, pages, connections=plan.requests, timeout_seconds=TIMEOUT_SECONDS)


@contextmanager
def _database(kind: str, *, target: BookTarget, cluster: Cluster) -> Iterator[str]:
    with sqlite() if kind == "sqlite" else cluster.database(target.database_prefix) as url:
        yield url


def _row(outcomes: Sequence[Outcome], *, target: BookTarget, database: str) -> Row:
    latencies = [latency for outcome in outcomes for latency in outcome.latencies_ms]
    return Row(
        target=target.name,
        database=database,
        requests=len(latencies),
        errors=sum(outcome.failures for outcome in outcomes),
        latencies_ms=latencies,
        first_failure=next((outcome.first_failure for outcome in outcomes if outcome.failures), ""),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m perf.burst", description=__doc__)
    parser.add_argument("--requests", type=int, default=200, help="sent at the same time")
    parser.add_argument("--bursts", type=int, default=3)
    parser.add_argument("--books", type=int, default=10_000)
    parser.add_argument(
        "--apps", dest="targets", type=parse_targets, default=[ROWHOUSE, TEXTBOOK], help="comma-separated names"
    )
    parser.add_argument("--database-url", help="a PostgreSQL to use instead of one from the wheel")
    options = vars(parser.parse_args(arguments))
    database_url = options.pop("database_url")
    print("| application | database | requests | errors | p50 ms | p95 ms | max ms |")
    print("|---|---|---:|---:|---:|---:|---:|")
    with postgres(database_url) as cluster:
        for row in run(Plan(**options), cluster):
            quantiles = " | ".join(f"{row.quantile(share):.0f}" for share in (0.5, 0.95, 1.0))
            print(f"| {row.target} | {row.database} | {row.requests} | {row.errors} | {quantiles} |", flush=True)
            if row.errors:
                print(f"{row.target} on {row.database} failed first with:\n{row.first_failure}", file=sys.stderr)
