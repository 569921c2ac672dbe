"""A new column type is one entry in `FIELD_TYPES`. Every format and every verb then supports it."""

from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import Field
from starlette.testclient import TestClient

from rowhouse.core.openapi import resolved
from rowhouse.core.policy import ANYONE
from rowhouse.core.settings import Settings
from rowhouse.db.integrity import NAMING_CONVENTION
from rowhouse.db.sql_functions import fold_with
from rowhouse.entities.model import IntegerKey, Record
from rowhouse.history.deleted_rows import deleted_rows
from rowhouse.history.entries import HistoryEntry
from rowhouse.registration.registry import Registry
from rowhouse.schemas.field_types import FIELD_TYPES, FieldType, Filtering
from tests.conftest import QUIET
from tests.databases import Databases
from tests.fast_client import QuickClient
from tests.sample_entities.application import create_app
from tests.sample_entities.odd.base import table_of

metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)
fold_with(metadata)
table_of(HistoryEntry).to_metadata(metadata)
deleted_rows.to_metadata(metadata)
HOSTS = "/api/v1/hosts"
CSV = {"Content-Type": "text/csv"}
ADDRESS = FieldType(
    declared=(IPv4Address,),
    annotation=IPv4Address,
    filtering=Filtering.ORDER,
    read_cell=lambda cell: f'"{cell.removeprefix("ip:")}"',
    write_cell=lambda value: f"ip:{value}",
    archive=IPv4Address,
)


class AddressNumber(sa.types.TypeDecorator[IPv4Address]):
    """A column type that stores an address as a number."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> int | None:
        """Return the address as a number."""
        return None if value is None else int(value)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> IPv4Address | None:
        """Return the number as an address."""
        return None if value is None else IPv4Address(value)


class HostRecord(IntegerKey, Record, registry=sa.orm.registry(metadata=metadata)):
    """`Record` in a metadata of its own."""


class Host(HostRecord, table=True):
    """An entity with a column of the new type, and a nullable one."""

    address: IPv4Address = Field(sa_type=AddressNumber, index=False)
    gateway: IPv4Address | None = Field(default=None, sa_type=AddressNumber, index=False)


@pytest.fixture
def client(backend: str, databases: Databases, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """An application with the entry, open to anyone."""
    monkeypatch.setattr("rowhouse.schemas.field_types.FIELD_TYPES", [*FIELD_TYPES, ADDRESS])
    url = databases.prepared(backend, "field_types", metadata.create_all)
    registry = Registry()
    registry.register(Host, read=ANYONE, write=ANYONE, soft_delete=True, history=True)
    with QuickClient(create_app(Settings(database_url=url, **QUIET), registry, metadata)) as made:
        yield made


def addresses(client: TestClient, **query: Any) -> list[str]:
    """Return the addresses in a list."""
    return [row["address"] for row in client.get(HOSTS, params=query).json()["items"]]


def test_a_new_type_is_one_entry(client: TestClient) -> None:
    """Create, filter, sort, export, import, update, delete, restore and history."""
    made = client.post(HOSTS, json={"address": "10.0.0.9"})
    assert (made.status_code, made.json()["address"], made.json()["gateway"]) == (201, "10.0.0.9", None)
    assert client.post(HOSTS, json={"address": "10.0.0.256"}).status_code == 422

    sent = client.post(f"{HOSTS}/import", content="address,gateway\nip:10.0.0.10,ip:10.0.0.1\n", headers=CSV)
    assert (sent.status_code, sent.json()["created"]) == (201, 1)
    assert client.get(f"{HOSTS}/export", params={"fields": "address,gateway"}).text == (
        "address,gateway\r\nip:10.0.0.9,\r\nip:10.0.0.10,ip:10.0.0.1\r\n"
    )

    assert addresses(client, address__gt="10.0.0.9") == ["10.0.0.10"]
    assert addresses(client, address__in="10.0.0.9,10.0.0.11") == ["10.0.0.9"]
    assert client.get(HOSTS, params={"address": "nowhere"}).status_code == 422
    page = client.get(HOSTS, params={"sort": "-address", "limit": 1}).json()
    assert addresses(client, cursor=page["next_cursor"]) == ["10.0.0.9"]

    where = made.headers["Location"]
    assert client.patch(where, json={"gateway": "10.0.0.2"}).json()["gateway"] == "10.0.0.2"
    assert client.delete(where).status_code == 204
    assert client.post(f"{where}/restore").json()["gateway"] == "10.0.0.2"
    entries = client.get(f"{where}/history").json()["items"]
    assert {(entry["action"], entry["after"] and entry["after"]["gateway"]) for entry in entries} == {
        ("create", None), ("update", "10.0.0.2"), ("delete", None), ("restore", "10.0.0.2")
    }  # fmt: skip


def test_the_entry_is_in_the_document(client: TestClient) -> None:
    """OpenAPI has the format, and the filters of an ordered type."""
    document = resolved(client.get("/openapi.json").json())
    assert document["components"]["schemas"]["HostCreate"]["properties"]["address"]["format"] == "ipv4"
    names = {parameter["name"] for parameter in document["paths"][HOSTS]["get"]["parameters"]}
    assert {"address", "address__gte", "address__not_in"} <= names
    assert "address__contains" not in names
