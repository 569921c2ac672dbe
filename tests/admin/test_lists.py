"""Lists, the look-up of foreign keys, batches, files and the first page."""

import re
from typing import Any
from unittest.mock import Mock

import pytest

from rowhouse.admin.changes import _faults_of
from rowhouse.metrics.objectives import objectives
from rowhouse.metrics.recorder import PLACE
from tests.admin.browser import Browser, Page
from tests.conftest import unique
from tests.contract.entity_client import EntityClient, RunningApp

Row = dict[str, Any]


@pytest.fixture
def books(shop_app: RunningApp) -> EntityClient:
    """The books."""
    return shop_app.entity("books")


@pytest.fixture
def shelf(books: EntityClient) -> list[Row]:
    """Three books of one category that is this test's own."""
    first = books.make(price=10, title=unique("Żółw"))
    return [first, *(books.make(category_id=first["category_id"], price=price) for price in (30, 20))]


def titles(page: Page, rows: list[Row]) -> list[str]:
    """The titles of these rows that a page shows, in its order."""
    found = [row["title"] for row in rows if f">{row['title']}<" in page.html]
    return sorted(found, key=page.html.index)


def test_a_list_is_filtered_sorted_and_searched(shop_browser: Browser, shelf: list[Row]) -> None:
    """By the parameters of the API, which the forms of the page add one by one."""
    category = shelf[0]["category_id"]
    page = shop_browser.get(f"/books?category_id={category}")
    assert len(titles(page, shelf)) == 3
    dear = shop_browser.get(f"/books?category_id={category}&_filter=price__gte&_value=20&cursor=x")
    assert str(dear.response.url.query, "ascii") == f"category_id={category}&price__gte=20"
    assert titles(dear, shelf) == [shelf[1]["title"], shelf[2]["title"]]
    assert "Price at least 20" in dear.words
    without = next(url for text, url in dear.reader.links.items() if text == "\u00d7")
    assert "price__gte" in without
    up = shop_browser.get(dear.link("Price"))
    assert titles(up, shelf) == [shelf[2]["title"], shelf[1]["title"]]
    down = shop_browser.get(up.link("Price"))
    assert titles(down, shelf) == [shelf[1]["title"], shelf[2]["title"]]
    assert 'aria-sort="descending"' in down.html
    found = shop_browser.get(f"/books?search={shelf[0]['title'].upper()}")
    assert titles(found, shelf) == [shelf[0]["title"]]


def test_a_filter_that_cannot_be_is_explained(shop_browser: Browser) -> None:
    """By the API; the page stays, so that the filter can be removed."""
    for query in ("price__gte=dear", "no_such_column=1", "sort=nothing", "cursor=forged"):
        page = shop_browser.get(f"/books?{query}")
        assert page.status == 200
        assert query.partition("=")[0] in page.text("faults")


def test_an_instant_in_a_filter_is_the_readers(shop_browser: Browser) -> None:
    """As it is shown in the list."""
    shop_browser.cookies["rowhouse_admin_zone"] = "Europe/Vienna"
    page = shop_browser.get("/books?_filter=created_at__lt&_value=2020-07-01T12:00")
    assert page.response.url.params["created_at__lt"] == "2020-07-01T10:00:00Z"
    assert "No rows." in page.words
    assert shop_browser.get("/books?_filter=created_at__isnull&_value=true").status == 200
    del shop_browser.cookies["rowhouse_admin_zone"]


def test_a_total_stays_on_the_pages_behind_a_cursor(shop_browser: Browser, shelf: list[Row]) -> None:
    """Where the API counts no more; the way back leads to the first page."""
    first = shop_browser.get(f"/books?category_id={shelf[0]['category_id']}&limit=2")
    second = shop_browser.get(first.link("Next page"))
    assert "3 in all" in second.words
    assert shop_browser.get(second.link("First page")).response.url.params["category_id"]


