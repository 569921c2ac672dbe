"""Operations and comparison of PostgreSQL's schemas, which classes name in `__table_args__ = {"schema": "ops"}`.

On SQLite there is nothing to make: `sqlite_schemas` has a schema in the names of its tables.
Only the schemas that classes name are looked at, and in them only the tables that classes name.
"""

from collections.abc import Callable, Iterable
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import comparators, renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import Operations
from alembic.operations.ops import UpgradeOps
from alembic.util import CommandError, DispatchPriority

from rowhouse.migrations.compare.column_types import POSTGRESQL
from rowhouse.migrations.operations.operation import EngineOperation


class AlikeTablesError(CommandError):
    """Two tables of one name in two schemas, on SQLite."""


def schemas_of(metadata: sa.MetaData) -> set[str]:
    """Return the schemas that the classes name."""
    return {table.schema for table in metadata.tables.values() if table.schema is not None}


def include_name(metadata: sa.MetaData, compares: Callable[[str], bool]) -> Callable[[str | None, str, Any], bool]:
    """Return Alembic's filter of what it reads from the database: only what these models may change."""

    def includes(name: str | None, kind: str, parents: Any) -> bool:
        if kind == "schema":
            return name is None or name in schemas_of(metadata)
        if kind != "table":
            return True
        schema = parents.get("schema_name")
        path = str(name) if schema is None else f"{schema}.{name}"
        return compares(path) and (schema is None or path in metadata.tables)

    return includes


@Operations.register_operation("create_schema")
class CreateSchema(EngineOperation):
    """Create the schema if it does not exist."""

    def __init__(self, name: str) -> None:
        self.name = name

    @classmethod
    def create_schema(cls, operations: Operations, name: str) -> None:
        """`op.create_schema(...)`."""
        operations.invoke(cls(name))

    def reverse(self) -> "DropSchema":
        """Return the operation of the downgrade."""
        return DropSchema(self.name)


@Operations.register_operation("drop_schema")
class DropSchema(EngineOperation):
    """Drop the schema if it is empty."""

    def __init__(self, name: str) -> None:
        self.name = name

    @classmethod
    def drop_schema(cls, operations: Operations, name: str) -> None:
        """`op.drop_schema(...)`."""
        operations.invoke(cls(name))

    def reverse(self) -> CreateSchema:
        """Return the operation of the downgrade."""
        return CreateSchema(self.name)


@Operations.implementation_for(CreateSchema)
def _create(operations: Operations, operation: CreateSchema) -> None:
    if operations.get_context().dialect.name == "postgresql":
        operations.execute(f"CREATE SCHEMA IF NOT EXISTS {POSTGRESQL.identifier_preparer.quote(operation.name)}")


@Operations.implementation_for(DropSchema)
def _drop(operations: Operations, operation: DropSchema) -> None:
    if operations.get_context().dialect.name != "postgresql":
        return
    name = POSTGRESQL.identifier_preparer.quote(operation.name)
    # Without CASCADE, PostgreSQL rejects the drop of a schema that is not empty. The schema then stays.
    operations.execute(
        f"DO $do$ BEGIN DROP SCHEMA {name}; EXCEPTION WHEN dependent_objects_still_exist THEN NULL; END $do$"
    )


@renderers.dispatch_for(CreateSchema)
def _render_create(_context: AutogenContext, operation: CreateSchema) -> str:
    return f"op.create_schema({operation.name!r})"


@renderers.dispatch_for(DropSchema)
def _render_drop(_context: AutogenContext, operation: DropSchema) -> str:
    return f"op.drop_schema({operation.name!r})"


def _refuse_alike(tables: Iterable[sa.Table]) -> None:
    """Reject two tables of one name on SQLite, where the names of their indexes and triggers would collide."""
    found: dict[str, sa.Table] = {}
    for table in tables:
        other = found.setdefault(table.name, table)
        if other is not table:
            raise AlikeTablesError(
                f"the tables {other.fullname} and {table.fullname} differ only in their schema, and an index name "
                f"is unique in SQLite: give one of their classes another __tablename__, such as "
                f'"{table.name}_too"'
            )


@comparators.dispatch_for("schema", priority=DispatchPriority.FIRST)
def _compare(context: AutogenContext, operations: UpgradeOps, _schemas: Any) -> None:
    """Add operations: create the schemas that the classes name and the database lacks."""
    if context.dialect.name == "sqlite":
        _refuse_alike(context.sorted_tables)
    named = {table.schema for table in context.sorted_tables if table.schema is not None}
    stored = set(context.inspector.get_schema_names()) if named else set()
    operations.ops += [CreateSchema(name) for name in sorted(named - stored)]
