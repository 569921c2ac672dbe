"""Forms: errors at their fields, values to the last digit, the reader's time zone, and who overwrites whom."""

import json
from datetime import timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from rowhouse.admin.fields import Field, Kind
from rowhouse.admin.forms import Form, Input
from rowhouse.core.clock import now
from tests.admin.browser import Browser
from tests.conftest import unique
from tests.contract.entity_client import EntityClient, RunningApp

Headers = dict[str, str]


@pytest.fixture
def point(shop_app: RunningApp) -> dict[str, Any]:
    """A charge point."""
    return shop_app.entity("charge-points").make()


@pytest.fixture
def books(shop_app: RunningApp) -> EntityClient:
    """The books."""
    return shop_app.entity("books")


def test_an_overlap_is_said_at_the_field(shop_browser: Browser, point: dict[str, Any]) -> None:
    """The API's own words stand at the beginning of the time; what was typed is kept; the next time works."""
    start = (now() + timedelta(days=1)).replace(microsecond=0, tzinfo=None)
    times = [(start + timedelta(hours=hours)).isoformat() for hours in (0, 2, 1, 3)]
    body = {"value.charge_point_id": str(point["id"]), "value.start_time": times[0], "value.end_time": times[1]}
    assert "Created." in shop_browser.get("/bookings/new").send("/new", body).words
    later = {**body, "value.start_time": times[2], "value.end_time": times[3]}
    taken = shop_browser.get("/bookings/new").send("/new", later)
    assert taken.text("value.start_time.fault") == "Slot already booked"
    assert taken.status == 200
    assert taken.form("/new").values["value.end_time"] == times[3]
    free = taken.send("/new", {"value.start_time": times[1]})
    assert "Created." in free.words


def test_conflicts_and_errors_are_shown_at_their_fields(shop_browser: Browser, books: EntityClient) -> None:
    """A taken value, a reference to nothing, and what the schema refuses; the list above leads to each."""
    row = books.make()
    page = shop_browser.get("/books/new")
    good = {
        "value.title": unique("book"),
        "value.author": "A",
        "value.price": "9.90",
        "value.category_id": str(row["category_id"]),
    }
    taken = page.send("/new", {**good, "value.title": row["title"]})
    assert taken.text("value.title.fault") == "Book with this title already exists"
    missing = page.send("/new", {**good, "value.category_id": "99999999"})
    assert "99999999" in missing.text("value.category_id.fault")
    wrong = page.send("/new", {**good, "value.price": "9,90", "value.stock": "many", "value.category_id": "x"})
    assert wrong.text("value.category_id.help") == ""
    assert (
        taken.text("value.category_id.hint")
        == books.running_app.entity("categories").stored({"id": row["category_id"]})["name"]
    )
    faults = {name for name in books.create if wrong.text(f"value.{name}.fault")}
    assert faults == {"price", "stock", "category_id"}
    assert {address for text, address in wrong.reader.links.items() if text in ("Price", "Stock")} == {
        "#value.price",
        "#value.stock",
    }
    assert 'aria-invalid="true" aria-describedby="value.price.fault"' in wrong.html


def test_a_form_sent_twice_creates_one_row(shop_browser: Browser, client: TestClient) -> None:
    """As a repeated request with an `Idempotency-Key`; changed, it is refused at the top."""
    name = unique("twice")
    page = shop_browser.get("/categories/new")
    first, second = (page.send("/new", {"value.name": name}) for _ in range(2))
    assert first.path == second.path
    assert client.get(f"/api/v1/categories?name={name}").json()["total"] == 1
    assert "Idempotency-Key" in page.send("/new", {"value.name": unique("another")}).text("faults")


def test_null_and_the_empty_text_are_two_values(shop_browser: Browser, shop_app: RunningApp) -> None:
    """The box beside a text says which; a text wins over it."""
    categories = shop_app.entity("categories")
    for text, box, stored in (("", True, None), ("", False, ""), ("Some\r\nlines\n", True, "Some\nlines\n")):
        page = shop_browser.get("/categories/new")
        assert page.form("/new").values["null.description"] == "on"
        values = {**page.form("/new").values, "value.name": unique("null"), "value.description": text}
        if not box:
            del values["null.description"]
        made = shop_browser.post("/admin/categories/new", values)
        row = categories.stored({"id": made.path.rpartition("/")[2]})
        assert row["description"] == stored
        edit = shop_browser.get(f"/categories/{row['id']}/edit")
        assert "Nothing was changed." in edit.send("/edit").words
        emptied = edit.form("/edit").values | {"value.description": "", "null.description": "on"}
        shop_browser.post(edit.form("/edit").action, emptied)
        assert categories.stored(row)["description"] is None


