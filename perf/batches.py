"""What a batch, or a file, of 20 elements costs: `python -m perf.batches --database postgresql`.

One server process, one request at a time: of bookings, each request at a charge point that was free, and of cart items, each account's cart
empty before. Of vehicles beside them, which no hook looks at. A table in markdown is printed: the median of the answers'
milliseconds, and the CPU of server and PostgreSQL a request.
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

from perf.apps import ROWHOUSE
from perf.client import HOST
from perf.proof import sign_in
from perf.servers import Cluster, Server, postgres, serve, sqlite

SIZE, WARM_UP = 20, 4
PASSWORD = "perf-password"  # noqa: S105  of accounts that go with their database
MEDIA_TYPES = {"csv": "text/csv", "ndjson": "application/x-ndjson"}
Rows = list[dict[str, Any]]
Headers = dict[str, str]


class Call(NamedTuple):
    """A request of one operation."""

    method: str
    path: str
    content: str
    kind: str = "application/json"


class Figure(NamedTuple):
    """What requests of one operation cost, in milliseconds each."""

    operation: str
    median: float
    server: float
    database: float


class Town:
    """Charge points, books and accounts of one server."""

    def __init__(self, server: Server) -> None:
        self.client = httpx2.Client(base_url=f"http://{HOST}:{server.port}/api/v1", timeout=60)
        self.admin = {"Authorization": f"Bearer {sign_in(server)}"}
        self._number = 0

    def next(self) -> int:
        """A number that was not there before."""
        self._number += 1
        return self._number

    def post(self, path: str, body: Any, headers: Headers | None = None) -> Any:
        """What the answer to a POST that must be a success holds."""
        answer = self.client.post(path, json=body, headers=headers or self.admin)
        answer.raise_for_status()
        return answer.json()

    def account(self) -> Headers:
        """The headers of a new driver."""
        email = f"driver-{self.next()}@example.com"
        self.post("/users", {"email": email, "password": PASSWORD, "full_name": "Perf", "role": "driver"})
        answer = self.client.post("/auth/login", data={"username": email, "password": PASSWORD})
        answer.raise_for_status()
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}

    def bookings(self, headers: Headers) -> Rows:
        """Bookings of half an hour, one an hour, at a charge point that is free."""
        point = {
            "code": f"P{self.next()}",
            "name": "Perf",
            "latitude": 1,
            "longitude": 1,
            "connector": "ccs",
            "power_kw": 50,
        }
        at = self.post("/charge-points", {**point, "price_per_kwh": 1})["id"]
        car = self.post("/vehicles", {"plate": "P", "connector": "ccs"}, headers)["id"]
        starts = [datetime.now(UTC) + timedelta(days=1, hours=hour) for hour in range(SIZE)]
        return [
            {"charge_point_id": at, "vehicle_id": car, "start_time": s.isoformat(), "end_time": (s + timedelta(minutes=30)).isoformat()}
            for s in starts
        ]  # fmt: skip

    def wishes(self) -> Rows:
        """Copies of books that no cart has yet."""
        category = self.post("/categories", {"name": f"C{self.next()}"})["id"]
        books = [{"title": f"B{self.next()}", "author": "A", "price": 1, "category_id": category} for _ in range(SIZE)]
        return [{"book_id": book["id"], "quantity": 1} for book in self.post("/books/batch", books)]

    def moves(self, headers: Headers) -> Rows:
        """Ten minutes later for bookings that there are."""
        rows = self.bookings(headers)
        made = self.post("/bookings/batch", rows, headers)
        later = {name: timedelta(minutes=10) for name in ("start_time", "end_time")}
        return [
            {"id": one["id"], **{n: (datetime.fromisoformat(row[n]) + by).isoformat() for n, by in later.items()}}
            for one, row in zip(made, rows, strict=True)
        ]


def operations(town: Town, requests: int) -> Iterator[tuple[str, Headers, list[Call]]]:
    """Each operation with its caller and its requests, which are made when their turn comes."""
    makers: list[tuple[str, Callable[[Headers], Rows]]] = [
        ("/bookings", town.bookings),
        ("/cart-items", lambda _headers: town.wishes()),
        ("/vehicles", lambda _headers: [{"plate": f"V{town.next()}", "connector": "ccs"} for _ in range(SIZE)]),
    ]
    for path, make in makers:
        for kind in ("batch", *MEDIA_TYPES):
            headers = town.account()
            batches = [make(headers) for _ in range(requests)]
            if kind == "batch":
                yield (
                    f"POST {path}/batch",
                    headers,
                    [Call("POST", f"{path}/batch", json.dumps(rows)) for rows in batches],
                )
            else:
                calls = [Call("POST", f"{path}/import", _file(rows, kind), MEDIA_TYPES[kind]) for rows in batches]
                yield f"POST {path}/import, {kind}", headers, calls
    headers = town.account()
    moved = [town.moves(headers) for _ in range(requests)]
    yield "PATCH /bookings/batch", headers, [Call("PATCH", "/bookings/batch", json.dumps(rows)) for rows in moved]


def _file(rows: Rows, kind: str) -> str:
    if kind == "ndjson":
        return "".join(f"{json.dumps(row)}\n" for row in rows)
    return "\n".join([",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)])


def measure(town: Town, server: Server, cluster: Cluster | None, requests: int) -> Iterator[Figure]:
    """The figures of each operation, the first requests left out."""
    for operation, headers, calls in operations(town, requests + WARM_UP):
        for call in calls[:WARM_UP]:
            _send(town, headers, call)
        used, by_database = server.cpu_seconds(), _cpu(cluster)
        taken = [_send(town, headers, call) for call in calls[WARM_UP:]]
        shares = (server.cpu_seconds() - used, _cpu(cluster) - by_database)
        yield Figure(operation, statistics.median(taken) * 1000, *(share * 1000 / requests for share in shares))


def _send(town: Town, headers: Headers, call: Call) -> float:
    """The seconds that an answer, which must be a success, took."""
    begun = time.perf_counter()
    answer = town.client.request(
        call.method, call.path, content=call.content, headers={**headers, "Content-Type": call.kind}
    )
    taken = time.perf_counter() - begun
    answer.raise_for_status()
    return taken


def _cpu(cluster: Cluster | None) -> float:
    return 0.0 if cluster is None else cluster.cpu_seconds() or 0.0


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m perf.batches", description=__doc__)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="postgresql")
    parser.add_argument(
        "--requests", type=int, default=40, help="of each operation; at most 45, for a cart is full then"
    )
    options = parser.parse_args(arguments)
    with ExitStack() as stack:
        cluster = None if options.database == "sqlite" else stack.enter_context(postgres())
        url = stack.enter_context(cluster.database("perf_batches") if cluster else sqlite())
        server = stack.enter_context(serve(ROWHOUSE, url))
        print("| operation | ms | CPU ms of the server | of PostgreSQL |\n|---|---:|---:|---:|")
        for figure in measure(Town(server), server, cluster, options.requests):
            print(
                f"| {figure.operation} | {figure.median:.1f} | {figure.server:.1f} | {figure.database:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
