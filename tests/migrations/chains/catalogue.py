"""Everything that a database holds besides rows, read from its own catalogue as lines that can be compared."""

import re
from collections.abc import Callable, Iterator

import sqlalchemy as sa

from tests.migrations import schema
from tests.migrations.chains.classes import Column, Schema

# Statistics go without their names, which nothing uses: they keep that of a renamed column.
OF_POSTGRESQL = r"""
SELECT 'column ' || c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
    || ' collation=' || coalesce(o.collname, '') || ' null=' || (NOT a.attnotnull)
    || ' default=' || coalesce(pg_get_expr(d.adbin, d.adrelid), '')
FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid AND c.relkind = 'r'
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN pg_collation o ON o.oid = a.attcollation
WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT 'constraint ' || c.relname || ' ' || n.conname || ' ' || pg_get_constraintdef(n.oid) || ' valid=' || n.convalidated
FROM pg_constraint n JOIN pg_class c ON c.oid = n.conrelid
WHERE n.connamespace = 'public'::regnamespace AND n.contype <> 'n'
UNION ALL
SELECT 'index ' || i.indexdef || ' ' || coalesce(
    (SELECT string_agg(coalesce(a.attstattarget::text, ''), ',') FROM pg_attribute a
     WHERE a.attrelid = (i.schemaname || '.' || quote_ident(i.indexname))::regclass), '')
FROM pg_indexes i WHERE i.schemaname = 'public'
UNION ALL
SELECT 'trigger ' || pg_get_triggerdef(t.oid) FROM pg_trigger t WHERE NOT t.tgisinternal
UNION ALL
SELECT 'statistics ' || regexp_replace(pg_get_statisticsobjdef(s.oid), 'STATISTICS \S+', '') FROM pg_statistic_ext s
UNION ALL
SELECT 'enum ' || t.typname || ' ' || string_agg(e.enumlabel, ', ' ORDER BY e.enumsortorder)
FROM pg_type t JOIN pg_enum e ON e.enumtypid = t.oid GROUP BY t.typname
UNION ALL
SELECT 'sequence ' || relname FROM pg_class WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace
"""
OF_SQLITE = "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE type <> 'table' AND sql IS NOT NULL"
COLUMN = re.compile(r"(?:column )?(?P<table>\w+)(?:: column |\.)(?P<column>\w+) ")
LENGTH = re.compile(r"(?<= VARCHAR)\(\d+\)")
DEFAULT = re.compile(r" default=(?!nextval).*$")
# Alembic's table; and the types that SQLAlchemy makes for enums of Python's, which the engine stores as text.
UNUSED = ("alembic_version", "enum colour ")


def catalogue(connection: sa.Connection, of: Schema) -> set[str]:
    """Return columns, constraints, indexes, triggers and types.

    The default of a column counts only if the class leaves it to the database: a migration that fills rows leaves a
    default behind. SQLite does not enforce the length of a text, so the length of an enum does not count there.
    """
    read = _of_postgresql if connection.dialect.name == "postgresql" else _of_sqlite
    lines = {" ".join(line.split()) for line in read(connection)}
    lines = {line for line in lines if not any(word in line for word in UNUSED)}
    stated = places(of, lambda column: column.has_server_default)
    lines = {line if place(line) in stated else DEFAULT.sub("", line) for line in lines}
    enums = places(of, lambda column: column.kind == "state")
    return {LENGTH.sub("", line) if place(line) in enums else line for line in lines}


def places(schema: Schema, belongs: Callable[[Column], bool]) -> set[str]:
    """Return columns of a schema, each as `table.column`."""
    return {f"{table.name}.{column.name}" for table in schema.tables for column in table.columns if belongs(column)}


def place(line: str) -> str:
    """Return the column that a line is about, as `table.column`; for any other line its first word."""
    found = COLUMN.match(line)
    return f"{found['table']}.{found['column']}" if found else line.partition(" ")[0]


def create_all(engine: sa.Engine, metadata: sa.MetaData, schema: Schema) -> set[str]:
    """Return the catalogue of a database that `create_all` has filled."""
    with engine.begin() as connection:
        metadata.create_all(connection)
        return catalogue(connection, schema)


def same_lines(found: set[str], wanted: set[str]) -> None:
    """Fail with the lines that one of two catalogues lacks."""
    assert found == wanted, f"found {sorted(found - wanted)}\nwanted {sorted(wanted - found)}"


def open_nulls(lines: set[str], columns: set[str]) -> set[str]:
    """Return the lines. Those of some columns omit whether they may be null, and their default."""
    return {line.partition(" null=")[0] if place(line) in columns else line for line in lines}


def _of_postgresql(connection: sa.Connection) -> Iterator[str]:
    yield from connection.exec_driver_sql(OF_POSTGRESQL).scalars()


def _of_sqlite(connection: sa.Connection) -> Iterator[str]:
    """Remove the quotes that SQLite adds to renamed columns."""
    yield from schema.tables(connection)
    for kind, name, table, text in connection.exec_driver_sql(OF_SQLITE):
        yield f"{kind} {name} of {table}: {text}".replace('"', "")
