"""Reviews: one for each reader and book. Anyone reads them."""

from typing import Any

import pytest
from httpx2 import Response

from tests.app.catalog.catalog_api import BOOKS, MISSING, CatalogApi, Headers
from tests.contract.problems import faulty_members, problem

REVIEWS = "/api/v1/reviews"


def review(shop: CatalogApi, book: int, headers: Headers, **members: Any) -> Response:
    """Return the response to a review of a book."""
    body = {"book_id": book, "rating": 4, "comment": "Read it twice.", **members}
    return shop.client.post(REVIEWS, json=body, headers=headers)


def of(shop: CatalogApi, book: int) -> list[int]:
    """Return the ids of a book's reviews, as anyone sees them."""
    answer = shop.client.get(REVIEWS, params={"book_id": book})
    assert answer.status_code == 200, answer.text
    return [row["id"] for row in answer.json()["items"]]


def test_anyone_reads_what_a_reader_wrote(shop: CatalogApi, category: int, user: Headers) -> None:
    """The author is the caller."""
    book = shop.add_book(category)
    answer = review(shop, book, user)
    assert answer.status_code == 201, answer.text
    row = answer.json()
    assert (row["book_id"], row["rating"], row["comment"]) == (book, 4, "Read it twice.")
    assert row["author_id"] == shop.client.get("/api/v1/users/me", headers=user).json()["id"]
    assert shop.client.get(f"{REVIEWS}/{row['id']}").json() == row
    assert of(shop, book) == [row["id"]]
    expanded = shop.client.get(f"{BOOKS}/{book}", params={"expand": "reviews"}).json()
    assert expanded["reviews"] == [row]


def test_nobody_writes_without_an_account(shop: CatalogApi, category: int) -> None:
    """Nor in another account's name."""
    book = shop.add_book(category)
    problem(review(shop, book, {}), 401, "not_authenticated")
    assert faulty_members(review(shop, book, shop.admin, author_id=1)) == {"author_id"}
    assert of(shop, book) == []


def test_one_review_by_each_reader_of_a_book(shop: CatalogApi, category: int, user: Headers, driver: Headers) -> None:
    """A second one is 409. Another reader or another book is no conflict."""
    book, other = shop.add_book(category), shop.add_book(category)
    first = review(shop, book, user).json()["id"]
    problem(review(shop, book, user, rating=1), 409, "duplicate")
    second = review(shop, book, driver).json()["id"]
    assert review(shop, other, user).status_code == 201
    assert of(shop, book) == [first, second]
    assert shop.client.get(f"{REVIEWS}/{first}").json()["rating"] == 4


def test_only_the_author_changes_a_review(shop: CatalogApi, category: int, user: Headers, driver: Headers) -> None:
    """Others, who may read it, get 403. Administrators may change it. It stays with its book."""
    book = shop.add_book(category)
    path = f"{REVIEWS}/{review(shop, book, user).json()['id']}"
    before = shop.client.get(path).json()
    for method in ("PATCH", "PUT", "DELETE"):
        problem(shop.client.request(method, path, json={"rating": 1}, headers=driver), 403, "permission_denied")
    moved = {"book_id": shop.add_book(category)}
    assert faulty_members(shop.client.patch(path, json=moved, headers=user)) == {"book_id"}
    assert shop.client.get(path).json() == before
    assert shop.client.patch(path, json={"rating": 5, "comment": None}, headers=user).json()["rating"] == 5
    assert shop.client.delete(path, headers=shop.admin).status_code == 204
    assert of(shop, book) == []


@pytest.mark.parametrize("rating", [0, 6, -1, 3.5, 4.0, True, "5", None])
def test_a_rating_is_a_number_from_one_to_five(shop: CatalogApi, category: int, user: Headers, rating: Any) -> None:
    """At creation and at every change."""
    book = shop.add_book(category)
    assert faulty_members(review(shop, book, user, rating=rating)) == {"rating"}
    path = f"{REVIEWS}/{review(shop, book, user).json()['id']}"
    assert faulty_members(shop.client.patch(path, json={"rating": rating}, headers=user)) == {"rating"}
    assert shop.client.get(path).json()["rating"] == 4


def test_a_book_that_is_not_there_has_no_reviews(shop: CatalogApi, user: Headers) -> None:
    """The error names the member."""
    problem(review(shop, MISSING, user), 409, "reference_not_found")
    assert of(shop, MISSING) == []


def test_a_deleted_book_takes_its_reviews_along(shop: CatalogApi, category: int, user: Headers) -> None:
    """Deleted alone or in a batch. Reviews of other books stay."""
    books = [shop.add_book(category) for _ in range(3)]
    kept = [review(shop, book, user).json()["id"] for book in books][2]
    assert shop.client.delete(f"{BOOKS}/{books[0]}", headers=shop.admin).status_code == 204
    assert shop.client.delete(f"{BOOKS}/batch?ids={books[1]}", headers=shop.admin).status_code == 204
    assert [of(shop, book) for book in books] == [[], [], [kept]]
