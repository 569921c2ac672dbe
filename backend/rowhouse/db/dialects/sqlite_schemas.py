"""SQLite with schemas: the table `jobs` of the schema `ops` is the one table `"ops.jobs"` there.

`__table_args__ = {"schema": "ops"}` is for PostgreSQL. SQLite would look for an attached database `ops`, and foreign
keys do not work across databases. So the dialect here, which `create_engine` uses, writes both names as one and splits
them again when it reads the tables of a database. A class without a schema is not affected. Must not know Alembic.
"""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import base
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

NAME = "sqlite+rowhouse"
# The schemas of SQLite itself.
OWN = (None, "main", "temp")
# SQLAlchemy's classes, as untyped values.
STOCK: Any = SQLiteDialect_pysqlite
STATEMENTS: Any = base.SQLiteCompiler


def joined_name(table: str, schema: str | None) -> str:
    """Return SQLite's name of a table in a schema: `ops.jobs`."""
    return table if schema in OWN else f"{schema}.{table}"


def parted(stored: str) -> tuple[str | None, str]:
    """Return the schema, or None, and the name of a table of SQLite."""
    schema, _, table = stored.rpartition(".")
    return schema or None, table


def written(table: str) -> str:
    """Return the name of a table (`ops.jobs`) for SQL text of SQLite, in quotes if it has a schema."""
    return f'"{table}"' if "." in table else table


class _Names(base.SQLiteIdentifierPreparer):
    def format_table(self, table: Any, *arguments: Any, **options: Any) -> str:
        if table.schema in OWN or options.get("name") is not None:
            return super().format_table(table, *arguments, **options)
        return self.quote(joined_name(table.name, table.schema))

    def joined_in(self, text: str, table: Any) -> str:
        """Replace a table's schema and name at the beginning of the text by its joined name."""
        schema = getattr(table, "schema", None)
        if schema in OWN:
            return text
        apart = f"{self.quote_schema(schema)}.{self.quote(table.name)}"
        return f"{self.format_table(table)}{text.removeprefix(apart)}" if text.startswith(apart) else text


class _Statements(base.SQLiteCompiler):
    preparer: _Names

    def visit_table(self, table: Any, *arguments: Any, **options: Any) -> str:
        return self.preparer.joined_in(STATEMENTS.visit_table(self, table, *arguments, **options), table)

    def visit_column(self, column: Any, *arguments: Any, **options: Any) -> str:
        return self.preparer.joined_in(super().visit_column(column, *arguments, **options), column.table)


class _Tables(base.SQLiteDDLCompiler):
    def visit_foreign_key_constraint(self, constraint: Any, **options: Any) -> str:
        # SQLite's own compiler would omit a reference to another schema.
        return super(base.SQLiteDDLCompiler, self).visit_foreign_key_constraint(constraint, **options)

    def _prepared_index_name(self, index: sa.Index, **options: Any) -> str:  # type: ignore[override]  # `include_schema`
        is_own = getattr(index.table, "schema", None) in OWN
        return super()._prepared_index_name(index, **(options if is_own else {}))


def _of_table(read: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method of the dialect that inspects a table, under its joined name."""

    def read_joined(self: Any, connection: Any, table_name: str, schema: str | None = None, **options: Any) -> Any:
        return read(self, connection, joined_name(table_name, schema), schema if schema in OWN else None, **options)

    return read_joined


def _of_schema(read: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method of the dialect that lists names, limited to one schema."""

    def list_parted(self: Any, connection: Any, schema: str | None = None, **options: Any) -> Any:
        own, wanted = (schema, None) if schema in OWN else (None, schema)
        return [name for found, name in map(parted, read(self, connection, own, **options)) if found == wanted]

    return list_parted


def _foreign_keys(self: Any, *arguments: Any, **options: Any) -> Any:
    """Return the foreign keys of a table, with the schemas of the tables that they refer to."""
    found = _of_table(STOCK.get_foreign_keys)(self, *arguments, **options)
    return [{**key, **_referred(key)} for key in found]


def _referred(key: Mapping[str, Any]) -> dict[str, Any]:
    schema, table = parted(key["referred_table"])
    return {"referred_schema": schema or key["referred_schema"], "referred_table": table}


def _indexes(self: Any, *arguments: Any, **options: Any) -> Any:
    """Return the indexes of a table without those of expressions, which SQLAlchemy cannot read.

    SQLAlchemy's warning about them is dropped: migrations read the statements of these indexes themselves.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Skipped unsupported reflection of expression-based index")
        return _of_table(STOCK.get_indexes)(self, *arguments, **options)


def _schema_names(self: Any, connection: Any, **options: Any) -> Any:
    """Return SQLite's own schemas, and those of the existing tables."""
    found = {schema for schema, _table in map(parted, STOCK.get_table_names(self, connection)) if schema is not None}
    return [*STOCK.get_schema_names(self, connection, **options), *sorted(found)]


class SQLiteWithSchemas(SQLiteDialect_pysqlite):
    """The dialect of `create_engine`, called `sqlite+rowhouse` in URLs."""

    supports_statement_cache = True
    preparer = _Names
    statement_compiler = _Statements
    ddl_compiler = _Tables

    has_table = _of_table(STOCK.has_table)
    get_check_constraints = _of_table(STOCK.get_check_constraints)
    get_columns = _of_table(STOCK.get_columns)
    get_foreign_keys = _foreign_keys
    get_indexes = _indexes
    get_pk_constraint = _of_table(STOCK.get_pk_constraint)
    get_schema_names = _schema_names
    get_table_names = _of_schema(STOCK.get_table_names)
    get_table_options = _of_table(STOCK.get_table_options)
    get_unique_constraints = _of_table(STOCK.get_unique_constraints)
    get_view_definition = _of_table(STOCK.get_view_definition)
    get_view_names = _of_schema(STOCK.get_view_names)


sa.dialects.registry.register("sqlite.rowhouse", __name__, SQLiteWithSchemas.__name__)
