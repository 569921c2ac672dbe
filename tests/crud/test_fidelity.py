"""What a client sends is what is stored, and what every other response has, on both databases."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlmodel import Field
from starlette.testclient import TestClient

from rowhouse.core.policy import ANYONE
from rowhouse.core.settings import Settings
from rowhouse.entities.model import IntegerKey, PortableTable
from rowhouse.registration.registry import Registry
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


class Share(IntegerKey, Base, table=True):
    """All digits of its decimal are behind the point."""

    part: Decimal = Field(max_digits=4, decimal_places=4)


@pytest.fixture(scope="module")
def client(backend: str, databases: Databases) -> Iterator[TestClient]:
    """An application of these classes, open to anyone."""
    registry = Registry(API)
    for model in (Reading, Station, Share):
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
    changed = client.patch(where, json={"count": LARGE + 2})
    assert text_of(changed) == text_of(client.get(where)) == shown.replace(f'"count":{LARGE}', f'"count":{LARGE + 2}')
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
