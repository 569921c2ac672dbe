"""Entities in a schema get the same responses on both databases, though SQLite has no schemas."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import Field, col
from starlette.testclient import TestClient

from rowhouse.auth.accounts import include_accounts
from rowhouse.auth.models import RefreshToken, User
from rowhouse.core.policy import ANYONE
from rowhouse.core.security import Caller
from rowhouse.core.settings import Settings
from rowhouse.crud.base import CRUDBase
from rowhouse.db.integrity import NAMING_CONVENTION
from rowhouse.db.sql_functions import fold_with
from rowhouse.entities.model import IntegerKey, Record
from rowhouse.entities.no_overlap import NoOverlap
from rowhouse.entities.search_index import SearchIndex
from rowhouse.history.deleted_rows import deleted_rows
from rowhouse.history.entries import HistoryEntry
from rowhouse.registration.registry import Registry
from rowhouse.requests.idempotency import idempotency_keys
from rowhouse.schemas.columns import RegistrationError
from tests.conftest import QUIET
from tests.databases import Databases
from tests.fast_client import QuickClient
from tests.sample_entities.application import create_app
from tests.sample_entities.odd.base import table_of

metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)
fold_with(metadata)
for shared_model in (User, RefreshToken, HistoryEntry):
    table_of(shared_model).to_metadata(metadata)
for shared_table in (deleted_rows, idempotency_keys):
    shared_table.to_metadata(metadata)
KEY = "Idempotency-Key"
HEAVY = 100
CSV = {"Content-Type": "text/csv"}


class Placed(IntegerKey, Record, registry=sa.orm.registry(metadata=metadata)):
    """`Record` in a metadata of its own."""


class Depot(Placed, table=True):
    """An entity without a schema. An entity in a schema refers to it."""

    name: str = Field(max_length=40, unique=True)


class Machine(Placed, table=True):
    """An entity in a schema, with a parent outside and a reference to itself."""

    __table_args__ = (SearchIndex("label"), sa.CheckConstraint("weight > 0", name="heavy"), {"schema": "ops"})

    label: str = Field(max_length=40, unique=True)
    weight: int = 1
    depot_id: int = Field(foreign_key="depots.id", index=True)
    part_of_id: int | None = Field(default=None, foreign_key="ops.machines.id", index=True)


class Repair(Placed, table=True):
    """An entity in the same schema, one for a machine at a time."""

    __table_args__ = (NoOverlap("machine_id", "begins", "ends"), {"schema": "ops"})

    machine_id: int = Field(foreign_key="ops.machines.id")
    begins: date
    ends: date


class Note(Placed, table=True):
    """An entity without a schema that refers to one in a schema."""

    text: str = Field(max_length=40)
    machine_id: int = Field(foreign_key="ops.machines.id", index=True)


class OtherPlaced(IntegerKey, Record, registry=sa.orm.registry(metadata=sa.MetaData())):
    """`Record` in a metadata that no database has."""


class Machine2(OtherPlaced, table=True):
    """An entity with the table name of another one."""

    __tablename__ = "machines"

    label: str


class MachineCRUD(CRUDBase[Machine]):
    """Hides the parts of heavy machines."""

    def scope(self, caller: Caller | None) -> sa.ColumnElement[bool] | None:
        """Return a condition on the table and on another one."""
        whole = table_of(Machine).alias()
        is_heavy = sa.select(whole.c.id).where(whole.c.id == col(Machine.part_of_id), whole.c.weight > HEAVY)
        return sa.not_(is_heavy.exists()) & sa.exists().where(col(Depot.id) == col(Machine.depot_id))


def create_tables(connection: sa.Connection) -> None:
    """Create the tables, on PostgreSQL in their schema."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("CREATE SCHEMA ops")
    metadata.create_all(connection)


def contents() -> Registry:
    """Return a registry of all of them, open to anyone."""
    registry = Registry()
    include_accounts(registry, roles=("driver",), sign_up=("user", "driver"), operations=())
    for model, options in (
        (Depot, {}),
        (Machine, {"crud": MachineCRUD, "search": ("label",), "soft_delete": True, "history": True}),
        (Repair, {"soft_delete": True}),
        (Note, {}),
    ):
        chosen: dict[str, Any] = options
        registry.register(model, read=ANYONE, write=ANYONE, **chosen)
    return registry


@pytest.fixture
def client(backend: str, databases: Databases) -> Iterator[TestClient]:
    """An application of machines."""
    url = databases.prepared(backend, "schemas", create_tables)
    with QuickClient(create_app(Settings(database_url=url, **QUIET), contents(), metadata)) as made:
        yield made


def make(client: TestClient, path: str, **values: Any) -> dict[str, Any]:
    """Create a row."""
    answer = client.post(f"/api/v1/{path}", json=values)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def labels(client: TestClient, **query: Any) -> list[str]:
    """Return the labels in a list."""
    answer = client.get("/api/v1/machines", params=query)
    assert answer.status_code == 200, answer.text
    return [row["label"] for row in answer.json()["items"]]


@pytest.fixture
def machine(client: TestClient) -> dict[str, Any]:
    """A crane at a depot."""
    depot = make(client, "depots", name="North")
    return make(client, "machines", label="Crane", depot_id=depot["id"])


def test_the_tables_fit_the_models(client: TestClient, machine: dict[str, Any]) -> None:
    """The server is ready."""
    assert machine["weight"] == 1
    assert client.get("/ready").json()["status"] == "ready"


