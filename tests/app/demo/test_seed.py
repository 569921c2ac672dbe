"""The demo fills an empty database once, with rows of every entity, and follows every rule of the product."""

from collections import Counter

import pytest
from starlette.testclient import TestClient

from app.demo.accounts import PASSWORD
from app.demo.seed import seed
from app.main import create_app
from rowhouse.core.settings import Settings
from tests.conftest import QUIET, migrate, sign_in
from tests.databases import Databases


@pytest.fixture
def demo(databases: Databases, backend: str) -> Settings:
    """The settings of an empty migrated database."""
    return Settings(database_url=databases.prepared(backend, "migrated", migrate), **QUIET)


def test_the_demo_is_stored_once(demo: Settings) -> None:
    """A second time there is nothing to do; the reader has ordered, and money and stock add up."""
    assert seed(demo)
    assert not seed(demo)
    with TestClient(create_app(demo)) as client:
        admin = sign_in(client, "admin@example.com", PASSWORD)
        reader = sign_in(client, "reader@example.com", PASSWORD)
        orders = client.get("/api/v1/orders", headers=reader).json()["items"]
        assert Counter(order["status"] for order in orders) == {"placed": 1, "shipped": 1, "delivered": 1}
        assert all(len(order["lines"]) == 2 for order in orders)
        assert client.get("/api/v1/orders", headers=admin).json()["total"] == 3
        assert client.get("/api/v1/cart-items", headers=reader).json()["total"] == 2
        assert client.get("/api/v1/reviews").json()["total"] == 12
        assert client.post("/api/v1/orders", headers=reader).status_code == 201
