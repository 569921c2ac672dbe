"""The pages at `/admin` in Chromium: over every entity, with scripts, by the keyboard, and on a narrow screen.

`ADMIN_PICTURES` names a folder for pictures of the pages.
"""

import os
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser

from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, PASSWORD, ROOT, unique
from tests.sample_entities.odd.registry import create_tables
from tests.world.conftest import Figure
from tests.world.services.chromium import Tab, chromium, new_tab
from tests.world.services.process import HOST, free_port, start, wait_until
from tests.world.services.server import SETTINGS, Server, migrate, rowhouse

pytestmark = pytest.mark.xdist_group("admin")
PICTURES = Path(os.environ["ADMIN_PICTURES"]) if "ADMIN_PICTURES" in os.environ else None
DRIVER = "driver@example.com"
NARROW = 400


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The product on SQLite, whose pages drivers may use too."""
    url = f"sqlite:///{tmp_path_factory.mktemp('admin')}/product.db"
    migrate(url)
    with rowhouse(url, settings={"ADMIN_ROLES": "admin,driver"}) as server:
        body = {"email": DRIVER, "password": PASSWORD, "full_name": "Dora Driver", "role": "driver"}
        assert httpx2.post(f"{server.url}/api/v1/users", json=body).status_code == 201
        yield server


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The odd entities on SQLite."""
    directory = tmp_path_factory.mktemp("odd")
    engine = sa.create_engine(f"sqlite:///{directory}/odd.db")
    with engine.begin() as connection:
        create_tables(connection)
    engine.dispose()
    port = free_port()
    application = "tests.sample_entities.application:create_odd_app"
    command = [sys.executable, "-m", "uvicorn", application, "--factory", "--host", HOST, "--port", str(port)]
    environment = {**SETTINGS, "DATABASE_URL": f"sqlite:///{directory}/odd.db", "PYTHONPATH": f"{ROOT}:{ROOT}/backend"}
    running = start(command, log=directory / "log", environment=environment, cwd=ROOT)
    server = Server(port=port, program=running)
    try:
        wait_until(server.answers, running)
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def api(product: Server) -> Iterator[httpx2.Client]:
    """The API of the product, as the administrator."""
    with httpx2.Client(base_url=f"{product.url}/api/v1") as client:
        answer = client.post("/auth/login", data={"username": ADMIN_EMAIL, "password": ADMIN_PASSWORD})
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield client


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium."""
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def tab(product: Server, browser: Browser) -> Tab:
    """The administrator's tab on the product."""
    opened = new_tab(browser, product.url, pictures=PICTURES)
    opened.sign_in(ADMIN_EMAIL, ADMIN_PASSWORD)
    return opened


@pytest.fixture
def drivers_tab(product: Server, browser: Browser) -> Tab:
    """A driver's tab on the product."""
    opened = new_tab(browser, product.url, pictures=PICTURES)
    opened.sign_in(DRIVER, PASSWORD)
    return opened


def entities_in(tab: Tab) -> list[str]:
    """The addresses of all lists."""
    tab.open("/admin")
    links = tab.page.locator("nav a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    return [str(link) for link in links]


def made(api: httpx2.Client, path: str, **body: Any) -> dict[str, Any]:
    """A new row."""
    answer = api.post(path, json=body)
    assert answer.status_code == 201, answer.text
    row: dict[str, Any] = answer.json()
    return row


def point(api: httpx2.Client) -> dict[str, Any]:
    """A new charge point."""
    numbers = {"latitude": 48.2, "longitude": 16.4, "power_kw": 22, "price_per_kwh": 0.45}
    return made(api, "/charge-points", code=unique("AT"), name="Wien Mitte", connector="ccs", **numbers)


@pytest.mark.parametrize("name", ["product", "odd"])
def test_every_page_of_every_entity_opens_without_an_error(
    name: str, request: pytest.FixtureRequest, browser: Browser, figure: Figure
) -> None:
    """List, form, file and errors at the fields: the browser reports nothing, and no page is wider than the screen."""
    server: Server = request.getfixturevalue(name)
    opened = 0
    tab = new_tab(browser, server.url, width=NARROW)
    tab.sign_in(ADMIN_EMAIL, ADMIN_PASSWORD)
    for path in entities_in(tab):
        for address in (path, f"{path}/new", f"{path}/import"):
            if address != path and not tab.page.locator(f"main a[href='{address}']").count():
                continue
            tab.open(address)
            assert tab.page.evaluate("document.documentElement.scrollWidth") <= NARROW, address
            opened += 1
            if address.endswith("/new"):
                tab.click("Save")
                opened += 1
                tab.open(path)
    assert tab.faults == []
    assert opened > 20
    figure(f"/admin, {name}: {opened} pages in Chromium, 400 px wide, 0 errors, 0 violations of the content policy")


def test_a_category_lives_in_the_pages(tab: Tab, api: httpx2.Client) -> None:
    """Created, found, changed, in conflict with somebody else's change, deleted."""
    name = unique("Maps")
    tab.open("/admin/categories")
    tab.click("New category", role="link")
    tab.fill("value.name", name)
    tab.press_enter()
    assert "Created." in tab.text()
    key = tab.page.url.rpartition("/")[2]
    tab.click("Edit", role="link")
    tab.fill("value.description", "Old maps")
    api.patch(f"/categories/{key}", json={"description": "New maps"})
    tab.click("Save")
    assert "Somebody else has changed this" in tab.text("faults")
    assert tab.text("value.description.present") == "Now stored: New maps"
    assert tab.page.evaluate("document.activeElement.id") == "faults"
    tab.picture("conflict")
    tab.click("Save")
    assert api.get(f"/categories/{key}").json()["description"] == "Old maps"
    tab.open("/admin/categories/new")
    tab.fill("value.name", name)
    tab.press_enter()
    assert tab.text("value.name.fault") == "Category with this name already exists"
    tab.open(f"/admin/categories/{key}")
    tab.click("Delete", role="link")
    tab.click("Delete")
    assert "Deleted." in tab.text()
    assert api.get(f"/categories/{key}").status_code == 404
    assert tab.faults == []


def test_a_drivers_overlapping_booking_is_said_at_the_field(drivers_tab: Tab, api: httpx2.Client) -> None:
    """The charge point is found by its name, the times are those of the driver's zone; all by the keyboard."""
    row = point(api)
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).replace(hour=10, minute=0, second=0, microsecond=0)
    tab = drivers_tab
    for fault in ("", "Slot already booked"):
        tab.open("/admin/bookings/new")
        tab.page.locator("[id='value.charge_point_id']").press_sequentially(row["code"])
        tab.page.get_by_role("option").first.wait_for()
        tab.picture("look-up")
        tab.page.keyboard.press("ArrowDown")
        tab.page.keyboard.press("Enter")
        assert tab.page.locator("[id='value.charge_point_id']").input_value() == str(row["id"])
        tab.fill("value.start_time", tomorrow.strftime("%Y-%m-%dT10:00:00"))
        tab.fill("value.end_time", tomorrow.strftime("%Y-%m-%dT12:00:00"))
        tab.click("Save")
        if fault:
            assert tab.text("value.start_time.fault") == fault
            tab.picture("slot-already-booked")
        else:
            assert "Created." in tab.text()
    assert tab.faults == []
    (booking,) = api.get(f"/bookings?charge_point_id={row['id']}").json()["items"]
    stored = datetime.fromisoformat(booking["start_time"])
    assert (stored - tomorrow.replace(hour=10)) in (timedelta(hours=-1), timedelta(hours=-2)), "the time of Vienna"


