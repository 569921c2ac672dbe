"""Fixtures: books of one category, which belongs to one test."""

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.conftest import unique

Shelf = Callable[..., dict[str, Any]]


def post(client: TestClient, path: str, body: Any, headers: dict[str, str]) -> dict[str, Any]:
    """Create a row and return it."""
    answer = client.post(f"/api/v1/{path}", json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


@pytest.fixture
def category(client: TestClient, admin: dict[str, str]) -> int:
    """A new category."""
    return int(post(client, "categories", {"name": unique("shelf")}, admin)["id"])


@pytest.fixture
def add_book(client: TestClient, admin: dict[str, str], category: int) -> Shelf:
    """`add_book(price=...)` creates a book in the test's category."""

    def add(**members: Any) -> dict[str, Any]:
        body = {"title": unique("book"), "author": "Somebody", "price": 10, "category_id": category, **members}
        return post(client, "books", body, admin)

    return add
