"""`POST /books/{id}/stock` takes copies from stock. Only administrators may call it."""

from typing import Any

import pytest

from tests.app.catalog.catalog_api import BOOKS, MISSING, CatalogApi, Headers
from tests.contract.problems import faulty_members, problem


def take(shop: CatalogApi, book: int, quantity: Any, headers: Headers | None = None) -> Any:
    """Return the response to taking copies, by default the administrator's."""
    who = shop.admin if headers is None else headers
    return shop.client.post(f"{BOOKS}/{book}/stock", json={"quantity": quantity}, headers=who)


def test_copies_are_taken_to_the_last(shop: CatalogApi, category: int) -> None:
    """The response is the changed book with its version. If there are too few, none is taken."""
    book = shop.add_book(category, stock=5)
    before = shop.stored(book)
    answer = take(shop, book, 3)
    assert answer.status_code == 200, answer.text
    assert answer.json() == shop.client.get(f"{BOOKS}/{book}").json()
    assert answer.headers["etag"] == shop.client.get(f"{BOOKS}/{book}").headers["etag"]
    assert shop.stored(book) == {**before, "stock": 2, "updated_at": answer.json()["updated_at"]}
    told = problem(take(shop, book, 3), 400, "insufficient_stock")
    assert told["detail"] == "Insufficient stock. Available: 2"
    assert take(shop, book, 2).json()["stock"] == 0
    assert problem(take(shop, book, 1), 400)["detail"] == "Insufficient stock. Available: 0"
    assert shop.stored(book)["stock"] == 0


def test_nothing_else_is_taken(shop: CatalogApi, category: int) -> None:
    """The stock of other books stays as it is."""
    book, other = shop.add_book(category, stock=5), shop.add_book(category, stock=5)
    take(shop, book, 5)
    assert shop.stored(other)["stock"] == 5


def test_only_administrators_take_from_stock(shop: CatalogApi, category: int, user: Headers, driver: Headers) -> None:
    """Also for books that do not exist."""
    book = shop.add_book(category, stock=5)
    for headers in (user, driver):
        problem(take(shop, book, 1, headers), 403, "permission_denied")
        problem(take(shop, MISSING, 1, headers), 403, "permission_denied")
    problem(take(shop, book, 1, {}), 401, "not_authenticated")
    assert shop.stored(book)["stock"] == 5


def test_a_book_that_is_not_there_is_404(shop: CatalogApi) -> None:
    """An id that no book can have is 422."""
    problem(take(shop, MISSING, 1), 404, "not_found")
    problem(take(shop, 2**31, 1), 422, "invalid_input")


@pytest.mark.parametrize("quantity", [0, -1, 1.0, 2.5, True, "1", None, 2**31, 10**30])
def test_what_is_no_number_of_copies_is_422(shop: CatalogApi, category: int, quantity: Any) -> None:
    """Nothing is taken."""
    book = shop.add_book(category, stock=5)
    assert faulty_members(take(shop, book, quantity)) == {"quantity"}
    assert shop.stored(book)["stock"] == 5


def test_a_strange_member_is_422(shop: CatalogApi, category: int) -> None:
    """So is a missing member, and a query parameter."""
    book = shop.add_book(category, stock=5)
    path = f"{BOOKS}/{book}/stock"
    for body, member in (({}, "quantity"), ({"quantity": 1, "stock": 9}, "stock")):
        assert faulty_members(shop.client.post(path, json=body, headers=shop.admin)) == {member}
    assert faulty_members(shop.client.post(f"{path}?force=1", json={"quantity": 1}, headers=shop.admin)) == {"force"}
    assert shop.stored(book)["stock"] == 5
