"""The rows of a schema: the values when they are filled, the values after a migration, and the stored ones."""

from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from tests.migrations.chains.classes import Column, Schema, Table, default_of
from tests.migrations.chains.kinds import INTERVALS, KEYS

ROWS = 4
# In a nullable column, each row whose number this divides has null.
NULL_EVERY = 3
NEVER_NULL = {*INTERVALS, *INTERVALS.values()}
Row = dict[str, Any]
Rows = dict[str, dict[Any, Row]]


class Anything:
    """A value that cannot be predicted."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "anything"


ANYTHING = Anything()


def filled(schema: Schema) -> Rows:
    """Return the rows of every table by their keys."""
    return {table.name: dict(_rows(schema, table)) for table in schema.tables}


def _rows(schema: Schema, table: Table) -> Iterator[tuple[Any, Row]]:
    for number in range(1, ROWS + 1):
        key = KEYS[table.key].make(number)
        yield key, {"id": key, **{c.name: value(schema, c, number) for c in table.columns}}


def value(schema: Schema, column: Column, number: int) -> Any:
    """Return the value of row n."""
    if column.is_nullable and number % NULL_EVERY == 0 and column.kind not in NEVER_NULL:
        return None
    return schema.kind(column).make(number)


def read(connection: sa.Connection, metadata: sa.MetaData) -> Rows:
    """Return the stored rows, by the types of the classes."""
    return {
        table.name: {row["id"]: dict(row) for row in connection.execute(sa.select(table)).mappings()}
        for table in metadata.tables.values()
    }


def kept(rows: Rows, before: Schema, after: Schema, *, is_undone: bool = False) -> Rows:
    """Return the rows that a migration must leave. After a downgrade, restored columns may have any value."""
    left: Rows = {}
    for table in after.tables:
        if not before.has(table.name):
            left[table.name] = {}
            continue
        old = before.table(table.name)
        columns = [(column, old.column(column.uid) if old.has(column.uid) else None) for column in table.columns]
        left[table.name] = {
            key: {"id": key, **{new.name: _kept(after, was, new, row, is_undone) for new, was in columns}}
            for key, row in rows[table.name].items()
        }
    return left


def _kept(schema: Schema, was: Column | None, new: Column, row: Row, is_undone: bool) -> Any:  # noqa: FBT001  one caller
    if was is None:
        is_open = is_undone
        has_value = new.has_server_default or not new.is_nullable
        return ANYTHING if is_open else default_of(schema, new) if has_value else None
    found = row[was.name]
    return default_of(schema, new) if found is None and not new.is_nullable else found


def refill(connection: sa.Connection, schema: Schema, metadata: sa.MetaData, present: Rows) -> None:
    """Bring the rows to those of `filled`: new tables get rows, new columns values."""
    wanted = filled(schema)
    for table in schema.tables:
        if present.get(table.name):
            continue
        later = {c.name for c in table.columns if c.is_linked and not schema.comes_before(str(c.points), table.name)}
        rows = [{n: None if n in later else v for n, v in row.items()} for row in wanted[table.name].values()]
        connection.execute(metadata.tables[table.name].insert(), rows)
        present[table.name] = {row["id"]: row for row in rows}
    for name, rows_of_table in wanted.items():
        for key, row in rows_of_table.items():
            _update(connection, metadata.tables[name], row, present[name][key])


def _update(connection: sa.Connection, table: sa.Table, row: Row, present: Mapping[str, Any]) -> None:
    changed = {name: found for name, found in row.items() if present[name] is ANYTHING or present[name] != found}
    if changed:
        connection.execute(table.update().where(table.c.id == row["id"]).values(changed))


def empty_tables(connection: sa.Connection, metadata: sa.MetaData) -> None:
    """Delete every row."""
    names = ", ".join(f'"{name}"' for name in metadata.tables)
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"TRUNCATE {names}")
        return
    connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
    for name in metadata.tables:
        connection.exec_driver_sql(f'DELETE FROM "{name}"')  # noqa: S608  names of our own


def same_rows(found: Rows, wanted: Rows) -> None:
    """Fail with the rows that differ."""
    for name, rows in wanted.items():
        assert found[name].keys() == rows.keys(), f"the keys of {name}: {list(found[name])}, not {list(rows)}"
        for key, row in rows.items():
            differing = {c: (found[name][key][c], value) for c, value in row.items() if value != found[name][key][c]}
            assert not differing, f"{name} {key}: found and wanted {differing}"
