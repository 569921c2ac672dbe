"""Measure cursor pages anywhere in a list: `python -m perf.cursor --rows 1000000`.

It reads pages of 100 books after the rows at three positions, under sorts that an index serves, on PostgreSQL and
SQLite with one worker. The positions take turns over several rounds. It prints the medians of the latencies, their
ratio to the first position, and an offset page at the last position for comparison.
"""

import argparse
import json
import statistics
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from perf.app.compare.targets import ROWHOUSE, BookServer
from perf.app.datasets.benchmark_rows import fill
from perf.harness.client import HOST, Call, drive
from perf.harness.servers import postgres, serve, sqlite

PATH = ROWHOUSE.books_path
SIZE = 100
FIELDS = "id,title,author,price,stock"
SORTS = ("id", "-id", "title", "-author")
BACKENDS = ("postgresql", "sqlite")


@contextmanager
def filled(backend: str, rows: int) -> Iterator[BookServer]:
    """Yield Rowhouse on a database with this number of books."""
    with ExitStack() as stack:
        if backend == "sqlite":
            url = stack.enter_context(sqlite())
        else:
            url = stack.enter_context(stack.enter_context(postgres()).database("perf_cursor"))
        with serve(ROWHOUSE, url):
            pass  # it migrates the database and creates the administrator; SQL inserts the books
        print(f"{backend}: filling {rows} rows ...", file=sys.stderr)
        fill(url, books=rows, with_user=False)
        yield stack.enter_context(serve(ROWHOUSE, url))


def page_after(server: BookServer, sort: str, row: int) -> Call:
    """Return the request for the page after this number of rows, by its cursor."""
    before = f"http://{HOST}:{server.port}{PATH}?sort={sort}&skip={row - 10}&limit=10&fields=id"
    with urllib.request.urlopen(before, timeout=600) as answer:  # nosec B310  our own server
        cursor = json.load(answer)["next_cursor"]
    return Call(path=f"{PATH}?cursor={cursor}&size={SIZE}&fields={FIELDS}")


def milliseconds(server: BookServer, call: Call, requests: int) -> float:
    """Send one call several times, one after another; return the median latency.

    Raises:
        RuntimeError: a response was not a success.
    """
    outcome = drive(server.port, [call] * requests, connections=1, timeout_seconds=300)
    if outcome.failures:
        raise RuntimeError(outcome.first_failure)
    return statistics.median(outcome.latencies_ms)


def measure(server: BookServer, sort: str, positions: Sequence[int], *, rounds: int, requests: int) -> list[float]:
    """Return the medians over the rounds: one for each position, then one for the offset page at the last."""
    calls = [page_after(server, sort, position) for position in positions]
    calls.append(Call(path=f"{PATH}?sort={sort}&skip={positions[-1]}&limit={SIZE}&fields={FIELDS}"))
    figures: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for number, call in enumerate(calls):
            is_offset = number == len(positions)
            figures[number].append(milliseconds(server, call, 5 if is_offset else requests))
    return [statistics.median(rounds_of_one) for rounds_of_one in figures]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m perf.cursor", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=200, help="for each position and round")
    parser.add_argument("--database", choices=BACKENDS, action="append", help="default: both")
    options = parser.parse_args(arguments)
    positions = [10, options.rows // 2, options.rows - SIZE - 10]
    print(
        "| database | sort | " + " | ".join(f"row {position}" for position in positions) + " | ratios | offset page |"
    )
    print("|---|---|---:|---:|---:|---|---:|")
    for backend in options.database or BACKENDS:
        with filled(backend, options.rows) as server:
            for sort in SORTS:
                *found, offset = measure(server, sort, positions, rounds=options.rounds, requests=options.requests)
                ratios = " ".join(f"{figure / found[0]:.2f}" for figure in found)
                cells = " | ".join(f"{figure:.2f} ms" for figure in found)
                print(f"| {backend} | {sort} | {cells} | {ratios} | {offset:.1f} ms |", flush=True)
