"""Columns as the documentation of SQLModel, SQLAlchemy and pydantic writes them, on both databases."""

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from enum import IntEnum
from types import SimpleNamespace
from typing import Annotated, Any, NewType, Self, cast
from uuid import UUID

import pytest
import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator, model_validator
from pydantic import Field as Member
from sqlmodel import Field
from starlette.testclient import TestClient

from rowhouse.core.clock import now
from rowhouse.core.openapi import resolved
from rowhouse.core.policy import ANYONE
from rowhouse.core.settings import Settings
from rowhouse.crud.base import CRUDBase
from rowhouse.db.compiled import Row
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.entities.model import READ_ONLY, IntegerKey, PortableTable, Record
from rowhouse.query.aggregate_parameters import is_number
from rowhouse.registration.registry import Registry
from rowhouse.schemas.columns import Column
from tests.conftest import QUIET
from tests.databases import Databases
from tests.fast_client import QuickClient
from tests.sample_entities.application import create_app
from tests.sample_entities.metadata import new_metadata

metadata = new_metadata()
CSV = {"Content-Type": "text/csv"}


class Base(IntegerKey, Record, registry=sa.orm.registry(metadata=metadata)):
    """`Entity` in a metadata of its own."""


class Gadget(Base, table=True):
    """Attributes whose columns have other names: a reserved one, capitals, blanks, signs and umlauts."""

    name: str = Field(max_length=40, sa_column_kwargs={"name": "Näme (%s)"})
    meta: dict[str, Any] | None = Field(default=None, sa_column=sa.Column("metadata", sa.JSON))
    kind: str = Field(default="x", sa_column=sa.Column("type", sa.String(20), nullable=False, unique=True))
    order: int | None = Field(default=None, sa_column=sa.Column("Order", sa.Integer))
    parent_id: int | None = Field(default=None, sa_column=sa.Column("parent", sa.ForeignKey("gadgets.id"), index=True))


class Bare(IntegerKey, PortableTable, registry=sa.orm.registry(metadata=metadata)):
    """A key alone."""


class Stamp(Bare, table=True):
    """No timestamps; its name never changes, whoever sends one."""

    name: str
    note: str = ""


class StampCRUD(CRUDBase[Stamp]):
    """A rule that drops a member."""

    def prepare(self, values: Row, *, stored: Row | None, unit: UnitOfWork) -> None:
        """Keep the name."""
        if stored is not None:
            values.pop("name", None)


class Area(Base, table=True):
    """Columns that SQLAlchemy or the database fills."""

    width: int = 1
    area: int | None = Field(default=None, sa_column=sa.Column(sa.Integer, sa.Computed("width * 2")))
    rank: int | None = Field(default=None, nullable=False, sa_column_kwargs={"server_default": "7"})
    given: int | None = Field(default=None, sa_column=sa.Column(sa.Integer, default=lambda: 99, nullable=False))
    hidden: Annotated[int, READ_ONLY] = Field(sa_column=sa.Column(sa.Integer, default=5, nullable=False))
    spoken: str = Field(sa_column=sa.Column(sa.String(9), default=sa.func.lower("ABC"), nullable=False))
    touched: datetime | None = Field(default=None, sa_column_kwargs={"onupdate": now})
    needed: int | None = Field(default=None, nullable=False)
    count: int = 0


class Address(BaseModel):
    """A part of a document."""

    street: str
    since: date


class Document(Base, table=True):
    """Typed documents."""

    address: Address = Field(sa_type=sa.JSON)
    dates: list[date] = Field(default=[date(2020, 1, 2)], sa_type=sa.JSON)
    prices: dict[str, Decimal] | None = Field(default=None, sa_type=sa.JSON)
    ids: set[UUID] = Field(default_factory=set, sa_type=sa.JSON)


