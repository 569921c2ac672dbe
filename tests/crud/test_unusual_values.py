"""What other programs store in PostgreSQL and Python's types cannot hold is shown, and no list fails."""

import datetime as dt
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlmodel import Field
from starlette.testclient import TestClient

from rowhouse.core.policy import ANYONE
from rowhouse.core.settings import Settings
from rowhouse.entities.model import Adopted
from rowhouse.registration.registry import Registry
from rowhouse.testing.running_app import create_adopted
from tests.conftest import QUIET
from tests.databases import Databases
from tests.fast_client import QuickClient
from tests.sample_entities.application import create_app
from tests.sample_entities.metadata import new_metadata

metadata = new_metadata()
INSTANT = sa.DateTime(timezone=True)
# The column, the value in SQL, and how it is shown.
STORED: tuple[tuple[str, str, Any], ...] = (
    ("day", "-infinity", "-infinity"),
    ("day", "0044-03-15 BC", "0044-03-15 BC"),
    ("day", "2030-01-01", "2030-01-01"),
    ("day", "10000-01-01", "10000-01-01"),
    ("day", "infinity", "infinity"),
    ("moment", "-infinity", "-infinity"),
    ("moment", "0044-03-15 BC", "0044-03-15 00:00:00 BC"),
    ("moment", "0001-01-01", "0001-01-01T00:00:00Z"),
    ("at", "0044-03-15Z BC", "0044-03-15 00:00:00+00 BC"),
    ("at", "9999-12-31Z", "9999-12-31T00:00:00Z"),
    ("at", "10000-01-01Z", "10000-01-01 00:00:00+00"),
    ("at", "infinity", "infinity"),
    ("clock", "23:00", "23:00:00"),
    ("clock", "24:00", "24:00:00"),
    ("lasts", "-178000000 years", "P-2136000000M0DT0.000000S"),
    ("lasts", "-1 hour -0.5 seconds", "-PT1H0.5S"),
    ("lasts", "421 days", "P1Y56D"),
    ("lasts", "1 year 2 mons 2 days 01:00", "P1Y57DT1H"),
    ("lasts", "-100000 years", "-P98630Y50D"),
    ("price", "-Infinity", None),
    ("price", "123456789012345678901234567890.25", 1.2345678901234568e29),
    ("price", "123456789012345678901234567890.75", 1.2345678901234568e29),
    ("price", "NaN", None),
    ("ratio", "-Infinity", None),
    ("ratio", "0.5", 0.5),
    ("ratio", "NaN", None),
    ("days", "{infinity,2030-01-01}", ["infinity", "2030-01-01"]),
    ("mood", "low", "low"),
    ("mood", "high", "high"),
    ("note", "ab", "ab"),
)
# The driver reads these columns as text, and then all columns of the statement.
TEXT = {("odd", "days"), ("odd", "ratio")}
COLUMNS = ("day", "moment", "at", "clock", "lasts", "price", "ratio", "mood", "note")


class Base(Adopted, registry=sa.orm.registry(metadata=metadata)):
    """`Adopted` in a metadata of its own."""


class Odd(Base, table=True):
    """A table of another program, read in binary."""

    id: int = Field(primary_key=True)
    day: dt.date | None = None
    moment: dt.datetime | None = Field(default=None, sa_type=sa.DateTime)
    at: dt.datetime | None = Field(default=None, sa_type=INSTANT)
    clock: dt.time | None = None
    lasts: dt.timedelta | None = None
    price: Decimal | None = Field(default=None, max_digits=15, decimal_places=2)
    mood: str | None = Field(default=None, sa_type=sa.Enum("low", "high", name="mood"))
    note: str | None = Field(default=None, max_length=5, sa_type=sa.CHAR(5))
    seen: int = 0


class Planned(Base, table=True):
    """The same in text, because of columns that the driver does not read in binary."""

    id: int = Field(primary_key=True)
    day: dt.date | None = None
    moment: dt.datetime | None = Field(default=None, sa_type=sa.DateTime)
    at: dt.datetime | None = Field(default=None, sa_type=INSTANT)
    clock: dt.time | None = None
    lasts: dt.timedelta | None = None
    price: Decimal | None = Field(default=None, max_digits=15, decimal_places=2)
    ratio: float | None = None
    days: list[dt.date] | None = Field(default=None, sa_type=postgresql.ARRAY(sa.Date))
    mood: str | None = Field(default=None, sa_type=sa.Enum("low", "high", name="mood"))
    note: str | None = Field(default=None, max_length=5, sa_type=sa.CHAR(5))
    seen: int = 0


def make(connection: sa.Connection) -> None:
    """Make the tables with columns as other programs have them, and the rows."""
    create_adopted(metadata, connection)
    metadata.create_all(connection)
    for table in ("odd", "planned"):
        connection.exec_driver_sql(f"ALTER TABLE {table} ALTER price TYPE numeric, ALTER seen SET DEFAULT 0")
        for key, (name, given, _) in enumerate(STORED, 1):
            column, value = ("seen", "0") if (table, name) in TEXT else (name, given)
            connection.exec_driver_sql(f"INSERT INTO {table} (id, {column}) VALUES ({key}, '{value}')")  # noqa: S608  our own


@pytest.fixture(scope="module")
def client(databases: Databases) -> Iterator[TestClient]:
    """An application over both tables, which keeps deleted rows and changes."""
    registry = Registry("/api/v1")
    for model, path in ((Odd, "odd"), (Planned, "planned")):
        registry.register(model, path=path, read=ANYONE, write=ANYONE, soft_delete=True, history=True)
    url = databases.prepared("postgresql", "unusual_values", make)
    with QuickClient(create_app(Settings(database_url=url, **QUIET), registry, metadata=metadata)) as made:
        yield made


