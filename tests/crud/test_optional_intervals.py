"""`NoOverlap` over columns that may be null, and steps that make a row live again."""

from collections.abc import Iterator
from datetime import date
from typing import Annotated

import pytest
import sqlalchemy as sa
from sqlmodel import Field
from starlette.testclient import TestClient

import rowhouse
from rowhouse import ANYONE, NoOverlap, Registry, Transition
from rowhouse.core.settings import Settings
from rowhouse.entities.model import READ_ONLY, IntegerKey, Record
from tests.conftest import QUIET
from tests.databases import Databases
from tests.fast_client import QuickClient
from tests.sample_entities.metadata import new_metadata
from tests.statement_counter import all_statements_sent

API = "/api/v1"
STAYS = f"{API}/stays"
metadata = new_metadata()
DROP = Transition("drop", ("held", "fixed"), "off", field="state")
HOLD = Transition("hold", ("off",), "held", field="state")


class Base(IntegerKey, Record, registry=sa.orm.registry(metadata=metadata)):
    """A class in a metadata of its own."""


class Room(Base, table=True):
    """A resource."""

    name: str = Field(default="", max_length=40)


class Stay(Base, table=True):
    """Has days, once it is held."""

    __table_args__ = (NoOverlap("room_id", "arrival", "departure", live={"state": ("held", "fixed")}),)

    room_id: int | None = Field(default=None, foreign_key="rooms.id", index=True)
    arrival: date | None = None
    departure: date | None = None
    state: Annotated[str, READ_ONLY] = Field(default="off", max_length=10)


@pytest.fixture
def client(databases: Databases, backend: str) -> Iterator[TestClient]:
    """The application with a room 1."""
    registry = Registry(API)
    registry.register(Room, read=ANYONE, write=ANYONE)
    registry.register(Stay, read=ANYONE, write=ANYONE, steps=(DROP, HOLD), history=True)
    settings = Settings(database_url=databases.prepared(backend, "optional_intervals", metadata.create_all), **QUIET)
    app = rowhouse.create_app(registry, settings=settings, metadata=metadata, title="Stays")
    with QuickClient(app) as client:
        assert client.post(f"{API}/rooms", json={}).json()["id"] == 1
        yield client


def day(number: int) -> str:
    """Return a day as JSON."""
    return f"2030-01-{number:02}"


def test_a_row_that_does_not_count_needs_no_interval(client: TestClient) -> None:
    """Alone, in a batch and in a change. One that has two days has them in order."""
    none = {"arrival": None, "departure": None}
    for body in ({}, none, {"room_id": 1}, {"room_id": 1, "arrival": day(1)}):
        made = client.post(STAYS, json=body)
        assert made.status_code == 201, made.text
        assert client.patch(made.headers["Location"], json={**none, "room_id": 1}).status_code == 200
    assert client.post(f"{STAYS}/batch", json=[{}, none]).status_code == 201
    told = client.post(STAYS, json={"arrival": day(2), "departure": day(1)})
    assert (told.status_code, told.json()["errors"][0]["loc"]) == (422, ["body", "departure"])


def test_a_row_that_counts_needs_one(client: TestClient) -> None:
    """The missing column is named, and why it is required. Two rows without one do not overlap."""
    made = client.post(STAYS, json={"room_id": 1, "arrival": day(1)}).headers["Location"]
    told = client.post(f"{made}/hold")
    assert (told.status_code, told.json()["errors"][0]["loc"]) == (422, ["body", "departure"])
    assert told.json()["errors"][0]["msg"] == "is required: state is held"
    assert client.patch(made, json={"departure": day(3)}).status_code == 200
    assert client.post(f"{made}/hold").status_code == 200
    assert client.patch(made, json={"arrival": None}).status_code == 422
    other = client.post(STAYS, json={"room_id": 1, "arrival": day(2), "departure": day(4)}).headers["Location"]
    told = client.post(f"{other}/hold")
    assert (told.status_code, told.json()["code"]) == (409, "overlap")
    assert client.post(f"{made}/drop").status_code == 200
    assert client.post(f"{other}/hold").status_code == 200


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_a_step_locks_the_room_before_the_row_that_begins_to_count(client: TestClient) -> None:
    """As a change does. In the other order the two wait for each other. A step that ends it locks the row alone."""
    made = client.post(STAYS, json={"room_id": 1, "arrival": day(1), "departure": day(2)}).headers["Location"]
    for step, tables in (("hold", ["rooms", "stays"]), ("drop", ["stays"])):
        with all_statements_sent() as sent:
            assert client.post(f"{made}/{step}").status_code == 200
        locks = [one for one in sent if "FOR NO KEY UPDATE" in one]
        assert [one.partition("FROM ")[2].split()[0] for one in locks][: len(tables)] == tables


def test_an_interval_of_each_row_cannot_be_optional() -> None:
    """Without `live` there is no row that could be without one."""
    columns = [sa.Column("room", sa.Integer()), sa.Column("a", sa.Integer()), sa.Column("b", sa.Integer())]
    with pytest.raises(ValueError, match="a may be null, but each row has an interval; make it required"):
        sa.Table("always", sa.MetaData(), *columns, NoOverlap("room", "a", "b"))
