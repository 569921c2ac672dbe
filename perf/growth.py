"""What a request costs as the table grows: `python -m perf.growth --rows 10000,1000000,5000000 --database postgresql`.

One database and one server process a size, each with so many books; then every request, the sizes taking turns from one to the next,
round after round, so that what else the machine does meets all sizes alike. The medians of the raw latencies are printed, and their ratios to the smallest table. The exit
status is 1 where one that is held to it grows by more than half. Caches are warm: what is asked for is asked for again and again.
"""

import argparse
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from perf.apps import ROWHOUSE
from perf.client import Call
from perf.cursor import BACKENDS, PATH, page_behind
from perf.mass import fill_books
from perf.servers import Server, migrate, postgres, serve, sqlite
from perf.wire import Wire

APP = replace(ROWHOUSE, name="growth", factory="perf.growing:create_app")
COUNTED = "/api/v1/counted-books"
MOST = 1.5
SIZE = 20
GETS = 40
WARM_UP = 20  # statements are prepared, and planned for any value, after fewer
Calls = Callable[[Server, int], Sequence[Call]]
Latencies = Mapping[tuple[str, int], Sequence[float]]


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of request; `calls` gives those for a server whose table has so many rows."""

    name: str
    calls: Calls
    is_held: bool = True


def page(query: str, path: str = PATH) -> Calls:
    """A first page, or one by its offset, as `{half}`."""
    return lambda _server, rows: [Call(path=f"{path}?{query.format(half=rows // 2)}&limit={SIZE}")]


def cursor(sort: str, percent: int) -> Calls:
    """The page behind a place in a list, by its cursor."""
    return lambda server, rows: [page_behind(server, sort, rows * percent // 100)]


def gets(_server: Server, rows: int) -> list[Call]:
    """Books from all over the table."""
    return [Call(path=f"{PATH}/{1 + rows * number // GETS}") for number in range(GETS)]


CASES = (
    Case("get one", gets),
    Case("first page, by id, bounded total", page("sort=id")),
    Case("first page, by title, bounded total", page("sort=title")),
    Case("first page, by price, bounded total", page("sort=price")),
    Case("page of an indexed filter that 20 rows meet", page("author=Author%207")),
    Case("page of an indexed filter that 2,000 rows meet", page("category_id=3")),
    *(Case(f"cursor at {percent} %, by id", cursor("id", percent)) for percent in (10, 50, 99)),
    *(Case(f"cursor at {percent} %, by price", cursor("price", percent)) for percent in (10, 50, 99)),
    Case("page of a filter without an index that all rows meet", page("stock__gte=0"), is_held=False),
    Case("first page, by -price, bounded total", page("sort=-price"), is_held=False),
    Case("cursor at 50 %, by -price", cursor("-price", 50), is_held=False),
    Case("offset in the middle, by id", page("sort=id&skip={half}"), is_held=False),
    Case("first page, by a column without an index", page("sort=stock"), is_held=False),
    Case("first page, exact total", page("sort=id", COUNTED), is_held=False),
)


@contextmanager
def servers(backend: str, sizes: Sequence[int]) -> Iterator[dict[int, Server]]:
    """A server a size, over a database with so many books."""
    with ExitStack() as stack:
        cluster = stack.enter_context(postgres()) if backend == "postgresql" else None
        found = {}
        for rows in sizes:
            url = stack.enter_context(cluster.database("perf_growth") if cluster else sqlite())
            migrate(APP, url)
            print(f"{backend}: filling {rows} rows ...", file=sys.stderr)
            fill_books(url, rows)
            found[rows] = stack.enter_context(serve(replace(APP, migrate_command=()), url))
        yield found


def turns(sizes: Collection[int], requests: int) -> Iterator[tuple[Case, int, int]]:
    """Which case is asked for at which size, and for which time."""
    for case in CASES:
        for turn in range(requests if case.is_held else max(2, requests // 10)):
            yield from ((case, rows, turn) for rows in sizes)


def measure(found: Mapping[int, Server], *, rounds: int, requests: int) -> Latencies:
    """The raw latencies of each case at each size; those that are not held to a bound are asked for a tenth as often."""
    asked = {(case.name, rows): case.calls(server, rows) for case in CASES for rows, server in found.items()}
    latencies: dict[tuple[str, int], list[float]] = defaultdict(list)
    with ExitStack() as stack:
        wires = {rows: stack.enter_context(Wire(server.port)) for rows, server in found.items()}
        for number in range(rounds + 1):
            print(f"round {number} of {rounds}" if number else "warming up", file=sys.stderr)
            for case, rows, turn in turns(found, requests if number else WARM_UP):
                calls = asked[case.name, rows]
                taken = wires[rows].milliseconds(calls[turn % len(calls)])
                latencies[case.name, rows] += [taken] if number else []
    return latencies


def report(latencies: Latencies, sizes: Sequence[int], *, most: float = MOST) -> tuple[str, list[str]]:
    """The table in markdown, and the names of what is held and grew by more."""
    head = [
        "request",
        "held",
        *(f"{rows:,} rows, ms" for rows in sizes),
        *(f"{rows:,} / {sizes[0]:,}" for rows in sizes[1:]),
    ]
    lines = [f"| {' | '.join(head)} |", "|---|---|" + "---:|" * (len(head) - 2)]
    broken = []
    for case in CASES:
        medians = [statistics.median(latencies[case.name, rows]) for rows in sizes]
        ratios = [median / medians[0] for median in medians[1:]]
        cells = [*(f"{median:.2f}" for median in medians), *(f"{ratio:.2f}" for ratio in ratios)]
        lines.append(f"| {case.name} | {'yes' if case.is_held else 'no'} | {' | '.join(cells)} |")
        if case.is_held and max(ratios, default=0) > most:
            broken.append(case.name)
    return "\n".join(lines), broken


def sizes_of(text: str) -> list[int]:
    """`10000,1000000` as numbers, the smallest first."""
    return sorted(int(part) for part in text.split(","))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; gives the exit status."""
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
        print(f"{name}: more than {MOST} times what it was at {options.rows[0]:,} rows", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
