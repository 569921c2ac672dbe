"""The product on each database, for suites of tests that are written over any registered entity."""

from inspect import signature

import pytest
from starlette.testclient import TestClient

from app.api import registry
from app.main import create_app
from tests.contract.conftest import entity
from tests.contract.entity_client import Headers, RunningApp
from tests.contract.registrations import ACCOUNTS, Api, cases_of, chosen

__all__ = ["entity"]  # a fixture

HAND_WRITTEN = {
    ("get", "/charge-points/{id}/availability"),
    ("post", "/books/{id}/stock"),
    ("post", "/cart-items"),
    ("post", "/orders"),
}
PRODUCT = Api("product", registry, create_app, ACCOUNTS | HAND_WRITTEN)
CASES = cases_of(PRODUCT)


def pytest_pycollect_makeitem(name: str, obj: object) -> list[pytest.Item] | None:
    """Leave out tests that choose no entity of the product, and those that are about the samples alone."""
    if not name.startswith("test") or not callable(obj):
        return None
    return None if chosen(obj, CASES) or "running_apps" in signature(obj).parameters else []


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test marked with `every_entity` once for each entity that it chooses."""
    cases = chosen(metafunc.function, CASES)
    if cases is not None:
        metafunc.parametrize("entity", cases, indirect=True, ids=str)


def fill_cart(running_app: RunningApp, headers: Headers) -> None:
    """Put one book into the caller's cart, and nothing else: an order is made from it."""
    caller = running_app.client.get("/api/v1/users/me", headers=headers).json()
    cart = running_app.entity("cart-items")
    for item in cart.list(headers, user_id=caller["id"], size=100)["items"]:
        cart.call("DELETE", f"/{item['id']}")
    cart.make(headers, book_id=running_app.entity("books").make(stock=9)["id"], quantity=1)


def run_product(client: TestClient, admin: Headers) -> RunningApp:
    """Return the product that a client talks to, ready for the suite."""
    return RunningApp(client, PRODUCT, admin, preparations={"orders": fill_cart})


@pytest.fixture(scope="session")
def product_app(client: TestClient, admin: Headers) -> RunningApp:
    """The product."""
    return run_product(client, admin)


@pytest.fixture(scope="session")
def running_apps(product_app: RunningApp) -> list[RunningApp]:
    """The product."""
    return [product_app]
