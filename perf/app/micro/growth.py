"""Measure what a request costs as its table grows: `python -m perf.growth --rows 10000,1000000,5000000`.

Each size has its own database and server process. Every request is then sent to all sizes in turn, round after round,
so other work on the machine affects all sizes equally. It prints the medians of the raw latencies, and their ratios to
the smallest table. The exit status is 1 if a bounded request grows by more than half. Caches are warm: the same
requests are sent again and again.
"""

import argparse
import json
import statistics
import sys
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from urllib.parse import quote

from perf.app.compare.equivalence_check import sign_in
from perf.app.compare.targets import ROWHOUSE, BookServer
from perf.app.datasets.large_books import fill_books
from perf.app.datasets.related_books import fill_related
from perf.app.micro.cursor import BACKENDS, PATH, page_after
from perf.harness.client import HOST, Call
from perf.harness.raw_connection import RawConnection
from perf.harness.servers import migrate, postgres, serve, sqlite

# What is not bounded takes longer at millions of rows than a server lets a statement take.
TARGET = replace(
    ROWHOUSE,
    name="growth",
    factory="perf.app.micro.growth_app:create_app",
    environment={"STATEMENT_SECONDS": "600"},
)
COUNTED = "/api/v1/counted-books"
CATEGORIES = "/api/v1/categories"
AGGREGATE = f"{PATH}/aggregate"
MOST = 1.5
SIZE = 20
GETS = 40
WARM_UP = 20  # enough for PostgreSQL to prepare each statement and choose a generic plan
Calls = Callable[[BookServer, int], Sequence[Call]]
Latencies = Mapping[tuple[str, int], Sequence[float]]


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of request.

    `calls` returns the requests for a server whose table has this number of rows. A bounded case fails the run if it
    grows by more than MOST.
    """

    name: str
    calls: Calls
    is_bounded: bool = True


def page(query: str, path: str = PATH) -> Calls:
    """Return a first page, or one by offset: `{half}` in the query is half the number of rows."""
    return lambda _server, rows: [Call(path=f"{path}?{query.format(half=rows // 2)}&limit={SIZE}")]


def cursor(sort: str, percent: int) -> Calls:
    """Return the page after a percentage of the rows, by its cursor."""
    return lambda server, rows: [page_after(server, sort, rows * percent // 100)]


def gets(_server: BookServer, rows: int) -> list[Call]:
    """Return gets of books from all parts of the table."""
    return [Call(path=f"{PATH}/{1 + rows * number // GETS}") for number in range(GETS)]


def signed_in(query: str) -> Calls:
    """Return a page for the administrator."""

    def calls(server: BookServer, _rows: int) -> list[Call]:
        return [Call(path=f"{PATH}{query}", token=sign_in(server))]

    return calls


def upserts(server: BookServer, rows: int) -> list[Call]:
    """Return batches that change 20 books each by their titles, from all parts of the table."""
    book = {"author": UPSERTED, "price": 9, "stock": 1, "category_id": 1}
    parts = [range(1 + rows * part // GETS, 21 + rows * part // GETS) for part in range(GETS - 20)]
    bodies = [[{**book, "title": f"The house with number {number}"} for number in part] for part in parts]
    path, token = f"{PATH}/batch?on=title", sign_in(server)
    return [Call(method="POST", path=path, body=json.dumps(body), token=token) for body in bodies]


def parent_cursor(server: BookServer, _rows: int) -> list[Call]:
    """Return the page behind the first hundred books in the order of their categories."""
    with urllib.request.urlopen(  # nosec B310  our own server
        f"http://{HOST}:{server.port}{PATH}?sort=category__name&size=100&fields=id", timeout=600
    ) as answer:
        cursor = json.load(answer)["next_cursor"]
    return [Call(path=f"{PATH}?cursor={cursor}&size={SIZE}")]


# The statistics do not know this author, whom the warm-up makes the author of 400 books.
UPSERTED = "Author of the upserts"
AUTHORS = quote('[{"author": "Author 7"}, {"author": "Author 8", "stock__gte": 0}]')
PARENT_OR_AUTHOR = quote('[{"category__name": "Shelf 1"}, {"author": "Author 8"}]')
CASES = (
    Case("get one", gets),
    Case("first page, by id, bounded total", page("sort=id")),
    Case("first page, by title, bounded total", page("sort=title")),
    Case("first page, by price, bounded total", page("sort=price")),
    Case("page of an indexed filter that 20 rows meet", page("author=Author%207")),
    Case("page of an indexed filter that 2,000 rows meet", page("category_id=3")),
    Case("page of indexed filters joined by OR that 40 rows meet", page(f"any={AUTHORS}")),
    *(Case(f"cursor at {percent} %, by id", cursor("id", percent)) for percent in (10, 50, 99)),
    *(Case(f"cursor at {percent} %, by price", cursor("price", percent)) for percent in (10, 50, 99)),
    Case("page of a filter over a parent that 2,000 rows meet", page("category__name=Shelf%201")),
    Case("page of parents of 20 rows that a filter selects", page("books__author=Author%207", CATEGORIES)),
    Case("page of parents of the 400 rows of the upserts", page(f"books__author={quote(UPSERTED)}", CATEGORIES)),
    Case("page of a filter over a link table that 20 rows meet", page("labels__name=Label%207", COUNTED)),
    Case("page of a filter over a parent joined by OR", page(f"any={PARENT_OR_AUTHOR}")),
    Case("first page, by a parent's column", page("sort=category__name")),
    Case("first page, by a parent's column, downwards", page("sort=-category__name,-id")),
    Case("cursor behind 100 rows, by a parent's column", parent_cursor),
    Case("page of an indexed filter, by a parent's column", page("author=Author%207&sort=category__name")),
    Case("page of a weak filter, by a parent's column", page("stock__gte=1&sort=category__name"), is_bounded=False),
    Case("aggregate of 2,000 rows, by day", page("category_id=3&group_by=created_at__day&sum=price", AGGREGATE)),
    Case("aggregate of all rows", page("count&sum=price&avg=stock", AGGREGATE), is_bounded=False),
    Case("upsert of 20 rows by title", upserts),
    Case("first page of deleted rows", signed_in("/deleted?limit=20")),
    Case("deleted rows up to an instant", signed_in("/deleted?limit=20&deleted_at__lte=2026-01-31T00:00:00Z")),
    Case("page of a filter without an index that all rows meet", page("stock__gte=0"), is_bounded=False),
    Case("first page, by -price, bounded total", page("sort=-price"), is_bounded=False),
    Case("cursor at 50 %, by -price", cursor("-price", 50), is_bounded=False),
    Case("offset in the middle, by id", page("sort=id&skip={half}"), is_bounded=False),
    Case("first page, by a column without an index", page("sort=stock"), is_bounded=False),
    Case("first page, exact total", page("sort=id", COUNTED), is_bounded=False),
)


@contextmanager
def servers(backend: str, sizes: Sequence[int]) -> Iterator[dict[int, BookServer]]:
    """Yield a server for each size, on a database with this number of books."""
    with ExitStack() as stack:
        cluster = stack.enter_context(postgres()) if backend == "postgresql" else None
        found = {}
        for rows in sizes:
            url = stack.enter_context(cluster.database("perf_growth") if cluster else sqlite())
            migrate(TARGET, url)
            print(f"{backend}: filling {rows} rows ...", file=sys.stderr)
            fill_books(url, rows)
            fill_related(url, rows)
            found[rows] = stack.enter_context(serve(replace(TARGET, migrate_command=()), url))
        yield found


def turns(sizes: Collection[int], requests: int) -> Iterator[tuple[Case, int, int]]:
    """Yield each request to send: its case, the size, and the number of the repetition."""
    for case in CASES:
        for turn in range(requests if case.is_bounded else max(2, requests // 10)):
            yield from ((case, rows, turn) for rows in sizes)


def measure(found: Mapping[int, BookServer], *, rounds: int, requests: int) -> Latencies:
    """Return the raw latencies of each case at each size. Unbounded cases are sent a tenth as often."""
    prepared = {(case.name, rows): case.calls(server, rows) for case in CASES for rows, server in found.items()}
    latencies: dict[tuple[str, int], list[float]] = defaultdict(list)
    with ExitStack() as stack:
        connections = {rows: stack.enter_context(RawConnection(server.port)) for rows, server in found.items()}
        for number in range(rounds + 1):
            print(f"round {number} of {rounds}" if number else "warming up", file=sys.stderr)
            for case, rows, turn in turns(found, requests if number else WARM_UP):
                calls = prepared[case.name, rows]
                taken = connections[rows].milliseconds(calls[turn % len(calls)])
                latencies[case.name, rows] += [taken] if number else []
    return latencies


def report(latencies: Latencies, sizes: Sequence[int], *, most: float = MOST) -> tuple[str, list[str]]:
    """Return the table in Markdown, and the names of the bounded cases that grew by more than `most`."""
    head = [
        "request",
        "bounded",
        *(f"{rows:,} rows, ms" for rows in sizes),
        *(f"{rows:,} / {sizes[0]:,}" for rows in sizes[1:]),
    ]
    lines = [f"| {' | '.join(head)} |", "|---|---|" + "---:|" * (len(head) - 2)]
    broken = []
    for case in CASES:
        medians = [statistics.median(latencies[case.name, rows]) for rows in sizes]
        ratios = [median / medians[0] for median in medians[1:]]
        cells = [*(f"{median:.2f}" for median in medians), *(f"{ratio:.2f}" for ratio in ratios)]
        lines.append(f"| {case.name} | {'yes' if case.is_bounded else 'no'} | {' | '.join(cells)} |")
        if case.is_bounded and max(ratios, default=0) > most:
            broken.append(case.name)
    return "\n".join(lines), broken


def sizes_of(text: str) -> list[int]:
    """Parse `10000,1000000` into numbers, the smallest first."""
    return sorted(int(part) for part in text.split(","))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m perf.growth", description=__doc__)
    parser.add_argument("--rows", type=sizes_of, default=sizes_of("10000,1000000,5000000"), help="separated by commas")
    parser.add_argument("--database", choices=BACKENDS, default="postgresql")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--requests", type=int, default=60, help="for each request, size and round")
    options = parser.parse_args(arguments)
    with servers(options.database, options.rows) as found:
        latencies = measure(found, rounds=options.rounds, requests=options.requests)
    table, broken = report(latencies, options.rows)
    print(table)
    for name in broken:
        print(f"{name}: more than {MOST} times its latency at {options.rows[0]:,} rows", file=sys.stderr)
    return 1 if broken else 0
