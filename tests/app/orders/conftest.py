"""Fixtures: the bookstore's counter and its customers."""

import pytest
from starlette.testclient import TestClient

from tests.app.catalog.catalog_api import CatalogApi, Headers
from tests.app.orders.orders_api import OrdersApi
from tests.conftest import sign_up


@pytest.fixture
def counter(client: TestClient, admin: Headers) -> OrdersApi:
    """The counter of the bookstore, with a category of its own."""
    shop = CatalogApi(client, admin)
    return OrdersApi(shop, shop.add_category())


@pytest.fixture
def buyer(client: TestClient) -> Headers:
    """The headers of a new account with an empty cart."""
    return sign_up(client)


@pytest.fixture(scope="session")
def stranger(client: TestClient) -> Headers:
    """The headers of an account that owns nothing here."""
    return sign_up(client)
