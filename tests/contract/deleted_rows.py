"""Helpers for the tests of soft delete and history: which entities record what, and queries of the tables."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from httpx2 import Response

from rowhouse.db.compiled import CompiledStatement
from rowhouse.registration.registry import Registration
from tests.contract.entity_client import EntityClient, Headers, Row


def restorable(registration: Registration) -> bool:
    """Return True if deleted rows can be restored."""
    return registration.resource.soft_delete


def has_history(registration: Registration) -> bool:
    """Return True if changes are recorded."""
    return registration.resource.history


def both(registration: Registration) -> bool:
    """Return True if both are recorded."""
    return restorable(registration) and has_history(registration)


def delete(entity: EntityClient, row: Row) -> Row:
    """Delete a row and return it."""
    answer = entity.call("DELETE", f"/{row['id']}")
    assert answer.status_code == 204, answer.text
    return row


def restore(entity: EntityClient, row: Row, headers: Headers | None = None) -> Response:
    """Return the response to a restore."""
    return entity.call("POST", f"/{row['id']}/restore", headers)


def restored(entity: EntityClient, row: Row) -> Row:
    """Restore a row and return it."""
    answer = restore(entity, row)
    assert answer.status_code == 200, answer.text
    found: Row = answer.json()
    return found


def changes(entity: EntityClient, row: Row, headers: Headers | None = None, /, **query: Any) -> list[Row]:
    """Return the entries of a row's history."""
    answer = entity.call("GET", f"/{row['id']}/history", headers, params=query)
    assert answer.status_code == 200, answer.text
    items: list[Row] = answer.json()["items"]
    return items


@contextmanager
def below(entity: EntityClient) -> Iterator[sa.Connection]:
    """Open a connection to the database of the application."""
    app = entity.running_app.client.app
    assert isinstance(app, FastAPI)
    with app.state.database.engine.connect() as connection:
        yield connection
        connection.commit()


def whole(entity: EntityClient, row: Row) -> Row:
    """Return every column of a stored row, secrets too."""
    table = entity.resource.table
    with below(entity) as connection:
        found = connection.execute(sa.select(table).where(table.c.id == key_of(entity, row)))
        return dict(found.mappings().one())


def key_of(entity: EntityClient, row: Row) -> Any:
    """Return the key as the database has it."""
    return entity.resource.key.columns[0].base(row["id"])


@contextmanager
def counting(patch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Record the statements of the block, on the bare driver."""
    seen: list[str] = []
    run = CompiledStatement.execute

    def counted(self: CompiledStatement, *arguments: Any) -> Any:
        seen.append(self.text)
        return run(self, *arguments)

    with patch.context() as patched:
        patched.setattr(CompiledStatement, "execute", counted)
        yield seen
