"""The change history of entities: one entry for each change of a row, stored in the transaction of the change.

`before` and `after` are complete rows as GET returns them, so they contain no secrets. Entries never change.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any

import sqlalchemy as sa
from sqlmodel import Field

from rowhouse.core.clock import now
from rowhouse.db.compiled import CompiledStatement, Row
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.entities.model import SECRET, BigIntegerKey, PortableTable
from rowhouse.history.deleted_rows import MAX_ROW_ID, MAX_TABLE_NAME
from rowhouse.history.row_codec import RowCodec
from rowhouse.query.resource import Resource
from rowhouse.sql.chunks import chunked
from rowhouse.sql.statements import numbered


class Action(StrEnum):
    """The kind of a change."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    RESTORE = "restore"


class HistoryEntry(BigIntegerKey, PortableTable, table=True):
    """One change of one row: what was done, when, by which account, and the row before and after it."""

    __table_args__ = (sa.Index(None, "entity", "row_id", "id"),)

    entity: Annotated[str, SECRET] = Field(max_length=MAX_TABLE_NAME)
    row_id: Annotated[str, SECRET] = Field(max_length=MAX_ROW_ID)
    action: Action = Field(description="What was done.")
    at: datetime = Field(description="When the change was made.")
    by: int | None = Field(
        default=None,
        sa_type=sa.BigInteger,
        description=(
            "The account that made the change. "
            "Null for callers who may not change the row, and if nobody was signed in."
        ),
    )
    before: dict[str, Any] | None = Field(default=None, sa_type=sa.JSON, description="The row before the change.")
    after: dict[str, Any] | None = Field(default=None, sa_type=sa.JSON, description="The row after the change.")


Change = tuple[Row | None, Row | None]
entries: sa.Table = HistoryEntry.__table__  # type: ignore[attr-defined]  # SQLAlchemy sets it on mapped classes
STORED = [column for column in entries.columns if not column.primary_key]
SELECT_LAST = (
    sa.select(entries.c.before, entries.c.after)
    .where(
        entries.c.entity == sa.bindparam("entity_name", type_=sa.String()),
        entries.c.row_id == sa.bindparam("changed_id", type_=sa.String()),
    )
    .order_by(entries.c.id.desc())
    .limit(1)
)


class History:
    """Writes the entries of one entity."""

    def __init__(self, resource: Resource) -> None:
        self.entity = resource.table.name
        self._names = resource.schemas.public_names
        self._key = resource.key
        self._serializer = resource.schemas.row_serializer
        self._codec = RowCodec({name: resource.columns[name] for name in self._names})

    def record(
        self,
        unit: UnitOfWork,
        action: Action,
        changes: Sequence[Change],
        *,
        members: Sequence[tuple[Row, Row]] | None = None,
    ) -> None:
        """Store an entry for each row that this transaction has changed.

        A change is the row before and the row after; None before a create and after a delete. `members` are added to
        the states of each.
        """
        by = unit.caller.id if unit.caller else None
        common = {"entity": self.entity, "action": action, "at": now(), "by": by}
        made = [{**common, **self._states(before, after)} for before, after in changes]
        for entry, (before, after) in zip(made, members or (), strict=False):
            entry["before"], entry["after"] = entry["before"] | before, entry["after"] | after
        for _start, chunk in chunked(made, columns=len(STORED)):
            bound = {numbered(name, n): value for n, entry in enumerate(chunk) for name, value in entry.items()}
            unit.run(_insert_statement(len(chunk), unit.database.dialect), bound)

    def _states(self, before: Row | None, after: Row | None) -> Row:
        present: Any = before if after is None else after
        return {
            "row_id": self._key.stored_text(self._key.of(present)),
            "before": self._state(before),
            "after": self._state(after),
        }

    def _state(self, row: Row | None) -> Any:
        """Return the row as GET does."""
        return row and self._serializer.to_python(
            {name: row[name] for name in self._names}, mode="json", warnings=False
        )

    def last_known(self, unit: UnitOfWork, key: Any) -> Row | None:
        """Return the public columns of a row from its last entry, or None without an entry."""
        found = unit.fetch(SELECT_LAST, {"entity_name": self.entity, "changed_id": self._key.stored_text(key)})
        return self._codec.read(found[0]["after"] or found[0]["before"]).row if found else None


@lru_cache
def _insert_statement(size: int, dialect: sa.Dialect) -> CompiledStatement:
    """Bind numbered columns."""
    rows = [{c.name: sa.bindparam(numbered(c.name, n), type_=c.type) for c in STORED} for n in range(size)]
    return CompiledStatement(sa.insert(entries).values(rows), dialect, columns=[])
