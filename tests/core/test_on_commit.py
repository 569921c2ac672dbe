"""Callbacks after the commit, and units of work outside a request."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import Field
from starlette.testclient import TestClient

import rowhouse
from rowhouse import ANYONE, ConflictError, CRUDBase, Database, Registry, Router, Row, Settings, UnitDep, UnitOfWork
from rowhouse.db.integrity import NAMING_CONVENTION
from rowhouse.db.sql_functions import fold_with
from rowhouse.entities.model import IntegerKey, Record
from tests.conftest import QUIET
from tests.databases import Databases
from tests.fast_client import QuickClient

metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)
fold_with(metadata)


class JobRecord(IntegerKey, Record, registry=sa.orm.registry(metadata=metadata)):
    """`Record` in a metadata of its own."""


class Parcel(JobRecord, table=True):
    """An entity with a callback."""

    label: str = Field(max_length=40, unique=True)


HEARD: list[str] = []


class ParcelCRUD(CRUDBase[Parcel]):
    """Adds a callback for each stored parcel."""

    one_by_one = True

    def create(self, unit: UnitOfWork, values: Mapping[str, Any]) -> Row:
        """Store it, and add a callback."""
        stored = super().create(unit, values)
        unit.on_commit(lambda: HEARD.append(f"{stored['label']} {count(unit.database)}"))
        return stored


def count(database: Database) -> int:
    """Return the number of rows that another unit of work sees."""
    with UnitOfWork(database, write=False) as unit:
        return len(unit.fetch(SELECT_ALL, {}))


SELECT_ALL = sa.select(Parcel.__table__.c.id)  # type: ignore[attr-defined]  # SQLAlchemy sets it on mapped classes


by_hand = Router(prefix="/by-hand", policy=ANYONE)


@by_hand.post("/refused", status_code=204)
def refuse(unit: UnitDep) -> None:
    """Add a callback, then fail."""
    unit.on_commit(lambda: HEARD.append("refused"))
    raise ConflictError


@by_hand.post("/broken", status_code=204)
def break_off(unit: UnitDep) -> None:
    """Add a callback that fails, and another one."""
    unit.on_commit(lambda: 1 / 0)
    unit.on_commit(lambda: HEARD.append("the next"))


registry = Registry("/api/v1")
registry.register(Parcel, read=ANYONE, write=ANYONE, crud=ParcelCRUD)
registry.include(by_hand)


@pytest.fixture
def client(databases: Databases, backend: str) -> Iterator[TestClient]:
    """An application on a database of its own, before any callback."""
    settings = Settings(database_url=databases.prepared(backend, "jobs", metadata.create_all), **QUIET)
    HEARD.clear()
    with QuickClient(rowhouse.create_app(registry, settings=settings, metadata=metadata)) as made:
        yield made


def test_a_callback_runs_once_after_the_commit(client: TestClient) -> None:
    """Its own unit of work sees the row."""
    assert client.post("/api/v1/parcels", json={"label": "first"}).status_code == 201
    assert HEARD == ["first 1"]


def test_a_callback_does_not_run_where_nothing_is_stored(client: TestClient) -> None:
    """After a rejected row, and after an error that follows `on_commit`."""
    client.post("/api/v1/parcels", json={"label": "twice"})
    assert client.post("/api/v1/parcels", json={"label": "twice"}).status_code == 409
    assert client.post("/api/v1/by-hand/refused").status_code == 409
    assert HEARD == ["twice 1"]


def test_an_error_of_a_callback_is_logged_and_the_others_run(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    """The client gets its success."""
    assert client.post("/api/v1/by-hand/broken").status_code == 204
    assert HEARD == ["the next"]
    assert [
        record.levelname for record in caplog.records if "a callback after the commit failed" in record.getMessage()
    ] == ["ERROR"]


def test_a_unit_outside_a_request_stores_and_calls_back(client: TestClient) -> None:
    """With the rules of the entity, on behalf of a caller."""
    app: Any = client.app
    caller = rowhouse.Caller(id=7, role="user", is_admin=False)
    with rowhouse.unit(app, caller=caller) as unit:
        assert unit.caller == caller
        rowhouse.get_crud(app, Parcel).create(unit, {"label": "by a job"})
        assert not HEARD
    assert HEARD == ["by a job 1"]


def store_twice(app: Any, label: str) -> None:
    """Store a parcel, and a second one that breaks its unique rule."""
    with rowhouse.unit(app) as unit:
        for _time in range(2):
            rowhouse.get_crud(app, Parcel).create(unit, {"label": label})


def test_a_unit_outside_a_request_is_undone_by_an_error(client: TestClient) -> None:
    """Nothing is stored, and no callback runs."""
    app: Any = client.app
    with pytest.raises(ConflictError):
        store_twice(app, "undone")
    assert client.get("/api/v1/parcels").json()["items"] == []
    assert not HEARD


def test_a_class_that_is_not_registered_is_named(client: TestClient) -> None:
    """The message has the line that registers it."""
    app: Any = client.app
    with pytest.raises(LookupError, match=r"User is not registered; add registry.register"):
        rowhouse.get_crud(app, rowhouse.User)
