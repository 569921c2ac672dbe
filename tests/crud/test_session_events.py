"""The history and the archive contain changes that hand-written code makes through a session."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from sqlalchemy.exc import SAWarning
from sqlmodel import Session
from starlette.testclient import TestClient

from rowhouse.db.database import Database
from rowhouse.db.unit_of_work import UnitOfWork
from tests.conftest import unique
from tests.sample_entities.odd.columns import Preset
from tests.sample_entities.odd.shapes import Leaf, Sealed, Seat, Vein

Headers = dict[str, str]


def database_of(client: TestClient) -> Database:
    """Return the database of the application."""
    assert isinstance(client.app, FastAPI)
    database: Database = client.app.state.database
    return database


@contextmanager
def unit_of(client: TestClient) -> Iterator[UnitOfWork]:
    """Open a unit of work without a caller, as a script does."""
    database = database_of(client)
    with UnitOfWork(database, write=True) as unit:
        yield unit
    database.discard_connection()


def history(client: TestClient, path: str, key: Any, headers: Headers) -> list[dict[str, Any]]:
    """Return the history entries of a row."""
    answer = client.get(f"/api/v1/{path}/{key}/history", headers=headers)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def test_a_change_by_a_hand_written_route_is_recorded(odd_client: TestClient, odd_admin: Headers) -> None:
    """With the caller and the row before and after."""
    before = odd_client.post("/api/v1/notices", json={"message": "hello"}, headers=odd_admin).json()
    after = odd_client.post(f"/api/v1/notices/{before['id']}/shout", headers=odd_admin).json()
    assert after == {**before, "message": "HELLO"}
    created, changed = history(odd_client, "notices", before["id"], odd_admin)
    assert (changed["action"], changed["before"], changed["after"]) == ("update", before, after)
    assert changed["by"] == created["by"] is not None


def test_creates_updates_and_deletes_of_a_session_are_recorded(odd_client: TestClient, odd_admin: Headers) -> None:
    """Each flush by itself. A deleted row can be restored with its secrets."""
    with unit_of(odd_client) as unit:
        sealed, seat = Sealed(serial=unique("serial"), pin=7), Seat(hall=unique("hall"), seat_number=1)
        unit.session.add_all([sealed, seat])
        unit.session.flush()
        sealed.remark = "by hand"
        seat.seat_number = seat.seat_number
        unit.session.flush()
        unit.session.delete(sealed)
        unit.session.flush()
        key, seat_key = sealed.id, seat.id
    made, changed, gone = history(odd_client, "sealed", key, odd_admin)
    assert [entry["action"] for entry in (made, changed, gone)] == ["create", "update", "delete"]
    assert changed["before"] == made["after"]
    assert gone["before"] == changed["after"] == {**made["after"], "remark": "by hand"}
    assert {entry["by"] for entry in (made, changed, gone)} == {None}
    assert [entry["action"] for entry in history(odd_client, "seats", seat_key, odd_admin)] == ["create"]
    assert odd_client.post(f"/api/v1/sealed/{key}/restore", headers=odd_admin).json()["remark"] == "by hand"
    with unit_of(odd_client) as unit:
        found = unit.session.get(Sealed, key)
        assert found is not None
        assert found.pin == 7


def test_an_entity_without_history_goes_to_the_archive_alone(odd_client: TestClient, odd_admin: Headers) -> None:
    """It can be restored."""
    with unit_of(odd_client) as unit:
        leaf = Leaf(name="of a vein")
        unit.session.add(leaf)
        unit.session.flush()
        vein = Vein(leaf_id=leaf.id, width=2.5)
        unit.session.add(vein)
        unit.session.flush()
        unit.session.delete(vein)
        unit.session.flush()
        key = vein.id
    answer = odd_client.post(f"/api/v1/veins/{key}/restore", headers=odd_admin)
    assert (answer.status_code, answer.json()["width"]) == (200, 2.5)


def test_a_flush_that_fails_leaves_nothing_behind(odd_client: TestClient, odd_admin: Headers) -> None:
    """Nor does a rolled back one. Later flushes are recorded as usual."""
    serial = unique("serial")
    with unit_of(odd_client) as unit:
        unit.session.add(Sealed(serial=serial))
        unit.session.flush()
        nested = unit.session.begin_nested()
        unit.session.add(Sealed(serial=serial, remark="refused"))
        with pytest.raises(sa.exc.IntegrityError):
            unit.session.flush()
        nested.rollback()
        kept = Sealed(serial=unique("serial"))
        unit.session.add(kept)
        unit.session.flush()
        key = kept.id
    assert [entry["after"]["id"] for entry in history(odd_client, "sealed", key, odd_admin)] == [key]
    page = odd_client.get("/api/v1/sealed", params={"serial": serial}, headers=odd_admin).json()
    assert len(history(odd_client, "sealed", page["items"][0]["id"], odd_admin)) == 1


def test_a_row_that_was_deleted_already_is_not_archived_twice(odd_client: TestClient, odd_admin: Headers) -> None:
    """A bulk statement deleted it, which is not recorded. The session itself reports it."""
    with unit_of(odd_client) as unit:
        sealed = Sealed(serial=unique("serial"))
        unit.session.add(sealed)
        unit.session.flush()
        key = sealed.id
        table: sa.Table = Sealed.__table__  # type: ignore[attr-defined]  # SQLAlchemy sets it on mapped classes
        unit.session.connection().execute(sa.delete(table).where(table.c.id == key))
        unit.session.delete(sealed)
        with pytest.warns(SAWarning, match="expected to delete 1 row"):
            unit.session.flush()
    assert [entry["action"] for entry in history(odd_client, "sealed", key, odd_admin)] == ["create"]
    assert odd_client.post(f"/api/v1/sealed/{key}/restore", headers=odd_admin).status_code == 404


def test_other_entities_and_other_sessions_are_left_alone(odd_client: TestClient, odd_admin: Headers) -> None:
    """An entity without `soft_delete` and `history`, and a session without a unit of work."""
    with unit_of(odd_client) as unit:
        unit.session.add(Preset(name=unique("preset")))
        unit.session.flush()
    with Session(database_of(odd_client).engine) as session:
        leaf = Leaf(name="alone")
        session.add(leaf)
        session.flush()
        key = leaf.id
        session.commit()
    assert history(odd_client, "leaves", key, odd_admin) == []
