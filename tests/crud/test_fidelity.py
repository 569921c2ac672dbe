"""What a client sends is what is stored, and what every other response has, on both databases."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from pydantic import computed_field
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Dialect
from sqlmodel import Field, select
from starlette.testclient import TestClient

from rowhouse import Router, SessionDep
from rowhouse.core.policy import ANYONE
from rowhouse.core.settings import Settings
from rowhouse.entities.model import IntegerKey, PortableTable
from rowhouse.registration.registry import Registry, public_schema
from rowhouse.schemas.csv_cells import write_value
from rowhouse.schemas.field_types import field_type
from tests.conftest import QUIET
from tests.databases import Databases
from tests.fast_client import QuickClient
from tests.sample_entities.application import create_app
from tests.sample_entities.metadata import new_metadata

metadata = new_metadata()
API = "/api/v1"
LARGE = 2**53 + 1


class Base(PortableTable, registry=sa.orm.registry(metadata=metadata)):
    """No column."""


class Shifted(sa.types.TypeDecorator[int]):
    """A whole number of a project's own type."""

    impl = sa.BigInteger
    cache_ok = True
    python_type = int

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | None:
        """Store a large number."""
        return None if value is None else value + 2**60

    def process_result_value(self, value: int | None, dialect: Dialect) -> int | None:
        """Return the number."""
        return None if value is None else value - 2**60


class Reading(Base, table=True):
    """Its first column is a float."""

    ratio: float = Field(primary_key=True)
    count: int = Field(sa_type=sa.BigInteger)
    shifted: int = Field(sa_type=Shifted)
    document: Any = Field(sa_type=sa.JSON)


class Station(Base, table=True):
    """Its first column is a whole number, and the key has a float."""

    number: int = Field(primary_key=True)
    ratio: float = Field(primary_key=True)
    height: float = 0.0


class Mark(StrEnum):
    """Words, one of them empty, and one that is a word of the paths."""

    NONE, BATCH, GOOD = "", "batch", "good"


class Prefixed(sa.types.TypeDecorator[str]):
    """A text of a project's own type."""

    impl = sa.String(40)
    cache_ok = True
    python_type = str

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Store a letter before the text."""
        return None if value is None else f"x{value}"

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """Return the text."""
        return None if value is None else value[1:]


class Ordinal(sa.types.TypeDecorator[date]):
    """A date as a number."""

    impl = sa.Integer
    cache_ok = True
    python_type = date

    def process_bind_param(self, value: date | None, dialect: Dialect) -> int | None:
        """Store its number."""
        return None if value is None else value.toordinal()

    def process_result_value(self, value: int | None, dialect: Dialect) -> date | None:
        """Return the date."""
        return None if value is None else date.fromordinal(value)


class Event(IntegerKey, Base, table=True):
    """Dates of both kinds."""

    day: date
    stored: date = Field(sa_type=Ordinal)


class Grade(Base, table=True):
    """A word as the key, and another one."""

    mark: Mark = Field(primary_key=True)
    other: Mark = Mark.GOOD


class Note(Base, table=True):
    """Texts of a project's own type."""

    code: str = Field(primary_key=True, sa_type=Prefixed)
    text: str = Field(default="none", sa_type=Prefixed)
    maybe: str | None = Field(default=None, sa_type=Prefixed)


class Paper(IntegerKey, Base, table=True):
    """A document that PostgreSQL keeps as JSONB."""

    content: Any = Field(sa_type=sa.JSON().with_variant(postgresql.JSONB(), "postgresql"))


class Share(IntegerKey, Base, table=True):
    """All digits of its decimal are behind the point."""

    part: Decimal = Field(max_digits=4, decimal_places=4)


class Seal(IntegerKey, Base, table=True):
    """Members of a response that Python computes, of types that JSON lacks."""

    content: bytes

    @computed_field
    def reversed(self) -> bytes:
        """Bytes."""
        return self.content[::-1]

    @computed_field
    def parts(self) -> list[bytes]:
        """Bytes within a document."""
        return [self.content[:1], self.content[1:]]

    @computed_field
    def density(self) -> float:
        """No number of JSON."""
        return float("inf")


