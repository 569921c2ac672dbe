"""Prepares Alembic for the engine: the options of a comparison, and all operations that the engine adds.

    context.configure(connection=connection, target_metadata=metadata, **autogenerate_options(metadata))

A comparison without these options reports differences that do not exist. Importing this module registers the
operations of `NoOverlap`, `SearchIndex`, native enums, schemas and renamed tables, which every `env.py` needs. It also
registers the comparison of check constraints, the sorting of operations, and the rebuild of a SQLite table that keeps
everything. The application itself must not import it.
"""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import (
    AddColumnOp,
    AlterColumnOp,
    CreateForeignKeyOp,
    CreateIndexOp,
    CreateTableCommentOp,
    CreateTableOp,
    DropTableCommentOp,
    MigrateOperation,
)
from sqlmodel import SQLModel

import rowhouse.migrations.compare.expression_indexes
import rowhouse.migrations.compare.index_options
import rowhouse.migrations.compare.partial_indexes
import rowhouse.migrations.compare.server_defaults
import rowhouse.migrations.compare.texts
import rowhouse.migrations.compare.unchangeable
import rowhouse.migrations.operations.completing
import rowhouse.migrations.operations.ordering
import rowhouse.migrations.operations.primary_keys
import rowhouse.migrations.sqlite.rebuild  # noqa: F401  takes the place of Alembic's own
from rowhouse.entities.no_overlap import NoOverlap
from rowhouse.migrations.compare.check_constraints import write_check
from rowhouse.migrations.compare.column_types import compare_types, write_type
from rowhouse.migrations.engine_tables import PROJECT, is_compared
from rowhouse.migrations.operations.named_schemas import CreateSchema, include_name, schemas_of
from rowhouse.migrations.operations.native_enums import ChangeEnum, CreateEnum
from rowhouse.migrations.operations.no_overlap import CreateNoOverlap
from rowhouse.migrations.operations.search_index import CreateSearchIndex, is_ordinary

ADDITIONS = (CreateTableOp, CreateIndexOp, CreateNoOverlap, CreateSearchIndex, CreateSchema, CreateEnum)


def autogenerate_options(metadata: sa.MetaData = SQLModel.metadata, branch: str = PROJECT) -> dict[str, Any]:
    """Return the options of Alembic's `configure` for these models, on every database.

    `branch` selects the tables that are compared: "rowhouse" for the engine's, "project" for all others.
    """
    compares = is_compared(metadata, branch)
    return {
        "branch": branch,
        "compare_type": compare_types,
        "compares": compares,
        "include_name": include_name(metadata, compares),
        "include_object": _include_object,
        "include_schemas": bool(schemas_of(metadata)),
        "process_revision_directives": _leave_out,
        # On PostgreSQL too, where it changes nothing: a file that is written there runs on SQLite.
        "render_as_batch": True,
        "render_item": _render_item,
        "transactional_ddl": True,
    }


def only_adds(operations: Iterable[MigrateOperation]) -> bool:
    """Return True if the operations only add, or change comments, and leave everything else as it is."""
    listed = list(operations)
    tables = {operation.table_name for operation in listed if isinstance(operation, CreateTableOp)}
    columns = {
        (operation.table_name, operation.column.name) for operation in listed if isinstance(operation, AddColumnOp)
    }
    return all(_adds(operation) or _is_of_new(operation, tables, columns) for operation in listed)


def _is_of_new(operation: MigrateOperation, tables: set[str], columns: set[tuple[str, str]]) -> bool:
    """Return True for a foreign key of a new table, or of new columns."""
    if not isinstance(operation, CreateForeignKeyOp):
        return False
    table = operation.source_table
    return table in tables or all((table, column) in columns for column in operation.local_cols)


def _adds(operation: MigrateOperation) -> bool:
    if isinstance(operation, AddColumnOp):
        return operation.column.nullable is not False or operation.column.server_default is not None
    if isinstance(operation, ChangeEnum):
        return operation.only_adds
    return isinstance(operation, ADDITIONS) or only_comments(operation)


def only_comments(operation: MigrateOperation) -> bool:
    """Return True for a comment of a table or a column. SQLite has none, so only PostgreSQL finds the difference."""
    if isinstance(operation, AlterColumnOp):
        others = operation.modify_type, operation.modify_nullable, operation.modify_name
        return (
            operation.modify_comment is not False
            and not any(one is not None for one in others)
            and (operation.modify_server_default is False)
        )
    return isinstance(operation, CreateTableCommentOp | DropTableCommentOp)


def _render_item(kind: str, item: Any, context: AutogenContext) -> str | bool:
    """Return the code of a type with SQLAlchemy's classes, or of a type's check as an ordinary constraint."""
    if kind == "type":
        return write_type(item, context)
    if kind == "check":
        return write_check(item, context)
    return False


def _include_object(element: Any, _name: str | None, kind: str, _reflected: object, _other: object) -> bool:
    """Exclude search indexes; `compare.search_index` compares them."""
    return is_ordinary(element, kind)


def _leave_out(_context: object, _revision: object, directives: list[Any]) -> None:
    """Remove what no migration states: a table's `info`, and `NoOverlap`, which has its own operation."""
    for directive in directives:
        for step in getattr(directive.upgrade_ops, "ops", ()):
            if isinstance(step, CreateTableOp):
                step.info = {}
                step.columns = [part for part in step.columns if not isinstance(part, NoOverlap)]
