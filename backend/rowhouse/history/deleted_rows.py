"""Soft delete: a deleted row moves from its table to `deleted_rows`, and `restore` moves it back.

So uniqueness, references, counts, filters and hand-written SQL never see deleted rows. No response shows the content of
this table, which includes secrets. Rows that the database itself deletes (ON DELETE CASCADE) are not stored here.
"""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel, UTCDateTime

from rowhouse.core.clock import now
from rowhouse.core.errors import ConflictError
from rowhouse.db.compiled import CompiledStatement, Row
from rowhouse.db.sql_functions import portable_text
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.history.row_codec import DecodedRow, RowCodec
from rowhouse.query.resource import Resource
from rowhouse.sql.chunks import chunked
from rowhouse.sql.statements import numbered

MAX_TABLE_NAME, MAX_ROW_ID = 255, 600
deleted_rows = sa.Table(
    "deleted_rows",
    SQLModel.metadata,
    sa.Column("entity", portable_text(MAX_TABLE_NAME), primary_key=True),
    sa.Column("row_id", portable_text(MAX_ROW_ID), primary_key=True),
    sa.Column("deleted_at", UTCDateTime(), nullable=False),
    sa.Column("deleted_by", sa.BigInteger(), nullable=True),
    # JSON as text: always read and written as a whole, and exact on both databases.
    sa.Column("content", sa.Text(), nullable=False),
)
_table = deleted_rows.c
_is_row = sa.and_(
    _table.entity == sa.bindparam("entity_name", type_=sa.String()),
    _table.row_id == sa.bindparam("deleted_id", type_=sa.String()),
)
SELECT_LOCKED = sa.select(_table.content).where(_is_row).with_for_update()


class NotDeletedError(ConflictError):
    """409: the row to be restored is not deleted."""

    code = "not_deleted"
    default_detail = "This is not deleted; there is nothing to restore."


class DeletedRows:
    """The deleted rows of one entity."""

    def __init__(self, resource: Resource) -> None:
        self._entity = resource.table.name
        self._codec = RowCodec(resource.columns)
        self._key = resource.key

    def put(self, unit: UnitOfWork, rows: Sequence[Row]) -> None:
        """Store rows that this transaction has deleted, with every column."""
        by = unit.caller.id if unit.caller else None
        common = {"entity": self._entity, "deleted_at": now(), "deleted_by": by}
        stored = [
            {**common, "row_id": self._key.stored_text(self._key.of(row)), "content": self._codec.write(row)}
            for row in rows
        ]
        for _start, chunk in chunked(stored, columns=len(deleted_rows.columns)):
            bound = {numbered(name, n): value for n, row in enumerate(chunk) for name, value in row.items()}
            unit.run(_put_statement(len(chunk), unit.database.dialect), bound)

    def find(self, unit: UnitOfWork, key: Any) -> DecodedRow | None:
        """Return the deleted row, locked until the transaction ends, or None."""
        found = unit.fetch(SELECT_LOCKED, self._name(key))
        return self._codec.read(json.loads(found[0]["content"])) if found else None

    def remove(self, unit: UnitOfWork, key: Any) -> None:
        """Remove a row that has been restored."""
        unit.run(unit.database.statement_for("archive remove", _remove_statement), self._name(key))

    def _name(self, key: Any) -> Row:
        return {"entity_name": self._entity, "deleted_id": self._key.stored_text(key)}


@lru_cache
def _put_statement(size: int, dialect: sa.Dialect) -> CompiledStatement:
    """Bind numbered columns. A row that was inserted again by hand and is deleted again replaces the former one."""
    make: Any = postgresql.insert if dialect.name == "postgresql" else sqlite.insert
    rows = [
        {c.name: sa.bindparam(numbered(c.name, n), type_=c.type) for c in deleted_rows.columns} for n in range(size)
    ]
    source = make(deleted_rows).values(rows)
    changed = {name: source.excluded[name] for name in ("deleted_at", "deleted_by", "content")}
    source = source.on_conflict_do_update(index_elements=["entity", "row_id"], set_=changed)
    return CompiledStatement(source, dialect, columns=[])


def _remove_statement(dialect: sa.Dialect) -> CompiledStatement:
    return CompiledStatement(sa.delete(deleted_rows).where(_is_row), dialect, columns=[])
