"""The pages are an extra: they need Jinja2, and the setting `ADMIN_ROLES` says who may use them."""

import asyncio
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, ClassVar

import pytest
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from rowhouse.admin.internal_api import Answer, Api
from rowhouse.admin.session import Session
from rowhouse.admin.site import Site
from rowhouse.app import admin_pages
from rowhouse.core.policy import ANYONE
from rowhouse.core.settings import Settings
from rowhouse.crud.base import CRUDBase
from rowhouse.http.routing import Router
from rowhouse.registration.registry import Registry
from rowhouse.schemas.columns import RegistrationError
from tests.admin.browser import Browser
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, PASSWORD, QUIET, ROOT, small_registry, unique
from tests.sample_entities.application import create_app
from tests.sample_entities.shop.models import Booking, Category, Review, Vehicle
from tests.sample_entities.shop.registry import registry as shop

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
MakeApp = Callable[..., TestClient]
NEVER_OPENED = "sqlite:///data/never_opened.db"


def paths_of(registry: Registry | list[Registry], **settings: Any) -> set[str]:
    """The paths of an application that is never started."""
    app: Any = create_app(Settings(database_url=NEVER_OPENED, **QUIET, **settings), registry)
    app.state.runner.close()
    return {route.path for route in app.routes} & set(admin_pages.PATHS)


