"""Sorts the operations that autogenerate finds, so that upgrade and downgrade run on both databases.

Tables that refer to each other are created without their foreign keys, which are added after all tables. Constraints
and indexes are dropped before their columns and created after them, and before an enum loses a member that they may
name. Must not add or leave out an operation.
"""

from collections.abc import Callable, Iterable
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import comparators
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import (
    AddColumnOp,
    AlterColumnOp,
    CreateForeignKeyOp,
    CreateTableOp,
    DropColumnOp,
    DropConstraintOp,
    DropIndexOp,
    DropTableOp,
    MigrateOperation,
    ModifyTableOps,
    UpgradeOps,
)
from alembic.util import DispatchPriority

from rowhouse.migrations.alembic_internals import creation_of
from rowhouse.migrations.engine_tables import compares_of
from rowhouse.migrations.operations.named_schemas import CreateSchema
from rowhouse.migrations.operations.native_enums import ChangeEnum, CreateEnum, DropEnum
from rowhouse.migrations.operations.no_overlap import CreateNoOverlap, DropNoOverlap
from rowhouse.migrations.operations.search_index import CreateSearchIndex, DropSearchIndex

SORT: Any = sa.schema.sort_tables_and_constraints  # has no types
# The order within one table. Other operations come after these, and a column is dropped last.
IN_A_TABLE = ((DropConstraintOp, DropIndexOp), (AddColumnOp, AlterColumnOp))
BEFORE_TABLES = (CreateSchema, CreateEnum, ChangeEnum)
BEFORE_CHANGES = (DropNoOverlap, DropSearchIndex)
AFTER_CHANGES = (CreateSearchIndex, CreateNoOverlap)


@comparators.dispatch_for("autogenerate", priority=DispatchPriority.FIRST)
def sort_tables(context: AutogenContext, _upgrade: UpgradeOps) -> None:
    """Sort the tables to compare as Alembic does, without its warning about tables that refer to each other."""
    metadata: Any = context.metadata
    compares = compares_of(context)
    compared = [table for table in metadata.tables.values() if compares(table.fullname)]
    context.sorted_tables = [table for table, _keys in SORT(_by_name(compared)) if table is not None]


def _by_name(tables: Iterable[sa.Table]) -> list[sa.Table]:
    return sorted(tables, key=lambda table: table.fullname)


@comparators.dispatch_for("autogenerate", priority=DispatchPriority.LAST)
def order(_context: AutogenContext, upgrade: UpgradeOps) -> None:
    """Sort the operations of a migration in place. Its downgrade is their reverse."""
    found = upgrade.ops
    made, references = _split({_table(one): one for one in _of(found, CreateTableOp)})
    gone = {_table(creation_of(one)): one for one in _of(found, DropTableOp)}
    dropped, cut = _split(gone)
    changes = [_sorted(operation) for operation in _of(found, ModifyTableOps)]
    former, changes, latter = _without_references(changes)
    rules: list[ModifyTableOps] = []
    if any(not one.only_adds for one in _of(found, ChangeEnum)):
        rules = _taken(changes, _drops_rule)
        changes = [change for change in changes if change.ops]
    known = (*BEFORE_TABLES, *BEFORE_CHANGES, *AFTER_CHANGES, CreateTableOp, DropTableOp, ModifyTableOps, DropEnum)
    upgrade.ops = [
        *rules,
        *_of(found, *BEFORE_CHANGES),
        *_of(found, *BEFORE_TABLES),
        *made,
        *former,
        *changes,
        *latter,
        *references,
        *(operation for operation in found if not isinstance(operation, known)),
        *_of(found, *AFTER_CHANGES),
        *(operation.reverse() for operation in reversed(cut)),
        *reversed(dropped),
        *_of(found, DropEnum),
    ]


def _of(operations: Iterable[MigrateOperation], *kinds: type[Any]) -> list[Any]:
    """Return the operations of some kinds, sorted by kind."""
    operations = list(operations)
    return [operation for kind in kinds for operation in operations if isinstance(operation, kind)]


