"""An administrator's browser, of the product, and its entities."""

import pytest
from starlette.testclient import TestClient

from app.api import registry
from app.main import create_app
from tests.admin.browser import Browser
from tests.admin.conftest import browser, browser_of
from tests.contract.conftest import entity
from tests.contract.entity_client import Headers, RunningApp
from tests.contract.registrations import ACCOUNTS, Api, cases_of, chosen

__all__ = ["browser", "entity"]  # fixtures

HAND_WRITTEN = {
    ("get", "/charge-points/{id}/availability"),
    ("post", "/books/{id}/stock"),
    ("post", "/cart-items"),
    ("post", "/orders"),
}
PRODUCT = Api("product", registry, create_app, ACCOUNTS | HAND_WRITTEN)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test marked with `every_entity` once for each entity that it chooses."""
    cases = chosen(metafunc.function, cases_of(PRODUCT))
    if cases is not None:
        metafunc.parametrize("entity", cases, indirect=True, ids=str)


@pytest.fixture(scope="session")
def product_app(client: TestClient, admin: Headers) -> RunningApp:
    """The product."""
    return RunningApp(client, PRODUCT, admin)


@pytest.fixture(scope="session")
def product_browser(client: TestClient) -> Browser:
    """The product's."""
    return browser_of(client)
