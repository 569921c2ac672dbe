"""Reads the schema of a database as lines that can be compared."""

from collections.abc import Iterator

import sqlalchemy as sa

VERSION_TABLE = "alembic_version"
FUNCTIONS = "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
EXCLUSIONS = "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'x'"
TRIGGERS = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
COUNTING_KEYS = "SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%'"


def tables(connection: sa.Connection) -> set[str]:
    """Return every column, key, constraint and index, each as one line, without Alembic's own table."""
    inspector = sa.inspect(connection)
    names = [name for name in inspector.get_table_names() if name != VERSION_TABLE]
    lines = {f"{name}: {line}" for name in names for line in _lines(inspector, name)}
    if connection.dialect.name == "sqlite":
        lines |= {f"{name}: counting key" for name in connection.exec_driver_sql(COUNTING_KEYS).scalars()}
    return lines


def tables_in_schemas(connection: sa.Connection, metadata: sa.MetaData) -> set[str]:
    """Return the same for the tables that the models have in schemas."""
    inspector = sa.inspect(connection)
    found = [
        table for table in metadata.tables.values() if table.schema and inspector.has_table(table.name, table.schema)
    ]
    return {f"{table.fullname}: {line}" for table in found for line in _lines(inspector, table.name, table.schema)}


def _lines(inspector: sa.Inspector, table: str, schema: str | None = None) -> Iterator[str]:
    for column in inspector.get_columns(table, schema):
        yield f"column {column['name']} {column['type']} null={column['nullable']} default={column.get('default')}"
    key = inspector.get_pk_constraint(table, schema)
    yield f"key {key['name']} {key['constrained_columns']}"
    for reference in inspector.get_foreign_keys(table, schema):
        referred = ".".join(filter(None, (reference["referred_schema"], reference["referred_table"])))
        target = f"{referred} {reference['referred_columns']} {reference.get('options')}"
        yield f"foreign key {reference['name']} {reference['constrained_columns']} to {target}"
    for unique in inspector.get_unique_constraints(table, schema):
        yield f"unique {unique['name']} {unique['column_names']}"
    for check in inspector.get_check_constraints(table, schema):
        yield f"check {check['name']} {check['sqltext']}"
    for index in inspector.get_indexes(table, schema):
        if "duplicates_constraint" not in index:
            parts = index.get("expressions") or index["column_names"]
            yield f"index {index['name']} {parts} unique={bool(index['unique'])}"


def guards(connection: sa.Connection) -> dict[str, str]:
    """Return the exclusion constraints (PostgreSQL) or triggers (SQLite) by name, each with its definition."""
    source = EXCLUSIONS if connection.dialect.name == "postgresql" else TRIGGERS
    return {row[0]: " ".join(row[1].split()) for row in connection.exec_driver_sql(source)}


def functions(connection: sa.Connection) -> set[str]:
    """Return the definitions of the functions in the database. SQLite has none."""
    if connection.dialect.name == "sqlite":
        return set()
    return set(connection.exec_driver_sql(FUNCTIONS).scalars())
