"""Adds the operations that autogenerate misses.

- A foreign key keeps its name when its column is renamed, and Alembic compares foreign keys by what they say. The
engine finds the error for a conflict by the conventional name.
- The downgrade that recreates a dropped table must declare AUTOINCREMENT: without it, SQLite gives the id of a deleted
row to a new row.
- PostgreSQL resets the statistics target of a search index when one of its columns gets another type.

Must be imported before `ordering`, which sorts what is added here.
"""

from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import comparators
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import (
    AlterColumnOp,
    CreateForeignKeyOp,
    DropConstraintOp,
    DropTableOp,
    ModifyTableOps,
    UpgradeOps,
)
from alembic.util import DispatchPriority

from rowhouse.db.dialects.sqlite_schemas import joined_name
from rowhouse.entities.search_index import SearchIndexRule, search_index_of
from rowhouse.migrations.operations.search_index import CreateSearchIndex, DropSearchIndex

COUNTS = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = :name AND sql LIKE '%AUTOINCREMENT%'"


@comparators.dispatch_for("table", priority=DispatchPriority.LAST)
def name_foreign_keys(
    context: AutogenContext, changes: ModifyTableOps, _schema: str | None, _name: Any, stored: Any, declared: Any
) -> None:
    """Recreate foreign keys whose name differs from the declared one."""
    if stored is None or declared is None:
        return
    connection: Any = context.connection  # migrations are never written offline
    format_name = connection.dialect.identifier_preparer.format_constraint
    present = {_words(key): key for key in stored.foreign_key_constraints if key.name}
    for key in sorted(declared.foreign_key_constraints, key=_words):
        former = present.get(_words(key))
        if former is not None and key.name and former.name != format_name(key).strip('"'):
            changes.ops += [DropConstraintOp.from_constraint(former), CreateForeignKeyOp.from_constraint(key)]


def _words(key: sa.ForeignKeyConstraint) -> tuple[str, ...]:
    """Return everything that a foreign key states, except its name."""
    targets = (element.target_fullname for element in key.elements)
    rules = (str(rule or "NO ACTION").upper() for rule in (key.ondelete, key.onupdate))
    return (*key.column_keys, "to", *targets, *rules)


@comparators.dispatch_for("autogenerate", priority=DispatchPriority.LAST)
def note_counting_keys(context: AutogenContext, upgrade: UpgradeOps) -> None:
    """Note AUTOINCREMENT of dropped tables, for the downgrade that creates them again."""
    connection: Any = context.connection  # as above
    for operation in upgrade.ops:
        if isinstance(operation, DropTableOp) and _counts(connection, operation):
            operation.table_kw = {**operation.table_kw, "sqlite_autoincrement": True}


def _counts(connection: sa.Connection, operation: DropTableOp) -> bool:
    """Return True if SQLite's table has AUTOINCREMENT. On PostgreSQL nothing shows what SQLite needs."""
    if connection.dialect.name != "sqlite":
        return False
    return (
        connection.execute(sa.text(COUNTS), {"name": joined_name(operation.table_name, operation.schema)}).first()
        is not None
    )


@comparators.dispatch_for("autogenerate", priority=DispatchPriority.LAST)
def make_search_indexes_anew(context: AutogenContext, upgrade: UpgradeOps) -> None:
    """Recreate the search indexes of columns that get another type."""
    created = {operation.rule.name for operation in upgrade.ops if isinstance(operation, CreateSearchIndex)}
    for table in context.sorted_tables:
        rule = search_index_of(table)
        if rule is not None and rule.name not in created and _is_touched(rule, table, upgrade):
            upgrade.ops += [DropSearchIndex(rule), CreateSearchIndex(rule)]


def _is_touched(rule: SearchIndexRule, table: sa.Table, upgrade: UpgradeOps) -> bool:
    """Return True if a column of the index gets another type."""
    return any(
        isinstance(operation, AlterColumnOp)
        and operation.modify_type is not None
        and operation.column_name in rule.columns
        for changes in upgrade.ops
        if isinstance(changes, ModifyTableOps) and (changes.table_name, changes.schema) == (table.name, table.schema)
        for operation in changes.ops
    )