def test_a_reference_shows_and_finds_a_name(shop_browser: Browser, shop_app: RunningApp, shelf: list[Row]) -> None:
    """In lists and pages it leads to the row; in a form it is searched."""
    category = shop_app.entity("categories").stored({"id": shelf[0]["category_id"]})
    page = shop_browser.get(f"/books/{shelf[0]['id']}")
    assert page.link(category["name"]) == f"/admin/categories/{category['id']}"
    above = shop_browser.get(page.link(category["name"]))
    assert "Books (3)" in above.words
    assert f"/admin/books?category_id={category['id']}" in above.reader.links.values()
    form = shop_browser.get(f"/books/{shelf[0]['id']}/edit")
    address = next(given["data-lookup"] for _, given in form.reader.tags if "data-lookup" in given)
    assert category["name"] in form.text("value.category_id.help")

    def found(text: str) -> list[Row]:
        return list(shop_browser.ask("GET", address, params={"column": "id", "q": text}).json())

    expected = {"value": str(category["id"]), "label": category["name"]}
    assert expected in found(category["name"][1:])
    assert expected in found(str(category["id"]))
    assert 0 < len(found("")) <= 10
    assert found("there is no such shelf") == []


def test_a_reference_to_a_column_that_is_no_key(odd_browser: Browser, odd_app: RunningApp) -> None:
    """And to an entity without a search, which is found by its name, or by its key alone."""
    station = odd_app.entity("stations").make(code=unique("Grand Central"), next_code=None)
    asked = odd_browser.ask(
        "GET", "/admin/stations/lookup?column=code", params={"column": "code", "q": station["code"]}
    )
    assert asked.json() == [{"value": station["code"], "label": station["code"]}]
    parcel = odd_app.entity("parcels").make(name=unique("Little"))
    asked = odd_browser.ask("GET", "/admin/parcels/lookup", params={"q": parcel["name"]})
    assert [one["label"] for one in asked.json()] == [parcel["name"]]
    vein = odd_app.entity("veins").make()
    asked = odd_browser.ask("GET", "/admin/veins/lookup", params={"q": str(vein["id"])})
    assert [one["label"] for one in asked.json()] == [f"Vein {vein['id']}"]
    assert odd_browser.ask("GET", "/admin/veins/lookup", params={"q": "no number"}).json() == []


def test_chosen_rows_are_deleted_together(shop_browser: Browser, books: EntityClient, shelf: list[Row]) -> None:
    """After a question, all or none."""
    address = f"/books?category_id={shelf[0]['category_id']}"
    # A title that ends with the key, as that of the year 1984 may.
    shelf[0] = books.call("PATCH", f"/{shelf[0]['id']}", json={"title": f"Year-19{shelf[0]['id']}"}).json()
    page = shop_browser.get(f"{address}&_total=3")
    keys = [str(row["id"]) for row in shelf[:2]]
    question = page.send("/books/delete", {"keys": keys})  # type: ignore[dict-item]  # several values
    assert "Delete 2 books?" in question.words
    assert all(f"{row['title']} ({row['id']})" in question.words for row in shelf[:2])
    assert question.link("Cancel").endswith(f"{address}&_total=3")
    assert books.stored(shelf[0]) == shelf[0]
    form = question.form("/delete")
    deleted = shop_browser.post(form.action, {**form.values, "keys": keys})
    assert "Deleted." in deleted.words
    assert str(deleted.response.url).endswith(f"/admin{address}"), "the list that they were chosen from"
    gone = [books.call("GET", f"/{key}").status_code for key in keys]
    assert gone == [404, 404]
    refused = shop_browser.post(form.action, {**form.values, "keys": [*keys, str(shelf[2]["id"])]})
    assert refused.status == 404
    assert books.stored(shelf[2]) == shelf[2]
    category = books.running_app.entity("categories").stored({"id": shelf[2]["category_id"]})
    still = shop_browser.post("/admin/categories/delete", {**form.values, "keys": [str(category["id"])]})
    assert f"{category['name']} ({category['id']}): Other rows still refer" in still.text("faults")
    assert "query.ids" not in shop_browser.post(form.action, {**form.values, "keys": ["x"]}).words
    assert "No rows were chosen." in page.send("/books/delete").words