devices = new_metadata()


class OnPostgreSQL(PortableTable, registry=sa.orm.registry(metadata=devices)):
    """Another metadata, because SQLite lacks the type."""


class Device(IntegerKey, OnPostgreSQL, table=True):
    """A type of PostgreSQL alone."""

    address: str = Field(sa_type=postgresql.MACADDR)
    part: int = Field(default=0, sa_type=postgresql.OID)
    host: str | None = Field(default=None, sa_type=postgresql.INET)
    hosts: list[str] = Field(default_factory=list, sa_type=postgresql.ARRAY(postgresql.INET))
    logs: list[Any] = Field(default_factory=list, sa_type=postgresql.ARRAY(postgresql.JSONB))


DevicePublic = public_schema(Device)
router = Router(prefix="/hand")


@router.get("/devices", policy=ANYONE)
def read_devices(session: SessionDep) -> list[DevicePublic]:  # type: ignore[valid-type]  # made at run time
    """Return what a session has."""
    return list(session.exec(select(Device)))


@pytest.fixture(scope="module")
def client(backend: str, databases: Databases) -> Iterator[TestClient]:
    """An application of these classes, open to anyone."""
    registry = Registry(API)
    for model in (Reading, Station, Event, Grade, Note, Paper, Seal, Share):
        registry.register(model, read=ANYONE, write=ANYONE, soft_delete=True, history=True)
    url = databases.prepared(backend, "fidelity", metadata.create_all)
    with QuickClient(create_app(Settings(database_url=url, **QUIET), registry, metadata)) as made:
        yield made


def text_of(response: Any, status: int = 200) -> str:
    """Return the text of a response, which must have this status."""
    assert response.status_code == status, response.text
    return str(response.text)


def test_large_numbers_behind_a_float_keep_their_digits(client: TestClient) -> None:
    """SQLite's RETURNING has every number as the type of the first column."""
    body = {"ratio": 1, "count": LARGE, "shifted": 7, "document": LARGE}
    made = client.post(f"{API}/readings", json=body)
    shown = text_of(made, 201)
    assert made.json() == {**body, "ratio": 1.0}
    where = made.headers["Location"]
    assert text_of(client.get(where)) == shown
    changed = client.patch(where, json={"count": LARGE + 2, "shifted": LARGE})
    assert text_of(changed) == text_of(client.get(where))
    assert changed.json() == {**made.json(), "count": LARGE + 2, "shifted": LARGE}
    assert client.patch(where, json={"shifted": 2**63 - 1}).status_code == 422
    assert client.delete(where).status_code == 204
    assert text_of(client.post(f"{where}/restore")) == changed.text


def test_a_whole_float_is_a_float_in_a_key(client: TestClient) -> None:
    """Its path, its history and its restoration name one row."""
    made = client.post(f"{API}/stations", json={"number": 7, "ratio": 2, "height": 3})
    shown, where = text_of(made, 201), made.headers["Location"]
    assert where == f"{API}/stations/7,2.0"
    assert text_of(client.get(where)) == shown
    assert client.get(where).headers["ETag"] == made.headers["ETag"]
    changed = text_of(client.patch(where, json={"height": 4}))
    assert client.delete(f"{API}/stations/batch?ids={quote('7,2')}").status_code == 204
    assert text_of(client.post(f"{where}/restore")) == changed
    entries = client.get(f"{where}/history").json()["items"]
    assert [one["action"] for one in entries] == ["create", "update", "delete", "restore"]


