"""Enum columns, with a class and as `sa.Enum("draft", "published")`, and values in them that others have stored."""

import enum
from collections.abc import Iterator
from typing import Any, Literal

import pytest
import sqlalchemy as sa
from sqlmodel import Field, Relationship, SQLModel
from starlette.testclient import TestClient

from rowhouse.core.openapi import resolved
from rowhouse.core.policy import ANYONE
from rowhouse.core.settings import Settings
from rowhouse.entities.model import IntegerKey, Record
from rowhouse.registration.registry import Registry
from rowhouse.schemas.columns import RegistrationError
from tests.conftest import QUIET
from tests.databases import Databases
from tests.fast_client import QuickClient
from tests.sample_entities.application import create_app
from tests.sample_entities.metadata import new_metadata

metadata = new_metadata()
STATES = sa.Enum("draft", "published", name="tariff_state")
TARIFFS = "/api/v1/tariffs"
CSV = {"Content-Type": "text/csv"}


class Colour(enum.Enum):
    """An enum for the column."""

    RED = "red"
    BLUE = "blue"


class WordRecord(IntegerKey, Record, registry=sa.orm.registry(metadata=metadata)):
    """`Record` in a metadata of its own."""


class Tariff(WordRecord, table=True):
    """Enum columns with and without a class, and words as a `Literal`."""

    state: str = Field(default="draft", sa_column=sa.Column(STATES, nullable=False, index=True))
    phase: Literal["draft", "published"] = Field(default="draft", sa_type=STATES)
    stage: Literal["draft", "published"] | None = Field(default=None, sa_type=sa.String(9), index=True)
    colour: Colour = Field(default=Colour.RED, index=True)


class Task(WordRecord, table=True):
    """Words whose declaration is not their order as text, in both ways to store them."""

    rank: str = Field(sa_column=sa.Column(sa.Enum("low", "Mid", "high", name="rank"), nullable=False))
    size: str | None = Field(default=None, sa_type=sa.Enum("small", "Big", "ample", native_enum=False))
    pace: Literal["slow", "Fast", "brisk"] | None = Field(default=None, sa_type=sa.String)


class Linked(SQLModel, registry=sa.orm.registry(metadata=metadata)):
    """A base without columns."""


class LabelOfPost(Linked, table=True):
    """The pairs of labels and posts."""

    label_colour: Colour = Field(foreign_key="label.colour", primary_key=True)
    post_id: int = Field(foreign_key="post.id", primary_key=True)


class Label(Linked, table=True):
    """Its key is a member of an enum, which Python does not order."""

    colour: Colour = Field(primary_key=True)
    posts: list["Post"] = Relationship(back_populates="labels", link_model=LabelOfPost)


class Post(Linked, table=True):
    """A row with labels."""

    id: int | None = Field(default=None, primary_key=True)
    labels: list[Label] = Relationship(back_populates="posts", link_model=LabelOfPost)


class OtherRecord(IntegerKey, Record, registry=sa.orm.registry(metadata=sa.MetaData())):
    """`Record` in a metadata that no database has."""


class Mixed(OtherRecord, table=True):
    """A class with an annotation that differs from its column."""

    colour: str = Field(default="red", sa_column=sa.Column(sa.Enum(Colour), nullable=False))


class Other(OtherRecord, table=True):
    """Words that the column does not have."""

    colour: Literal["red", "mauve"] = Field(sa_type=sa.Enum("red", "blue", name="c"))


class Swapped(OtherRecord, table=True):
    """The opposite case."""

    colour: Colour = Field(default=Colour.RED, sa_column=sa.Column(sa.Enum("red", "blue", name="c"), nullable=False))


@pytest.fixture
def url(backend: str, databases: Databases) -> str:
    """The URL of a database with tariffs."""
    return databases.prepared(backend, "words", metadata.create_all)


@pytest.fixture
def client(url: str) -> Iterator[TestClient]:
    """An application that anyone may write to."""
    registry = Registry()
    registry.register(Tariff, read=ANYONE, write=ANYONE)
    for model in (Task, Label, Post):
        registry.register(model, read=ANYONE, write=ANYONE, history=model is Post)
    with QuickClient(create_app(Settings(database_url=url, **QUIET), registry, metadata)) as made:
        yield made


def total(client: TestClient, **filters: Any) -> int:
    """Return the number of tariffs."""
    return int(client.get(TARIFFS, params=filters).json()["total"])


@pytest.mark.parametrize(
    ("name", "word"),
    [("state", "bogus"), ("state", "draft "), ("state", "DRAFT"), ("phase", "bogus"), ("stage", "DRAFT")],
)
def test_a_word_that_the_column_does_not_have_is_refused(client: TestClient, name: str, word: str) -> None:
    """In every place, and nothing is stored."""
    made = client.post(TARIFFS, json={name: "published"})
    assert (made.status_code, made.json()[name]) == (201, "published")
    answers = [
        client.post(TARIFFS, json={name: word}),
        client.patch(made.headers["Location"], json={name: word}),
        client.post(f"{TARIFFS}/batch", json=[{name: word}]),
        client.post(f"{TARIFFS}/import", content=f'{name}\n"{word}"\n', headers=CSV),
        client.get(TARIFFS, params={name: word}),
        client.get(TARIFFS, params={f"{name}__in": f"draft,{word}"}),
    ]
    assert [answer.status_code for answer in answers] == [422] * len(answers)
    assert (total(client, **{name: "published"}), total(client)) == (1, 1)
    exported = client.get(f"{TARIFFS}/export", params={"fields": name}).text
    assert client.post(f"{TARIFFS}/import", content=exported, headers=CSV).status_code == 201
    assert total(client, **{f"{name}__in": "published"}) == 2