def test_rows_are_listed_filtered_and_expanded(client: TestClient, machine: dict[str, Any]) -> None:
    """Across the border of the schema in both directions, and within it."""
    depot = machine["depot_id"]
    make(client, "machines", label="Hook", weight=3, depot_id=depot, part_of_id=machine["id"])
    make(client, "notes", text="Oil it", machine_id=machine["id"])
    assert labels(client, sort="-weight") == ["Hook", "Crane"]
    assert labels(client, weight__gte=2) == ["Hook"]
    assert labels(client, search="cran") == ["Crane"]
    (hook,) = client.get("/api/v1/machines", params={"label": "Hook", "expand": "part_of,depot"}).json()["items"]
    assert (hook["part_of"]["label"], hook["depot"]["name"]) == ("Crane", "North")
    expanded = client.get(f"/api/v1/machines/{machine['id']}", params={"expand": "notes"}).json()
    assert [note["text"] for note in expanded["notes"]] == ["Oil it"]
    (note,) = client.get("/api/v1/notes", params={"expand": "machine"}).json()["items"]
    assert note["machine"]["label"] == "Crane"


def test_a_violated_constraint_is_named(client: TestClient, machine: dict[str, Any]) -> None:
    """Unique values, references, checks and overlaps."""
    depot = machine["depot_id"]
    told = [
        client.post("/api/v1/machines", json={"label": "Crane", "depot_id": depot}),
        client.post("/api/v1/machines", json={"label": "Hook", "depot_id": depot + 1}),
        client.post("/api/v1/machines", json={"label": "Hook", "depot_id": depot, "part_of_id": machine["id"] + 9}),
        client.post("/api/v1/machines", json={"label": "Hook", "depot_id": depot, "weight": 0}),
        client.delete(f"/api/v1/depots/{depot}"),
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer in told] == [
        (409, "duplicate"),
        (409, "reference_not_found"),
        (409, "reference_not_found"),
        (409, "conflict"),
        (409, "still_referenced"),
    ]
    assert "Machine with this label" in told[0].json()["detail"]
    assert "ck_machines_heavy" in told[3].json()["detail"]
    make(client, "repairs", machine_id=machine["id"], begins="2026-01-01", ends="2026-01-05")
    rival = {"machine_id": machine["id"], "begins": "2026-01-04", "ends": "2026-01-09"}
    assert client.post("/api/v1/repairs", json=rival).status_code == 409


def test_a_row_is_changed_deleted_and_restored(client: TestClient, machine: dict[str, Any]) -> None:
    """Its history is recorded, and can be read after the delete."""
    path = f"/api/v1/machines/{machine['id']}"
    changed = client.patch(path, json={"weight": 7})
    assert (changed.status_code, changed.json()["weight"]) == (200, 7)
    assert client.delete(path).status_code == 204
    assert labels(client) == []
    history = client.get(f"{path}/history").json()["items"]
    assert sorted(entry["action"] for entry in history) == ["create", "delete", "update"]
    restored = client.post(f"{path}/restore")
    assert (restored.status_code, restored.json()["weight"]) == (200, 7)
    assert labels(client) == ["Crane"]


def test_the_same_callers_see_a_deleted_row(client: TestClient, machine: dict[str, Any]) -> None:
    """The history shows a deleted row to the callers who would see it in the list.

    A restored row is in its table again.
    """
    hook = make(client, "machines", label="Hook", depot_id=machine["depot_id"], part_of_id=machine["id"])
    path = f"/api/v1/machines/{hook['id']}"
    assert client.delete(path).status_code == 204
    assert client.get(f"{path}/history").json()["total"] == len(("create", "delete"))
    client.patch(f"/api/v1/machines/{machine['id']}", json={"weight": HEAVY + 1})
    assert [client.get(f"{path}/history").status_code, client.post(f"{path}/restore").status_code] == [404, 404]


def test_rows_come_and_go_in_numbers(client: TestClient, machine: dict[str, Any]) -> None:
    """Batches, imports, exports and idempotency keys."""
    depot = machine["depot_id"]
    rows = [{"label": label, "depot_id": depot} for label in ("Belt", "Cart")]
    assert client.post("/api/v1/machines/batch", json=rows).status_code == 201
    text = f"label,depot_id\nDrill,{depot}\n"
    assert client.post("/api/v1/machines/import", content=text, headers=CSV).status_code == 201
    again = [
        client.post("/api/v1/machines", json={"label": "Eel", "depot_id": depot}, headers={KEY: "1"}) for _ in "ab"
    ]
    assert [answer.status_code for answer in again] == [201, 201]
    exported = client.get("/api/v1/machines/export", params={"format": "csv", "fields": "label", "sort": "label"}).text
    assert exported.split() == ["label", "Belt", "Cart", "Crane", "Drill", "Eel"]


def test_two_tables_that_differ_in_their_schema_alone_are_refused(backend: str, databases: Databases) -> None:
    """They would share an archive. The message says what to change."""
    registry = contents()
    registry.register(Machine2, read=ANYONE, write=ANYONE, path="old-machines")
    settings = Settings(database_url=databases.prepared(backend, "schemas", create_tables), **QUIET)
    with pytest.raises(RegistrationError, match=r"ops\.machines and machines, which differ .* another __tablename__"):
        create_app(settings, registry, metadata)
