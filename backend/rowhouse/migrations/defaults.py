"""Fills existing rows from the field's default when a column becomes NOT NULL.

A new column gets the default as `server_default`, which stays: in a rolling deploy the old code goes on to insert rows
without the column. A column that may be NULL until now gets an UPDATE, after a change of its type and before NOT NULL.
"""

import enum
from collections.abc import Callable, Iterator
from copy import copy
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from alembic.operations import ops
from sqlalchemy.dialects import sqlite

from rowhouse.db.engine import json_text
from rowhouse.entities.sqlalchemy_internals import copy_of
from rowhouse.migrations.compare.expressions import escaped
from rowhouse.migrations.losses import Note, flat

NOW = "CURRENT_TIMESTAMP"
# The dialect that writes literals which both databases understand.
PORTABLE = sqlite.dialect()
# What precedes NOT NULL in the changes of a table; `operations.ordering` sorts them so.
BEFORE = (ops.DropConstraintOp, ops.DropIndexOp, ops.AddColumnOp, ops.AlterColumnOp)


class UnfillableError(Exception):
    """Columns become NOT NULL, and nothing fills their existing rows."""


def fill(operations: ops.UpgradeOps, metadata: sa.MetaData, connection: sa.Connection) -> None:
    """Give every column that becomes NOT NULL a value for existing rows.

    Raises:
        UnfillableError: for columns without a default, in tables that have rows; the message says what to write.
    """
    missing = list(_fill(operations, metadata, connection))
    if missing:
        raise UnfillableError("\n".join(missing))


def _fill(operations: ops.UpgradeOps, metadata: sa.MetaData, connection: sa.Connection) -> Iterator[str]:
    for operation in list(flat(operations.ops)):
        if isinstance(operation, ops.AddColumnOp) and not operation.column.nullable:
            yield from _fill_new(operation, connection)
    operations.ops[:] = [step for one in operations.ops for step in _with_updates(one, metadata)]
    for operation in flat(operations.ops):
        if isinstance(operation, ops.AlterColumnOp) and operation.modify_nullable is False:
            yield from _unfilled(operation, metadata, connection)


def _fill_new(operation: ops.AddColumnOp, connection: sa.Connection) -> Iterator[str]:
    column = operation.column
    if column.server_default is not None or column.computed is not None or column.identity is not None:
        return
    text = literal(column)
    if text is not None:
        operation.column = _with_default(column, text)
    elif _has_rows(connection, operation.table_name, operation.schema):
        yield _advice(operation.table_name, column.name)


def _with_default(column: sa.Column[Any], text: str) -> sa.Column[Any]:
    """Return a copy of the column with a server default, for the file. The model's column stays as it is."""
    copied = copy_of(column)
    copied.server_default = sa.DefaultClause(sa.text(escaped(text)))
    return copied


def _with_updates(container: ops.MigrateOperation, metadata: sa.MetaData) -> Iterator[ops.MigrateOperation]:
    """Yield the changes of a table with an UPDATE before each NOT NULL.

    If such a column gets another type, NOT NULL and what needs it follow in changes of their own: the UPDATE runs
    between them, for its value is of the new type.
    """
    if not isinstance(container, ops.ModifyTableOps):
        yield container
        return
    first: list[ops.MigrateOperation] = []
    updates: list[ops.MigrateOperation] = []
    last: list[ops.MigrateOperation] = []
    for operation in container.ops:
        text = _filling(operation, metadata)
        if isinstance(operation, ops.AlterColumnOp) and text is not None and operation.modify_type is not None:
            retyped, required = _apart(operation)
            first.append(retyped)
            updates.append(_update(operation, text))
            last.append(required)
        elif isinstance(operation, ops.AlterColumnOp) and text is not None:
            first += [_update(operation, text), operation]
        else:
            (first if isinstance(operation, BEFORE) else last).append(operation)
    if not updates:
        yield ops.ModifyTableOps(container.table_name, [*first, *last], schema=container.schema)
        return
    yield ops.ModifyTableOps(container.table_name, first, schema=container.schema)
    yield from updates
    yield ops.ModifyTableOps(container.table_name, last, schema=container.schema)


def _filling(operation: ops.MigrateOperation, metadata: sa.MetaData) -> str | None:
    """Return the value for rows that have none, if a column becomes NOT NULL."""
    if isinstance(operation, ops.AlterColumnOp) and operation.modify_nullable is False:
        return literal(_column(operation, metadata))
    return None


def _apart(operation: ops.AlterColumnOp) -> tuple[ops.AlterColumnOp, ops.AlterColumnOp]:
    """Return a change as two: the type and all else, then NOT NULL."""
    retyped, required = copy(operation), copy(operation)
    retyped.modify_nullable, retyped.existing_nullable = None, True
    required.existing_type, required.modify_type = operation.modify_type, None
    required.modify_server_default, required.existing_server_default = False, None
    required.modify_comment, required.modify_name = False, None
    return retyped, required


