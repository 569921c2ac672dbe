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
    """Whether a deleted row comes back."""
    return registration.resource.soft_delete


def has_history(registration: Registration) -> bool:
    """Whether changes are kept."""
    return registration.resource.history


def both(registration: Registration) -> bool:
    """Whether all is kept."""
    return restorable(registration) and has_history(registration)


def delete(entity: EntityClient, row: Row) -> Row:
    """Delete a row and give it."""
    answer = entity.call("DELETE", f"/{row['id']}")
    assert answer.status_code == 204, answer.text
    return row


def restore(entity: EntityClient, row: Row, headers: Headers | None = None) -> Response:
    """Ask for a deleted row."""
    return entity.call("POST", f"/{row['id']}/restore", headers)


def restored(entity: EntityClient, row: Row) -> Row:
    """Have a deleted row back."""
    answer = restore(entity, row)
    assert answer.status_code == 200, answer.text
    found: Row = answer.json()
    return found


def changes(entity: EntityClient, row: Row, headers: Headers | None = None, /, **query: Any) -> list[Row]:
    """The entries of a row's history."""
    answer = entity.call("GET", f"/{row['id']}/history", headers, params=query)
    assert answer.status_code == 200, answer.text
    items: list[Row] = answer.json()["items"]
    return items


@contextmanager
def below(entity: EntityClient) -> Iterator[sa.Connection]:
    """A connection to the database below the application."""
    app = entity.running_app.client.app
    assert isinstance(app, FastAPI)
    with app.state.database.engine.connect() as connection:
        yield connection
        connection.commit()


def whole(entity: EntityClient, row: Row) -> Row:
    """Every column of a stored row, secrets too."""
    table = entity.resource.table
    with below(entity) as connection:
        found = connection.execute(sa.select(table).where(table.c.id == key_of(entity, row)))
        return dict(found.mappings().one())


def key_of(entity: EntityClient, row: Row) -> Any:
    """The key as the database has it."""
    return entity.resource.key.base(row["id"])


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
