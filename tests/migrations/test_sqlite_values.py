"""A column of SQLite whose type changes keeps its values, converted as on PostgreSQL.

Values that do not fit are rejected.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from rowhouse.core.settings import Settings
from rowhouse.db.engine import create_engine
from rowhouse.migrations.sqlite.checks import UnsafeMigrationError
from tests.databases import Databases
from tests.migrations.street import migration

INSTANT = "2026-11-27 20:15:30.000000"


@pytest.fixture
def connection(databases: Databases) -> Iterator[sa.Connection]:
    """A connection to an empty database."""
    engine = create_engine(Settings(database_url=databases.empty("sqlite")))
    with engine.connect() as made:
        yield made
    engine.dispose()


def retyped(connection: sa.Connection, before: Any, after: Any, *values: Any) -> list[Any]:
    """Return the values of a column after a change of its type."""
    table = sa.Table("things", sa.MetaData(), sa.Column("value", before))
    table.create(connection)
    for value in (*values, None):
        connection.exec_driver_sql("INSERT INTO things VALUES (?)", (value,))
    connection.commit()
    with migration(connection) as op, op.batch_alter_table("things") as batch:
        batch.alter_column("value", type_=after, existing_type=before)
    found = list(connection.exec_driver_sql("SELECT value FROM things").scalars())
    assert found.pop() is None
    return found


@pytest.mark.parametrize(
    ("before", "after", "value", "expected"),
    [
        (sa.String(9), sa.Integer(), "12", 12),
        (sa.String(9), sa.Numeric(5, 2), "1.5", 1.5),
        (sa.String(9), sa.Date(), "2026-11-27", "2026-11-27"),
        (sa.String(36), sa.Uuid(), "8B2C0D5E-0000-4000-8000-00000000000A", "8b2c0d5e0000400080000000000000 0a".replace(" ", "")),
        (sa.String(9), sa.JSON(), "[1]", "[1]"),
        (sa.String(9), sa.Text(), "long", "long"),
        (sa.Text(), sa.String(9), "short", "short"),
        (sa.Integer(), sa.String(9), 12, "12"),
        (sa.Integer(), sa.Boolean(), 7, 1),
        (sa.Integer(), sa.Float(), 7, 7.0),
        (sa.Integer(), sa.BigInteger(), 7, 7),
        (sa.Numeric(9, 2), sa.Integer(), 1.6, 2),
        (sa.Float(), sa.Numeric(9, 2), 1.25, 1.25),
        (sa.Boolean(), sa.String(9), 1, "true"),
        (sa.Boolean(), sa.String(9), 0, "false"),
        (sa.Boolean(), sa.Integer(), 1, 1),
        (sa.DateTime(), sa.Date(), INSTANT, "2026-11-27"),
        (sa.DateTime(), sa.Time(), INSTANT, "20:15:30.000000"),
        (sa.DateTime(), sa.String(40), INSTANT, INSTANT),
        (sa.Date(), sa.DateTime(), "2026-11-27", "2026-11-27 00:00:00.000000"),
        (sa.Integer(), sa.LargeBinary(), 7, 7),
        (sa.Numeric(10, 3), sa.Numeric(10, 1), 1.239, 1.2),
        (sa.Numeric(10, 3), sa.Numeric(10, 1), -1.25, -1.3),
        (sa.Numeric(10, 3), sa.Numeric(10, 2), 7, 7),
        (sa.Numeric(10, 3), sa.Numeric(10), 1.6, 2),
        (sa.Numeric(), sa.Numeric(10, 1), 1.239, 1.2),
        (sa.Numeric(10, 1), sa.Numeric(10, 3), 1.2, 1.2),
        (sa.Float(), sa.Numeric(9, 1), 1.239, 1.2),
        (sa.String(9), sa.Numeric(5, 1), "-1.239", -1.2),
        (sa.String(9), sa.Numeric(5, 1), "1e1", 10),
        (sa.Integer(), sa.Numeric(5, 1), 7, 7),
        (sa.Integer(), sa.SmallInteger(), -32768, -32768),
        (sa.BigInteger(), sa.Integer(), -2147483647, -2147483647),
        (sa.BigInteger(), sa.Numeric(20, 0), 2**62, 2**62),
        (sa.String(40), sa.DateTime(), "2024-02-29 20:15:30.000001", "2024-02-29 20:15:30.000001"),
        (sa.String(40), sa.Time(), "23:59:59", "23:59:59"),
        (sa.String(40), sa.Interval(), "1970-01-02 00:00:00.000000", "1970-01-02 00:00:00.000000"),
    ],
)  # fmt: skip
def test_a_value_is_converted(connection: sa.Connection, before: Any, after: Any, value: Any, expected: Any) -> None:
    assert retyped(connection, before, after, value) == [expected]


@pytest.mark.parametrize(
    ("before", "after", "value"),
    [
        (sa.String(9), sa.Integer(), "twelve"),
        (sa.String(9), sa.Integer(), "1.5"),
        (sa.String(9), sa.Numeric(), "1,5"),
        (sa.String(9), sa.Float(), ""),
        (sa.String(9), sa.Boolean(), "yes"),
        (sa.String(9), sa.Date(), "tomorrow"),
        (sa.String(9), sa.DateTime(), "2026-11-27"),
        (sa.String(9), sa.Time(), "noon"),
        (sa.String(9), sa.Uuid(), "8b2c"),
        (sa.String(9), sa.JSON(), "{"),
        (sa.Integer(), sa.Date(), 20261127),
        (sa.Integer(), sa.Interval(), 60),
        (sa.String(9), sa.Interval(), "1 day"),
        (sa.String(10), sa.Date(), "2024-13-45"),
        (sa.String(10), sa.Date(), "2023-02-29"),
        (sa.String(10), sa.Date(), "0000-01-01"),
        (sa.String(40), sa.DateTime(), "2024-02-30 20:15:30"),
        (sa.String(40), sa.DateTime(), "2024-02-28 24:00:00"),
        (sa.String(40), sa.DateTime(), "2024-02-28 20:15:30+02:00"),
        (sa.String(40), sa.Time(), "25:00:00"),
        (sa.String(40), sa.Uuid(), "8b2c0d5e-0000-4000-8000-00000000000x"),
        (sa.Integer(), sa.SmallInteger(), 70000),
        (sa.BigInteger(), sa.SmallInteger(), -70000),
        (sa.BigInteger(), sa.Integer(), 2**31),
        (sa.Numeric(20, 0), sa.Integer(), 2**31),
        (sa.Float(), sa.SmallInteger(), 70000.4),
        (sa.String(9), sa.SmallInteger(), "70000"),
        (sa.Numeric(10, 2), sa.Numeric(4, 2), 100),
        (sa.Numeric(10, 3), sa.Numeric(4, 2), -99.999),
        (sa.Integer(), sa.Numeric(3, 1), 100),
        (sa.String(9), sa.Numeric(3, 1), "1.2.3"),
        (sa.String(9), sa.Numeric(3, 1), "1-2"),
        (sa.String(9), sa.Numeric(3, 1), "100"),
        (sa.String(9), sa.String(3), "four"),
        (sa.Text(), sa.String(3), "four"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(connection: sa.Connection, before: Any, after: Any, value: Any) -> None:
    """Nothing changes."""
    with pytest.raises(UnsafeMigrationError, match=r"things\.value: 2 rows have a value that does not fit"):
        retyped(connection, before, after, value, value)
    assert list(connection.exec_driver_sql("SELECT value FROM things").scalars()) == [value, value, None]
