"""Proves, before anything is measured, that every application answers what a scenario is about, and all of them the same.

An application that left out the total, the order or a member would be fast. Members are compared by value, for
the same instant or price is written in more than one way. Nothing is measured here.
"""

import http.client
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import jwt

from perf.apps import App
from perf.client import HOST, Call
from perf.fill import USER_ID
from perf.scenarios import Scenario, call
from perf.servers import ADMIN_EMAIL, ADMIN_PASSWORD, JWT_SECRET, Server

SIZES = {Scenario.PAGE_20: 20, Scenario.PAGE_100: 100, Scenario.FOUND_20: 20}
PROVED = 13  # a request whose page is not the first, and whose filters leave books out
INSTANTS = ("created_at", "updated_at")
# What each application chooses itself for a book that is written.
OWN = {"id", *INSTANTS}
Book = Mapping[str, Any]
Seen = Mapping[Scenario, Any]


class AnswerError(RuntimeError):
    """An application answered something else than the scenario is about."""


def sign_in(server: Server) -> str:
    """A bearer token: from the application's login, or signed here for an application without one.

    Raises:
        AnswerError: the login was refused.
    """
    if server.app.login_path is None:
        expires_at = datetime.now(UTC) + timedelta(hours=1)
        return jwt.encode({"sub": str(USER_ID), "exp": expires_at}, JWT_SECRET, algorithm="HS256")
    form = urlencode({server.app.login_name: ADMIN_EMAIL, "password": ADMIN_PASSWORD})
    headers = {"content-type": "application/x-www-form-urlencoded"}
    status, answer = _ask(server, "POST", path=server.app.login_path, body=form, headers=headers)
    if status != http.client.OK:
        raise AnswerError(f"{server.app.name}: login gave {status}: {answer}")
    return str(answer[server.app.token_key])


def prove(servers: Sequence[Server], *, books: int) -> None:
    """Ask each server for one answer of each scenario and compare them all with the first one's.

    Raises:
        AnswerError: one of them says something else, or takes a forged token.
    """
    seen = {server.app.name: dict(_answers(server, sign_in(server), books=books)) for server in servers}
    first, *others = seen
    for name in others:
        for scenario, expected in seen[first].items():
            if seen[name][scenario] != expected:
                message = f"{scenario} of {name} is not that of {first}:\n{seen[name][scenario]}\n{expected}"
                raise AnswerError(message)


def _answers(server: Server, token: str, *, books: int) -> Iterator[tuple[Scenario, Any]]:
    """What a server says in each scenario, in an order in which what is written does not change what is read."""
    for scenario in (*SIZES, Scenario.GET, Scenario.GET_JWT):
        answer = send(server, call(server.app, scenario, number=PROVED, books=books, token=token))
        yield scenario, _page(server, answer, SIZES[scenario]) if scenario in SIZES else _book(server.app, answer)
    for scenario in (Scenario.UPDATE, Scenario.CREATE):
        asked = call(server.app, scenario, number=books, books=books, token=token)
        answer = send(server, asked)
        book_id = server.app.id_of(1) if scenario is Scenario.UPDATE else answer["id"]
        yield scenario, _written(server, json.loads(asked.body), book_id=book_id)
    path = f"{server.app.secured_books_path}/{server.app.id_of(1)}"
    status, _ = _ask(server, "GET", path=path, headers=_headers(f"{token}x"))
    if status != server.app.refusal:
        raise AnswerError(f"{server.app.name}: a forged token gave {status}")


def _written(server: Server, sent: Book, *, book_id: int | str) -> Book:
    """The book that was made or changed, read again, without what is each application's own."""
    book = _book(server.app, send(server, Call(path=f"{server.app.books_path}/{book_id}")))
    for name, value in _book(server.app, sent).items():
        if book[name] != value:
            raise AnswerError(f"{server.app.name}: {name} of book {book_id} is {book[name]!r} and not {value!r}")
    return {name: value for name, value in book.items() if name not in OWN}


def _page(server: Server, answer: Mapping[str, Any], size: int) -> tuple[int, list[Book]]:
    """The total and the books of a page."""
    items, total = answer.get(server.app.items_key), answer.get(server.app.total_key)
    if not isinstance(items, list) or len(items) != size or not isinstance(total, int):
        raise AnswerError(f"{server.app.name}: no page of {size} with its total: {answer}")
    return total, [_book(server.app, item) for item in items]


def _book(app: App, answer: Book) -> Book:
    """The members of a book that are compared, by value."""
    return {name: _value(name, value) for name, value in answer.items() if name not in app.extra_members}


def _value(name: str, value: Any) -> Any:
    if name in INSTANTS:
        return datetime.fromisoformat(value)
    if name == "price":
        return Decimal(str(value))
    return int(value) if name in {"id", "category_id"} else value


def send(server: Server, asked: Call) -> Mapping[str, Any]:
    """The answer to one request.

    Raises:
        AnswerError: it was refused.
    """
    headers = {**_headers(asked.token), "content-type": "application/json"}
    status, answer = _ask(server, asked.method, path=asked.path, body=asked.body or None, headers=headers)
    if not http.client.OK <= status < http.client.MULTIPLE_CHOICES:
        raise AnswerError(f"{server.app.name}: {asked.method} {asked.path} gave {status}: {answer}")
    return answer or {}


def _headers(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"} if token else {}


def _ask(
    server: Server, method: str, *, path: str, body: str | None = None, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection(HOST, server.port, timeout=10)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()
