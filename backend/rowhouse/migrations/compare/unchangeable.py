"""Refuses the changes that no migration can be written for.

Alembic ignores other columns of a primary key, and warns of a generated column that changes. The database would differ
from the models, and nothing would say so. A number that becomes a UUID is a migration that no database applies. A key
that becomes a number would have nothing on PostgreSQL that counts it; one that was a number has AUTOINCREMENT on SQLite
and a sequence on PostgreSQL, which no other type may have.
"""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import comparators
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import ModifyTableOps, UpgradeOps
from alembic.util import CommandError, DispatchPriority
from sqlmodel.main import default_registry

from rowhouse.migrations.compare.expressions import differ, text_of


class UnchangeableError(CommandError):
    """The models change something that no migration is written for."""


@comparators.dispatch_for("schema", priority=DispatchPriority.FIRST)
def refuse_deferrable(context: AutogenContext, _operations: UpgradeOps, _schemas: Any) -> None:
    """Raise UnchangeableError for a unique rule that SQLite cannot check at the end of a transaction."""
    if context.dialect.name != "sqlite":
        return
    for table in context.sorted_tables:
        for rule in table.constraints:
            if isinstance(rule, sa.UniqueConstraint) and (rule.deferrable or rule.initially):
                columns = ", ".join(str(column.name) for column in rule.columns)
                raise UnchangeableError(
                    f"{_class_of(table)}: SQLite checks a unique rule in each statement, and "
                    f"UniqueConstraint({columns}) is deferrable: leave out deferrable and initially, or "
                    "use PostgreSQL, in development too"
                )


def _class_of(table: sa.Table) -> str:
    """Return the name of the class of a table, or the table's if it has no class."""
    found = (mapper.class_.__name__ for mapper in default_registry.mappers if mapper.local_table is table)
    return next(found, table.fullname)


@comparators.dispatch_for("table")
def refuse_changes(
    context: AutogenContext,
    _changes: ModifyTableOps,
    _schema: str | None,
    _name: Any,
    stored: sa.Table | None,
    declared: sa.Table | None,
) -> None:
    """Raise UnchangeableError with the changes of one table."""
    if stored is None or declared is None:
        return
    connection: Any = context.connection  # migrations are never written offline
    found = [
        *_of_key(stored, declared),
        *_of_types(stored, declared),
        *_of_counting(stored, declared),
        *_of_columns(connection, stored, declared),
    ]
    if found:
        raise UnchangeableError(
            f"{declared.fullname}: {' and '.join(found)}, which no migration is written for. "
            "Write one of your own, with --empty (docs/migrations.md)."
        )


def _of_key(stored: sa.Table, declared: sa.Table) -> Iterator[str]:
    before, after = ([str(column.name) for column in table.primary_key] for table in (stored, declared))
    if set(before) != set(after):
        yield f"the primary key changes from ({', '.join(before)}) to ({', '.join(after)})"


def _of_types(stored: sa.Table, declared: sa.Table) -> Iterator[str]:
    for column in declared.columns:
        former = stored.columns.get(column.name)
        if former is not None and isinstance(former.type, sa.Integer) and isinstance(column.type, sa.Uuid):
            yield f"{column.name} changes from a number to a UUID"


def _of_counting(stored: sa.Table, declared: sa.Table) -> Iterator[str]:
    """Yield a key that becomes a number which the database counts, or was one."""
    if len(declared.primary_key.columns) != 1 or len(stored.primary_key.columns) != 1:
        return
    (column,), (former,) = declared.primary_key.columns, stored.primary_key.columns
    was, will_be = isinstance(former.type, sa.Integer), isinstance(column.type, sa.Integer)
    if former.name != column.name or column.foreign_keys or was == will_be:
        return
    if will_be and declared.autoincrement_column is column:
        yield f"the key {column.name} becomes a number that the database counts"
    elif was and not isinstance(column.type, sa.Uuid):  # a UUID is refused for any column
        yield f"the key {column.name} is no longer a number that the database counts"


def _of_columns(connection: sa.Connection, stored: sa.Table, declared: sa.Table) -> Iterator[str]:
    former = {str(column.name): column for column in stored.columns}
    for column in declared.columns:
        if column.name not in former:
            continue
        before, after = former[str(column.name)].computed, column.computed
        if before is None and after is None:
            continue
        if before is None or after is None:
            yield f"{column.name} {'is generated now' if after is not None else 'is no longer generated'}"
            continue
        texts = [text_of(one.sqltext, connection.dialect) for one in (before, after)]
        if differ(connection, declared.fullname, *texts):
            yield f"{column.name} is generated by another expression"
