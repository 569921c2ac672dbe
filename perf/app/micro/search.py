"""Measure searches in a large table: `python -m perf.search --rows 1000000 --database postgresql`.

One Rowhouse has this number of books with all their indexes. Pages of 20 with their totals are searched for texts that
are in every book, in some, in few and in none, of three letters and more and of two. The texts take turns, round after
round. It prints the medians and the slowest responses. The exit status is 1 if the median of a text of three letters
and more is over the SLO on PostgreSQL. The others are only shown, because no index serves them.
"""

import argparse
import statistics
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from urllib.parse import quote

from perf.app.compare.targets import ROWHOUSE
from perf.app.datasets.large_books import fill_books
from perf.app.micro.cursor import BACKENDS, PATH
from perf.harness.client import Call
from perf.harness.raw_connection import RawConnection
from perf.harness.servers import migrate, postgres, serve, sqlite

TARGET = replace(ROWHOUSE, name="search")
SLO_MS = 200
# The titles are like "The house with number 4711".
TEXTS = {
    "house": "in every book",
    "number 9": "in one of nine",
    "number 99": "in one of 90",
    "number 4711": "in one of 900",
    "number 471100": "in one",
    "nowhere": "in none",
    "ou": "two letters, in every book",
    "xq": "two letters, in none",
}
INDEXED_LETTERS = 3


def calls() -> dict[str, Call]:
    """Return the request for the first page of each text."""
    return {text: Call(path=f"{PATH}?search={quote(text)}&size=20") for text in TEXTS}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m perf.search", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--database", choices=BACKENDS, default="postgresql")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args(arguments)
    taken: dict[str, list[float]] = defaultdict(list)
    with ExitStack() as stack:
        is_postgresql = options.database == "postgresql"
        url = stack.enter_context(
            stack.enter_context(postgres()).database("perf_search") if is_postgresql else sqlite()
        )
        migrate(TARGET, url)
        fill_books(url, options.rows, is_searched=True)
        server = stack.enter_context(serve(replace(TARGET, migrate_command=()), url))
        connection = stack.enter_context(RawConnection(server.port))
        for number in range(options.rounds + 1):
            for text, call in calls().items():
                milliseconds = connection.milliseconds(call)
                taken[text] += [milliseconds] if number else []
    print(f"| {options.database}, {options.rows:,} books: text | found | median ms | slowest ms |\n|---|---|---:|---:|")
    for text, where in TEXTS.items():
        print(f"| {text} | {where} | {statistics.median(taken[text]):.1f} | {max(taken[text]):.1f} |")
    indexed = [statistics.median(taken[text]) for text in TEXTS if len(text) >= INDEXED_LETTERS]
    return 1 if is_postgresql and max(indexed) > SLO_MS else 0
