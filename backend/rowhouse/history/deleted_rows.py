"""Soft delete: a deleted row moves from its table to `deleted_rows`, and `restore` moves it back.

So uniqueness, references, counts, filters and hand-written SQL never see deleted rows. The content includes secrets,
which no response shows. Rows that the database itself deletes (ON DELETE CASCADE) are not stored here.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Field

from rowhouse.core.clock import now
from rowhouse.core.errors import ConflictError
from rowhouse.db.compiled import CompiledStatement, Row
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.entities.model import SECRET, PortableTable
from rowhouse.history.row_codec import DecodedRow, RowCodec
from rowhouse.query.resource import Resource
from rowhouse.sql.chunks import chunked
from rowhouse.sql.statements import numbered

MAX_TABLE_NAME, MAX_ROW_ID = 255, 600


class DeletedRow(PortableTable, table=True):
    """One deleted row of an entity: its key, when it was deleted and by which account, its owner and every column."""

    # A list is read by one of these, backwards: the newest first.
    __table_args__ = (
        sa.Index(None, "entity", "deleted_at", "row_id"),
        sa.Index(None, "entity", "owner_id", "deleted_at", "row_id"),
    )

    entity: Annotated[str, SECRET] = Field(max_length=MAX_TABLE_NAME, primary_key=True)
    row_id: str = Field(max_length=MAX_ROW_ID, primary_key=True)
    deleted_at: datetime = Field(description="When the row was deleted.")
    deleted_by: int | None = Field(
        default=None,
        sa_type=sa.BigInteger,
        description="The account that deleted the row. Null if nobody was signed in.",
    )
    # The account in the owner's column of the row; null without one.
    owner_id: Annotated[int | None, SECRET] = Field(default=None, sa_type=sa.BigInteger)
    # JSON as text: always read and written as a whole, and exact on both databases. It is never sorted.
    content: str = Field(sa_type=sa.Text().with_variant(sa.Text(), "postgresql"))


deleted_rows: sa.Table = DeletedRow.__table__  # type: ignore[attr-defined]  # SQLAlchemy sets it on mapped classes
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
        self._owner = resource.recorded_owner

    def put(self, unit: UnitOfWork, rows: Sequence[Row]) -> None:
        """Store rows that this transaction has deleted, with every column."""
        by = unit.caller.id if unit.caller else None
        common = {"entity": self._entity, "deleted_at": now(), "deleted_by": by}
        stored = [
            {
                **common,
                "row_id": self._key.stored_text(self._key.of(row)),
                "owner_id": row[self._owner] if self._owner else None,
                "content": self._codec.write(row),
            }
            for row in rows
        ]
        for _start, chunk in chunked(stored, columns=len(deleted_rows.columns)):
            bound = {numbered(name, n): value for n, row in enumerate(chunk) for name, value in row.items()}
            unit.run(_put_statement(len(chunk), unit.database.dialect), bound)

    def find(self, unit: UnitOfWork, key: Any) -> DecodedRow | None:
        """Return the deleted row, locked until the transaction ends, or None."""
        found = unit.fetch(SELECT_LOCKED, self._name(key))
        return self.decode(found[0]["content"]) if found else None

    def decode(self, content: str) -> DecodedRow:
        """Return the row in the column `content`."""
        return self._codec.read(json.loads(content))

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
    changed = {name: source.excluded[name] for name in ("deleted_at", "deleted_by", "owner_id", "content")}
    source = source.on_conflict_do_update(index_elements=["entity", "row_id"], set_=changed)
    return CompiledStatement(source, dialect, columns=[])


def _remove_statement(dialect: sa.Dialect) -> CompiledStatement:
    return CompiledStatement(sa.delete(deleted_rows).where(_is_row), dialect, columns=[])
