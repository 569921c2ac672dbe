"""A SQLite database with a table of every kind of rule, tables that refer to it, and helpers that migrate it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext

from rowhouse.migrations.sqlite.checks import UnsafeMigrationError, row_counts
from rowhouse.migrations.sqlite.rebuild import guarded

STREET = (
    """CREATE TABLE houses (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- never counts back
    "name" VARCHAR(10) COLLATE NOCASE NOT NULL DEFAULT 'a, (b' CHECK (length("name") > 0),
    storeys INT CONSTRAINT low CHECK (storeys < 9) NOT NULL ON CONFLICT REPLACE DEFAULT 1,
    next_id INTEGER CONSTRAINT beside REFERENCES houses ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED,
    area MONEY DEFAULT (1 + 1) CHECK (area >= 0),
    rooms INT GENERATED ALWAYS AS (storeys * 2) STORED, doors INT AS (storeys + 1),
    code TEXT UNIQUE DEFAULT NULL, tag TEXT CONSTRAINT one_tag UNIQUE ON CONFLICT REPLACE,
    built_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    CHECK (storeys <> 5), CONSTRAINT tall CHECK (storeys > 0 /* not flat */),
    CONSTRAINT uq_houses UNIQUE (name, storeys),
    FOREIGN KEY (code, tag) REFERENCES plans (code, tag) ON UPDATE CASCADE
)""",
    "CREATE TABLE log (text TEXT)",
    "CREATE TABLE plans (code TEXT, tag TEXT, UNIQUE (code, tag))",
    "CREATE UNIQUE INDEX ix_short ON houses (name) WHERE storeys < 3 AND name <> ')'",
    "CREATE INDEX ix_folded ON houses (lower(name), storeys DESC)",
    "CREATE INDEX ix_plain ON houses (storeys COLLATE BINARY)",
    "CREATE TRIGGER counted AFTER INSERT ON houses BEGIN INSERT INTO log VALUES (NEW.name || ';'); END",
    """CREATE TRIGGER guarded_name BEFORE UPDATE OF name, storeys ON houses
       WHEN NEW.name = 'x' BEGIN SELECT RAISE(ABORT, 'no x'); END""",
    "CREATE TRIGGER elsewhere AFTER DELETE ON log BEGIN UPDATE houses SET storeys = 1; END",
    "CREATE VIEW high AS SELECT name, rooms FROM houses WHERE storeys > 2",
    "CREATE TABLE rooms (id INTEGER PRIMARY KEY, house_id INTEGER NOT NULL REFERENCES houses ON DELETE CASCADE)",
    "CREATE TABLE people (id INTEGER PRIMARY KEY, house_id INTEGER REFERENCES houses ON DELETE SET NULL)",
    "CREATE TABLE deeds (house_id INTEGER PRIMARY KEY REFERENCES houses ON DELETE RESTRICT) WITHOUT ROWID",
    "INSERT INTO houses (id, name, storeys, next_id, area) VALUES (1, 'one', 1, NULL, 1.5), (2, 'two', 2, 1, 7), (9, 'z', 3, 2, 0)",
    "DELETE FROM houses WHERE id = 9",
    "INSERT INTO rooms VALUES (1, 1), (2, 1), (3, 2)",
    "INSERT INTO people VALUES (1, 1), (2, NULL)",
    "INSERT INTO deeds VALUES (2)",
)
SCHEMA = "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"


@contextmanager
def migration(connection: sa.Connection) -> Iterator[Any]:
    """Yield `op`, as a migration has it."""
    connection.rollback()  # ends what a test has read
    context = MigrationContext.configure(connection, opts={"transactional_ddl": True})
    with guarded(connection, context.begin_transaction):
        yield Operations(context)


def stored(connection: sa.Connection) -> dict[str, str]:
    """Return the definition of everything in the schema, by name, without meaningless spaces."""
    found = {row[0]: " ".join(row[1].split()) for row in connection.exec_driver_sql(SCHEMA)}
    return {
        name: sql.replace("( ", "(").replace(" )", ")").replace('"houses"', "houses") for name, sql in found.items()
    }


def rows(connection: sa.Connection, table: str = "houses") -> list[Any]:
    """Return the rows of a table."""
    return [tuple(row) for row in connection.exec_driver_sql(f"SELECT * FROM {table}")]  # noqa: S608  the test's own


def refusal(connection: sa.Connection, change: Callable[[Any], object]) -> str:
    """Return the error of a rejected migration. Require that it was rolled back, and that foreign keys are on again."""
    before = stored(connection), row_counts(connection)
    with pytest.raises(UnsafeMigrationError) as raised, migration(connection) as op:
        change(op)
    assert (stored(connection), row_counts(connection)) == before
    assert are_foreign_keys_on(connection)
    return str(raised.value)


def are_foreign_keys_on(connection: sa.Connection) -> bool:
    """Return True if the connection enforces foreign keys, outside a transaction."""
    connection.rollback()
    return bool(connection.exec_driver_sql("PRAGMA foreign_keys").scalar())


def alter(op: Any, table: str, column: str, **change: Any) -> None:
    """Alter one column in a batch."""
    with op.batch_alter_table(table) as batch:
        batch.alter_column(column, **change)
