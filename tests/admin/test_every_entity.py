"""Every entity has its pages, with no line of code of its own."""

import json
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import TypeAdapter

from rowhouse.registration.registry import Registration
from tests.admin.browser import Browser, Form
from tests.contract.entity_client import EntityClient, Row
from tests.contract.registrations import Case, every_entity

DURATION = TypeAdapter(timedelta)


def is_written(case: Case) -> bool:
    """Whether rows are created by a generated operation, whose form the pages have."""
    created = ("post", f"/{case.path}") not in case.api.hand_written or case.path == "cart-items"
    return created and "create" in case.registration.operations


def text_of(value: Any, form: Form, name: str) -> str:
    """What a person writes for a JSON value, in UTC."""
    if value is None:
        return ""
    if form.kinds[name] == "select" or isinstance(value, (dict, list)):
        return json.dumps(value)
    if form.kinds[name] == "datetime-local":
        return datetime.fromisoformat(value).astimezone(UTC).replace(tzinfo=None).isoformat()
    return str(value)


def filled(form: Form, body: Row) -> dict[str, str]:
    """The values of a form for a body."""
    values = {f"value.{name}": text_of(value, form, f"value.{name}") for name, value in body.items()}
    nulls = {f"null.{name}": "on" for name, value in body.items() if value is None and f"null.{name}" in form.kinds}
    return {**values, **nulls}


def alike(one: Any, other: Any) -> bool:
    """Whether two JSON values mean the same: numbers as numbers, instants and durations by their length."""
    for read in (datetime.fromisoformat, DURATION.validate_strings):
        if isinstance(one, str) and isinstance(other, str) and one != other:
            with suppress(ValueError):
                return read(one) == read(other)
    return bool(one == other or (not isinstance(one, bool) and str(one) == str(other)))


@every_entity("list", "get")
def test_its_list_shows_rows_page_by_page(entity: EntityClient, browser: Browser) -> None:
    """With a total, and a cursor that leads on to the next page."""
    rows = entity.rows(3) if "create" in entity.registration.operations else entity.list(size=3)["items"]
    ids = ",".join(str(row["id"]) for row in rows)
    slug = entity.resource.path
    page = browser.get(f"/{slug}?id__in={ids}&size=2&sort=id")
    assert page.status == 200, page.words
    shown = set()
    for _ in range((len(rows) + 1) // 2):
        assert f"{len(rows)} in all" in page.words
        shown |= {str(row["id"]) for row in rows if f'href="/admin/{slug}/{row["id"]}"' in page.html}
        if "Next page" in page.reader.links:
            page = browser.get(page.link("Next page"))
    assert shown == {str(row["id"]) for row in rows}
    assert "Next page" not in page.reader.links


@every_entity("create", "get", where_case=is_written)
def test_its_form_creates_what_was_written(entity: EntityClient, browser: Browser) -> None:
    """Every member as it was sent, and a page with all of them. An empty form says what is missing at the fields."""
    body = entity.body()
    page = browser.get(f"/{entity.resource.path}/new")
    if entity.required:
        page = page.send("/new", {name: "" for name in page.form("/new").values if name.startswith("value.")})
        assert {name for name in entity.create if page.text(f"value.{name}.fault")} == set(entity.required)
    page = page.send("/new", filled(page.form("/new"), body))
    assert "Created." in page.words, page.words
    row = entity.call("GET", f"/{page.path.rpartition('/')[2]}").json()
    assert {name: row[name] for name, value in body.items() if not alike(row[name], value)} == {}
    assert str(row["id"]) in page.words


def changing(entity: EntityClient, row: Row) -> Row:
    """A valid change of a row that makes a difference."""
    names = [name for name in reversed(list(entity.update)) if name not in entity.references] or list(entity.update)
    changes = (entity.change(row, name) for name in names * 2)
    return next(change for change in changes if not all(alike(row[name], value) for name, value in change.items()))


@every_entity("get", "update")
def test_a_change_sends_what_differs(entity: EntityClient, browser: Browser) -> None:
    """Without a difference nothing is sent. A form that is out of date shows what somebody else has stored meanwhile."""
    if "create" in entity.registration.operations:
        row = entity.make()
    else:
        entity.running_app.caller("somebody")
        row = entity.list(size=1, sort="-id")["items"][0]
    url = f"/{entity.resource.path}/{row['id']}/edit"
    page = browser.get(url)
    assert "Nothing was changed." in page.send("/edit").words
    assert entity.stored(row) == row
    theirs, mine = changing(entity, row), changing(entity, row)
    assert entity.call("PATCH", f"/{row['id']}", json=theirs).status_code == 200
    stale = page.send("/edit", filled(page.form("/edit"), mine))
    assert "Somebody else has changed this" in stale.words
    assert all(stale.text(f"value.{name}.present") for name in theirs)
    assert {name: value for name, value in theirs.items() if not alike(entity.stored(row)[name], value)} == {}
    saved = stale.send("/edit")
    assert "changed." in saved.words.lower(), saved.words
    assert {name: value for name, value in mine.items() if not alike(entity.stored(row)[name], value)} == {}


def kept(registration: Registration) -> bool:
    """Whether deleted rows can be restored."""
    return registration.resource.soft_delete


@every_entity("create", "get", "delete", where_case=is_written)
def test_a_row_is_deleted_and_restored(entity: EntityClient, browser: Browser) -> None:
    """After a question. The history shows what happened, by whom, and what was different."""
    row = entity.make()
    url = f"/{entity.resource.path}/{row['id']}"
    gone = browser.get(f"{url}/delete").send("/delete")
    assert "Deleted." in gone.words, gone.words
    assert entity.call("GET", f"/{row['id']}").status_code == 404
    missing = browser.get(url)
    assert missing.status == 404
    if not kept(entity.registration):
        assert "Restore" not in missing.words
        return
    assert "Restored." in gone.send("/restore").words
    assert entity.stored(row) == {**row, "updated_at": entity.stored(row)["updated_at"]}
    if entity.resource.history:
        history = browser.get(f"{url}/history")
        assert re.findall(r"<h2>(\w+)</h2>", history.html) == ["Restore", "Delete", "Create"]
