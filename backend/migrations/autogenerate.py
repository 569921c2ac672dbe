"""What Alembic must know of the engine, in one place: for `alembic/env.py`, `scripts/migrate.py` and tests.

    context.configure(connection=connection, target_metadata=metadata, **autogenerate_options(connection.dialect))

Whoever compares a database with the models without these options sees differences that are none. Importing this module
teaches Alembic the operations of `NoOverlap` and `SearchIndex`, and to rebuild a table of SQLite without losing anything.
The application itself must not need it.
"""

from collections.abc import Iterable
from typing import Any, Literal

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import AddColumnOp, CreateIndexOp, CreateTableOp, MigrateOperation
from sqlmodel.sql.sqltypes import UTCDateTime

import backend.migrations.sqlite  # noqa: F401  takes the place of Alembic's own
from backend.crud.model import EnumText
from backend.crud.no_overlap import NoOverlap
from backend.migrations.no_overlap import CreateNoOverlap
from backend.migrations.search_index import CreateSearchIndex, is_compared


def autogenerate_options(dialect: sa.Dialect) -> dict[str, Any]:
    """The options of Alembic's `configure` that follow from the engine, for a database of `dialect`."""
    return {
        "compare_type": True,
        "include_object": _include_object,
        "process_revision_directives": _leave_out,
        "render_as_batch": dialect.name == "sqlite",
        "render_item": _render_item,
        "transactional_ddl": True,
    }


def only_adds(operations: Iterable[MigrateOperation]) -> bool:
    """Whether the operations make something new and touch nothing that is there."""
    return all(_adds(operation) for operation in operations)


def _adds(operation: MigrateOperation) -> bool:
    if isinstance(operation, AddColumnOp):
        return operation.column.nullable is not False or operation.column.server_default is not None
    return isinstance(operation, (CreateTableOp, CreateIndexOp, CreateNoOverlap, CreateSearchIndex))


def _render_item(kind: str, item: Any, _context: AutogenContext) -> str | Literal[False]:
    """Write plain SQLAlchemy types, so that a migration does not change when the code does."""
    if kind == "type" and isinstance(item, UTCDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, EnumText):
        length = item.impl_instance.length if isinstance(item.impl_instance, sa.String) else None
        return f"sa.String(length={length}).with_variant(sa.String(length={length}, collation='C'), 'postgresql')"
    return False


def _include_object(element: Any, _name: str | None, kind: str, _reflected: object, _other: object) -> bool:
    """Leave the search indexes to `search_index`, which compares them."""
    return is_compared(element, kind)


def _leave_out(_context: object, _revision: object, directives: list[Any]) -> None:
    """A table's `info` is for the application, and `NoOverlap` becomes an operation of its own."""
    for directive in directives:
        for step in getattr(directive.upgrade_ops, "ops", ()):
            if isinstance(step, CreateTableOp):
                step.info = {}
                step.columns = [part for part in step.columns if not isinstance(part, NoOverlap)]
