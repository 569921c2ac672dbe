"""Enums whose values are numbers: filters, keys, cursors and files."""

import enum
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import Field
from starlette.testclient import TestClient

from rowhouse.core.policy import ANYONE
from rowhouse.core.settings import Settings
from rowhouse.entities.model import IntegerKey, Record
from rowhouse.registration.registry import Registry
from tests.conftest import QUIET
from tests.databases import Databases
from tests.fast_client import QuickClient
from tests.sample_entities.application import create_app
from tests.sample_entities.metadata import new_metadata

API = "/api/v1"
metadata = new_metadata()


class Priority(enum.Enum):
    """Whole numbers, of which one begins with the other."""

    LOW = 1
    HIGH = 10
    NONE = -2


class Level(enum.IntEnum):
    """The same as numbers of Python."""

    LOW = 1
    HIGH = 10


class Rate(enum.Enum):
    """Fractions, and a text."""

    HALF = 0.5
    WHOLE = 1.0
    FREE = "free"


class Base(Record, registry=sa.orm.registry(metadata=metadata)):
    """`Record` in a metadata of its own."""


class Job(IntegerKey, Base, table=True):
    """An enum of each kind."""

    priority: Priority = Field(default=Priority.LOW, index=True)
    level: Level | None = Field(default=None, index=True)
    rate: Rate | None = Field(default=None, index=True)


class Slot(Base, table=True):
    """Its key is a member of an enum."""

    priority: Priority = Field(primary_key=True)
    name: str = Field(default="", max_length=20)


@pytest.fixture
def client(databases: Databases, backend: str) -> Iterator[TestClient]:
    """The application with three jobs."""
    registry = Registry(API)
    registry.register(Job, read=ANYONE, write=ANYONE)
    registry.register(Slot, read=ANYONE, write=ANYONE, soft_delete=True, history=True)
    settings = Settings(database_url=databases.prepared(backend, "number_enums", metadata.create_all), **QUIET)
    with QuickClient(create_app(settings, registry, metadata)) as client:
        rows: list[dict[str, Any]] = [
            {"priority": 1, "level": 1, "rate": 0.5},
            {"priority": 10, "level": 10, "rate": 1.0},
            {"priority": -2, "rate": "free"},
        ]
        assert client.post(f"{API}/jobs/batch", json=rows).status_code == 201
        yield client


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("priority=1", [1]),
        ("priority=-2", [3]),
        ("priority__ne=1", [2, 3]),
        ("priority__in=1,10", [1, 2]),
        ("priority__not_in=1,10", [3]),
        ("level=10", [2]),
        ("level__in=1,10", [1, 2]),
        ("level__isnull=true", [3]),
        ("rate=0.5", [1]),
        ("rate=free", [3]),
        ("rate__in=1.0,free", [2, 3]),
        ('any=[{"priority":1},{"rate":"free"}]', [1, 3]),
        ('any=[{"level":10},{"rate":0.5}]', [1, 2]),
        ('any=[{"priority__in":[1,-2]}]', [1, 3]),
    ],
)
def test_a_filter_finds_members_by_their_values(client: TestClient, query: str, found: list[int]) -> None:
    """As texts in the query, and as JSON in `any`."""
    told = client.get(f"{API}/jobs?{query}")
    assert told.status_code == 200, told.text
    assert [row["id"] for row in told.json()["items"]] == found


@pytest.mark.parametrize("query", ["priority=LOW", "priority=2", "priority=1.0", "level=x", "rate=1", "priority="])
def test_what_is_no_member_is_refused(client: TestClient, query: str) -> None:
    told = client.get(f"{API}/jobs?{query}")
    assert (told.status_code, told.json()["errors"][0]["loc"]) == (422, ["query", query.partition("=")[0]])


@pytest.mark.parametrize("sort", ["priority", "-priority", "level", "rate"])
def test_cursors_go_on_behind_a_member(client: TestClient, sort: str) -> None:
    page = client.get(f"{API}/jobs?sort={sort}&size=1").json()
    keys = [row["id"] for row in page["items"]]
    while page["next_cursor"] is not None:
        page = client.get(f"{API}/jobs", params={"cursor": page["next_cursor"]}).json()
        keys += [row["id"] for row in page["items"]]
    assert sorted(keys) == [1, 2, 3]


def test_a_member_is_a_key(client: TestClient) -> None:
    """In paths and in lists of keys."""
    made = client.put(f"{API}/slots/10", json={"name": "a"})
    assert (made.status_code, made.headers["Location"]) == (201, f"{API}/slots/10")
    path = made.headers["Location"]
    assert client.patch(path, json={"name": "b"}).json()["name"] == "b"
    assert client.get(f"{path}/history").json()["total"] == 2
    assert client.delete(f"{API}/slots/batch?ids=10").status_code == 204
    assert client.get(f"{API}/slots/deleted?id=10").json()["total"] == 1
    assert client.post(f"{path}/restore").json() == client.get(path).json()
    assert client.get(f"{API}/slots/2").status_code == 422


def test_a_file_holds_the_values(client: TestClient) -> None:
    """What is exported is imported."""
    text = client.get(f"{API}/jobs/export?format=csv&fields=priority,level,rate").text
    assert text == "priority,level,rate\r\n1,1,0.5\r\n10,10,1.0\r\n-2,,free\r\n"
    told = client.post(f"{API}/jobs/import", content=text, headers={"Content-Type": "text/csv"})
    assert (told.status_code, told.json()) == (201, {"created": 3})
