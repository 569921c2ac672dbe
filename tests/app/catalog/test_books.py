"""Books: unique titles, limits, policies, search, and categories that cannot be deleted."""

from typing import Any

import pytest

from tests.app.catalog.catalog_api import BOOKS, CATEGORIES, MISSING, CatalogApi, Headers
from tests.conftest import unique
from tests.contract.problems import problem

BAD: dict[str, dict[str, Any]] = {
    "free": {"price": 0},
    "below zero": {"price": -0.01},
    "price of three decimals": {"price": 1.999},
    "price too large": {"price": 100_000_000},
    "price no number": {"price": True},
    "stock below zero": {"stock": -1},
    "half a book": {"stock": 1.5},
    "stock past 32 bits": {"stock": 2**31},
    "no title": {"title": ""},
    "title too long": {"title": "x" * 256},
    "no author": {"author": ""},
    "author too long": {"author": "x" * 256},
    "title null": {"title": None},
}


def test_a_taken_title_is_a_conflict(shop: CatalogApi, category: int) -> None:
    """At creation and at a change: 409 with the agreed text. Nothing is stored."""
    title = unique("Emma")
    first, second = shop.add_book(category, title=title), shop.add_book(category)
    before = shop.stored(second)
    for answer in (shop.offer(category, title=title), shop.change(second, title=title)):
        problem(answer, 409, "duplicate")
        assert answer.json()["detail"] == "Book with this title already exists"
    assert shop.find(category) == [first, second]
    assert shop.stored(second) == before


def test_a_book_may_keep_its_title(shop: CatalogApi, category: int) -> None:
    """Sending the stored title again is no conflict."""
    title = unique("Emma")
    book = shop.add_book(category, title=title)
    assert shop.change(book, title=title, stock=3).status_code == 200
    assert shop.stored(book)["stock"] == 3


@pytest.mark.parametrize("members", BAD.values(), ids=BAD)
def test_what_no_book_can_have_is_refused(shop: CatalogApi, category: int, members: dict[str, Any]) -> None:
    """At creation and at every change. The error names the member, and nothing changes."""
    book = shop.add_book(category, stock=7)
    before = shop.stored(book)
    for answer in (shop.offer(category, **members), shop.change(book, **members)):
        problem(answer, 422, "invalid_input")
        assert {error["loc"][1] for error in answer.json()["errors"]} == set(members)
    assert shop.find(category) == [book]
    assert shop.stored(book) == before


def test_a_book_begins_without_stock_description_and_cover(shop: CatalogApi, category: int) -> None:
    """Members that are left out get their defaults."""
    row = shop.stored(shop.add_book(category))
    assert (row["stock"], row["description"], row["cover_image"]) == (0, None, None)


def test_a_book_stands_in_a_category_that_exists(shop: CatalogApi, category: int) -> None:
    """The error names the member. Nothing is stored or changed."""
    book, title = shop.add_book(category), unique("Book")
    for answer in (shop.offer(MISSING, title=title), shop.change(book, category_id=MISSING)):
        problem(answer, 409, "reference_not_found")
        assert answer.json()["detail"] == f"category_id: there is nothing with the id {MISSING}."
    assert shop.client.get(BOOKS, params={"title": title}).json()["total"] == 0
    assert shop.stored(book)["category_id"] == category


def test_a_category_in_use_cannot_be_deleted(shop: CatalogApi, category: int) -> None:
    """The book and the category stay. An empty category can be deleted."""
    book, path = shop.add_book(category), f"{CATEGORIES}/{category}"
    problem(shop.client.delete(path, headers=shop.admin), 409, "still_referenced")
    assert shop.client.get(path).status_code == 200
    assert shop.stored(book)["category_id"] == category
    assert shop.client.delete(f"{BOOKS}/{book}", headers=shop.admin).status_code == 204
    problem(shop.client.get(f"{BOOKS}/{book}"), 404, "not_found")
    assert shop.client.delete(path, headers=shop.admin).status_code == 204
    problem(shop.client.get(path), 404, "not_found")


def test_a_taken_category_name_is_a_conflict(shop: CatalogApi) -> None:
    """The text follows from the class. Nothing is stored or changed."""
    name = unique("Novels")
    first, second = shop.add_category(name=name), shop.add_category()
    for answer in (
        shop.client.post(CATEGORIES, json={"name": name}, headers=shop.admin),
        shop.client.patch(f"{CATEGORIES}/{second}", json={"name": name}, headers=shop.admin),
    ):
        problem(answer, 409, "duplicate")
        assert answer.json()["detail"] == "Category with this name already exists"
    found = shop.client.get(CATEGORIES, params={"name": name}).json()["items"]
    assert [row["id"] for row in found] == [first]


def test_anyone_reads_books_and_categories(shop: CatalogApi, category: int) -> None:
    """No account is needed."""
    book = shop.add_book(category)
    assert shop.find(category) == [book]
    assert shop.client.get(f"{BOOKS}/{book}").status_code == 200
    assert shop.client.get(f"{CATEGORIES}/{category}").status_code == 200
    assert shop.client.get(CATEGORIES).status_code == 200


def test_only_administrators_write(shop: CatalogApi, category: int, user: Headers, driver: Headers) -> None:
    """Others are rejected before the request is validated, and change nothing."""
    book = shop.add_book(category)
    paths = {f"{BOOKS}/{book}": {"stock": 99}, f"{CATEGORIES}/{category}": {"description": "mine"}}
    before = [shop.client.get(path).json() for path in paths]
    for headers, status, code in (
        ({}, 401, "not_authenticated"), (user, 403, "permission_denied"), (driver, 403, "permission_denied"),
    ):  # fmt: skip
        problem(shop.offer(category, headers=headers), status, code)
        problem(shop.client.post(CATEGORIES, json={"name": "mine"}, headers=headers), status, code)
        for path, body in paths.items():
            problem(shop.client.patch(path, json=body, headers=headers), status, code)
            problem(shop.client.put(path, json=body, headers=headers), status, code)
            problem(shop.client.delete(path, headers=headers), status, code)
    assert [shop.client.get(path).json() for path in paths] == before
    assert shop.find(category) == [book]


def test_books_are_found_by_title_and_author_in_any_case(shop: CatalogApi, category: int) -> None:
    """Also beyond ASCII."""
    accented = shop.add_book(category, title=unique("LES MISÉRABLES"), author="Victor Hugo")
    greek = shop.add_book(category, title=unique("Odyssey"), author="ὍΜΗΡΟΣ")
    assert shop.find(category, search="misérables") == [accented]
    assert shop.find(category, search="ὅμηρος") == [greek]
    assert shop.find(category, search="hugo") == [accented]
    assert shop.find(category, search="nobody") == []
