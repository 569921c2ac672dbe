"""Operation that gives the primary key of a renamed table its new name.

    op.rename_primary_key("titles", "pk_books", "pk_titles")

PostgreSQL keeps a constraint's name when its table is renamed. A later table with the former name could then not be
created, for its primary key would have the name that is taken. SQLite ignores these names.
"""

from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import Operations

from rowhouse.db.integrity import NAMING_CONVENTION
from rowhouse.entities.no_overlap import literal
from rowhouse.migrations.compare.column_types import POSTGRESQL
from rowhouse.migrations.operations.operation import EngineOperation


@Operations.register_operation("rename_primary_key")
class RenamePrimaryKey(EngineOperation):
    """Rename the primary key `old` of a table to `new`. A key with another name is left alone."""

    def __init__(self, table: str, old: str, new: str) -> None:
        self.table, self.old, self.new = table, old, new

    @classmethod
    def rename_primary_key(cls, operations: Operations, table: str, old: str, new: str) -> None:
        """`op.rename_primary_key(...)`."""
        operations.invoke(cls(table, old, new))

    @classmethod
    def of_renamed(cls, old_table: str, new_table: str) -> "RenamePrimaryKey":
        """Return the operation that follows `op.rename_table(old_table, new_table)`."""
        old, new = (NAMING_CONVENTION["pk"] % {"table_name": name} for name in (old_table, new_table))
        return cls(new_table, old, new)


@Operations.implementation_for(RenamePrimaryKey)
def _rename(operations: Operations, operation: RenamePrimaryKey) -> None:
    if operations.get_context().dialect.name != "postgresql":
        return
    quote = POSTGRESQL.identifier_preparer.quote
    table = quote(operation.table)
    renaming = f"ALTER TABLE {table} RENAME CONSTRAINT {quote(operation.old)} TO {quote(operation.new)}"
    place, name = literal(table), literal(operation.old)
    condition = f"conrelid = to_regclass({place}) AND conname = {name}"
    is_there = f"EXISTS (SELECT FROM pg_constraint WHERE {condition})"  # nosec B608  quoted
    operations.execute(f"DO $do$ BEGIN IF {is_there} THEN {renaming}; END IF; END $do$")


@renderers.dispatch_for(RenamePrimaryKey)
def _render(_context: AutogenContext, operation: RenamePrimaryKey) -> str:
    return f"op.rename_primary_key({operation.table!r}, {operation.old!r}, {operation.new!r})"
