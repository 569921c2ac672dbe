"""Measure what a batch, or a file, of 20 elements costs: `python -m perf.batches --database postgresql`.

It uses one server process and sends one request at a time: batches of bookings, each at a charge point without
bookings; of cart items, each in an empty cart; and of vehicles, whose CRUD has no hooks. It prints a Markdown table of
the median latency in milliseconds, and of the CPU of the server and of PostgreSQL per request.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import httpx2

from perf.app.compare.equivalence_check import sign_in
from perf.app.compare.targets import ROWHOUSE, BookServer
from perf.harness.client import HOST
from perf.harness.servers import Cluster, postgres, serve, sqlite

SIZE, WARM_UP = 20, 4
PASSWORD = "perf-password"  # noqa: S105  of accounts that are dropped with their database
MEDIA_TYPES = {"csv": "text/csv", "ndjson": "application/x-ndjson"}
Rows = list[dict[str, Any]]
Headers = dict[str, str]


class BatchCall(NamedTuple):
    """A request of one operation."""

    method: str
    path: str
    content: str
    kind: str = "application/json"


class Figure(NamedTuple):
    """What one request of an operation costs, in milliseconds."""

    operation: str
    median: float
    server: float
    database: float


class Fixtures:
    """Creates the accounts, charge points and books that the measured batches refer to."""

    def __init__(self, server: BookServer) -> None:
        self.client = httpx2.Client(base_url=f"http://{HOST}:{server.port}/api/v1", timeout=60)
        self.admin = {"Authorization": f"Bearer {sign_in(server)}"}
        self._number = 0

    def next(self) -> int:
        """Return a number that was not used before."""
        self._number += 1
        return self._number

    def post(self, path: str, body: Any, headers: Headers | None = None) -> Any:
        """Send a POST that must succeed; return the JSON of the response."""
        response = self.client.post(path, json=body, headers=headers or self.admin)
        response.raise_for_status()
        return response.json()

    def account(self) -> Headers:
        """Sign up a driver and return the headers of the account's requests."""
        email = f"driver-{self.next()}@example.com"
        self.post("/users", {"email": email, "password": PASSWORD, "full_name": "Perf", "role": "driver"})
        response = self.client.post("/auth/login", data={"username": email, "password": PASSWORD})
        response.raise_for_status()
        return {"Authorization": f"Bearer {response.json()['access_token']}"}

    def bookings(self, headers: Headers) -> Rows:
        """Return bookings of half an hour, one an hour, at a new charge point."""
        point = {
            "code": f"P{self.next()}",
            "name": "Perf",
            "latitude": 1,
            "longitude": 1,
            "connector": "ccs",
            "power_kw": 50,
        }
        charge_point_id = self.post("/charge-points", {**point, "price_per_kwh": 1})["id"]
        vehicle_id = self.post("/vehicles", {"plate": "P", "connector": "ccs"}, headers)["id"]
        starts = [datetime.now(UTC) + timedelta(days=1, hours=hour) for hour in range(SIZE)]
        places = {"charge_point_id": charge_point_id, "vehicle_id": vehicle_id}
        return [
            {**places, "start_time": start.isoformat(), "end_time": (start + timedelta(minutes=30)).isoformat()}
            for start in starts
        ]

    def cart_items(self) -> Rows:
        """Return cart items of new books."""
        category = self.post("/categories", {"name": f"C{self.next()}"})["id"]
        books = [{"title": f"B{self.next()}", "author": "A", "price": 1, "category_id": category} for _ in range(SIZE)]
        return [{"book_id": book["id"], "quantity": 1} for book in self.post("/books/batch", books)]

    def changed_bookings(self, headers: Headers) -> Rows:
        """Create bookings; return changes that move each by ten minutes."""
        rows = self.bookings(headers)
        made = self.post("/bookings/batch", rows, headers)
        later = {name: timedelta(minutes=10) for name in ("start_time", "end_time")}
        return [
            {
                "id": new["id"],
                **{name: (datetime.fromisoformat(row[name]) + by).isoformat() for name, by in later.items()},
            }
            for new, row in zip(made, rows, strict=True)
        ]


def operations(fixtures: Fixtures, requests: int) -> Iterator[tuple[str, Headers, list[BatchCall]]]:
    """Yield each operation with its caller and its requests. They are created when the operation is reached."""
    makers: list[tuple[str, Callable[[Headers], Rows]]] = [
        ("/bookings", fixtures.bookings),
        ("/cart-items", lambda _headers: fixtures.cart_items()),
        ("/vehicles", lambda _headers: [{"plate": f"V{fixtures.next()}", "connector": "ccs"} for _ in range(SIZE)]),
    ]
    for path, make in makers:
        for kind in ("batch", *MEDIA_TYPES):
            headers = fixtures.account()
            batches = [make(headers) for _ in range(requests)]
            if kind == "batch":
                yield (
                    f"POST {path}/batch",
                    headers,
                    [BatchCall("POST", f"{path}/batch", json.dumps(rows)) for rows in batches],
                )
            else:
                calls = [BatchCall("POST", f"{path}/import", _file(rows, kind), MEDIA_TYPES[kind]) for rows in batches]
                yield f"POST {path}/import, {kind}", headers, calls
    headers = fixtures.account()
    moved = [fixtures.changed_bookings(headers) for _ in range(requests)]
    yield "PATCH /bookings/batch", headers, [BatchCall("PATCH", "/bookings/batch", json.dumps(rows)) for rows in moved]


def _file(rows: Rows, kind: str) -> str:
    if kind == "ndjson":
        return "".join(f"{json.dumps(row)}\n" for row in rows)
    return "\n".join([",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)])


def measure(fixtures: Fixtures, server: BookServer, cluster: Cluster | None, requests: int) -> Iterator[Figure]:
    """Yield the figures of each operation, without the first requests."""
    for operation, headers, calls in operations(fixtures, requests + WARM_UP):
        for call in calls[:WARM_UP]:
            _send(fixtures, headers, call)
        used, by_database = server.cpu_seconds(), _cpu(cluster)
        taken = [_send(fixtures, headers, call) for call in calls[WARM_UP:]]
        shares = (server.cpu_seconds() - used, _cpu(cluster) - by_database)
        yield Figure(operation, statistics.median(taken) * 1000, *(share * 1000 / requests for share in shares))


def _send(fixtures: Fixtures, headers: Headers, call: BatchCall) -> float:
    """Send a request that must succeed; return the seconds it took."""
    begun = time.perf_counter()
    response = fixtures.client.request(
        call.method, call.path, content=call.content, headers={**headers, "Content-Type": call.kind}
    )
    taken = time.perf_counter() - begun
    response.raise_for_status()
    return taken


def _cpu(cluster: Cluster | None) -> float:
    return 0.0 if cluster is None else cluster.cpu_seconds() or 0.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m perf.batches", description=__doc__)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="postgresql")
    parser.add_argument("--requests", type=int, default=40, help="of each operation; at most 45, or the cart is full")
    options = parser.parse_args(arguments)
    with ExitStack() as stack:
        cluster = None if options.database == "sqlite" else stack.enter_context(postgres())
        url = stack.enter_context(cluster.database("perf_batches") if cluster else sqlite())
        server = stack.enter_context(serve(ROWHOUSE, url))
        print("| operation | ms | CPU ms of the server | of PostgreSQL |\n|---|---:|---:|---:|")
        for figure in measure(Fixtures(server), server, cluster, options.requests):
            print(
                f"| {figure.operation} | {figure.median:.1f} | {figure.server:.1f} | {figure.database:.1f} |",
                flush=True,
            )
