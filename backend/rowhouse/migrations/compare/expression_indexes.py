"""Compares indexes of expressions, such as `Index("ix_books_title_lower", func.lower(Book.title))`.

SQLAlchemy does not read them on SQLite, so Alembic neither creates one on an existing table nor drops one there. Of a
descending index it reads the columns without their order, so Alembic would find it changed for ever.
PostgreSQL shows an index of an expression with casts that SQLite does not understand.

Must be imported before `ordering`, which sorts what is added here.
"""

import re
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import comparators
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import CreateIndexOp, DropIndexOp, MigrateOperation, ModifyTableOps, UpgradeOps
from alembic.util import DispatchPriority

from rowhouse.db.dialects.sqlite_schemas import joined_name
from rowhouse.migrations.compare.expressions import all_alike, escaped, in_plain_sql, text_of
from rowhouse.migrations.sqlite.tables import read_index

# The indexes of SQLite, with their tables and statements, and whether SQLAlchemy misreads them.
INDEXES = """
SELECT name, tbl_name, sql, EXISTS (
    SELECT 1 FROM pragma_index_xinfo(sqlite_master.name) AS part WHERE part.key AND (part.name IS NULL OR part.desc)
) FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY name
"""
DIRECTION = re.compile(r"\s+(ASC|DESC)\s*$", re.IGNORECASE)


@comparators.dispatch_for("table", priority=DispatchPriority.LAST)
def compare_expressions(
    context: AutogenContext,
    changes: ModifyTableOps,
    _schema: str | None,
    _name: Any,
    stored: sa.Table | None,
    declared: sa.Table | None,
) -> None:
    """Create, drop or recreate the indexes of a table on SQLite that SQLAlchemy misreads."""
    connection: Any = context.connection  # migrations are never written offline
    if connection.dialect.name != "sqlite":
        return
    wanted = {str(one.name): one for one in (declared.indexes if declared is not None else ()) if is_misread(one)}
    present = {} if stored is None else _statements(connection, stored, {*wanted})
    for name in sorted(present.keys() | wanted.keys()):
        former = _index_of(name, present[name], stored) if stored is not None and name in present else None
        index = wanted.get(name)
        if former is not None and index is not None and _are_alike(connection, present[name], index):
            continue
        if former is not None and context.run_object_filters(former, name, "index", True, index):
            changes.ops.append(DropIndexOp.from_index(former))
        if index is not None and context.run_object_filters(index, name, "index", False, former):
            changes.ops.append(CreateIndexOp.from_index(index))


def _statements(connection: sa.Connection, stored: sa.Table, wanted: set[str]) -> dict[str, str]:
    """Return the statements of the indexes of a table that are misread, or have one of these names."""
    table = joined_name(stored.name, stored.schema).lower()
    return {
        name: statement
        for name, of, statement, misread in connection.exec_driver_sql(INDEXES)
        if of.lower() == table and (misread or name in wanted)
    }


def misread_indexes(connection: sa.Connection) -> set[str]:
    """Return the names of the indexes of SQLite that SQLAlchemy misreads."""
    return {name for name, _of, _statement, misread in connection.exec_driver_sql(INDEXES) if misread}


def is_misread(index: sa.Index) -> bool:
    """Return True if a part of an index is more than a column."""
    return not all(isinstance(part, sa.Column) for part in index.expressions)


def _is_expression(part: Any) -> bool:
    """Return True for more than a column with an order."""
    while isinstance(part, sa.UnaryExpression):
        part = part.element
    return not isinstance(part, sa.Column)


def _index_of(name: str, statement: str, stored: sa.Table) -> sa.Index:
    """Return the index that a statement creates."""
    parts, condition = read_index(statement)
    where: dict[str, Any] = {"sqlite_where": sa.text(escaped(condition))} if condition else {}
    unique = statement.split()[1].upper() == "UNIQUE"
    return sa.Index(name, *(sa.text(part) for part in parts), unique=unique, _table=stored, **where)


def _are_alike(connection: sa.Connection, statement: str, index: sa.Index) -> bool:
    """Return whether the statement of a stored index and a declared index mean the same."""
    table: Any = index.table
    wanted = str(sa.schema.CreateIndex(index).compile(dialect=connection.dialect))
    (former, was), (new, will_be) = read_index(statement), read_index(wanted)
    is_unique = statement.split()[1].upper() == "UNIQUE"
    before, after = ([DIRECTION.sub("", part) for part in parts] for parts in (former, new))
    pairs = [*zip(before, after, strict=False), (was, will_be)]
    return (
        is_unique == bool(index.unique)
        and [_is_descending(part) for part in former] == [_is_descending(part) for part in new]
        and bool(was) == bool(will_be)
        and all_alike(connection, table.fullname, pairs)
    )


def _is_descending(part: str) -> bool:
    found = DIRECTION.search(part)
    return found is not None and found[1].upper() == "DESC"


@comparators.dispatch_for("autogenerate", priority=DispatchPriority.LAST)
def keep_expressions(context: AutogenContext, upgrade: UpgradeOps) -> None:
    """Write a dropped index of PostgreSQL in SQL that both databases understand, for the downgrade."""
    connection: Any = context.connection  # as above
    if connection.dialect.name == "sqlite":  # its words are those of the file that created the index
        return
    for changes in upgrade.ops:
        if isinstance(changes, ModifyTableOps):
            changes.ops[:] = [_in_plain_words(connection, one) for one in changes.ops]


def _in_plain_words(connection: sa.Connection, operation: MigrateOperation) -> MigrateOperation:
    """Return a dropped index of expressions without the casts that PostgreSQL adds."""
    index = operation.to_index() if isinstance(operation, DropIndexOp) else None
    if index is None or not any(map(_is_expression, index.expressions)):
        return operation
    table: Any = index.table
    parts = [_in_plain_sql(connection, table.fullname, part) for part in index.expressions]
    return DropIndexOp.from_index(sa.Index(str(index.name), *parts, unique=index.unique, _table=table, **index.kwargs))


def _in_plain_sql(connection: sa.Connection, table: str, part: Any) -> Any:
    if not _is_expression(part):
        return part
    stored = text_of(part, connection.dialect)
    plain = in_plain_sql(stored)
    return sa.text(escaped(plain)) if all_alike(connection, table, [(stored, plain)]) else part