def test_decimals_and_documents_are_exact(odd_browser: Browser, odd_app: RunningApp) -> None:
    """To the last digit of the column, and what is no JSON is said at the field before anything is sent."""
    entity = odd_app.entity("everythings")
    row = entity.make(amount="1234567890123.45", big=2**62 + 1, document={"deep": [1, {"a": 0.1}], "ü": None})
    page = odd_browser.get(f"/everythings/{row['id']}/edit")
    values = page.form("/edit").values
    assert values["value.amount"] == "1234567890123.45"
    assert values["value.big"] == str(2**62 + 1)
    assert json.loads(values["value.document"]) == row["document"]
    broken = page.send("/edit", {"value.document": "{not json", "value.amount": "1234567890123.46"})
    assert "This is not valid JSON" in broken.text("value.document.fault")
    assert entity.stored(row) == row
    saved = broken.send("/edit", {"value.document": '{"a": 1.50}'})
    assert "Changed." in saved.words
    assert "1234567890123.46" in saved.words
    assert entity.stored(row)["document"] == {"a": 1.5}


def test_instants_are_in_the_readers_zone(odd_browser: Browser, odd_app: RunningApp) -> None:
    """The browser's cookie names it; an unknown one is UTC."""
    entity = odd_app.entity("everythings")
    row = entity.make(occurs_at="2030-07-01T10:00:00Z")
    for zone, text, stored in (
        ("Europe/Vienna", "2030-07-01T12:00:00", "2030-07-01T11:30:00Z"),
        ("America/St_Johns", "2030-07-01T09:00:00", "2030-07-01T16:00:00Z"),
        ("no/such/zone", "2030-07-01T16:00:00", "2030-07-01T13:30:00Z"),
    ):
        odd_browser.cookies["rowhouse_admin_zone"] = zone
        page = odd_browser.get(f"/everythings/{row['id']}/edit")
        assert page.form("/edit").values["value.occurs_at"] == text
        assert f"Times are in {zone}." in page.html or zone == "no/such/zone"
        shown = page.send("/edit", {"value.occurs_at": "2030-07-01T13:30"})
        assert "2030-07-01 13:30:00" in shown.words
        assert entity.stored(row)["occurs_at"] == stored
    del odd_browser.cookies["rowhouse_admin_zone"]


def test_an_emptied_field_is_null_or_said_to_be_missing(odd_browser: Browser, odd_app: RunningApp) -> None:
    """Null where the column has it; else the API says what is wrong."""
    maybe, everything = odd_app.entity("maybes"), odd_app.entity("everythings")
    row, other = maybe.make(whole=1), everything.make()
    empty = {f"value.{name}": "" for name in ("whole", "amount", "occurs_at", "colour", "flag", "document")}
    assert "Changed." in odd_browser.get(f"/maybes/{row['id']}/edit").send("/edit", empty).words
    assert {maybe.stored(row)[name.removeprefix("value.")] for name in empty} == {None}
    refused = odd_browser.get(f"/everythings/{other['id']}/edit").send("/edit", empty)
    assert all(refused.text(f"{name}.fault") for name in empty)


def test_a_class_rule_stands_above_the_form(odd_browser: Browser) -> None:
    """A rule over two members belongs to none of them."""
    days = {"value.label": "a", "value.first_day": "2030-02-01", "value.last_day": "2030-01-01"}
    page = odd_browser.get("/periods/new").send("/new", days)
    assert "last_day must not come before first_day" in page.text("faults")
    heavy = odd_browser.get("/parcels/new").send("/new", {"value.name": "anvil", "value.weight": "2000"})
    assert "409" not in heavy.text("faults")
    assert heavy.text("faults").startswith("Not saved")


def test_defaults_are_in_the_form_and_the_address_may_give_values(odd_browser: Browser) -> None:
    """A default that is made for each row is left to the server."""
    values = odd_browser.get("/presets/new?name=given").form("/new").values
    assert (values["value.name"], values["value.text"], values["value.amount"]) == ("given", "preset", "12.50")
    assert values["value.occurs_at"] == "2030-01-31T12:00:00"
    assert values["value.reference"] == ""
    broken = odd_browser.get("/presets/new?name=given").send("/new", {"value.document": "[1,"})
    assert "This is not valid JSON" in broken.text("value.document.fault")


def test_a_stale_form_shows_both_versions(shop_browser: Browser, shop_app: RunningApp, admin: Headers) -> None:
    """The other's value is taken over where I typed nothing, and shown where I did; the second save goes through."""
    categories = shop_app.entity("categories")
    row = categories.make(description="old")
    page = shop_browser.get(f"/categories/{row['id']}/edit")
    theirs = {"name": unique("theirs"), "description": "theirs"}
    categories.call("PATCH", f"/{row['id']}", json=theirs)
    stale = page.send("/edit", {"value.description": "mine"})
    assert stale.form("/edit").values["value.name"] == theirs["name"]
    assert stale.form("/edit").values["value.description"] == "mine"
    assert stale.text("value.description.present") == "Now stored: theirs"
    assert "Changed." in stale.send("/edit").words
    assert categories.stored(row)["name"] == theirs["name"]
    assert categories.stored(row)["description"] == "mine"
    categories.call("DELETE", f"/{row['id']}")
    assert page.send("/edit", {"value.description": "gone"}).status == 404


