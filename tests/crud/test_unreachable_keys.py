"""Rows of other programs whose key stands in no path are listed, found, changed and deleted by filters and batches."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlmodel import Field
from starlette.testclient import TestClient

from rowhouse.core.policy import ANYONE
from rowhouse.core.settings import Settings
from rowhouse.entities.model import PortableTable
from rowhouse.registration.registry import Registry
from tests.conftest import QUIET
from tests.databases import Databases
from tests.fast_client import QuickClient
from tests.sample_entities.application import create_app
from tests.sample_entities.metadata import new_metadata

metadata = new_metadata()
WORDS, RATIOS = "/api/v1/words", "/api/v1/ratios"
KEYS = ("", ".", "..", "batch", "export", "plain")


class Base(PortableTable, registry=sa.orm.registry(metadata=metadata)):
    """No column."""


class Word(Base, table=True):
    """A text as the key."""

    code: str = Field(primary_key=True, max_length=20)
    note: str = Field(default="", index=False)


class Ratio(Base, table=True):
    """A float as the key."""

    ratio: float = Field(primary_key=True)
    note: str = Field(default="", index=False)


def make(connection: sa.Connection) -> None:
    """Make the tables, and rows that no request would create."""
    metadata.create_all(connection)
    tables = metadata.tables
    connection.execute(sa.insert(tables["words"]), [{"code": key, "note": ""} for key in KEYS])
    connection.execute(sa.insert(tables["ratios"]), [{"ratio": float(key), "note": ""} for key in ("inf", "-inf")])


@pytest.fixture
def client(backend: str, databases: Databases) -> Iterator[TestClient]:
    """An application of these classes, open to anyone."""
    registry = Registry("/api/v1")
    for model in (Word, Ratio):
        registry.register(model, read=ANYONE, write=ANYONE, soft_delete=True, history=True)
    url = databases.prepared(backend, "unreachable_keys", make)
    with QuickClient(create_app(Settings(database_url=url, **QUIET), registry, metadata)) as made:
        yield made


def test_a_text_that_no_path_can_hold(client: TestClient) -> None:
    """An encoded dot is a path for clients that keep it; no `ids` at all is no key."""
    for key in KEYS:
        assert client.get(WORDS, params={"code": key}).json()["items"] == [{"code": key, "note": ""}]
    changed = client.patch(f"{WORDS}/batch", json=[{"code": key, "note": "n"} for key in KEYS])
    assert [row["code"] for row in changed.json()] == [*KEYS]
    for path, key in (("%2E", "."), ("%2E%2E", "..")):
        assert client.get(f"{WORDS}/{path}").json() == {"code": key, "note": "n"}
    assert client.delete(f"{WORDS}/batch?ids=").status_code == 422
    assert client.delete(f"{WORDS}/batch", params={"ids": '"",.,..,batch,export'}).status_code == 204
    assert [row["code"] for row in client.get(WORDS).json()["items"]] == ["plain"]
    assert client.put(f"{WORDS}/%2E", json={}).status_code == 422


def test_an_infinite_number(client: TestClient) -> None:
    """It is null in a row, and a number beyond the largest one in a path."""
    assert [row["ratio"] for row in client.get(RATIOS).json()["items"]] == [None, None]
    assert client.get(f"{RATIOS}/1e999").status_code == 200
    assert client.patch(f"{RATIOS}/1e999", json={"note": "n"}).json() == {"ratio": None, "note": "n"}
    assert client.delete(f"{RATIOS}/batch?ids=-1e999").status_code == 204
    assert client.get(RATIOS).json()["items"] == [{"ratio": None, "note": "n"}]
    assert client.put(f"{RATIOS}/-1e999", json={}).status_code == 422