def test_a_decimal_without_digits_before_the_point(client: TestClient) -> None:
    """Its pattern in the document is one that a reader accepts."""
    for given in ("0.1250", "-0.9999", 0.5, 0):
        made = client.post(f"{API}/shares", json={"part": given})
        assert text_of(made, 201) == text_of(client.get(made.headers["Location"]))
        assert made.json()["part"] == float(given)
    assert client.post(f"{API}/shares", json={"part": 1}).status_code == 422
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    assert schemas["ShareCreate"]["properties"]["part"]["anyOf"][1]["pattern"] == r"^-?0(\.[0-9]{1,4})?$"


@pytest.mark.parametrize(
    "content", [1e300, 1.164134476031513e-294, {"a": [-1.5e22, 2.0**63, 1e-300, 2**63 - 1, 5e-324]}]
)
def test_a_float_of_a_document_is_the_same_everywhere(client: TestClient, content: Any) -> None:
    """JSONB writes all of its digits, and SQLite's own conversion misses the last one. A response is accepted again."""
    made = client.post(f"{API}/papers", json={"content": content})
    shown, where = text_of(made, 201), made.headers["Location"]
    assert repr(made.json()["content"]) == repr(content)
    assert text_of(client.get(where)) == shown
    assert text_of(client.patch(where, json={"content": made.json()["content"]})) == shown
    assert client.get(f"{where}/history").json()["items"][-1]["after"] == made.json()
    assert client.delete(where).status_code == 204
    assert text_of(client.post(f"{where}/restore")) == shown


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_a_number_of_another_program_keeps_its_digits(client: TestClient) -> None:
    """An integer beyond 64 bits that is no float."""
    where = client.post(f"{API}/papers", json={"content": 0}).headers["Location"]
    database = client.app.state.database  # type: ignore[attr-defined]  # the application is FastAPI's
    with database.engine.begin() as connection:
        connection.execute(sa.text("UPDATE papers SET content = '[18446744073709551615]' WHERE content = '0'"))
    assert json.loads(text_of(client.get(where)))["content"] == [2**64 - 1]


@pytest.mark.parametrize("path", ["grades", "notes"])
def test_a_key_that_no_path_names_is_refused(client: TestClient, path: str) -> None:
    """Also as a member of an enum, and as a text of a project's own type."""
    name = {"grades": "mark", "notes": "code"}[path]
    for key in ("", "batch"):
        told = client.post(f"{API}/{path}", json={name: key})
        assert (told.status_code, told.json()["errors"][0]["loc"]) == (422, ["body", name])
    made = client.post(f"{API}/{path}", json={name: "good"})
    assert text_of(made, 201) == text_of(client.get(made.headers["Location"]))


def test_texts_of_own_types_and_empty_words_survive_a_file(client: TestClient) -> None:
    """No spreadsheet runs them, and an empty cell is the empty one where null is not accepted."""
    texts = {"=1": "@x", "'+1": "", "plain": "-"}
    for key, text in texts.items():
        assert client.post(f"{API}/notes", json={"code": key, "text": text}).status_code == 201
    file = client.get(f"{API}/notes/export", params={"code__in": ",".join(texts)}).text
    cells = {row["code"]: row for row in csv.DictReader(io.StringIO(file, newline=""))}
    assert {code: row["text"] for code, row in cells.items()} == {"'=1": "'@x", "''+1": "", "plain": "'-"}
    imported(client, "notes", file, "code")
    text_of(client.put(f"{API}/grades/good", json={"other": ""}), client.get(f"{API}/grades/good").status_code)
    imported(client, "grades", client.get(f"{API}/grades/export").text, "mark")


def imported(client: TestClient, path: str, file: str, key: str) -> None:
    """Import an export over its own rows, which stay as they are."""
    before = client.get(f"{API}/{path}").json()["items"]
    headers = {"Content-Type": "text/csv"}
    told = client.post(f"{API}/{path}/import?on={key}", content=file.encode(), headers=headers)
    assert (text_of(told), told.json()["created"]) == (told.text, 0)
    assert client.get(f"{API}/{path}").json()["items"] == before


