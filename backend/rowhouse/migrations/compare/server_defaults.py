"""Compares the defaults that classes leave to the database, and carries a default over a change of its column's type.

A default that a class does not declare stays: `defaults.fill` leaves it behind for servers of the former release, and
nothing tells it from one that a class no longer declares. PostgreSQL cannot convert a default to a type to which it
converts values only with USING. So such a change states the default of the new type, or that there is none.
"""

import re
from decimal import Decimal, InvalidOperation
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import comparators
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import AlterColumnOp, ModifyTableOps
from alembic.util import DispatchPriority

from rowhouse.entities.no_overlap import quoted_path
from rowhouse.entities.sqlalchemy_internals import general_type
from rowhouse.migrations.compare.column_types import is_converted, is_native_enum
from rowhouse.migrations.compare.expressions import TEXT, all_alike, escaped, text_of
from rowhouse.migrations.defaults import literal

NOW = re.compile(r"\bnow\(\)", re.IGNORECASE)
LITERAL = re.compile(rf"\(*({TEXT}|[-+]?[\d.]+(?:e[-+]?\d+)?|true|false)\)*", re.IGNORECASE)
TRUTH = {"true": "1", "false": "0"}
NUMBERS = (sa.Integer, sa.Numeric, sa.Float, sa.Boolean)


@comparators.dispatch_for("table", priority=DispatchPriority.LAST)
def compare_defaults(
    context: AutogenContext,
    changes: ModifyTableOps,
    schema: str | None,
    name: Any,
    stored: sa.Table | None,
    declared: sa.Table | None,
) -> None:
    """Set the defaults that a class declares and the database lacks. After a change of a type, set them anew."""
    if stored is None or declared is None:
        return
    altered = {one.column_name: one for one in changes.ops if isinstance(one, AlterColumnOp)}
    for column in declared.columns:
        former = stored.columns.get(column.name)
        if former is None or any(one.computed is not None or one.identity is not None for one in (former, column)):
            continue
        change = altered.get(column.name) or AlterColumnOp(
            name, column.name, schema=schema, existing_type=former.type, existing_nullable=former.nullable
        )
        _compare(context, change, former, column)
        if column.name not in altered and change.has_changes():
            changes.ops.append(change)


def _compare(context: AutogenContext, change: AlterColumnOp, stored: sa.Column[Any], declared: sa.Column[Any]) -> None:
    """Add the change of a default to the change of its column."""
    before, after = _or_none(stored.server_default), _or_none(declared.server_default)
    if _is_converted_with_default(change):
        if after is not None and not _is_stored(context, declared, before, after):
            change.existing_server_default, change.modify_server_default = before, after
    elif before is not None or after is not None:
        change.existing_server_default, change.modify_server_default = before, after or _left(declared)


def _or_none(default: Any) -> sa.DefaultClause | None:
    return default if isinstance(default, sa.DefaultClause) else None


def _is_converted_with_default(change: AlterColumnOp) -> bool:
    """Return True if the type stays, or the database converts the default together with the values."""
    old, new = change.existing_type, change.modify_type
    if old is None or new is None:
        return True
    return is_converted(old, new) and not is_native_enum(old)


def _left(declared: sa.Column[Any]) -> sa.DefaultClause | None:
    """Return the default that `defaults.fill` leaves for a column, which may not be null."""
    text = None if declared.nullable else literal(declared)
    return None if text is None else sa.DefaultClause(sa.text(escaped(text)))


def _is_stored(
    context: AutogenContext, declared: sa.Column[Any], stored: sa.DefaultClause | None, wanted: sa.DefaultClause
) -> bool:
    """Return True if the database has the declared default, maybe in other words."""
    connection: Any = context.connection  # migrations are never written offline
    table: Any = declared.table
    after = _text(wanted, connection.dialect)
    if stored is None:
        return after.upper() == "NULL" or (after.lower().startswith("nextval(") and _has_sequence(connection, declared))
    before = _text(stored, connection.dialect)
    pairs = [(before, after)]
    if connection.dialect.name == "sqlite":
        value = _value(before, declared.type)
        return (value is not None and value == _value(after, declared.type)) or all_alike(
            connection, table.fullname, pairs
        )
    kind = declared.type.compile(dialect=connection.dialect).partition(" COLLATE ")[0]
    as_stored = [(f"CAST(({before}) AS {kind})", f"CAST(({after}) AS {kind})")]
    return all_alike(connection, table.fullname, pairs) or all_alike(connection, table.fullname, as_stored)


def _has_sequence(connection: sa.Connection, column: sa.Column[Any]) -> bool:
    """Return True if a sequence of PostgreSQL belongs to the column. Alembic leaves out such a default."""
    path = quoted_path(column.table.fullname, "postgresql")
    return connection.execute(sa.select(sa.func.pg_get_serial_sequence(path, column.name))).scalar() is not None


def _text(default: sa.DefaultClause, dialect: sa.Dialect) -> str:
    """Return a default as SQL."""
    if isinstance(default.arg, str):
        return "'" + default.arg.replace("'", "''") + "'"
    return NOW.sub("CURRENT_TIMESTAMP", text_of(default.arg, dialect))


def _value(text: str, kind: Any) -> Decimal | str | None:
    """Return what a literal is in a column of SQLite. None for an expression."""
    found = LITERAL.fullmatch(text.strip())
    if found is None:
        return None
    word = found[1]
    plain = word[1:-1].replace("''", "'") if word[0] == "'" else TRUTH.get(word.lower(), word)
    if general_type(kind) not in NUMBERS:
        return plain
    try:
        return Decimal(plain)
    except InvalidOperation:
        return plain
