"""What SQLite accepts in a table and other databases do not: keys that are null, and references that lead nowhere."""

from collections.abc import Collection

import sqlalchemy as sa

# SQLite compiles a statement with its foreign keys and triggers, and runs nothing.
WRITES = ("EXPLAIN INSERT INTO {} DEFAULT VALUES", "EXPLAIN DELETE FROM {}")


def has_null(connection: sa.Connection, table: str, key: Collection[str]) -> bool:
    """Return whether a row has no value for a part of its key."""
    one: sa.ColumnElement[int] = sa.literal_column("1")
    is_null = sa.or_(*(sa.column(name).is_(None) for name in key))
    return connection.execute(sa.select(one).select_from(sa.table(table)).where(is_null).limit(1)).first() is not None


def write_fault(connection: sa.Connection, table: str) -> str | None:
    """Return why SQLite refuses every insert or delete, or None.

    A foreign key may lead to a table that is not there, or to a column that is not unique. A trigger may call a
    function of the program that made it.
    """
    connection.exec_driver_sql("PRAGMA foreign_keys = ON")
    name = connection.dialect.identifier_preparer.quote(table)
    for write in WRITES:
        try:
            connection.exec_driver_sql(write.format(name))
        except sa.exc.DBAPIError as error:
            return str(error.orig)
    return None