@pytest.mark.parametrize("kind", [postgresql.MONEY, postgresql.HSTORE, postgresql.INT4RANGE, postgresql.DATEMULTIRANGE])
def test_a_type_that_returns_another_value_is_refused(kind: type[Any]) -> None:
    """Such as a text with the currency of the server."""
    with pytest.raises(ValueError, match="returns another value"):
        field_type(float if kind is postgresql.MONEY else str, kind())


def test_types_of_postgresql_alone(databases: Databases) -> None:
    """PostgreSQL has no `max` of each type that it sorts, and reads a negative number as a large one."""
    registry = Registry(API)
    registry.register(Device, read=ANYONE, write=ANYONE)
    registry.include(router)
    url = databases.prepared("postgresql", "devices", devices.create_all)
    with QuickClient(create_app(Settings(database_url=url, **QUIET), registry, devices)) as client:
        made = client.post(f"{API}/devices", json={"address": "08:00:2B:01:02:03"})
        assert made.json()["address"] == "08:00:2b:01:02:03"
        path = f"{API}/devices/aggregate"
        assert client.get(f"{path}?group_by=address").json()["items"] == [{"address": "08:00:2b:01:02:03", "count": 1}]
        assert client.get(f"{path}?max=address").json()["errors"][0]["loc"] == ["query", "max", 0]
        assert client.get(f"{path}?max=id").json()["items"] == [{"max": {"id": 1}}]
        for part, status in ((2**32 - 1, 200), (-1, 422), (2**32, 422)):
            changed = client.patch(made.headers["Location"], json={"part": part})
            assert changed.status_code == client.get(f"{API}/devices?part={part}").status_code == status
            assert status == 422 or changed.json()["part"] == part
        for body in ({"host": "10.0.0.1"}, {"host": "::1", "hosts": ["10.0.0.0/8", "::1"]}, {"host": None}):
            changed = client.patch(made.headers["Location"], json=body)
            assert client.get(f"{API}/hand/devices").json() == [changed.json()]
            assert changed.json() == {**changed.json(), **body}
        nested: list[list[Any]] = [[[]], [[], []], [[1, [2]], {"a": "'"}, "x"], [[[1]], [[2]]]]
        for logs in nested:
            assert client.patch(made.headers["Location"], json={"logs": logs}).json()["logs"] == logs
            assert client.get(made.headers["Location"]).json()["logs"] == logs


def test_dates_of_an_own_type_have_no_months(client: TestClient) -> None:
    """The database stores something else, which it would cut."""
    day = "2030-01-31"
    assert client.post(f"{API}/events", json={"day": day, "stored": day}).status_code == 201
    path = f"{API}/events/aggregate"
    assert client.get(f"{path}?group_by=day__month,stored&min=stored").json()["items"] == [
        {"day__month": "2030-01", "stored": day, "min": {"stored": day}}
    ]
    assert client.get(f"{path}?group_by=stored__month").json()["errors"][0]["loc"] == ["query", "group_by", 0]


def test_computed_bytes_and_infinity_are_written_as_those_of_a_column(client: TestClient) -> None:
    """Base64, and null or an empty cell."""
    made = client.post(f"{API}/seals", json={"content": "AP8="})
    shown = json.loads(text_of(made, 201))
    assert shown == {"id": 1, "content": "AP8=", "reversed": "/wA=", "parts": ["AA==", "/w=="], "density": None}
    assert text_of(client.get(made.headers["Location"])) == made.text
    (row,) = csv.DictReader(io.StringIO(client.get(f"{API}/seals/export").text, newline=""))
    assert row == {"id": "1", "content": "AP8=", "reversed": "/wA=", "parts": '["AA==","/w=="]', "density": ""}


@pytest.mark.parametrize(
    ("value", "cell"), [(7, 7), (None, None), (True, "true"), (0.5, 0.5), ("=a", "'=a"), ([1], "[1]"), ({}, "{}")]
)
def test_a_computed_value_is_a_cell_of_its_own_type(value: object, cell: object) -> None:
    """As that of a column of the type."""
    assert write_value(value) == cell