def test_a_row_without_an_entity_tag_is_compared(odd_browser: Browser, odd_app: RunningApp) -> None:
    """A hand-written GET has none: the form compares what is stored with what it began with."""
    notices = odd_app.entity("notices")
    row = notices.make()
    page = odd_browser.get(f"/notices/{row['id']}/edit")
    assert page.form("/edit").values["tag"] == ""
    assert "Changed." in page.send("/edit", {"value.message": "mine"}).words
    assert "Somebody else" in page.send("/edit", {"value.message": "again"}).words
    assert notices.stored(row)["message"] == "mine"


def test_steps_are_buttons(shop_browser: Browser, shop_app: RunningApp) -> None:
    """Those that lead on from the state; one that comes too late is refused, with the row as it is."""
    row = shop_app.entity("bookings").make()
    page = shop_browser.get(f"/bookings/{row['id']}")
    confirmed = page.send("/steps/confirm")
    assert "CONFIRMED" in confirmed.words
    assert [form.action for form in confirmed.reader.forms if "/steps/" in form.action] == [
        f"/admin/bookings/{row['id']}/steps/cancel"
    ]
    again = page.send("/steps/confirm")
    assert "This was changed since you read it" in again.text("faults")
    repeated = page.send("/steps/confirm", {"tag": ""})
    assert "must be PENDING" in repeated.text("faults")
    shop_app.entity("bookings").call("DELETE", f"/{row['id']}")
    assert page.send("/steps/confirm").status == 404


def test_a_delete_may_be_refused(shop_browser: Browser, books: EntityClient) -> None:
    """By rows that refer to it, or by a change since it was shown; nothing happens."""
    row = books.make()
    page = shop_browser.get(f"/categories/{row['category_id']}/delete")
    refused = page.send("/delete")
    assert "Other rows still refer to this one" in refused.text("faults")
    question = shop_browser.get(f"/books/{row['id']}/delete")
    assert row["title"] in question.words
    books.call("PATCH", f"/{row['id']}", json={"stock": 1})
    assert "changed since you read it" in question.send("/delete").text("faults")
    assert books.stored(row)["stock"] == 1


def test_what_cannot_be_created_has_no_form(shop_browser: Browser) -> None:
    """404 for an operation that the entity has not."""
    for path in ("/users/new", "/users/import"):
        assert shop_browser.get(path).status == 404


def test_a_restore_may_be_refused(odd_browser: Browser, odd_app: RunningApp) -> None:
    """By a row that has taken its place."""
    seats = odd_app.entity("seats")
    row = seats.make()
    gone = odd_browser.get(f"/seats/{row['id']}/delete").send("/delete")
    seats.make(hall=row["hall"], seat_number=row["seat_number"])
    refused = gone.send("/restore")
    assert refused.status == 409
    assert "already exists" in refused.words


def test_no_value_is_markup(shop_browser: Browser, books: EntityClient) -> None:
    """Not in a list, a page, a form, a conflict or an error."""
    text = "\"><script>alert(1)</script>{{ 'abacus' ~ 'dahlia' }}"
    row = books.make(title=text, author=text, description=f"{text}\n</textarea>")
    form = shop_browser.get(f"/books/{row['id']}/edit")
    assert form.form("/edit").values["value.title"] == text
    taken = shop_browser.get("/books/new").send("/new", {f"value.{name}": text for name in books.create})
    pages = [form, taken, *(shop_browser.get(path) for path in ("", f"/books/{row['id']}", f"/books?id={row['id']}"))]
    pages += [shop_browser.get(f"/books?search={text}"), shop_browser.get(f"/books/{row['id']}/delete")]
    for page in pages:
        assert page.status == 200
        assert "<script>alert" not in page.html
        assert "abacusdahlia" not in page.html


@pytest.mark.parametrize("line_break", ["\n", "\r", "\r\n"])
def test_a_text_with_a_line_break_has_an_input_that_keeps_it(
    shop_browser: Browser, books: EntityClient, line_break: str
) -> None:
    """A browser removes it from an input of one line, and the form would store that."""
    row = books.make(author=f"a{line_break}b")
    assert shop_browser.get(f"/books/{row['id']}/edit").form("/edit").kinds["value.author"] == "textarea"


def test_faults_within_owned_rows_name_their_place() -> None:
    """All of them stand at the one input; those of other members have no place within."""
    lines, price = (
        Input(Field("lines", "Lines", Kind.DOCUMENT), "[]"),
        Input(Field("price", "Price", Kind.DECIMAL), "x"),
    )
    entity: Any = None
    form = Form(entity, [lines, price])
    places: list[list[str | int]] = [["body", "lines", 1, "price"], ["body", "lines", 2], ["body", "price", "decimal"]]
    form.add_problem({"errors": [{"loc": place, "msg": "wrong"} for place in places]})
    assert [lines.fault, price.fault, form.faults] == ["1.price: wrong; 2: wrong", "wrong", []]