def _split(operations: dict[sa.Table, Any]) -> tuple[list[Any], list[ModifyTableOps]]:
    """Return the operations in the order of their tables' references, and the circular references separately."""
    for table in operations:
        _complete(table)
    sorted_operations: list[Any] = []
    references: dict[sa.Table, list[MigrateOperation]] = {}
    for table, keys in SORT(_by_name(operations)):
        if table is not None:
            sorted_operations.append(operations[table])
            continue
        for key in sorted(keys, key=lambda key: str(key.name)):
            references.setdefault(key.table, []).append(CreateForeignKeyOp.from_constraint(key))
            creation = getattr(operations[key.table], "_reverse", operations[key.table])
            creation.columns = [part for part in creation.columns if part is not key]
    return sorted_operations, [
        ModifyTableOps(table.name, made, schema=table.schema) for table, made in references.items()
    ]


def _complete(table: sa.Table) -> None:
    """Add placeholders for the referenced tables to its metadata: Alembic reads only the dropped tables."""
    for element in table.foreign_keys:
        path, _, column = element.target_fullname.rpartition(".")
        if path not in table.metadata.tables:
            schema, _, name = path.rpartition(".")
            sa.Table(name, table.metadata, schema=schema or None)
        target = table.metadata.tables[path]
        if column not in target.columns:
            target.append_column(sa.Column(column))


def _table(creation: CreateTableOp) -> sa.Table:
    """Return the table that the operation was made from."""
    return next(part.table for part in creation.columns if isinstance(part, sa.Column))


def _sorted(change: ModifyTableOps) -> ModifyTableOps:
    """Sort the operations of a table: first drop constraints of old columns, last drop columns."""

    def rank(operation: MigrateOperation) -> int:
        if isinstance(operation, DropColumnOp):
            return len(IN_A_TABLE) + 1
        return next((place for place, kinds in enumerate(IN_A_TABLE) if isinstance(operation, kinds)), len(IN_A_TABLE))

    change.ops = sorted(change.ops, key=rank)
    for operation in change.ops:
        if isinstance(operation, AlterColumnOp):
            operation.kw.pop("autoincrement", None)  # of MySQL alone: Alembic would warn when the file runs
    return change


def _without_references(
    changes: list[ModifyTableOps],
) -> tuple[list[ModifyTableOps], list[ModifyTableOps], list[ModifyTableOps]]:
    """Return the dropped foreign keys, the other operations, and the added foreign keys.

    Other operations wait for the drops in all tables, and added foreign keys for the changes of all tables. If only one
    table changes, nothing is split.
    """
    if len(changes) == 1:
        return [], changes, []
    former, latter = _taken(changes, _drops_reference), _taken(changes, _makes_reference)
    return former, [change for change in changes if change.ops], latter


def _taken(changes: Iterable[ModifyTableOps], is_part: Callable[[MigrateOperation], bool]) -> list[ModifyTableOps]:
    """Take some operations out of the changes of each table, and return them."""
    parts: list[ModifyTableOps] = []
    for change in changes:
        if taken := [operation for operation in change.ops if is_part(operation)]:
            parts.append(ModifyTableOps(change.table_name, taken, schema=change.schema))
            change.ops = [operation for operation in change.ops if operation not in taken]
    return parts


def _drops_rule(operation: MigrateOperation) -> bool:
    """Return whether an operation drops what may name a removed member of an enum."""
    is_check = isinstance(operation, DropConstraintOp) and operation.constraint_type == "check"
    return is_check or isinstance(operation, DropIndexOp)


def _drops_reference(operation: MigrateOperation) -> bool:
    return isinstance(operation, DropConstraintOp) and operation.constraint_type == "foreignkey"


def _makes_reference(operation: MigrateOperation) -> bool:
    return isinstance(operation, CreateForeignKeyOp)
