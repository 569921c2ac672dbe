"""Helpers: books and categories over HTTP, with exact decimals."""

import json
from decimal import Decimal
from typing import Any

from httpx2 import Response
from starlette.testclient import TestClient

from tests.conftest import unique

Headers = dict[str, str]
BOOKS, CATEGORIES = "/api/v1/books", "/api/v1/categories"
MISSING = 2_000_000_000


class CatalogApi:
    """Creates, changes and reads books of one application. `admin` are headers of an administrator."""

    def __init__(self, client: TestClient, admin: Headers) -> None:
        self.client = client
        self.admin = admin

    def add_category(self, **members: Any) -> int:
        """Create a category and return its id."""
        answer = self.client.post(CATEGORIES, json={"name": unique("shelf"), **members}, headers=self.admin)
        assert answer.status_code == 201, answer.text
        return int(answer.json()["id"])

    def offer(self, category: int, *, headers: Headers | None = None, **members: Any) -> Response:
        """Return the response to a new book, by default the administrator's."""
        body = {"title": unique("Book"), "author": "Jane Austen", "price": 9.99, "category_id": category, **members}
        return self.client.post(BOOKS, json=body, headers=self.admin if headers is None else headers)

    def add_book(self, category: int, **members: Any) -> int:
        """Create a book and return its id."""
        answer = self.offer(category, **members)
        assert answer.status_code == 201, answer.text
        return int(answer.json()["id"])

    def change(self, book: int, **members: Any) -> Response:
        """Return the response to the administrator's change of a book."""
        return self.client.patch(f"{BOOKS}/{book}", json=members, headers=self.admin)

    def stored(self, book: int) -> dict[str, Any]:
        """Return the book as anyone sees it, with the exact price."""
        answer = self.client.get(f"{BOOKS}/{book}")
        assert answer.status_code == 200, answer.text
        return exact(answer)

    def find(self, category: int, **filters: Any) -> list[int]:
        """Return the ids of the books of a category that the filters select."""
        answer = self.client.get(BOOKS, params={"category_id": category, "size": 100, **filters})
        assert answer.status_code == 200, answer.text
        return [row["id"] for row in answer.json()["items"]]


def exact(answer: Response) -> dict[str, Any]:
    """Parse a JSON response, and keep the digits of every number."""
    found: dict[str, Any] = json.loads(answer.text, parse_float=Decimal)
    return found