class Journey(Base, table=True):
    """Typed documents under a rule over the whole row."""

    stops: list[date] = Field(default_factory=list, sa_type=sa.JSON)
    address: Address | None = Field(default=None, sa_type=sa.JSON)
    first: date | None = None
    legs: list[int] | None = Field(
        default=None, nullable=False, sa_type=sa.JSON, sa_column_kwargs={"server_default": "[1]"}
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.stops != sorted(self.stops):
            raise ValueError("the stops must be in order")
        return self


class Level(IntEnum):
    """Numbers with names."""

    LOW, HIGH = 1, 2


Metres = NewType("Metres", int)


class Visit(Base, table=True):
    """Types that a project may write out."""

    with_zone: datetime = Field(sa_column=sa.Column(sa.DateTime(timezone=True), nullable=False))
    without: datetime = Field(sa_type=sa.DateTime)
    body: str = Field(default="", sa_type=sa.Text)
    price: float = Field(default=0.5, sa_type=sa.Numeric(6, 2))
    mass: float = Field(default=0.1, sa_type=sa.Double)
    photo: bytes = b""
    level: Level = Level.LOW
    height: Metres | None = Field(default=None, sa_type=sa.Integer, ge=0)
    state: str = Field(default="old", sa_column=sa.Column(sa.Enum("old", "new", native_enum=False), nullable=False))


class Supplier(Base, table=True):
    """Words of pydantic."""

    model_config = ConfigDict(str_strip_whitespace=True, str_max_length=12, regex_engine="python-re")  # type: ignore[assignment]  # as projects write it

    name: str
    margin: int = Field(default=42, exclude=True)
    code: Annotated[str, Member(pattern=r"^(?!00)\d+$")] = "17"
    low: int = 0
    high: int = 1

    @field_validator("high")
    @classmethod
    def _after_low(cls, value: int, info: ValidationInfo) -> int:
        """A validator as pydantic's documentation has it."""
        if "low" in info.data and value < info.data["low"]:
            raise ValueError("high must not be less than low")
        return value

    @field_validator("code", mode="before")
    @classmethod
    def _without_dash(cls, value: Any, info: ValidationInfo) -> Any:
        """A validator that sees what the client has sent."""
        assert all(isinstance(other, (str, int)) for other in info.data.values()), info.data
        return value.replace("-", "") if isinstance(value, str) else value


@pytest.fixture(scope="module")
def client(backend: str, databases: Databases) -> Iterator[TestClient]:
    """An application of these classes, open to anyone."""
    url = databases.prepared(backend, "any_column", metadata.create_all)
    registry = Registry()
    for model in (Gadget, Area, Document, Journey, Visit, Supplier):
        registry.register(model, read=ANYONE, write=ANYONE, soft_delete=True, history=True)
    registry.register(Stamp, read=ANYONE, write=ANYONE, crud=StampCRUD)
    with QuickClient(create_app(Settings(database_url=url, **QUIET), registry, metadata)) as made:
        yield made


def created(client: TestClient, path: str, **body: Any) -> dict[str, Any]:
    """Create a row and return it. Get, list, a second page, restore and import of an export give the same row."""
    made = client.post(f"/api/v1/{path}", json=body)
    assert made.status_code == 201, made.text
    row: dict[str, Any] = made.json()
    where = made.headers["Location"]
    assert client.get(where).json() == row
    assert client.delete(where).status_code == 204
    assert client.post(f"{where}/restore").json() == {**row, "updated_at": client.get(where).json()["updated_at"]}
    assert row["id"] in [item["id"] for item in client.get(f"/api/v1/{path}").json()["items"]]
    return row


def round_trip(client: TestClient, path: str, *members: str) -> None:
    """Import what was exported: the new rows have the values of the others."""
    exported = client.get(f"/api/v1/{path}/export", params={"fields": ",".join(members)}).text
    assert client.post(f"/api/v1/{path}/import", content=exported, headers=CSV).status_code == 201
    rows = [[row[name] for name in members] for row in client.get(f"/api/v1/{path}").json()["items"]]
    half = len(rows) // 2
    assert rows[:half] == rows[half:]


def test_an_attribute_and_its_column_have_different_names(client: TestClient) -> None:
    """Every verb speaks of the attribute; errors too."""
    row = created(client, "gadgets", name="a", kind="k", meta={"a": [1]}, order=3)
    assert (row["kind"], row["meta"], row["order"]) == ("k", {"a": [1]}, 3)
    child = created(client, "gadgets", name="b", kind="l", parent_id=row["id"])
    twice = client.post("/api/v1/gadgets", json={"name": "c", "kind": "k"})
    assert (twice.status_code, twice.json()["detail"]) == (409, "Gadget with this kind already exists")
    lost = client.post("/api/v1/gadgets", json={"name": "c", "kind": "m", "parent_id": 999})
    assert lost.json()["detail"] == "parent_id: there is nothing with the id 999."
    found = client.get("/api/v1/gadgets", params={"kind": "l", "name__contains": "B", "expand": "parent"}).json()
    assert [(item["id"], item["parent"]["id"]) for item in found["items"]] == [(child["id"], row["id"])]
    page = client.get("/api/v1/gadgets", params={"sort": "-order,kind", "size": 1}).json()
    rest = client.get("/api/v1/gadgets", params={"cursor": page["next_cursor"]}).json()["items"]
    assert [item["id"] for item in (*page["items"], *rest)] == [child["id"], row["id"]]
    both = [{"id": row["id"], "name": "A", "order": None}, {"id": child["id"], "name": "B", "order": 4}]
    assert [(r["name"], r["order"]) for r in client.patch("/api/v1/gadgets/batch", json=both).json()] == [
        ("A", None), ("B", 4)
    ]  # fmt: skip
    made = client.post(
        "/api/v1/gadgets/batch", json=[{"name": "x", "kind": "1"}, {"name": "y", "kind": "2", "meta": {}}]
    )
    assert [item["meta"] for item in made.json()] == [None, {}]
    assert client.get("/api/v1/gadgets/export", params={"fields": "kind,meta"}).text.splitlines()[0] == "meta,kind"


def test_columns_that_the_database_fills(client: TestClient) -> None:
    """Computed columns, server defaults, and defaults and updates of SQLAlchemy."""
    row = created(client, "areas", width=3, needed=1)
    assert (row["area"], row["rank"], row["given"], row["hidden"], row["spoken"]) == (6, 7, 99, 5, "abc")
    assert row["touched"] is None
    assert client.post("/api/v1/areas", json={"width": 3, "needed": 1, "area": 6}).status_code == 422
    assert client.post("/api/v1/areas", json={"width": 3}).status_code == 422
    assert client.post("/api/v1/areas", json={"needed": 1, "rank": None}).status_code == 422
    given = created(client, "areas", needed=1, rank=1, given=2)
    assert (given["rank"], given["given"]) == (1, 2)
    batch = client.post("/api/v1/areas/batch", json=[{"needed": 1, "rank": 8}, {"needed": 1}, {"needed": 2}]).json()
    assert [(item["rank"], item["given"]) for item in batch] == [(8, 99), (7, 99), (7, 99)]
    changed = client.patch(f"/api/v1/areas/{row['id']}", json={"width": 4}).json()
    assert (changed["area"], changed["touched"] is not None) == (8, True)
    changes = [{"id": given["id"], "width": 9}]
    assert client.patch("/api/v1/areas/batch", json=changes).json()[0]["touched"] is not None
    schema = resolved(client.get("/openapi.json").json())["components"]["schemas"]["AreaCreate"]
    assert schema["required"] == ["needed"]
    assert "area" not in schema["properties"]


def test_a_change_of_nothing_returns_the_row(client: TestClient) -> None:
    """Where a rule drops what was sent, and there is no timestamp to set; in a batch too."""
    made = client.post("/api/v1/stamps", json={"name": "a"})
    row, where = made.json(), made.headers["Location"]
    same = client.patch(where, json={"name": "b"})
    assert (same.status_code, same.json(), same.headers["ETag"]) == (200, row, made.headers["ETag"])
    assert client.patch(where, json={"name": "b", "note": "c"}).json() == {**row, "note": "c"}
    other = client.post("/api/v1/stamps", json={"name": "x"}).json()
    changes = [{"id": row["id"], "name": "d"}, {"id": other["id"], "name": "y", "note": "z"}]
    told = client.patch("/api/v1/stamps/batch", json=changes)
    assert (told.status_code, told.json()) == (200, [{**row, "note": "c"}, {**other, "note": "z"}])


def test_a_column_may_have_the_name_of_an_aggregate(client: TestClient) -> None:
    """Then it is no group, because the groups have a member of that name, but it adds up."""
    rows = [client.post("/api/v1/areas", json={"needed": 3, "count": count}).json()["id"] for count in (2, 5)]
    query = {"id__in": ",".join(map(str, rows)), "count": "", "sum": "count", "sort": "count"}
    told = client.get("/api/v1/areas/aggregate", params=query)
    assert told.json()["items"] == [{"count": 2, "sum": {"count": 7}}]
    told = client.get("/api/v1/areas/aggregate", params={"group_by": "count"})
    assert (told.status_code, told.json()["errors"][0]["loc"][:2]) == (422, ["query", "group_by"])


def test_sums_are_of_numbers_that_are_stored_as_numbers() -> None:
    """Neither of names for numbers, nor of numbers that a project stores as text."""

    def has_sums(declared: type, stored: Any) -> bool:
        return is_number(cast(Column, SimpleNamespace(type=SimpleNamespace(declared=(declared, ())), column=stored)))

    assert has_sums(Decimal, sa.Column(sa.Numeric))
    assert not has_sums(Level, sa.Column(sa.Integer))
    assert not has_sums(int, sa.Column(sa.Text))


def test_typed_documents(client: TestClient) -> None:
    """A model, dates, decimals and a set are validated, stored as JSON, and shown as the document says."""
    ids = ["0b6b3d5e-7d6a-4d5b-8f2c-1f0f5d2a9c11"]
    body = {"address": {"street": "x", "since": "2020-02-03"}, "prices": {"a": "1.50"}, "ids": ids * 2}
    row = created(client, "documents", **body)
    assert (row["address"], row["dates"], row["prices"], row["ids"]) == (
        body["address"], ["2020-01-02"], {"a": "1.50"}, ids
    )  # fmt: skip
    for wrong in ({"address": {"street": 1}}, {"dates": ["x"]}, {"ids": [1]}, {"prices": {"a": "NaN"}}):
        assert client.post("/api/v1/documents", json={**body, **wrong}).status_code == 422
    nul = {**body, "address": {"street": "a\x00", "since": "2020-02-03"}}
    assert client.post("/api/v1/documents", json=nul).status_code == 422
    changed = client.patch(f"/api/v1/documents/{row['id']}", json={"dates": ["2021-01-01"]})
    assert changed.json()["dates"] == ["2021-01-01"]
    round_trip(client, "documents", "address", "dates", "prices", "ids")


def test_a_rule_over_the_row_sees_typed_documents(client: TestClient) -> None:
    """They are stored as JSON all the same, and a change is validated together with the stored row."""
    row = created(client, "journeys", stops=["2030-01-01"], address={"street": "x", "since": "2020-02-03"})
    assert (row["stops"], row["address"]) == (["2030-01-01"], {"street": "x", "since": "2020-02-03"})
    assert row["legs"] == [1]
    where = f"/api/v1/journeys/{row['id']}"
    assert client.patch(where, json={"first": "2030-01-01"}).json()["stops"] == ["2030-01-01"]
    wrong = client.patch(where, json={"stops": ["2030-01-02", "2030-01-01"]})
    assert (wrong.status_code, "the stops must be in order" in wrong.text) == (422, True)
    assert client.get(where).json()["stops"] == ["2030-01-01"]


def test_types_that_a_project_writes_out(client: TestClient) -> None:
    """Instants end in Z and make cursors, decimals are exact, bytes are base64."""
    at = "2030-01-31T12:00:00+05:00"
    body = {"with_zone": at, "without": at, "price": 12.34, "photo": "+/8=", "level": 2, "body": "Z", "height": 3}
    row = created(client, "visits", **body)
    assert row["with_zone"] == row["without"] == "2030-01-31T07:00:00Z"
    assert (row["price"], row["mass"], row["photo"], row["level"]) == (12.34, 0.1, "+/8=", 2)
    for wrong in ({"price": 12.345}, {"price": 1e9}, {"photo": "?"}, {"photo": 5}, {"without": "2030-01-31T12:00:00"}):
        assert client.post("/api/v1/visits", json={**body, **wrong}).status_code == 422
    assert [client.post("/api/v1/visits", json={**body, "height": x}).status_code for x in (-1, 2**31)] == [422, 422]
    assert client.get("/api/v1/visits", params={"height__gte": 3}).json()["total"] == 1
    client.post("/api/v1/visits", json={**body, "with_zone": "2030-02-01T00:00:00Z", "without": "2030-02-01T00:00:00Z"})
    for column in ("with_zone", "without", "price"):
        page = client.get("/api/v1/visits", params={"sort": column, "size": 1}).json()
        assert len(client.get("/api/v1/visits", params={"cursor": page["next_cursor"]}).json()["items"]) == 1
        assert client.get("/api/v1/visits", params={column: page["items"][0][column]}).json()["total"] >= 1
    assert client.get("/api/v1/visits", params={"without__gt": "2030-01-31T07:00:00Z"}).json()["total"] == 1
    round_trip(client, "visits", "with_zone", "without", "price", "mass", "photo", "level", "state", "height")


def test_a_stored_value_that_the_class_does_not_know(client: TestClient) -> None:
    """A removed member of an enum, and a row older than a constraint, are shown as they are."""
    at = "2030-01-31T12:00:00Z"
    row = created(client, "visits", with_zone=at, without=at)
    with client.app.state.database.engine.begin() as connection:  # type: ignore[attr-defined]  # FastAPI's
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("ALTER TABLE visits DROP CONSTRAINT IF EXISTS ck_visits_enum"))
        connection.execute(sa.text("UPDATE visits SET state = 'bad', level = '9' WHERE id = :id"), {"id": row["id"]})
    shown = client.get(f"/api/v1/visits/{row['id']}")
    assert (shown.status_code, shown.json()["state"], shown.json()["level"]) == (200, "bad", "9")
    assert client.get("/api/v1/visits").status_code == 200
    client.post("/api/v1/visits", json={"with_zone": at, "without": at, "level": 2})
    groups = client.get("/api/v1/visits/aggregate", params={"group_by": "level"}).json()["items"]
    assert [group["level"] for group in groups][-2:] == [2, "9"]


def test_options_of_pydantic_are_honoured(client: TestClient) -> None:
    """`exclude`, `model_config` and validators mean what they say."""
    row = created(client, "suppliers", name="  Acme  ", margin=7, code="1-7")
    assert row["name"] == "Acme"
    assert row["code"] == "17"
    assert "margin" not in row
    where = f"/api/v1/suppliers/{row['id']}"
    assert client.get("/api/v1/suppliers", params={"margin": 7}).status_code == 422
    assert client.patch(where, json={"margin": 8}).status_code == 200
    for wrong in ({"name": "x" * 13}, {"code": "001"}, {"low": 2}, {"low": "x"}):
        assert client.post("/api/v1/suppliers", json={"name": "a", **wrong}).status_code == 422, wrong
    assert client.patch(where, json={"high": 5}).json()["high"] == 5
    late = client.patch(where, json={"low": 6})
    assert (late.status_code, late.json()["errors"][0]["loc"]) == (422, ["body", "high"])
    assert client.patch("/api/v1/suppliers/batch", json=[{"id": row["id"], "low": 6}]).status_code == 422
    assert client.patch(where, json={"low": 6, "high": 6, "code": "2-2"}).json()["code"] == "22"
