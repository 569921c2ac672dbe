"""Reads back what a database holds, as lines that compare: for tests that ask whether two schemas are the same."""

from collections.abc import Iterator

import sqlalchemy as sa

VERSION_TABLE = "alembic_version"
FUNCTIONS = "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
EXCLUSIONS = "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'x'"
TRIGGERS = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
COUNTING_KEYS = "SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%'"


def tables(connection: sa.Connection) -> set[str]:
    """Every column, key, constraint and index, each as one line; Alembic's own table is left out."""
    inspector = sa.inspect(connection)
    names = [name for name in inspector.get_table_names() if name != VERSION_TABLE]
    lines = {f"{name}: {line}" for name in names for line in _lines(inspector, name)}
    if connection.dialect.name == "sqlite":
        lines |= {f"{name}: counting key" for name in connection.exec_driver_sql(COUNTING_KEYS).scalars()}
    return lines


def _lines(inspector: sa.Inspector, table: str) -> Iterator[str]:
    for column in inspector.get_columns(table):
        yield f"column {column['name']} {column['type']} null={column['nullable']} default={column.get('default')}"
    key = inspector.get_pk_constraint(table)
    yield f"key {key['name']} {key['constrained_columns']}"
    for reference in inspector.get_foreign_keys(table):
        target = f"{reference['referred_table']} {reference['referred_columns']} {reference.get('options')}"
        yield f"foreign key {reference['name']} {reference['constrained_columns']} to {target}"
    for unique in inspector.get_unique_constraints(table):
        yield f"unique {unique['name']} {unique['column_names']}"
    for check in inspector.get_check_constraints(table):
        yield f"check {check['name']} {check['sqltext']}"
    for index in inspector.get_indexes(table):
        if "duplicates_constraint" not in index:
            parts = index.get("expressions") or index["column_names"]
            yield f"index {index['name']} {parts} unique={bool(index['unique'])}"


def guards(connection: sa.Connection) -> dict[str, str]:
    """The exclusion constraints (PostgreSQL) or triggers (SQLite) by name, each with its definition."""
    source = EXCLUSIONS if connection.dialect.name == "postgresql" else TRIGGERS
    return {row[0]: " ".join(row[1].split()) for row in connection.exec_driver_sql(source)}


def functions(connection: sa.Connection) -> set[str]:
    """The definitions of the functions that the database holds; SQLite holds none."""
    if connection.dialect.name == "sqlite":
        return set()
    return set(connection.exec_driver_sql(FUNCTIONS).scalars())
