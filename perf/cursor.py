"""What a page behind a cursor costs anywhere in a list: `python -m perf.cursor --rows 1000000`.

Books in Rowhouse on PostgreSQL and on SQLite, one worker, pages of 100 behind the rows at three places, under sorts that an
index serves. The places are measured in turns over several rounds; the medians of the answers' milliseconds are printed, and
their ratio to the first place. An offset page at the last place stands beside them for comparison.
"""

import argparse
import json
import statistics
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from perf.apps import ROWHOUSE
from perf.client import HOST, Call, drive
from perf.fill import fill
from perf.servers import Server, postgres, serve, sqlite

PATH = ROWHOUSE.books_path
SIZE = 100
FIELDS = "id,title,author,price,stock"
SORTS = ("id", "-id", "title", "-author")
BACKENDS = ("postgresql", "sqlite")


@contextmanager
def filled(backend: str, rows: int) -> Iterator[Server]:
    """Rowhouse over a database with so many books."""
    with ExitStack() as stack:
        if backend == "sqlite":
            url = stack.enter_context(sqlite())
        else:
            url = stack.enter_context(stack.enter_context(postgres()).database("perf_cursor"))
        with serve(ROWHOUSE, url):
            pass  # migrated now, and the administrator stored; the rows come past the application
        print(f"{backend}: filling {rows} rows ...", file=sys.stderr)
        fill(url, books=rows, with_user=False)
        yield stack.enter_context(serve(ROWHOUSE, url))


def page_behind(server: Server, sort: str, row: int) -> Call:
    """The page behind so many rows, by its cursor."""
    before = f"http://{HOST}:{server.port}{PATH}?sort={sort}&skip={row - 10}&limit=10&fields=id"
    with urllib.request.urlopen(before, timeout=600) as answer:  # nosec B310  our own server
        cursor = json.load(answer)["next_cursor"]
    return Call(path=f"{PATH}?cursor={cursor}&size={SIZE}&fields={FIELDS}")


def milliseconds(server: Server, call: Call, requests: int) -> float:
    """The median of the answers to one call, one after the other.

    Raises:
        RuntimeError: one of them was no success.
    """
    outcome = drive(server.port, [call] * requests, connections=1, timeout_seconds=300)
    if outcome.failures:
        raise RuntimeError(outcome.first_failure)
    return statistics.median(outcome.latencies_ms)


def measure(server: Server, sort: str, places: Sequence[int], *, rounds: int, requests: int) -> list[float]:
    """The medians over the rounds, a figure for each place and one for the offset page at the last."""
    calls = [page_behind(server, sort, place) for place in places]
    calls.append(Call(path=f"{PATH}?sort={sort}&skip={places[-1]}&limit={SIZE}&fields={FIELDS}"))
    figures: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for position, call in enumerate(calls):
            is_offset = position == len(places)
            figures[position].append(milliseconds(server, call, 5 if is_offset else requests))
    return [statistics.median(rounds_of_one) for rounds_of_one in figures]


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m perf.cursor", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=200, help="for each place and round")
    parser.add_argument("--database", choices=BACKENDS, action="append", help="both without it")
    options = parser.parse_args(arguments)
    places = [10, options.rows // 2, options.rows - SIZE - 10]
    print("| database | sort | " + " | ".join(f"row {place}" for place in places) + " | ratios | offset page |")
    print("|---|---|---:|---:|---:|---|---:|")
    for backend in options.database or BACKENDS:
        with filled(backend, options.rows) as server:
            for sort in SORTS:
                *found, offset = measure(server, sort, places, rounds=options.rounds, requests=options.requests)
                ratios = " ".join(f"{figure / found[0]:.2f}" for figure in found)
                cells = " | ".join(f"{figure:.2f} ms" for figure in found)
                print(f"| {backend} | {sort} | {cells} | {ratios} | {offset:.1f} ms |", flush=True)


if __name__ == "__main__":
    main()
