"""What the tests of soft delete and history share: who keeps what, and a look below the application."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from httpx2 import Response

from rowhouse.db.compiled import CompiledStatement
from rowhouse.registration.registry import Registration
from tests.contract.entity_client import Headers, House, Row


def restorable(registration: Registration) -> bool:
    """Whether a deleted row comes back."""
    return registration.resource.soft_delete


def has_history(registration: Registration) -> bool:
    """Whether changes are kept."""
    return registration.resource.history


def both(registration: Registration) -> bool:
    """Whether all is kept."""
    return restorable(registration) and has_history(registration)


def delete(house: House, row: Row) -> Row:
    """Delete a row and give it."""
    answer = house.call("DELETE", f"/{row['id']}")
    assert answer.status_code == 204, answer.text
    return row


def restore(house: House, row: Row, headers: Headers | None = None) -> Response:
    """Ask for a deleted row."""
    return house.call("POST", f"/{row['id']}/restore", headers)


def restored(house: House, row: Row) -> Row:
    """Have a deleted row back."""
    answer = restore(house, row)
    assert answer.status_code == 200, answer.text
    found: Row = answer.json()
    return found


def changes(house: House, row: Row, headers: Headers | None = None, /, **query: Any) -> list[Row]:
    """The entries of a row's history."""
    answer = house.call("GET", f"/{row['id']}/history", headers, params=query)
    assert answer.status_code == 200, answer.text
    items: list[Row] = answer.json()["items"]
    return items


@contextmanager
def below(house: House) -> Iterator[sa.Connection]:
    """A connection to the database below the application."""
    app = house.world.client.app
    assert isinstance(app, FastAPI)
    with app.state.database.engine.connect() as connection:
        yield connection
        connection.commit()


def whole(house: House, row: Row) -> Row:
    """Every column of a stored row, secrets too."""
    table = house.plan.table
    with below(house) as connection:
        found = connection.execute(sa.select(table).where(table.c.id == key_of(house, row)))
        return dict(found.mappings().one())


def key_of(house: House, row: Row) -> Any:
    """The key as the database has it."""
    return house.plan.key.base(row["id"])


@contextmanager
def counting(patch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The statements that are run within, on the bare driver."""
    seen: list[str] = []
    run = CompiledStatement.execute

    def counted(self: CompiledStatement, *arguments: Any) -> Any:
        seen.append(self.text)
        return run(self, *arguments)

    with patch.context() as patched:
        patched.setattr(CompiledStatement, "execute", counted)
        yield seen
