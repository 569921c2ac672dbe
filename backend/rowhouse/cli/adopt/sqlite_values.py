"""The type of a SQLite column by the values that it holds: SQLite stores any value in a column of any type.

A value that does not fit the declared type would make every list of the table fail. So each column is looked at, and
gets the first type that all its values fit.
"""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from rowhouse.cli.adopt.stored import StoredColumn

DAY = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
CLOCK = "[0-9][0-9]:[0-9][0-9]:[0-9][0-9]"
FRACTION = "[0-9]" * 6  # as SQLAlchemy writes it; values are compared as text
# Instants as `CURRENT_TIMESTAMP` writes them.
SECONDS = sqlite.DATETIME(truncate_microseconds=True)  # type: ignore[no-untyped-call]  # SQLAlchemy's
# For each type, SQL that is true of a value that fits; {} is the column.
FITS: tuple[tuple[Any, str], ...] = (
    (sa.Boolean, "typeof({}) = 'integer' AND {} IN (0, 1)"),
    (sa.Integer, "typeof({}) = 'integer'"),
    ((sa.Numeric, sa.Float), "typeof({}) IN ('integer', 'real')"),
    (sqlite.DATETIME, f"typeof({{}}) = 'text' AND {{}} GLOB '{DAY} {CLOCK}' AND datetime({{}}) = {{}}"),
    (sa.DateTime, f"typeof({{}}) = 'text' AND {{}} GLOB '{DAY} {CLOCK}.{FRACTION}' AND datetime({{}}) IS NOT NULL"),
    (sa.Date, f"typeof({{}}) = 'text' AND {{}} GLOB '{DAY}' AND date({{}}) = {{}}"),
    (sa.Time, f"typeof({{}}) = 'text' AND {{}} GLOB '{CLOCK}.{FRACTION}' AND time({{}}) IS NOT NULL"),
    (sa.JSON, "typeof({}) = 'text' AND json_valid({})"),
    (sa.String, "typeof({}) = 'text'"),
    (sa.LargeBinary, "typeof({}) = 'blob'"),
)
OTHERS = (sa.BigInteger(), sa.Float(), sa.DateTime(), SECONDS, sa.Text(), sa.LargeBinary())


def fitting(connection: sa.Connection, table: sa.TableClause, column: StoredColumn) -> Any:
    """Return the declared type if all values fit it, else the first other type that they fit, else no type."""
    return next(
        (kind for kind in _candidates(column) if _fits(connection, table, column.name, kind)), sa.types.NullType()
    )


def _candidates(column: StoredColumn) -> Iterator[Any]:
    if isinstance(column.kind, sa.DateTime):
        yield from (SECONDS, sa.DateTime()) if "CURRENT_TIMESTAMP" in str(column.default) else (sa.DateTime(), SECONDS)
    elif not isinstance(column.kind, sa.types.NullType):
        yield column.kind
    yield from OTHERS


def _fits(connection: sa.Connection, table: sa.TableClause, name: str, kind: Any) -> bool:
    test = next((sql for known, sql in FITS if isinstance(kind, known)), None)
    if test is None:
        return False
    column = connection.dialect.identifier_preparer.quote(name)
    strange: Any = sa.literal_column("1").label("one")
    where = sa.text(f"{column} IS NOT NULL AND NOT ({test.replace('{}', column)})".replace(":", r"\:"))
    return connection.execute(sa.select(strange).select_from(table).where(where).limit(1)).first() is None
