"""Run the CRUD profile of HttpArena on Rowhouse and on FastAPI: `python -m perf.arena`.

HttpArena (http-arena.com) sends 75 % gets, 15 % PUTs, 5 % lists and 5 % POSTs to a table of 100,000 items in
PostgreSQL, over 4,096 connections from 64 threads, for 15 seconds. Here it is the same mix, table and rules, with a
number of requests and of connections that two cores can take. Prints requests a second, latencies and the CPU of a
request. The rounds alternate. A request that fails ends the run.
"""

import argparse
import json
import random
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack

from sqlalchemy import create_engine, text

from perf.harness.client import Call, drive
from perf.harness.servers import Cluster, Server, postgres, serve
from perf.harness.target import Target

TARGETS = (
    Target(name="rowhouse", factory="perf.app.arena.rowhouse_app:create_arena"),
    Target(name="fastapi", factory="perf.app.arena.fastapi_app:create_arena"),
)
FIRST_NEW = 100_001
READ_IDS, PAGES = 50_000, 10
KINDS = ("list", "POST", *["PUT"] * 3, *["GET"] * 15)
TIMEOUT_SECONDS = 120.0
TABLE = """CREATE TABLE items (
    id integer PRIMARY KEY, name text NOT NULL, category text NOT NULL, price integer NOT NULL,
    quantity integer NOT NULL, active boolean NOT NULL, tags jsonb NOT NULL, rating_score integer NOT NULL,
    rating_count integer NOT NULL
)"""
ROWS = """INSERT INTO items SELECT n, 'Alpha Widget ' || n,
    (ARRAY['electronics', 'office', 'garden', 'toys'])[1 + n % 4], 10 + n % 90,
    n % 50, n % 3 > 0, '["fast", "new"]', n % 100, n % 500 FROM generate_series(1, :rows) AS n"""
INDEX = "CREATE INDEX ix_items_category ON items (category, id)"


def mix(number: int, *, seed: int) -> Iterator[Call]:
    """Yield this many requests in the profile's mix."""
    chance = random.Random(seed)
    for position in range(number):
        kind, row = KINDS[position % len(KINDS)], chance.randint(1, READ_IDS)
        if kind == "list":
            yield Call(path=f"/crud/items?category=office&page={chance.randint(1, PAGES)}")
        elif kind == "POST":
            body = {"id": FIRST_NEW + position, "name": "New", "category": "test", "price": 25, "quantity": 10}
            yield Call(method="POST", path="/crud/items", body=json.dumps(body))
        elif kind == "PUT":
            changes = {"name": "Updated", "price": 30, "quantity": 5}
            yield Call(method="PUT", path=f"/crud/items/{row}", body=json.dumps(changes))
        else:
            yield Call(path=f"/crud/items/{row}")


def make_table(url: str, *, rows: int) -> None:
    """Create the table with this number of items."""
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(TABLE))
        connection.execute(text(ROWS), {"rows": rows})
        connection.execute(text(INDEX))
    engine.dispose()


def measure(server: Server[Target], cluster: Cluster, options: argparse.Namespace, *, seed: int) -> dict[str, float]:
    """Send the mix once. Return the figures.

    Raises:
        RuntimeError: a request got no 2xx response.
    """
    server_before, database_before = server.cpu_seconds(), cluster.cpu_seconds() or 0.0
    calls = list(mix(options.requests, seed=seed))
    outcome = drive(server.port, calls, connections=options.connections, timeout_seconds=TIMEOUT_SECONDS)
    if outcome.failures:
        raise RuntimeError(f"{server.target.name}: {outcome.failures} failed, the first:\n{outcome.first_failure}")
    latencies = sorted(outcome.latencies_ms)
    return {
        "requests/s": options.requests / outcome.seconds,
        "p50 ms": latencies[len(latencies) // 2],
        "p99 ms": latencies[len(latencies) * 99 // 100],
        "server ms": (server.cpu_seconds() - server_before) * 1000 / options.requests,
        "database ms": ((cluster.cpu_seconds() or 0.0) - database_before) * 1000 / options.requests,
    }


def report(samples: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Return a table in Markdown with the medians over the rounds."""
    names = list(next(iter(samples.values()))[0])
    lines = [f"| application | {' | '.join(names)} |", f"|---|{'---:|' * len(names)}"]
    for application, rounds in samples.items():
        cells = (f"{statistics.median(one[name] for one in rounds):.2f}" for name in names)
        lines.append(f"| {application} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m perf.arena", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=4_000, help="a round")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--rows", type=int, default=100_000)
    options = parser.parse_args(arguments)
    with ExitStack() as stack:
        cluster = stack.enter_context(postgres())
        servers = []
        for target in TARGETS:
            url = stack.enter_context(cluster.database(target.database_prefix))
            make_table(url, rows=options.rows)
            servers.append(stack.enter_context(serve(target, url)))
        samples: dict[str, list[dict[str, float]]] = {target.name: [] for target in TARGETS}
        for number in range(options.rounds + 1):
            for server in servers[:: -1 if number % 2 else 1]:
                found = measure(server, cluster, options, seed=number)
                if number:  # the first round warms up
                    samples[server.target.name].append(found)
    print(
        f"Medians of {options.rounds} rounds of {options.requests} requests over {options.connections} connections.\n"
    )
    print(report(samples))
    return 0


if __name__ == "__main__":
    sys.exit(main())
