"""Under a prefix, every address of the pages is the one that the browser sees."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from rowhouse.app.admin_pages import AdminPages
from tests.admin.browser import Browser
from tests.conftest import small_registry, unique
from tests.core.test_prefix import WAYS

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


@pytest.fixture(scope="module")
def client(make_app: Callable[..., TestClient]) -> TestClient:
    """A client of one application for all ways to mount it."""
    return make_app("sqlite", small_registry())


@pytest.mark.parametrize("way", WAYS)
def test_every_address_has_the_prefix(
    backend: str, client: TestClient, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Links, forms, assets, redirects and cookies."""
    monkeypatch.setattr(client, "app", WAYS[way](client.app))  # type: ignore[arg-type]  # it is an application
    browser = Browser(client, "/shop/admin")
    assert browser.sign_in().path == "/shop/admin"
    made = browser.get("/categories/new").send("/new", {"value.name": unique("shelf")})
    assert "Created." in made.words
    pages = [made, browser.get(""), browser.get("/categories"), browser.get("/vehicles/new")]
    for page in pages:
        assert page.status == 200
        addresses = re.findall(r'(?:href|action|src|data-lookup)="(/[^"]*)"', page.html)
        assert addresses
        assert [address for address in addresses if not address.startswith("/shop/admin")] == []
    assert browser.get(pages[0].link("Categories")).status == 200
    assert browser.ask("GET", re.findall(r'href="(/[^"]*css[^"]*)"', made.html)[0]).status_code == 200
    assert "Path=/shop/admin;" in browser.ask("GET", "/shop/admin/login").headers.get("set-cookie", "Path=/shop/admin;")


def test_the_pages_are_made_at_the_first_request(backend: str, make_app: Callable[..., TestClient]) -> None:
    """Once."""
    client: Any = make_app(backend, small_registry())
    (pages,) = {
        route.endpoint for route in client.app.routes if isinstance(getattr(route, "endpoint", None), AdminPages)
    }
    assert pages._site is None
    sites = set()
    for _ in range(2):
        assert Browser(client).get("/login").status == 200
        sites.add(id(pages._site))
    assert len(sites) == 1
