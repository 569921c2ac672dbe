"""An administrator's browser, of the product."""

import pytest
from starlette.testclient import TestClient

from tests.admin.browser import Browser
from tests.admin.conftest import browser, browser_of
from tests.app.contract.conftest import entity, product_app, pytest_generate_tests, pytest_pycollect_makeitem

__all__ = ["browser", "entity", "product_app", "pytest_generate_tests", "pytest_pycollect_makeitem"]


@pytest.fixture(scope="session")
def product_browser(client: TestClient) -> Browser:
    """The product's."""
    return browser_of(client)
