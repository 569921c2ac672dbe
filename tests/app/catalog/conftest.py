"""Fixtures: the bookstore and a category."""

import pytest
from starlette.testclient import TestClient

from tests.app.catalog.catalog_api import CatalogApi, Headers


@pytest.fixture
def shop(client: TestClient, admin: Headers) -> CatalogApi:
    """The bookstore of the product."""
    return CatalogApi(client, admin)


@pytest.fixture
def category(shop: CatalogApi) -> int:
    """A new category."""
    return shop.add_category()
