"""Values that other programs have stored in SQLite, which takes any value in any column: each row can be read."""

import base64
import datetime as dt
import enum
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from sqlmodel import Field
from starlette.testclient import TestClient

import rowhouse
from rowhouse import ANYONE, Entity, Registry
from rowhouse.core.settings import Settings
from tests.conftest import QUIET
from tests.databases import Databases
from tests.sample_entities.metadata import new_metadata

ODDS = "/api/v1/odds"
metadata = new_metadata()


class Base(Entity, registry=sa.orm.registry(metadata=metadata)):
    """`Entity` in a metadata of its own."""


class Kind(enum.StrEnum):
    """Some words."""

    SMALL = "small"


class Number(enum.IntEnum):
    """Some numbers."""

    ONE = 1


class Odd(Base, table=True):
    """A column of each type."""

    mark: int = 0
    name: str | None = None
    long: str | None = Field(default=None, sa_column=sa.Column(sa.Text))
    whole: int | None = None
    real: float | None = None
    price: Decimal | None = Field(default=None, max_digits=8, decimal_places=2)
    flag: bool | None = None
    kind: Kind | None = None
    number: Number | None = None
    data: bytes | None = None
    document: dict[str, Any] | None = Field(default=None, sa_column=sa.Column(sa.JSON))
    label: uuid.UUID | None = None
    day: dt.date | None = None
    clock: dt.time | None = None
    length: dt.timedelta | None = None
    sent: dt.datetime | None = None


class Plain(Base, table=True):
    """Without a history, so that a change reads nothing first."""

    mark: int = 0
    name: str | None = None


VALUES = [
    "'abc'", "''", "'12'", "'1.5'", "5", "1.5", "9223372036854775807", "1e300", "-1", "X'00ff'", "X'616263'",
    "CAST(X'ff00' AS TEXT)", "CAST(X'41ff62' AS TEXT)",
]  # fmt: skip
OWN = {"id", "created_at", "updated_at", "mark"}
COLUMNS = [name for name in Odd.model_fields if name not in OWN]


@pytest.fixture(scope="module")
def app(databases: Databases) -> FastAPI:
    """The application, on SQLite."""
    registry = Registry()
    registry.register(Odd, read=ANYONE, write=ANYONE, history=True, search=("name", "long"))
    registry.register(Plain, read=ANYONE, write=ANYONE)
    url = databases.prepared("sqlite", "foreign_values", metadata.create_all)
    return rowhouse.create_app(registry, settings=Settings(database_url=url, **QUIET), metadata=metadata, title="Odds")


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    """A client of a started server, whose connections have not read such a value."""
    with TestClient(app, raise_server_exceptions=False) as opened:
        yield opened


def store(app: FastAPI, column: str, *values: str) -> None:
    """Replace all rows by one for each value, which is SQL, and one with null."""
    with app.state.database.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM odds")
        for number, value in enumerate((*values, "NULL"), start=1):
            connection.exec_driver_sql(
                f"INSERT INTO odds (id, mark, created_at, updated_at, {column}) VALUES "  # noqa: S608  # our own
                f"({number}, 0, '2026-01-01 00:00:00.000000', '2026-01-01 00:00:00.000000', {value})"
            )


@pytest.mark.parametrize("column", COLUMNS)
def test_each_row_can_be_read_and_changed(app: FastAPI, client: TestClient, column: str) -> None:
    """Whatever is stored, no request fails, and the row can be changed, deleted and restored."""
    for value in VALUES:
        store(app, column, value)
        paths = ["", "/1", f"?sort={column}", f"?sort=-{column}", "/export", "/export?format=ndjson", "?search=abcd"]
        for path in [*paths, f"?{column}__isnull=false", f"/aggregate?group_by={column}"]:
            told = client.get(f"{ODDS}{path}")
            is_allowed = not ("sort" in path or "aggregate" in path) or column not in {"document", "data"}
            assert told.status_code == (200 if is_allowed else 422), (value, path, told.text)
        changed = client.patch(f"{ODDS}/1", json={"mark": 1})
        assert (changed.status_code, changed.json()["mark"]) == (200, 1), (value, changed.text)
        assert client.delete(f"{ODDS}/1").status_code == 204, value
        assert client.get(f"{ODDS}/1/history").status_code == 200, value


def test_what_is_shown(app: FastAPI, client: TestClient) -> None:
    """The text that is stored; null in a column of decimals; the bytes of a text or a number in one of bytes."""

    def shown(column: str, value: str) -> Any:
        store(app, column, value)
        return client.get(f"{ODDS}/1").json()[column]

    assert shown("whole", "'abc'") == "abc"
    assert shown("price", "'abc'") is None
    assert shown("name", "CAST(X'41ff62' AS TEXT)") == "A\N{REPLACEMENT CHARACTER}b"
    assert shown("name", "X'41ff62'") == "A\N{REPLACEMENT CHARACTER}b"
    assert shown("label", "'abc'") == "abc"
    for value, stored in (("5", b"5"), ("'abc'", b"abc"), ("X'00ff27'", b"\x00\xff'"), (f"{2**62}", b"%d" % 2**62)):
        assert base64.b64decode(shown("data", value)) == stored


def test_a_search_finds_what_is_not_utf_8(app: FastAPI, client: TestClient) -> None:
    """Its other letters are compared."""
    store(app, "name", "CAST(X'416263ffc384' AS TEXT)", "'other'")
    assert [row["id"] for row in client.get(ODDS, params={"search": "ABC"}).json()["items"]] == [1]
    assert [row["id"] for row in client.get(ODDS, params={"name__contains": "\u00e4"}).json()["items"]] == [1]


def test_a_request_that_has_failed_leaves_no_statement_open(app: FastAPI, client: TestClient) -> None:
    """A later request sees what was written meanwhile, and can write."""
    store(app, "name", "CAST(X'ff' AS TEXT)")
    assert client.get(f"{ODDS}/1").status_code == 200
    store(app, "name", "'new'")
    assert client.get(f"{ODDS}/1").json()["name"] == "new"
    assert client.patch(f"{ODDS}/1", json={"name": "newer"}).json()["name"] == "newer"


@pytest.mark.parametrize("table", ["odds", "plains"])
def test_a_change_may_be_the_first_request_that_meets_it(app: FastAPI, client: TestClient, table: str) -> None:
    """It is made once. Where nothing is read before it, the request is repeated."""
    stamp = "'2026-01-01 00:00:00.000000'"
    with app.state.database.engine.begin() as connection:
        connection.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608  # our own
        values = f"(1, 0, CAST(X'41ff62' AS TEXT), {stamp}, {stamp})"
        connection.exec_driver_sql(f"INSERT INTO {table} (id, mark, name, created_at, updated_at) VALUES {values}")  # noqa: S608  # our own
    changed = client.patch(f"/api/v1/{table}/1", json={"mark": 7})
    assert (changed.status_code, changed.json()["mark"]) == (200, 7)
    with app.state.database.engine.begin() as connection:
        stored = connection.exec_driver_sql(f"SELECT CAST(name AS BLOB), mark FROM {table}").all()  # noqa: S608  # our own
    assert stored == [(b"A\xffb", 7)]