def test_nothing_is_there_without_the_extra(backend: str, make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """404, whoever asks; a setting that has no effect is reported."""
    warnings: list[str] = []
    monkeypatch.setattr(admin_pages, "find_spec", lambda _name: None)
    monkeypatch.setattr(admin_pages.log, "warning", warnings.append)
    assert make_app(backend, small_registry()).get("/admin").status_code == 404
    assert warnings == []
    assert paths_of(small_registry(), admin_roles="admin,driver") == set()
    assert "rowhouse-api[admin]" in warnings[0]


def test_nothing_is_loaded_before_it_is_used(backend: str) -> None:
    """One function alone imports the pages, at their first request."""
    engine = ROOT / "backend/rowhouse"
    found = [
        (path.name, line)
        for path in engine.rglob("*.py")
        if engine / "admin" not in path.parents
        for line in path.read_text("utf-8").splitlines()
        if "import" in line and "rowhouse.admin." in line
    ]
    assert {name for name, _ in found} == {"admin_pages.py"}
    assert all(line.startswith(" ") for _, line in found)


def test_the_setting_turns_them_off_and_names_the_roles(backend: str, make_app: MakeApp) -> None:
    """By default the administrators'; a role of the project is one too, and sees what its policies allow."""
    assert paths_of(small_registry(), admin_roles="none") == set()
    assert paths_of(small_registry()) == set(admin_pages.PATHS)
    client = make_app(backend, admin_roles="admin, driver", max_import_bytes=1024)
    email = f"{unique('driver')}@example.com"
    body = {"email": email, "password": PASSWORD, "full_name": "Driver", "role": "driver"}
    assert client.post("/api/v1/users", json=body).status_code == 201
    browser = Browser(client)
    page = browser.sign_in(email, PASSWORD)
    assert "Vehicles" in page.reader.links
    assert "Users" not in page.reader.links
    assert browser.get("/users").status == 403
    assert browser.get("/categories/new").status == 403
    assert browser.get("/categories/import").status == 403
    made = browser.get("/vehicles/new").send("/new", {"value.plate": "W-1", "value.connector": '"ccs"'})
    assert "Created." in made.words
    assert browser.get("/vehicles").send("/delete").status == 200
    history = browser.get(f"{made.path}/history")
    assert "by account" in history.words
    administrator = Browser(client)
    administrator.sign_in(ADMIN_EMAIL, ADMIN_PASSWORD)
    assert f"by {email}" in administrator.get(f"{made.path}/history").words
    large = browser.get("/vehicles/import").send("/import", files={"file": ("rows.csv", b"plate,connector\n" * 100)})
    assert large.status == 413


def test_an_unknown_role_stops_the_start(backend: str) -> None:
    """With the roles that there are."""
    with pytest.raises(RegistrationError, match=r"can have the role clerk; the roles are admin, driver, user"):
        paths_of(small_registry(), admin_roles="clerk")


def test_without_accounts_there_are_no_pages(backend: str) -> None:
    """Nobody could sign in."""
    registry = Registry("/api/v1")
    registry.register(Category, read=ANYONE, write=ANYONE)
    assert paths_of(registry) == set()


class Measured(CRUDBase[Review]):
    """Reviews with a further member, by which no list is sorted."""

    extra_fields: ClassVar = {"words": int}


gone = Router(prefix="/categories")


@gone.get("/deleted", policy=ANYONE)
def list_deleted_categories(size: int, cursor: str = "") -> dict[str, Any]:
    """A page of deleted rows, as an API may list them."""
    items = [] if cursor or size < 1 else [{"id": 7, "name": "Lost shelf"}]
    return {"items": items, "total": 1, "next_cursor": None if cursor else "more"}


def test_two_registries_have_their_own_pages(backend: str, make_app: MakeApp) -> None:
    """An entity has its prefix in its address where the first registry, or a page, has its name."""
    second = Registry("/api/v2")
    second.registrations = {path: shop.registrations[path] for path in ("categories", "books")}
    second.register(Review, read=ANYONE, owner="author_id", operations=("list",), crud=Measured)
    second.register(Vehicle, owner="driver_id", path="login", operations=("list", "create"))
    second.register(Booking, owner="driver_id", operations=("list", "get", "put"))
    second.include(gone)
    client: Any = make_app(backend, [small_registry(), second])
    browser = Browser(client)
    page = browser.sign_in()
    links = {given.get("href") for _, given in page.reader.tags}
    assert links >= {"/admin/categories", "/admin/categories-api-v2", "/admin/books", "/admin/login-api-v2"}
    made = browser.get("/categories-api-v2/new").send("/new", {"value.name": unique("v2")})
    assert "Created." in made.words
    assert made.path.startswith("/admin/categories-api-v2/")
    # Rows without a page of their own: back to the list, where nothing leads to them.
    plate = unique("W")
    listed = browser.get("/login-api-v2/new").send("/new", {"value.plate": plate, "value.connector": '"ccs"'})
    assert "Created." in listed.words
    assert plate in listed.words
    assert re.search(r"/admin/login-api-v2/[0-9]", listed.html) is None
    assert f"Vehicle {plate}" in browser.get("").words
    reviews = browser.get("/reviews")
    assert "Words" in reviews.words
    assert {"Rating", "Words"} - reviews.reader.links.keys() == {"Words"}
    # What the API lists of deleted rows can be restored there.
    deleted = browser.get(browser.get("/categories-api-v2").link("Deleted rows"))
    assert "Lost shelf" in deleted.words
    assert deleted.form("/restore").action == "/admin/categories-api-v2/7/restore"
    assert "No rows." in browser.get(deleted.link("Next page")).words
    assert browser.get("/categories/deleted").status == 404
    assert browser.get("/bookings/1/edit").status == 404
    assert Site(client.app, client.app.state.settings, prefix="/api/v1").entities["bookings"].change_method == "PUT"


def test_an_error_that_is_no_problem_has_its_status(backend: str) -> None:
    """A route of the project's own may respond with any text; numbers are read to the last digit."""
    for body in (b"<h1>Bad gateway</h1>", b"[1]"):
        assert Answer(502, {}, body).problem() == {"detail": "The API responded with the status 502."}
    exact = Answer(200, {}, b"[12345678901234567.89]").json()
    assert exact == [Decimal("12345678901234567.89")]


def test_a_call_waits_for_the_application_alone(backend: str) -> None:
    """Its client never goes: what waits for that waits until the response is complete."""
    received: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        received.append(await receive())
        waiting = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        received.append(waiting.done())
        waiting.cancel()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    scope = {"app": app, "type": "http", "headers": [], "state": {"request_id": b"1"}}
    answer = asyncio.run(Api(scope).call("GET", "/"))
    assert (answer.status, received) == (204, [{"type": "http.request", "body": b"", "more_body": False}, False])


def test_a_session_that_is_not_signed_in_has_no_account(backend: str, make_app: MakeApp) -> None:
    """The token of a form is then for the browser alone."""
    app: Any = make_app(backend, small_registry()).app
    site = Site(app, app.state.settings, prefix="/api/v1")
    session = Session({})
    token = session.form_token(site.secret)
    session.check_form(token, site.secret)
    assert session.account is None
