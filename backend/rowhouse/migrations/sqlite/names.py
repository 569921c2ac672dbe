"""Replaces the name of a table in a schema by the one name that it has on SQLite, such as `"ops.jobs"`.

Covers the statements that Alembic writes itself, and the SQL that a migration passes as text. The dialect
(`rowhouse.db.dialects.sqlite_schemas`) covers those of SQLAlchemy. Must not know how a table is rebuilt.
"""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from alembic.ddl.base import AlterTable, RenameTable
from alembic.operations.batch import BatchOperationsImpl

from rowhouse.db.dialects.sqlite_schemas import OWN, SQLiteWithSchemas, joined_name
from rowhouse.migrations.alembic_internals import is_self_referential, use_batch
from rowhouse.migrations.sqlite.tables import tokens_of, unquoted

NAMES = "SELECT name FROM sqlite_master WHERE name LIKE '%.%'"


def with_one_name(construct: Any) -> Any:
    """Return an `ALTER TABLE` of Alembic with the table's one name, and any other statement unchanged."""
    if isinstance(construct, AlterTable) and construct.schema not in OWN:
        if isinstance(construct, RenameTable):
            construct.new_table_name = joined_name(construct.new_table_name, construct.schema)
        construct.table_name, construct.schema = joined_name(construct.table_name, construct.schema), None
    return construct


def in_one_name(statement: str, tables: Collection[str]) -> str:
    """Return an SQL text with `"ops.jobs"` instead of `ops.jobs`, for these tables."""
    if not tables:
        return statement
    tokens = tokens_of(statement)
    for first, dot, last in reversed(list(zip(tokens, tokens[1:], tokens[2:], strict=False))):
        name = f"{unquoted(first.text)}.{unquoted(last.text)}"
        if dot.text == "." and name in tables:
            statement = f'{statement[: first.start]}"{name}"{statement[last.end :]}'
    return statement


def tables_in_schemas(connection: sa.Connection | None, metadata: sa.MetaData | None) -> set[str]:
    """Return the tables in schemas, of the database or, in `--sql` mode, of the models."""
    if connection is not None:
        return set(connection.exec_driver_sql(NAMES).scalars())
    return {table.fullname for table in metadata.tables.values() if table.schema} if metadata is not None else set()


class BatchOfOneName(BatchOperationsImpl):
    """Alembic's batch with the table's full name on SQLite. Alembic would add the schema to each foreign key."""

    def flush(self) -> None:
        """Run the recorded operations."""
        if isinstance(self.dialect, SQLiteWithSchemas):
            self.table_name, self.schema = joined_name(self.table_name, self.schema), None
        super().flush()


def _is_copied_anew(constraint: Any) -> bool:
    """Return whether Alembic may put the new table's name into a foreign key. With a schema it would do so twice."""
    return "." not in constraint.parent.key and is_self_referential(constraint)


use_batch(BatchOfOneName, _is_copied_anew)
