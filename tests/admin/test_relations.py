"""Related rows: of a foreign key, of a `Relationship`, of a pair table, and of one row at most."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from rowhouse.core.settings import Settings
from tests.admin.browser import Browser
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, QUIET, sign_in, unique
from tests.databases import Databases
from tests.fast_client import QuickClient
from tests.sample_entities.library.main import create_app
from tests.sample_entities.library.models import create_tables

API = "/api/v1"


@pytest.fixture(scope="module")
def client(databases: Databases, backend: str) -> Iterator[TestClient]:
    """The library, signed in as administrator."""
    url = databases.prepared(backend, "library", create_tables)
    password = SecretStr(ADMIN_PASSWORD)
    settings = Settings(database_url=url, admin_email=ADMIN_EMAIL, admin_password=password, **QUIET)
    with QuickClient(create_app(settings)) as client:
        client.headers.update(sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD))
        yield client


@pytest.fixture
def browser(client: TestClient) -> Browser:
    """The administrator's."""
    browser = Browser(client)
    browser.sign_in()
    return browser


def made(client: TestClient, path: str, **values: Any) -> dict[str, Any]:
    """Create a row."""
    answer = client.post(f"{API}/{path}", json=values)
    assert answer.status_code == 201, answer.text
    row: dict[str, Any] = answer.json()
    return row


def test_every_relation_is_on_the_page(client: TestClient, browser: Browser) -> None:
    """By the names of the `Relationship`s; the key of a row stays its key, whatever has the row as its own."""
    name = unique("Ada")
    author = made(client, "authors", name=name)
    made(client, "portraits", author_id=author["id"], painter="somebody")
    book = made(client, "books", title=unique("Night"), author_id=author["id"])
    reader = made(client, "readers", name=unique("Rita"))
    made(client, "loans", book_id=book["id"], reader_id=reader["id"])
    page = browser.get(f"/authors/{author['id']}")
    assert "/admin/portraits/" not in page.html.partition("</dl>")[0]
    assert "Portrait (1)" in page.words
    assert "Books (1)" in page.words
    shown = browser.get(f"/books/{book['id']}")
    assert shown.link(name) == f"/admin/authors/{author['id']}"
    assert "Readers (1)" in shown.words
    assert reader["name"] in shown.words
    assert "Labels (0)" in shown.words
    form = browser.get(f"/books/{book['id']}/edit")
    assert name in form.text("value.author_id.help")
    another = browser.get(page.link("New book")).form("/books/new")
    assert another.values["value.author_id"] == str(author["id"])
    assert browser.get(page.link("New book")).text("value.author_id.hint") == name


def test_a_list_is_filtered_by_the_names_of_related_rows(client: TestClient, browser: Browser) -> None:
    """The form offers the name; the address takes every filter of the API."""
    name = unique("Olga")
    author = made(client, "authors", name=name)
    title = unique("Day")
    made(client, "books", title=title, author_id=author["id"], pages=77)
    offered = browser.get("/books").form("/admin/books").options["_filter"]
    assert "writer__name__contains" in offered
    found = browser.get(f"/books?_filter=writer__name__contains&_value={name.lower()}")
    assert "Writer name contains" in found.words
    assert title in found.words
    assert "1 in all" in found.words
    other = browser.get(f"/books?writer__name__ne={name}")
    assert f"writer__name__ne {name}" in other.words
    assert title not in other.words.partition(" in all")[2]


def test_a_form_has_the_links_of_a_row(client: TestClient, browser: Browser) -> None:
    """All of them, because what is sent replaces them; an untouched form changes nothing."""
    labels = [made(client, "labels", name=unique("Sea"))["id"] for _ in range(2)]
    book = made(client, "books", title=unique("Waves"), label_ids=labels)
    page = browser.get(f"/books/{book['id']}/edit")
    assert json.loads(page.form("/edit").values["value.label_ids"]) == labels
    assert "Nothing was changed." in page.send("/edit").words
    page.send("/edit", {"value.label_ids": f"[{labels[1]}]"})
    stored = client.get(f"{API}/books/{book['id']}?expand=labels").json()
    assert [label["id"] for label in stored["labels"]] == labels[1:]
