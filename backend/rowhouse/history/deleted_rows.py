"""Soft delete: a deleted row leaves its table and is stored whole in `deleted_rows`, from where `restore` takes it back.

So uniqueness, references, counts, filters and hand-written SQL are right without a word about deleted rows. What the archive holds,
secrets too, is never shown. Rows that a database takes along with another (ON DELETE CASCADE) do not come here.
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
from rowhouse.sql.chunks import blocks
from rowhouse.sql.statements import numbered

MAX_TABLE_NAME, MAX_ROW_ID = 255, 600
deleted_rows = sa.Table(
    "deleted_rows",
    SQLModel.metadata,
    sa.Column("entity", portable_text(MAX_TABLE_NAME), primary_key=True),
    sa.Column("row_id", portable_text(MAX_ROW_ID), primary_key=True),
    sa.Column("deleted_at", UTCDateTime(), nullable=False),
    sa.Column("deleted_by", sa.BigInteger(), nullable=True),
    # JSON as text: read and written whole, and exact on both databases.
    sa.Column("content", sa.Text(), nullable=False),
)
_table = deleted_rows.c
_is_row = sa.and_(
    _table.entity == sa.bindparam("kept_entity", type_=sa.String()),
    _table.row_id == sa.bindparam("kept_id", type_=sa.String()),
)
SELECT_LOCKED = sa.select(_table.content).where(_is_row).with_for_update()


class NotDeletedError(ConflictError):
    """409: the row that is to be restored is there."""

    code = "not_deleted"
    default_detail = "This is not deleted; there is nothing to restore."


class Archive:
    """The deleted rows of one entity."""

    def __init__(self, resource: Resource) -> None:
        self._entity = resource.table.name
        self._codec = RowCodec(resource.columns)

    def put(self, unit: UnitOfWork, rows: Sequence[Row]) -> None:
        """Store rows, with every column, that this transaction has taken from their table."""
        by = unit.caller.id if unit.caller else None
        common = {"entity": self._entity, "deleted_at": now(), "deleted_by": by}
        kept = [{**common, "row_id": str(row["id"]), "content": self._codec.write(row)} for row in rows]
        for _start, block in blocks(kept, columns=len(deleted_rows.columns)):
            bound = {numbered(name, n): value for n, row in enumerate(block) for name, value in row.items()}
            unit.run(_put_statement(len(block), unit.database.dialect), bound)

    def find(self, unit: UnitOfWork, key: Any) -> DecodedRow | None:
        """The deleted row, locked until the transaction ends; None without one."""
        found = unit.fetch(SELECT_LOCKED, self._name(key))
        return self._codec.read(json.loads(found[0]["content"])) if found else None

    def remove(self, unit: UnitOfWork, key: Any) -> None:
        """Forget a row that is in its table again."""
        unit.run(unit.database.statement_for("archive remove", _remove_statement), self._name(key))

    def _name(self, key: Any) -> Row:
        return {"kept_entity": self._entity, "kept_id": str(key)}


@lru_cache
def _put_statement(size: int, dialect: sa.Dialect) -> CompiledStatement:
    """Binds numbered columns. A row that was put back by hand and is deleted again takes the place of its earlier self."""
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
