"""Keys of any name and type, and of several columns, in addresses, forms, batches and files."""

from collections.abc import Iterator
from urllib.parse import quote, urlsplit

import pytest
from starlette.testclient import TestClient

from tests.admin.browser import Browser
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, sign_in, unique
from tests.databases import Databases
from tests.sample_entities.opened import open_keys


@pytest.fixture(scope="module")
def client(databases: Databases, backend: str) -> Iterator[TestClient]:
    """The application, signed in as administrator."""
    with open_keys(databases, backend) as client:
        client.headers.update(sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD))
        yield client


@pytest.fixture
def browser(client: TestClient) -> Browser:
    """The administrator's."""
    browser = Browser(client)
    browser.sign_in()
    return browser


def test_a_key_of_two_columns(client: TestClient, browser: Browser) -> None:
    """A row is created, changed, deleted and restored under it; its references are searched one by one."""
    student = client.post("/api/v1/students", json={"name": unique("Ann")}).json()
    courses = [client.post("/api/v1/courses", json={"code": unique('a,"b"; ü'), "title": "T"}).json() for _ in range(2)]
    keys = []
    for course in courses:
        values = {"student_id": str(student["id"]), "course_code": course["code"], "since": "2030-01-01"}
        made = browser.get("/enrolments/new").send("/new", {f"value.{name}": text for name, text in values.items()})
        assert "Created." in made.words, made.words
        keys.append(made.path.rpartition("/")[2])
        assert f"Enrolment {student['id']}," in made.words, "not the course, which others have too"
        assert made.link(course["title"]) == f"/admin/courses/{quote(course['code'], safe='')}"
        assert browser.get(made.link("Edit")).send("/edit", {"value.grade": "2"}).path == made.path
        gone = browser.get(made.link("Delete")).send("/delete")
        assert "Restored." in gone.send("/restore").words
    listed = browser.get("/enrolments")
    assert listed.status == 200
    question = listed.send("/enrolments/delete", {"keys": keys})  # type: ignore[dict-item]  # several values
    form = question.form("/delete")
    assert "Deleted." in browser.post(form.action, {**form.values, "keys": keys}).words
    assert client.get(f"/api/v1/enrolments?student_id={student['id']}").json()["total"] == 0


@pytest.mark.parametrize("code", ["new", "~a", 'x,"y" ?&#%', "a/b/edit"])
def test_a_key_of_text(client: TestClient, browser: Browser, code: str) -> None:
    """Also one that is a word of the pages, or that an address has to encode."""
    made = browser.get("/countries/new").send("/new", {"value.code": code, "value.name": "Country"})
    assert "Created." in made.words, made.words
    assert code in made.words
    assert browser.get(made.link("Edit")).send("/edit", {"value.name": "Land"}).path == made.path
    assert browser.get("/countries").status == 200
    question = browser.get("/countries").send("/countries/delete", {"keys": code})
    form = question.form("/delete")
    assert "Deleted." in browser.post(form.action, {**form.values, "keys": code}).words
    assert client.get("/api/v1/countries", params={"code": code}).json()["total"] == 0
    browser.get("/countries/lookup?column=code&q=new")
    login = Browser(client).get(f"{urlsplit(str(made.response.url)).path}/history")
    back = login.send("/login", {"username": ADMIN_EMAIL, "password": ADMIN_PASSWORD})
    assert f"History of country {code}" in back.words


def test_every_list_and_the_first_page_open(browser: Browser) -> None:
    """With timestamps of other names, or none."""
    home = browser.get("")
    links = [link for link in home.reader.links.values() if link.count("/") == 2]
    assert len(links) > 10
    assert {browser.get(link).status for link in (*links, "/admin")} == {200}
