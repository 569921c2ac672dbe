"""Check before the measurement that every application returns what a scenario asks for, and all return the same.

An application that left out the total, the order or a member would be fast. Members are compared by value, because the
same instant or price can be written in several ways. Nothing is measured here.
"""

import http.client
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import jwt

from perf.app.compare.scenarios import Scenario, call
from perf.app.compare.targets import BookServer, BookTarget
from perf.app.datasets.benchmark_rows import USER_ID
from perf.harness.client import HOST, Call
from perf.harness.servers import ADMIN_EMAIL, ADMIN_PASSWORD, JWT_SECRET

SIZES = {Scenario.PAGE_20: 20, Scenario.PAGE_100: 100, Scenario.FOUND_20: 20}
CHECKED = 13  # the number of a request that is not for the first page, and whose filters exclude some books
INSTANTS = ("created_at", "updated_at")
# The members of a new book that each application sets itself.
OWN = {"id", *INSTANTS}
Book = Mapping[str, Any]
Seen = Mapping[Scenario, Any]


class ResponseMismatchError(RuntimeError):
    """An application returned something else than the scenario asks for."""


def sign_in(server: BookServer) -> str:
    """Return a bearer token from the login of the application, or one signed here if it has no login.

    Raises:
        ResponseMismatchError: the login failed.
    """
    if server.target.login_path is None:
        now = datetime.now(UTC)
        claims = {"sub": str(USER_ID), "iat": now, "exp": now + timedelta(hours=1)}
        return jwt.encode(claims, JWT_SECRET, algorithm="HS256")
    form = urlencode({server.target.login_name: ADMIN_EMAIL, "password": ADMIN_PASSWORD})
    headers = {"content-type": "application/x-www-form-urlencoded"}
    status, response = _request(server, "POST", path=server.target.login_path, body=form, headers=headers)
    if status != http.client.OK:
        raise ResponseMismatchError(f"{server.target.name}: login returned {status}: {response}")
    return str(response[server.target.token_key])


def check_equivalence(servers: Sequence[BookServer], *, books: int) -> None:
    """Send each server one request of each scenario, and compare every response with the first server's.

    Raises:
        ResponseMismatchError: one of them returns something else, or accepts a forged token.
    """
    seen = {server.target.name: dict(_responses(server, sign_in(server), books=books)) for server in servers}
    first, *others = seen
    for name in others:
        for scenario, expected in seen[first].items():
            if seen[name][scenario] != expected:
                message = f"{scenario} of {name} differs from {first}:\n{seen[name][scenario]}\n{expected}"
                raise ResponseMismatchError(message)


def _responses(server: BookServer, token: str, *, books: int) -> Iterator[tuple[Scenario, Any]]:
    """Yield the response of each scenario, reads before writes."""
    for scenario in (*SIZES, Scenario.GET, Scenario.GET_JWT):
        response = send(server, call(server.target, scenario, number=CHECKED, books=books, token=token))
        yield (
            scenario,
            _page(server, response, SIZES[scenario]) if scenario in SIZES else _book(server.target, response),
        )
    for scenario in (Scenario.UPDATE, Scenario.CREATE):
        request = call(server.target, scenario, number=books, books=books, token=token)
        response = send(server, request)
        book_id = server.target.id_of(1) if scenario is Scenario.UPDATE else response["id"]
        yield scenario, _written(server, json.loads(request.body), book_id=book_id)
    path = f"{server.target.secured_books_path}/{server.target.id_of(1)}"
    status, _ = _request(server, "GET", path=path, headers=_headers(f"{token}x"))
    if status != server.target.refusal:
        raise ResponseMismatchError(f"{server.target.name}: a forged token returned {status}")


def _written(server: BookServer, sent: Book, *, book_id: int | str) -> Book:
    """Read the written book again; return it without the members that each application sets itself."""
    book = _book(server.target, send(server, Call(path=f"{server.target.books_path}/{book_id}")))
    for name, value in _book(server.target, sent).items():
        if book[name] != value:
            raise ResponseMismatchError(
                f"{server.target.name}: {name} of book {book_id} is {book[name]!r} and not {value!r}"
            )
    return {name: value for name, value in book.items() if name not in OWN}


def _page(server: BookServer, response: Mapping[str, Any], size: int) -> tuple[int, list[Book]]:
    """Return the total and the books of a page."""
    items, total = response.get(server.target.items_key), response.get(server.target.total_key)
    if not isinstance(items, list) or len(items) != size or not isinstance(total, int):
        raise ResponseMismatchError(f"{server.target.name}: no page of {size} with its total: {response}")
    return total, [_book(server.target, item) for item in items]


def _book(target: BookTarget, response: Book) -> Book:
    """Return the members of a book that are compared, by value."""
    return {name: _value(name, value) for name, value in response.items() if name not in target.extra_members}


def _value(name: str, value: Any) -> Any:
    if name in INSTANTS:
        return datetime.fromisoformat(value)
    if name == "price":
        return Decimal(str(value))
    return int(value) if name in {"id", "category_id"} else value


def send(server: BookServer, request: Call) -> Mapping[str, Any]:
    """Send one request and return the JSON of the response.

    Raises:
        ResponseMismatchError: the status is not 2xx.
    """
    headers = {**_headers(request.token), "content-type": "application/json"}
    status, response = _request(server, request.method, path=request.path, body=request.body or None, headers=headers)
    if not http.client.OK <= status < http.client.MULTIPLE_CHOICES:
        raise ResponseMismatchError(
            f"{server.target.name}: {request.method} {request.path} returned {status}: {response}"
        )
    return response or {}


def _headers(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"} if token else {}


def _request(
    server: BookServer, method: str, *, path: str, body: str | None = None, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection(HOST, server.port, timeout=10)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()
