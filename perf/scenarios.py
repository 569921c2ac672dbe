"""What is asked of every application: the requests of each scenario, and a proof that the answers are real.

Requests are a function of their number, so every application and every rerun gets the same ones.
Nothing is measured here.
"""

import http.client
import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from urllib.parse import urlencode

import jwt

from perf.apps import App
from perf.client import HOST, Call
from perf.fill import CATEGORY_ID, USER_ID
from perf.servers import ADMIN_EMAIL, ADMIN_PASSWORD, JWT_SECRET, Server

# A multiplier without a common factor with the usual numbers of rows walks them in scattered order.
SCATTER = 2_654_435_761
PAGES = 10


class AnswerError(RuntimeError):
    """An application answered something else than the scenario is about."""


class Scenario(StrEnum):
    """The columns of the benchmark."""

    GET = "get"
    CREATE = "create"
    GET_JWT = "get-jwt"
    PAGE_20 = "page-20"
    PAGE_100 = "page-100"


def calls(app: App, scenario: Scenario, *, numbers: Iterable[int], books: int, token: str) -> list[Call]:
    """One request per number."""
    return [_call(app, scenario, number=number, books=books, token=token) for number in numbers]


def sign_in(server: Server) -> str:
    """A bearer token: from the application's login, or signed here for an application without one.

    Raises:
        AnswerError: the login was refused.
    """
    if server.app.login_path is None:
        expires_at = datetime.now(UTC) + timedelta(hours=1)
        return jwt.encode({"sub": str(USER_ID), "exp": expires_at}, JWT_SECRET, algorithm="HS256")
    form = urlencode({"username": ADMIN_EMAIL, "password": ADMIN_PASSWORD})
    headers = {"content-type": "application/x-www-form-urlencoded"}
    status, answer = _ask(server, "POST", path=server.app.login_path, body=form, headers=headers)
    if status != http.client.OK:
        raise AnswerError(f"{server.app.name}: login gave {status}: {answer}")
    return str(answer["access_token"])


def prove(server: Server, token: str) -> None:
    """Check that pages have their size and a total, books the id asked for, and that a bad token is refused.

    Raises:
        AnswerError: a scenario would measure something else.
    """
    for scenario in (Scenario.GET, Scenario.GET_JWT):
        call = _call(server.app, scenario, number=3, books=7, token=token)
        _, answer = _ask(server, "GET", path=call.path, headers=_bearer(call.token))
        _demand(server, holds=answer.get("id") == _scattered(3, 7), complaint=f"{call.path} gave {answer}")
    for scenario, size in ((Scenario.PAGE_20, 20), (Scenario.PAGE_100, 100)):
        call = _call(server.app, scenario, number=0, books=1, token="")
        _, answer = _ask(server, "GET", path=call.path)
        items = answer.get(server.app.items_key)
        is_page = isinstance(items, list) and len(items) == size
        _demand(server, holds=is_page, complaint=f"{call.path} is no page of {size}")
        has_total = isinstance(answer.get(server.app.total_key), int)
        _demand(server, holds=has_total, complaint=f"{call.path} has no total")
    status, _ = _ask(server, "GET", path=f"{server.app.secured_books_path}/1", headers=_bearer(f"{token}x"))
    _demand(server, holds=status == http.client.UNAUTHORIZED, complaint=f"a forged token gave {status}")


def _call(app: App, scenario: Scenario, *, number: int, books: int, token: str) -> Call:
    match scenario:
        case Scenario.GET:
            return Call(path=f"{app.books_path}/{_scattered(number, books)}")
        case Scenario.GET_JWT:
            return Call(path=f"{app.secured_books_path}/{_scattered(number, books)}", token=token)
        case Scenario.CREATE:
            token = token if app.is_create_secured else ""
            return Call(method="POST", path=app.books_path, body=_new_book(number), token=token)
        case Scenario.PAGE_20 | Scenario.PAGE_100:
            size = 20 if scenario is Scenario.PAGE_20 else 100
            return Call(path=f"{app.books_path}?{app.page_query.format(page=number % PAGES + 1, size=size)}")


def _scattered(number: int, books: int) -> int:
    return number * SCATTER % books + 1


def _new_book(number: int) -> str:
    return json.dumps(
        {
            "title": f"A new book with number {number}",
            "author": f"Author {number % 500}",
            "description": "Written while the benchmark ran, and taken out again after it.",
            "price": 19.5,
            "stock": 7,
            "category_id": CATEGORY_ID,
            "cover_image": "https://covers.example.com/new.jpg",
        }
    )


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"} if token else {}


def _demand(server: Server, *, holds: bool, complaint: str) -> None:
    if not holds:
        raise AnswerError(f"{server.app.name}: {complaint}")


def _ask(
    server: Server, method: str, *, path: str, body: str | None = None, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, object]]:
    connection = http.client.HTTPConnection(HOST, server.port, timeout=10)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()
