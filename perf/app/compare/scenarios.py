"""The requests of each scenario.

A request is a function of its number, so every application and every rerun gets the same ones. Nothing is sent or
measured here.
"""

import json
from argparse import ArgumentTypeError
from collections.abc import Iterable
from enum import StrEnum

from perf.app.compare.targets import BookTarget
from perf.app.datasets.benchmark_rows import CATEGORY_ID
from perf.harness.client import Call

# Its multiples modulo the usual numbers of rows visit every row in scattered order: they have no common factor.
SCATTER = 2_654_435_761
PAGES = 10
# The filtered page: one category, a range of five euros that begins at one of five prices, the highest price
# first. About a tenth of the books match.
LEAST_PRICES, SPAN = 5, 5


class Scenario(StrEnum):
    """The rows of the tables.

    `found-20` is a page of 20 with three filters, sorted by a column without an index.
    """

    GET = "get"
    CREATE = "create"
    UPDATE = "update"
    GET_JWT = "get-jwt"
    PAGE_20 = "page-20"
    PAGE_100 = "page-100"
    FOUND_20 = "found-20"


def parse_scenarios(names: str) -> tuple[Scenario, ...]:
    """Return the scenarios of a comma-separated list of names.

    Raises:
        ArgumentTypeError: for a name that is no scenario.
    """
    try:
        return tuple(Scenario(name) for name in names.split(","))
    except ValueError as error:
        raise ArgumentTypeError(f"{error}; there are {sorted(Scenario)}") from error


def calls(target: BookTarget, scenario: Scenario, *, numbers: Iterable[int], books: int, token: str) -> list[Call]:
    """Return one request per number."""
    return [call(target, scenario, number=number, books=books, token=token) for number in numbers]


def call(target: BookTarget, scenario: Scenario, *, number: int, books: int, token: str) -> Call:
    """Return the request with this number."""
    write_token = token if target.are_writes_secured else ""
    book_id = target.id_of(number * SCATTER % books + 1)
    match scenario:
        case Scenario.GET:
            return Call(path=f"{target.books_path}/{book_id}")
        case Scenario.GET_JWT:
            return Call(path=f"{target.secured_books_path}/{book_id}", token=token)
        case Scenario.CREATE:
            return Call(method="POST", path=target.books_path, body=_new_book(target, number), token=write_token)
        case Scenario.UPDATE:
            path = f"{target.books_path}/{book_id}"
            return Call(method="PATCH", path=path, body=_changes(number), token=write_token)
        case Scenario.PAGE_20 | Scenario.PAGE_100 | Scenario.FOUND_20:
            return Call(path=f"{target.books_path}?{_page_query(target, scenario, number)}")


def _page_query(target: BookTarget, scenario: Scenario, number: int) -> str:
    page = target.page_query.format(page=number % PAGES + 1, size=100 if scenario is Scenario.PAGE_100 else 20)
    chosen = target.order_query
    if scenario is Scenario.FOUND_20:
        least = 5 + number // PAGES % LEAST_PRICES
        chosen = target.found_query.format(category_id=target.id_of(CATEGORY_ID), least=least, most=least + SPAN)
    return "&".join(part for part in (page, chosen) if part)


def _new_book(target: BookTarget, number: int) -> str:
    return json.dumps(
        {
            "title": f"A new book with number {number}",
            "author": f"Author {number % 500}",
            "description": "Written while the benchmark ran, and taken out again after it.",
            "price": 19.5,
            "stock": 7,
            "category_id": target.id_of(CATEGORY_ID),
            "cover_image": "https://covers.example.com/new.jpg",
        }
    )


def _changes(number: int) -> str:
    """Return changes of two columns that no filter or sort uses, so pages keep their rows and their order."""
    return json.dumps({"stock": number % 100, "description": f"Changed for the time with number {number}."})