def _update(operation: ops.AlterColumnOp, text: str) -> ops.MigrateOperation:
    place = f'"{operation.schema}"."{operation.table_name}"' if operation.schema else f'"{operation.table_name}"'
    name = f'"{operation.column_name}"'
    # The models state the names, and the text is quoted.
    statement = f"UPDATE {place} SET {name} = {escaped(text)} WHERE {name} IS NULL"  # noqa: S608  # nosec B608
    return ops.ExecuteSQLOp(statement)


def _unfilled(operation: ops.AlterColumnOp, metadata: sa.MetaData, connection: sa.Connection) -> Iterator[str]:
    if literal(_column(operation, metadata)) is not None:
        return
    table = sa.table(operation.table_name, sa.column(operation.column_name), schema=operation.schema)
    missing = sa.select(sa.literal(1)).select_from(table).where(table.c[operation.column_name].is_(None)).limit(1)
    if connection.execute(missing).first() is not None:
        yield (
            f"{operation.table_name}.{operation.column_name} becomes NOT NULL, and some rows have no value there. "
            "Give the field a default, or fill the rows first."
        )


def _column(operation: ops.AlterColumnOp, metadata: sa.MetaData) -> sa.Column[Any]:
    key = f"{operation.schema}.{operation.table_name}" if operation.schema else operation.table_name
    table = metadata.tables[key]
    return next(column for column in table.columns if column.name == operation.column_name)


def _advice(table: str, column: str) -> str:
    return (
        f"{table}.{column} is NOT NULL, and {table} has rows that nothing fills: the field has no default, or one that "
        "both databases cannot read (an instant, a timedelta, bytes, another value for each row). Give it one, such as "
        f'{column}: str = "...", or let it be None and '
        "fill it in a migration of your own (docs/migrations.md)."
    )


def _has_rows(connection: sa.Connection, table: str, schema: str | None) -> bool:
    rows = sa.select(sa.literal(1)).select_from(sa.table(table, schema=schema)).limit(1)
    return connection.execute(rows).first() is not None


def literal(column: sa.Column[Any]) -> str | None:
    """Return the default of a column as SQL that both databases understand. None if there is none."""
    default: Any = column.default
    if default is None:
        return None
    if default.is_scalar:
        return _text(default.arg, column.type)
    if not default.is_callable:
        return None
    first, second = default.arg(None), default.arg(None)
    if isinstance(first, datetime):
        return NOW
    return _text(first, column.type) if first == second else None


def _text(value: Any, kind: Any) -> str | None:
    if isinstance(value, enum.Enum):
        value = _bound(value, kind)
    if isinstance(value, datetime):
        return None  # each database stores instants in its own form
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float, Decimal)) and not isinstance(kind, sa.String):
        return str(value)
    stored = _stored(value, kind)
    return None if stored is None else "'" + stored.replace("'", "''") + "'"


def _stored(value: Any, kind: Any) -> str | None:
    """Return the text that both databases store for a value that is not a number."""
    if isinstance(value, UUID):
        return value.hex
    if isinstance(value, (set, frozenset)):
        value = sorted(value, key=str)
    if isinstance(value, (dict, list)):
        return json_text(value)
    return str(_bound(value, kind)) if isinstance(value, (str, date, time)) else None


def _bound(value: Any, kind: Any) -> Any:
    """Return what a type sends to the database for a value."""
    convert: Callable[[Any], Any] | None = kind.dialect_impl(PORTABLE).bind_processor(PORTABLE)
    return convert(value) if convert else value


def relax(operations: ops.DowngradeOps) -> None:
    """Let a downgrade restore a dropped column as nullable if its values are lost.

    That is one that was NOT NULL without a default, and one with a unique rule: a default is the same for all rows.
    """
    unique = {(table, column) for operation in flat(operations.ops) for table, column in _unique_columns(operation)}
    for container in operations.ops:
        if isinstance(container, ops.ModifyTableOps):
            container.ops[:] = list(_relaxed(container.ops, unique))


def _unique_columns(operation: ops.MigrateOperation) -> Iterator[tuple[str, str]]:
    """Yield the table and each column of a unique constraint or index that an operation creates."""
    if isinstance(operation, ops.CreateUniqueConstraintOp):
        yield from ((operation.table_name, str(column)) for column in operation.columns)
    elif isinstance(operation, ops.CreateIndexOp) and operation.unique:
        columns = (getattr(column, "name", column) for column in operation.columns)
        yield from ((operation.table_name, str(column)) for column in columns)


def _relaxed(operations: list[ops.MigrateOperation], unique: set[tuple[str, str]]) -> Iterator[ops.MigrateOperation]:
    for operation in operations:
        if isinstance(operation, ops.AddColumnOp):
            column = operation.column
            is_unique = (operation.table_name, str(column.name)) in unique
            if (not column.nullable and column.server_default is None) or (
                is_unique and column.server_default is not None
            ):
                copied = copy_of(column)
                copied.nullable, copied.server_default = True, None
                operation.column = copied
                rule = "was unique, with a default" if is_unique else "was NOT NULL"
                yield Note(f"{operation.table_name}.{copied.name} {rule}; its values are gone.")
        yield operation
