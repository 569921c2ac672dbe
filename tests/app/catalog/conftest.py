"""A shop to fill."""

import pytest
from starlette.testclient import TestClient

from tests.app.catalog.shop import Headers, Shop


@pytest.fixture
def shop(client: TestClient, admin: Headers) -> Shop:
    """The product's bookstore."""
    return Shop(client, admin)


@pytest.fixture
def category(shop: Shop) -> int:
    """A shelf of the test's own."""
    return shop.add_category()