def test_words_have_the_filters_of_an_enum(client: TestClient) -> None:
    """No `contains` and its like, which PostgreSQL's enums do not have. The document lists the members."""
    for query in ("state__contains=d", "state__startswith=d", "state__gt=d", "stage__contains=d", "stage__gt=d"):
        assert client.get(f"{TARIFFS}?{query}").status_code == 422
    document = resolved(client.get("/openapi.json").json())
    members = document["components"]["schemas"]["TariffCreate"]["properties"]
    assert members["state"]["enum"] == members["phase"]["enum"] == ["draft", "published"]
    assert members["stage"]["anyOf"][0] == {"type": "string", "enum": ["draft", "published"]}


def test_a_value_that_the_class_does_not_know_is_shown_as_it_is(client: TestClient, url: str) -> None:
    """A newer deploy may have stored it, and the older server's lists must still work."""
    made = client.post(TARIFFS, json={})
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE tariffs SET colour = 'mauve'"))
    engine.dispose()
    assert [row["colour"] for row in client.get(TARIFFS).json()["items"]] == ["mauve"]
    assert client.get(made.headers["Location"], params={"fields": "colour"}).json() == {"colour": "mauve"}
    for form in ("csv", "ndjson"):
        assert "mauve" in client.get(f"{TARIFFS}/export", params={"format": form, "fields": "colour"}).text
    changed = client.patch(made.headers["Location"], json={"state": "published"})
    assert (changed.status_code, changed.json()["colour"]) == (200, "mauve")
    assert client.post(TARIFFS, json={"colour": "mauve"}).status_code == 422


@pytest.mark.parametrize(
    ("name", "ordered"), [("rank", "Mid high low"), ("size", "Big ample small"), ("pace", "Fast brisk slow")]
)
def test_words_sort_as_text(client: TestClient, name: str, ordered: str) -> None:
    """On both databases, in cursors too."""
    for word in ordered.split()[::-1]:
        assert client.post("/api/v1/tasks", json={"rank": "low", name: word}).status_code == 201
    for sign, expected in (("", ordered.split()), ("-", ordered.split()[::-1])):
        page = client.get("/api/v1/tasks", params={"sort": f"{sign}{name}", "size": 2}).json()
        rest = client.get("/api/v1/tasks", params={"cursor": page["next_cursor"]}).json()
        assert [row[name] for row in page["items"] + rest["items"]] == expected


def test_links_to_keys_of_an_enum(client: TestClient) -> None:
    """They are written, replaced, recorded and expanded."""
    for colour in ("red", "blue"):
        assert client.post("/api/v1/labels", json={"colour": colour}).status_code == 201
    (member,) = resolved(client.get("/openapi.json").json())["components"]["schemas"]["PostCreate"]["properties"]
    made = client.post("/api/v1/posts", json={member: ["red", "blue"]})
    assert made.status_code == 201, made.text
    where = made.headers["Location"]
    shown = client.get(where, params={"expand": "labels"}).json()["labels"]
    assert [one["colour"] for one in shown] == ["blue", "red"]
    assert client.patch(where, json={member: ["red"]}).status_code == 200
    last = client.get(f"{where}/history").json()["items"]
    assert ["red"] in [one["after"].get(member) for one in last]
    assert client.get("/api/v1/posts", params={"labels__colour": "red"}).json()["total"] == 1
    assert client.delete(where).status_code == 204


@pytest.mark.parametrize("sort", ["colour", "-colour"])
def test_a_cursor_continues_after_a_value_that_the_class_does_not_know(client: TestClient, url: str, sort: str) -> None:
    """So every row of the list can be reached."""
    for colour in ("red", "blue", "red"):
        client.post(TARIFFS, json={"colour": colour})
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE tariffs SET colour = 'mauve' WHERE id = 1"))
    engine.dispose()
    seen, page = [], client.get(TARIFFS, params={"sort": sort, "size": 1}).json()
    while page["next_cursor"]:
        seen += page["items"]
        page = client.get(TARIFFS, params={"cursor": page["next_cursor"]}).json()
    shown = [row["colour"] for row in seen + page["items"]]
    assert shown == sorted(["mauve", "blue", "red"], reverse=sort.startswith("-"))


@pytest.mark.parametrize(
    ("model", "holds"), [(Mixed, "Colour"), (Swapped, "the texts .'red', 'blue'."), (Other, "the texts")]
)
def test_an_annotation_that_is_not_the_columns_is_refused(model: type[OtherRecord], holds: str) -> None:
    """Every response would fail. The message says what to change."""
    with pytest.raises(
        RegistrationError, match=f"{model.__name__}.colour: the column stores {holds} .* use one type for both"
    ):
        Registry().register(model, read=ANYONE, write=ANYONE)
