"""Instants of other programs in the columns of timestamps: each row can be read and changed."""

from collections.abc import Iterator
from datetime import date, time

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from sqlmodel import Field
from starlette.testclient import TestClient

import rowhouse
from rowhouse import ANYONE, Registry
from rowhouse.core.settings import Settings
from rowhouse.entities.model import IntegerKey, Record
from tests.conftest import QUIET
from tests.databases import Databases
from tests.fast_client import QuickClient
from tests.sample_entities.metadata import new_metadata

API = "/api/v1"
metadata = new_metadata()
# Texts that are no instant are shown as they are stored.
SHOWN = {
    "postgresql": {
        "infinity": "infinity",
        "0044-03-15 10:00:00+00 BC": "0044-03-15 10:00:00+00 BC",
        "2024-01-01 10:00:00+02": "2024-01-01T08:00:00Z",
    },
    "sqlite": {
        "2024-01-01": "2024-01-01T00:00:00Z",
        "2024-01-01 10:00": "2024-01-01T10:00:00Z",
        "2024-01-01 10:00:00": "2024-01-01T10:00:00Z",
        "2024-01-01T10:00:00": "2024-01-01T10:00:00Z",
        "2024-01-01T10:00:00Z": "2024-01-01T10:00:00Z",
        "2024-01-01T10:00:00.25Z": "2024-01-01T10:00:00.250000Z",
        "2024-01-01 10:00:00+02:00": "2024-01-01T08:00:00Z",
        "0001-01-01 00:00:00+02:00": "0001-01-01 00:00:00+02:00",
        "garbage": "garbage",
        "": "",
        "1704103200": "1704103200",
        "31.1.2030": "31.1.2030",
    },
}


class Base(IntegerKey, Record, registry=sa.orm.registry(metadata=metadata)):
    """A class in a metadata of its own."""


class Entry(Base, table=True):
    """Other programs write its timestamps."""

    text: str = Field(max_length=40)


class Day(Base, table=True):
    """A date and a time, of which SQLite stores any text."""

    day: date | None = None
    clock: time | None = None


def application(url: str) -> FastAPI:
    """Return the application."""
    registry = Registry(API)
    for model in (Entry, Day):
        registry.register(model, read=ANYONE, write=ANYONE)
    return rowhouse.create_app(
        registry, settings=Settings(database_url=url, **QUIET), metadata=metadata, title="Entries"
    )


def create_rows(connection: sa.Connection) -> None:
    """Create the table, with two rows for each instant."""
    metadata.create_all(connection)
    for stored in [*SHOWN[connection.dialect.name]] * 2:
        row = f"INSERT INTO entries (text, created_at, updated_at) VALUES ('{stored}', '{stored}', '{stored}')"  # noqa: S608  ours
        connection.exec_driver_sql(row)


@pytest.fixture
def client(databases: Databases, backend: str) -> Iterator[TestClient]:
    """The application with the rows."""
    with QuickClient(application(databases.prepared(backend, "strange_instants", create_rows))) as client:
        yield client


def test_a_row_is_read_and_changed(client: TestClient, backend: str) -> None:
    """With the instant or the text of the list, and an entity tag that a condition takes."""
    rows = client.get(f"{API}/entries?sort=id").json()["items"]
    expected = [*SHOWN[backend].items()] * 2
    assert [(row["text"], row["updated_at"]) for row in rows] == expected
    for row in rows:
        path = f"{API}/entries/{row['id']}"
        found = client.get(path)
        assert (found.status_code, found.json()) == (200, row)
        tag = found.headers["ETag"]
        assert client.get(path, headers={"If-None-Match": tag}).status_code == 304
        changed = client.patch(path, json={"text": "new"}, headers={"If-Match": tag})
        assert changed.status_code == 200
        assert client.patch(path, json={"text": "old"}, headers={"If-Match": tag}).status_code == 412


@pytest.mark.parametrize("column", ["day", "clock"])
def test_a_cursor_continues_after_a_text_that_is_no_date(databases: Databases, column: str) -> None:
    """Its own cursor was a 500 after 2024-13-45, and was refused after other texts."""
    texts = ["", "0000-00-00", "2024-13-45", "2024-01-02" if column == "day" else "10:00:00.000000", "garbage"]

    def create(connection: sa.Connection) -> None:
        create_rows(connection)
        for text in texts:
            row = f"INSERT INTO days ({column}, created_at, updated_at) VALUES ('{text}', '2030-01-01', '2030-01-01')"  # noqa: S608  ours
            connection.exec_driver_sql(row)

    with QuickClient(application(databases.prepared("sqlite", f"strange_{column}", create))) as client:
        page = client.get(f"{API}/days", params={"sort": column, "size": 1}).json()
        found = page["items"]
        for _ in texts[1:]:
            page = client.get(f"{API}/days", params={"cursor": page["next_cursor"]}).json()
            found += page["items"]
    assert page["next_cursor"] is None
    assert [row[column] for row in found] == sorted(text.removesuffix(".000000") for text in texts)