def test_files_go_out_and_come_in(shop_browser: Browser, shop_app: RunningApp, shelf: list[Row]) -> None:
    """The rows of the filters, as the API exports them; errors name the line and the member."""
    address = f"/admin/books/export?category_id={shelf[0]['category_id']}&format=csv"
    file = shop_browser.ask("GET", address)
    assert file.status_code == 200
    assert file.headers["content-type"].startswith("text/csv")
    assert "attachment" in file.headers["content-disposition"]
    assert len(file.text.splitlines()) == 4
    refused = shop_browser.get("/books/export?format=xml")
    assert refused.status == 422
    assert "format" in refused.words
    name = unique("imported")
    page = shop_browser.get("/categories/import")
    assert "Members: name, description." in page.words

    def sent(file_name: str, content: str) -> Page:
        return page.send("/import", files={"file": (file_name, content.encode())})

    assert "The file was imported. Rows created: 1" in sent("rows.csv", f"name\n{name}\n").words
    assert "Rows created: 1" in sent("rows.ndjson", f'{{"name": "{name} too"}}\n').words
    assert "line 3: String should have at least 1 character (name)" in sent("rows.csv", f'name\n{name} 2\n""\n').words
    assert "already exists" in sent("rows.csv", f"name\n{name}\n").text("faults")
    many = sent("rows.csv", "name\n" + '""\n' * 150)
    assert "50 further errors are left out." in many.words
    assert "Choose a file." in page.send("/import", files={"file": ("", b"")}).text("faults")
    assert shop_app.entity("categories").list(name=f"{name} 2")["total"] == 0


def test_the_first_page_counts_and_shows_what_changed(shop_browser: Browser, books: EntityClient) -> None:
    """Every entity with its number, and the last changes with their names."""
    row = books.make()
    words = shop_browser.get("").words
    assert "Charge points" in words
    assert f"Book {row['title']} created" in words
    books.call("PATCH", f"/{row['id']}", json={"stock": 77})
    assert row["title"] in shop_browser.get("").words
    booking = books.running_app.entity("bookings").make()
    assert f":{booking['created_at'][17:19]} Booking {booking['id']} created" in shop_browser.get("").words


def test_a_history_has_pages(odd_browser: Browser, odd_app: RunningApp) -> None:
    """The newest changes first, with what was before and after."""
    leaves = odd_app.entity("leaves")
    row = leaves.make(position=0)
    for position in range(1, 23):
        leaves.call("PATCH", f"/{row['id']}", json={"position": position})
    page = odd_browser.get(f"/leaves/{row['id']}/history")
    assert "Position 21 22" in page.words.replace("Position21", "Position 21 ").replace("2122", "21 22")
    older = odd_browser.get(page.link("Earlier changes"))
    assert "Create" in older.words
    assert "Earlier changes" not in older.reader.links
    assert odd_browser.get("/grafts/1/history").status == 404


def test_the_first_page_has_the_health_of_the_slos(shop_browser: Browser) -> None:
    """By the numbers of `/metrics`: an operation that is slow from now on is named."""
    metrics = shop_browser.client.app.state.metrics  # type: ignore[attr-defined]  # the client of an application
    shop_browser.get("/categories")
    number, listed = next((n, one) for n, one in enumerate(metrics.operations) if one.name == "list_categories")
    before = next(one for one in objectives(metrics) if one.operation == listed.name)
    for _ in range(before.requests):
        metrics.end_request({"state": {PLACE: metrics.place_of(number)}}, 200, 3600)
    page = shop_browser.get("")
    assert "answered 95 of 100 requests within their SLO" in page.text("slos.summary")
    assert re.search(r"list_categories\s*200 ms\s*above 10,000 ms\s*[0-9.]+ %\s*[1-9]", page.words)


def test_errors_of_a_batch_name_their_rows() -> None:
    """An error of the whole batch, or of a row that is not there, names none."""
    answer: Any = Mock()
    locations: list[list[str | int]] = [["body"], ["body", 1], ["query", "ids"]]
    answer.problem.return_value = {"errors": [{"loc": loc, "msg": "no"} for loc in locations]}
    assert _faults_of(answer, ["A (1)", "B (2)"]) == ["no", "B (2): no", "no"]
