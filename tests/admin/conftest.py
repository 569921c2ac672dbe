"""Administrators' browsers, of the applications of `tests.contract`."""

import pytest
from starlette.testclient import TestClient

from tests.admin.browser import Browser
from tests.contract.conftest import entity, odd_app, pytest_generate_tests, pytest_pycollect_makeitem, shop_app
from tests.contract.entity_client import RunningApp

__all__ = ["entity", "odd_app", "pytest_generate_tests", "pytest_pycollect_makeitem", "shop_app"]


def browser_of(client: TestClient) -> Browser:
    """A browser in which the administrator is signed in."""
    browser = Browser(client)
    assert browser.sign_in().status == 200
    return browser


@pytest.fixture(scope="session")
def shop_browser(client: TestClient) -> Browser:
    """The shop's."""
    return browser_of(client)


@pytest.fixture(scope="session")
def odd_browser(odd_app: RunningApp) -> Browser:
    """That of the odd entities."""
    return browser_of(odd_app.client)


@pytest.fixture
def browser(request: pytest.FixtureRequest) -> Browser:
    """That of the entity's application."""
    case = request.node.callspec.params["entity"]
    found: Browser = request.getfixturevalue(f"{case.api.name}_browser")
    return found
