"""Foreign keys that the database checks at the commit, as those of Django: errors are those of other foreign keys."""

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from sqlmodel import Field
from starlette.testclient import TestClient

import rowhouse
from rowhouse import ANYONE, Registry, Router, SessionDep
from rowhouse.core.settings import Settings
from rowhouse.entities.model import IntegerKey, Record
from tests.conftest import QUIET
from tests.databases import Databases
from tests.fast_client import QuickClient
from tests.sample_entities.metadata import new_metadata

API = "/api/v1"
metadata = new_metadata()
DEFERRED: Any = {"deferrable": True, "initially": "DEFERRED"}


class Base(IntegerKey, Record, registry=sa.orm.registry(metadata=metadata)):
    """A class in a metadata of its own."""


class Author(Base, table=True):
    """Another entity refers to it."""

    name: str = Field(max_length=40)


class Edition(Base, table=True):
    """A key of two columns."""

    __table_args__ = (sa.UniqueConstraint("year", "number"),)

    year: int
    number: int


class Story(Base, table=True):
    """Refers to an author, to an earlier story and to an edition."""

    __table_args__ = (
        sa.ForeignKeyConstraint(["edition_year", "edition_number"], ["editions.year", "editions.number"], **DEFERRED),
    )

    title: str = Field(max_length=40, unique=True)
    number: int | None = Field(default=None, unique=True)
    author_id: int = Field(sa_column=sa.Column(sa.ForeignKey("authors.id", **DEFERRED), nullable=False, index=True))
    after: int | None = Field(
        default=None, sa_column=sa.Column(sa.ForeignKey("stories.number", **DEFERRED), index=True)
    )
    edition_year: int | None = None
    edition_number: int | None = None


class Quote(Base, table=True):
    """Refers to an author by a key that its class does not call deferred. The database does."""

    text: str = Field(max_length=40)
    author_id: int = Field(foreign_key="authors.id", index=True)


router = Router(prefix="/stories")


@router.post("/by-hand", policy=ANYONE)
def write_by_hand(session: SessionDep, *, author_id: int) -> dict[str, str]:
    """Write by a session."""
    session.add(Story(title="by hand", author_id=author_id))
    return {}


def create_tables(connection: sa.Connection) -> None:
    """Create the tables, and defer the key of quotes."""
    told = "DEFERRABLE INITIALLY DEFERRED"
    if connection.dialect.name == "postgresql":
        metadata.create_all(connection)
        connection.exec_driver_sql(f"ALTER TABLE quotes ALTER CONSTRAINT fk_quotes_author_id_authors {told}")
        return
    key = next(iter(metadata.tables["quotes"].foreign_key_constraints))
    key.deferrable, key.initially = True, "DEFERRED"
    metadata.create_all(connection)
    key.deferrable = key.initially = None


def application(url: str) -> FastAPI:
    """Return the application."""
    registry = Registry(API)
    for entity in (Author, Edition, Story, Quote):
        registry.register(entity, read=ANYONE, write=ANYONE, history=entity is Story, soft_delete=entity is Author)
    registry.include(router)
    return rowhouse.create_app(
        registry, settings=Settings(database_url=url, **QUIET), metadata=metadata, title="Stories"
    )


@pytest.fixture
def client(databases: Databases, backend: str) -> Iterator[TestClient]:
    """The application with an author 1."""
    with QuickClient(application(databases.prepared(backend, "deferred_keys", create_tables))) as client:
        assert client.post(f"{API}/authors", json={"name": "A"}).json()["id"] == 1
        yield client


def story(title: str, author: int = 1, **values: Any) -> dict[str, Any]:
    """Return the body of a new story."""
    return {"title": title, "author_id": author, **values}


def test_a_missing_reference_names_its_member(client: TestClient) -> None:
    """In a single write, and in a batch its element."""
    expected = "author_id: there is nothing with the id 9."
    made = client.post(f"{API}/stories", json=story("a"))
    assert made.status_code == 201
    for told in (
        client.post(f"{API}/stories", json=story("b", 9)),
        client.patch(made.headers["Location"], json={"author_id": 9}),
    ):
        assert (told.status_code, told.json()["code"], told.json()["detail"]) == (409, "reference_not_found", expected)
    for path in ("batch", "batch?on=title"):
        told = client.post(f"{API}/stories/{path}", json=[story("c"), story("d", 9)])
        assert (told.status_code, told.json()["detail"]) == (409, f"Element 1: {expected}")
        assert told.json()["errors"][0]["loc"] == ["body", 1]
    assert client.get(f"{API}/stories").json()["total"] == 1


def test_rows_of_one_batch_may_refer_to_each_other(client: TestClient) -> None:
    """Also a row to itself."""
    rows = [story("a", number=1, after=2), story("b", number=2, after=1), story("c", number=3, after=3)]
    assert client.post(f"{API}/stories/batch", json=rows).status_code == 201
    told = client.post(f"{API}/stories/batch", json=[story("d", number=4, after=5)])
    assert (told.status_code, told.json()["code"]) == (409, "reference_not_found")
    assert told.json()["detail"] == "Element 0: after: there is nothing with the number 5."


def test_a_reference_of_two_columns(client: TestClient) -> None:
    """It names both."""
    assert client.post(f"{API}/editions", json={"year": 2030, "number": 1}).status_code == 201
    for number, status in ((1, 201), (2, 409)):
        told = client.post(f"{API}/stories", json=story("a", edition_year=2030, edition_number=number))
        assert told.status_code == status
    expected = "edition_year, edition_number: there is nothing with the year, number 2030, 2."
    assert (told.json()["code"], told.json()["detail"]) == ("reference_not_found", expected)


def test_a_row_that_others_refer_to_stays(client: TestClient) -> None:
    """Alone, in a batch, and where deleted rows are kept."""
    assert client.post(f"{API}/stories", json=story("a")).status_code == 201
    for told in (client.delete(f"{API}/authors/1"), client.delete(f"{API}/authors/batch?ids=1")):
        assert (told.status_code, told.json()["code"]) == (409, "still_referenced")
    assert client.get(f"{API}/authors/1").status_code == 200
    assert client.get(f"{API}/authors/deleted").json()["total"] == 0


def test_a_key_that_the_class_does_not_call_deferred(client: TestClient) -> None:
    """The commit finds it."""
    told = client.post(f"{API}/quotes", json={"text": "q", "author_id": 9})
    assert (told.status_code, told.json()["code"]) == (409, "reference_not_found")
    assert told.json()["detail"] == "author_id: there is nothing with this id."
    assert client.post(f"{API}/quotes", json={"text": "q", "author_id": 1}).status_code == 201
    told = client.delete(f"{API}/authors/1")
    assert (told.status_code, told.json()["code"]) == (409, "still_referenced")
    assert client.get(f"{API}/quotes").json()["total"] == 1


def test_a_write_by_hand_is_undone(client: TestClient) -> None:
    """Its statements are not known; the conflict is."""
    told = client.post(f"{API}/stories/by-hand?author_id=9")
    assert (told.status_code, told.json()["code"]) == (409, "conflict")
    assert client.get(f"{API}/stories").json()["total"] == 0