def test_a_vehicle_comes_back_with_its_history(drivers_tab: Tab) -> None:
    """Deleted, restored, and each change with its differences."""
    tab = drivers_tab
    tab.open("/admin/vehicles/new")
    tab.fill("value.plate", "W-1234")
    tab.page.locator("[id='value.connector']").select_option(label="ccs")
    tab.click("Save")
    key = tab.page.url.rpartition("/")[2]
    tab.click("Edit", role="link")
    tab.fill("value.plate", "W-5678")
    tab.press_enter()
    tab.click("Delete", role="link")
    tab.click("Delete")
    tab.click(f"Restore Vehicle {key}")
    assert "Restored." in tab.text()
    tab.click("History", role="link")
    assert re.findall(r"(Restore|Delete|Update|Create) \d{4}", tab.text()) == [
        "Restore",
        "Delete",
        "Update",
        "Create",
    ]
    assert "Plate W-1234 W-5678" in tab.text()
    tab.picture("history")
    assert tab.faults == []


def test_rows_are_chosen_and_exported(tab: Tab, api: httpx2.Client) -> None:
    """All rows of a page by one box; a file by one link."""
    names = sorted(made(api, "/categories", name=unique("Bin"))["name"] for _ in range(3))
    tab.open(f"/admin/categories?name__in={','.join(names)}&sort=name")
    with tab.page.expect_download() as download:
        tab.page.get_by_role("link", name="Export CSV").click()
    assert [line.split(",")[1] for line in Path(download.value.path()).read_text().splitlines()[1:]] == names
    tab.page.get_by_label("Choose all rows of this page").check()
    tab.click("Delete the chosen rows")
    tab.click("Delete")
    assert api.get(f"/categories?name__in={','.join(names)}").json()["total"] == 0
    tab.open("/admin")
    tab.picture("home")
    assert tab.faults == []


def test_a_list_on_a_narrow_screen_is_sorted_and_chosen(product: Server, browser: Browser, api: httpx2.Client) -> None:
    """The box for all rows and the sort links stand above the rows, within the screen."""
    names = sorted(made(api, "/categories", name=unique("Tin"))["name"] for _ in range(2))
    tab = new_tab(browser, product.url, width=NARROW)
    tab.sign_in(ADMIN_EMAIL, ADMIN_PASSWORD)
    tab.open(f"/admin/categories?name__in={','.join(names)}&sort=name")
    every = tab.page.get_by_label("Choose all rows of this page")
    with tab.page.expect_navigation():
        tab.page.locator("th a", has_text="Name").click()
    rows = tab.page.locator("tbody").inner_text()
    assert sorted(names, key=rows.index) == names[::-1]
    for found in (every, tab.page.locator("th a", has_text="Name")):
        box = found.bounding_box()
        assert box is not None
        assert 0 <= box["x"] <= NARROW
    every.check()
    tab.click("Delete the chosen rows")
    assert all(name in tab.text() for name in names)
    assert tab.faults == []


def test_another_reference_takes_the_old_name_away(tab: Tab, api: httpx2.Client) -> None:
    """Beside the number stands the name of the row that it means, and no other."""
    old, new = (made(api, "/categories", name=unique("Shelf")) for _ in range(2))
    book = made(api, "/books", title=unique("Atlas"), author="A", price=9, category_id=old["id"])
    tab.open(f"/admin/books/{book['id']}/edit")
    assert old["name"] in tab.text()
    number = tab.page.locator("[id='value.category_id']")
    number.fill("")
    number.press_sequentially(new["name"])
    tab.page.get_by_role("option").first.click()
    assert number.input_value() == str(new["id"])
    assert new["name"] in tab.text()
    assert old["name"] not in tab.text()
    assert tab.faults == []
