"""Many requests in the same instant: `python -m perf.burst --requests 200`.

Every request has a connection of its own and asks for a page of 20. What counts is that none fails
and how long the slowest waits; an application whose requests hold a connection while they queue for a
thread stalls here: of 200 the textbook answers 40 with 500 after 30 s, the next 40 after 60 s, and so
on, so that within the time-out every request has failed. Default settings, one worker. It measures no CPU and compares no throughput: that
is `perf.bench`.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from perf.apps import ROWHOUSE, TEXTBOOK, App, parse_apps
from perf.client import Outcome, drive
from perf.fill import fill
from perf.scenarios import Scenario, calls
from perf.servers import Cluster, postgres, serve, sqlite

# Longer than the 30 s that SQLAlchemy's default pool waits, so that its own error is seen.
TIMEOUT_SECONDS = 35.0
WARM_UP = 50
DATABASES = ("sqlite", "postgresql")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is sent."""

    apps: list[App]
    requests: int
    bursts: int
    books: int


@dataclass(frozen=True, kw_only=True)
class Row:
    """All bursts at one application on one database; latencies in ms, failed requests included."""

    app: str
    database: str
    requests: int
    errors: int
    latencies_ms: list[float]
    first_failure: str

    def quantile(self, share: float) -> float:
        """The latency that `share` of the requests did not exceed."""
        return sorted(self.latencies_ms)[max(0, round(share * len(self.latencies_ms)) - 1)]


def run(plan: Plan, cluster: Cluster) -> Iterator[Row]:
    """One row per application and database."""
    for app in plan.apps:
        for database in DATABASES:
            with _database(database, app=app, cluster=cluster) as url:
                with serve(app, url):
                    fill(url, books=plan.books, with_user=app.login_path is None)
                outcomes = [_burst(plan, app, url) for _ in range(plan.bursts)]
            yield _row(outcomes, app=app, database=database)


def _burst(plan: Plan, app: App, database_url: str) -> Outcome:
    """One burst at a freshly started server: one that stalls would spoil the next burst for minutes."""
    pages = calls(app, Scenario.PAGE_20, numbers=range(plan.requests), books=plan.books, token="")
    with serve(app, database_url) as server:
        drive(server.port, pages[:WARM_UP], connections=1, timeout_seconds=TIMEOUT_SECONDS)
        return drive(server.port, pages, connections=plan.requests, timeout_seconds=TIMEOUT_SECONDS)


@contextmanager
def _database(kind: str, *, app: App, cluster: Cluster) -> Iterator[str]:
    with sqlite() if kind == "sqlite" else cluster.database(app.database_prefix) as url:
        yield url


def _row(outcomes: Sequence[Outcome], *, app: App, database: str) -> Row:
    latencies = [latency for outcome in outcomes for latency in outcome.latencies_ms]
    return Row(
        app=app.name,
        database=database,
        requests=len(latencies),
        errors=sum(outcome.failures for outcome in outcomes),
        latencies_ms=latencies,
        first_failure=next((outcome.first_failure for outcome in outcomes if outcome.failures), ""),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m perf.burst", description=__doc__)
    parser.add_argument("--requests", type=int, default=200, help="sent at once")
    parser.add_argument("--bursts", type=int, default=3)
    parser.add_argument("--books", type=int, default=10_000)
    parser.add_argument("--apps", type=parse_apps, default=[ROWHOUSE, TEXTBOOK], help="comma-separated names")
    parser.add_argument("--database-url", help="a PostgreSQL to use instead of one from the wheel")
    options = vars(parser.parse_args(arguments))
    database_url = options.pop("database_url")
    print("| application | database | requests | errors | p50 ms | p95 ms | max ms |")
    print("|---|---|---:|---:|---:|---:|---:|")
    with postgres(database_url) as cluster:
        for row in run(Plan(**options), cluster):
            quantiles = " | ".join(f"{row.quantile(share):.0f}" for share in (0.5, 0.95, 1.0))
            print(f"| {row.app} | {row.database} | {row.requests} | {row.errors} | {quantiles} |", flush=True)
            if row.errors:
                print(f"{row.app} on {row.database} failed first with:\n{row.first_failure}", file=sys.stderr)


if __name__ == "__main__":
    main()
