"""Measure the first requests of a server: `python -m perf.first_page`.

Each round starts a server on a database with 4,000 books and sends each request fourteen times, over one connection. It
prints the medians over the rounds: of the first request, of the second, and of the median of the others.
"""

import argparse
import http.client
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from http import HTTPStatus

from perf.app.compare.equivalence_check import sign_in
from perf.app.compare.targets import ROWHOUSE, BookServer
from perf.app.datasets.benchmark_rows import fill
from perf.harness.client import HOST
from perf.harness.servers import postgres, serve, sqlite

TIMES, MILLISECONDS, BOOKS = 14, 1000, 4_000
PATHS = ("/api/v1/books", "/api/v1/categories", "/api/v1/books/5", "/api/v1/reviews")


def times_of(server: BookServer) -> dict[str, list[float]]:
    """Return the milliseconds of each request, in the order in which they were sent."""
    connection = http.client.HTTPConnection(HOST, server.port)
    # The server has handled a request, so what is measured is the database's and the entity's.
    _milliseconds(connection, "GET", "/health")
    found = {path: [_milliseconds(connection, "GET", path) for _ in range(TIMES)] for path in PATHS}
    headers = {"Authorization": f"Bearer {sign_in(server)}", "Content-Type": "application/json"}
    changes = [json.dumps({"stock": number}) for number in range(TIMES)]
    found["PATCH"] = [_milliseconds(connection, "PATCH", "/api/v1/books/7", body, headers) for body in changes]
    return found


def _milliseconds(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: str | None = None,
    headers: dict[str, str] | None = None,
) -> float:
    begun = time.perf_counter()
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    answer.read()
    if answer.status != HTTPStatus.OK:
        raise RuntimeError(f"{method} {path}: {answer.status}")
    return (time.perf_counter() - begun) * MILLISECONDS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m perf.first_page", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args(arguments).rounds
    print("| database | request | first, ms | second, ms | later, ms |\n|---|---|---:|---:|---:|")
    for backend in ("sqlite", "postgresql"):
        found: dict[str, list[list[float]]] = defaultdict(list)
        with ExitStack() as stack:
            url = stack.enter_context(
                sqlite() if backend == "sqlite" else stack.enter_context(postgres()).database("perf_first_page")
            )
            for number in range(rounds):
                with serve(ROWHOUSE, url) as server:
                    if number == 0:
                        fill(url, books=BOOKS, with_user=False)
                    for request, times in times_of(server).items():
                        found[request].append([times[0], times[1], statistics.median(times[2:])])
        for request, lines in found.items():
            cells = [f"{statistics.median(column):.1f}" for column in zip(*lines, strict=True)]
            print(f"| {backend} | {request} | {' | '.join(cells)} |", flush=True)
    return 0
