"""Fixtures: the bookstore and a category."""

import pytest
from starlette.testclient import TestClient

from tests.app.catalog.shop import Headers, Shop


@pytest.fixture
def shop(client: TestClient, admin: Headers) -> Shop:
    """The bookstore of the product."""
    return Shop(client, admin)


@pytest.fixture
def category(shop: Shop) -> int:
    """A new category."""
    return shop.add_category()
