"""What is asked of every application: the requests of each scenario.

Requests are a function of their number, so every application and every rerun gets the same ones.
Nothing is sent or measured here.
"""

import json
from collections.abc import Iterable
from enum import StrEnum

from perf.apps import App
from perf.client import Call
from perf.fill import CATEGORY_ID

# A multiplier without a common factor with the usual numbers of rows walks them in scattered order.
SCATTER = 2_654_435_761
PAGES = 10
# The filtered page: one category, five euros from one of five prices on, the dearest first, some tenth of the books.
LEAST_PRICES, SPAN = 5, 5


class Scenario(StrEnum):
    """The rows of the table. `found-20` is a page of 20 that is filtered by three conditions and sorted by a column without an index."""

    GET = "get"
    CREATE = "create"
    UPDATE = "update"
    GET_JWT = "get-jwt"
    PAGE_20 = "page-20"
    PAGE_100 = "page-100"
    FOUND_20 = "found-20"


def calls(app: App, scenario: Scenario, *, numbers: Iterable[int], books: int, token: str) -> list[Call]:
    """One request per number."""
    return [call(app, scenario, number=number, books=books, token=token) for number in numbers]


def call(app: App, scenario: Scenario, *, number: int, books: int, token: str) -> Call:
    """The request with this number."""
    write_token = token if app.are_writes_secured else ""
    book_id = app.id_of(number * SCATTER % books + 1)
    match scenario:
        case Scenario.GET:
            return Call(path=f"{app.books_path}/{book_id}")
        case Scenario.GET_JWT:
            return Call(path=f"{app.secured_books_path}/{book_id}", token=token)
        case Scenario.CREATE:
            return Call(method="POST", path=app.books_path, body=_new_book(app, number), token=write_token)
        case Scenario.UPDATE:
            path = f"{app.books_path}/{book_id}"
            return Call(method="PATCH", path=path, body=_changes(number), token=write_token)
        case Scenario.PAGE_20 | Scenario.PAGE_100 | Scenario.FOUND_20:
            return Call(path=f"{app.books_path}?{_page_query(app, scenario, number)}")


def _page_query(app: App, scenario: Scenario, number: int) -> str:
    page = app.page_query.format(page=number % PAGES + 1, size=100 if scenario is Scenario.PAGE_100 else 20)
    chosen = app.order_query
    if scenario is Scenario.FOUND_20:
        least = 5 + number // PAGES % LEAST_PRICES
        chosen = app.found_query.format(category_id=app.id_of(CATEGORY_ID), least=least, most=least + SPAN)
    return "&".join(part for part in (page, chosen) if part)


def _new_book(app: App, number: int) -> str:
    return json.dumps(
        {
            "title": f"A new book with number {number}",
            "author": f"Author {number % 500}",
            "description": "Written while the benchmark ran, and taken out again after it.",
            "price": 19.5,
            "stock": 7,
            "category_id": app.id_of(CATEGORY_ID),
            "cover_image": "https://covers.example.com/new.jpg",
        }
    )


def _changes(number: int) -> str:
    """Two columns, neither of which a filtered page looks at: what pages show stays the same in number and order."""
    return json.dumps({"stock": number % 100, "description": f"Changed for the time with number {number}."})