def walked(client: TestClient, path: str, sort: str) -> list[Any]:
    """Return the values of a column, in the order in which cursors reach its rows."""
    found = client.get(f"/api/v1/{path}", params={"sort": sort, "size": 1})
    rows = []
    while True:
        assert found.status_code == 200, found.text
        rows += found.json()["items"]
        if found.json()["next_cursor"] is None:
            break
        found = client.get(f"/api/v1/{path}", params={"cursor": found.json()["next_cursor"]})
    assert len({row["id"] for row in rows}) == len(rows) == len(STORED)
    name = sort.removeprefix("-")
    return [row["id"] for row in rows if STORED[row["id"] - 1][0] == name]


@pytest.mark.parametrize("path", ["odd", "planned"])
def test_every_value_is_shown_and_reached(client: TestClient, path: str) -> None:
    """In a list, by its key, in both files, and by cursors in both directions of each column."""
    items = client.get(f"/api/v1/{path}", params={"size": 100}).json()["items"]
    assert [(row["id"], row.get(STORED[row["id"] - 1][0])) for row in items] == [
        (key, None if (path, name) in TEXT else shown) for key, (name, _, shown) in enumerate(STORED, 1)
    ]
    for row in items:
        assert client.get(f"/api/v1/{path}/{row['id']}").json() == row
    csv = client.get(f"/api/v1/{path}/export", params={"fields": "day,at"}).text.split()
    assert csv[1:5] == ["-infinity,", "0044-03-15", "BC,", "2030-01-01,"]
    assert len(client.get(f"/api/v1/{path}/export", params={"format": "ndjson"}).text.splitlines()) == len(STORED)
    for name in [one for one in COLUMNS if (path, one) not in TEXT]:
        ordered = [key for key, (column, _, _) in enumerate(STORED, 1) if column == name]
        if name == "lasts":
            ordered = [15, 19, 16, 17, 18]
        assert walked(client, path, name) == ordered
        assert walked(client, path, f"-{name}") == ordered[::-1]


def test_ranges_find_them(client: TestClient) -> None:
    """By dates on either side of them."""
    for query, expected in (
        ("day__gt=9999-12-31", [4, 5]),
        ("day__lt=0001-01-01", [1, 2]),
        ("at__gt=9999-12-29T00:00:00Z", [10, 11, 12]),
        ("ratio__lt=0", [24]),
        ("mood=high", [29]),
    ):
        assert [row["id"] for row in client.get(f"/api/v1/planned?{query}").json()["items"]] == expected, query


def aggregated(client: TestClient, query: str) -> Any:
    """Return the items of an aggregate, which are JSON by the letter."""
    found = client.get(f"/api/v1/planned/aggregate?{query}")
    assert found.status_code == 200, found.text
    return json.loads(found.text, parse_constant=pytest.fail)["items"]


def test_aggregates(client: TestClient) -> None:
    """Groups have an order, and a sum over NaN is null."""
    assert [one["day"] for one in aggregated(client, "group_by=day&day__isnull=false&count")] == [
        shown for column, _, shown in STORED if column == "day"
    ]
    years = [one["day__year"] for one in aggregated(client, "group_by=day__year&day__isnull=false&count")]
    assert sorted(years) == sorted(["-infinity", "0044-01-01 BC", "2030", "10000-01-01", "infinity"])
    months = aggregated(client, "group_by=at__month&at__isnull=false&count")
    assert [one["at__month"] for one in months] == ["0044-03-01 BC", "10000-01-01", "9999-12", "infinity"]
    assert aggregated(client, "min=day,at&max=day,at")[0] == {
        "min": {"day": "-infinity", "at": "0044-03-15 00:00:00+00 BC"},
        "max": {"day": "infinity", "at": "infinity"},
    }
    for name in ("price", "ratio"):
        assert aggregated(client, f"sum={name}&avg={name}")[0] == {"sum": {name: None}, "avg": {name: None}}
        assert [one[name] for one in aggregated(client, f"group_by={name}&{name}__isnull=false&count")][-1] is None


def test_rows_with_them_are_changed_deleted_and_restored(client: TestClient) -> None:
    """With their history, which shows them as the row does. An array with one is not restored."""
    for key, (name, _, shown) in enumerate(STORED, 1):
        where = f"/api/v1/planned/{key}"
        tag = client.get(where).headers["etag"]
        changed = client.patch(where, json={"seen": 1}, headers={"If-Match": tag})
        assert (changed.status_code, changed.json()[name]) == (200, shown), changed.text
        assert client.delete(where).status_code == 204
        restored = client.post(f"{where}/restore")
        if name == "days":
            assert (restored.status_code, restored.json()["detail"]) == (
                409,
                "The values of days do not fit Planned any more.",
            )
            continue
        assert (restored.status_code, restored.json()[name]) == (200, shown), restored.text
        history = client.get(f"{where}/history", params={"sort": "id"}).json()["items"]
        assert history[0]["after"][name] == shown


def test_clients_write_none(client: TestClient) -> None:
    """The text of one is a 422 with its reason."""
    for name, text in (("day", "infinity"), ("at", "10000-01-01 00:00:00+00"), ("clock", "24:00:00")):
        refused = client.patch("/api/v1/planned/1", json={name: text})
        assert (refused.status_code, refused.json()["errors"][0]["loc"]) == (422, ["body", name])
        assert client.get("/api/v1/planned", params={name: text}).status_code == 422
