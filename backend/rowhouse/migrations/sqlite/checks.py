"""Checks a SQLite database before a migration is committed. Must not know Alembic's operations."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from alembic.util import CommandError

from rowhouse.migrations.sqlite.tables import tokens_of, unquoted

NAMED = "SELECT name FROM sqlite_master WHERE type = ? AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
KEYS = 'SELECT id, "table", "from" FROM pragma_foreign_key_list(?) ORDER BY id, seq'
TRIGGERS = "SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name"
EVENTS = ("INSERT", "UPDATE", "DELETE")
SHOWN = 10


class UnsafeMigrationError(CommandError):
    """A migration would lose data or leave something broken. It is rolled back."""


class State(NamedTuple):
    """The tables, rows and violations before the migrations."""

    mark: tuple[Any, ...]
    violations: Counter[str]


def state_of(connection: sa.Connection) -> State:
    """Return the state that `check` compares with."""
    return State(_mark(connection), Counter(_violations(connection)))


def check(connection: sa.Connection, before: State) -> None:
    """Require that every referenced row exists, and that triggers and views compile.

    Raises:
        UnsafeMigrationError: with table, row and parent, or with the trigger or view.
    """
    if _mark(connection) == before.mark:
        return
    problems = [*(Counter(_violations(connection)) - before.violations).elements()]
    if problems:
        problems.append(
            "SQLite has foreign keys off in a migration: delete the rows that refer to a row before the row itself"
        )
    problems += [*_broken_triggers(connection), *_broken_views(connection)]
    if problems:
        more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise UnsafeMigrationError("The migration is undone. " + "; ".join(problems[:SHOWN]) + more)


def row_counts(connection: sa.Connection) -> dict[str, int]:
    """Return the number of rows of each table."""
    quote = connection.dialect.identifier_preparer.quote_identifier
    names = connection.exec_driver_sql(NAMED, ("table",)).scalars().all()
    counts = {name: f"SELECT count(*) FROM {quote(name)}" for name in names}  # noqa: S608  # nosec B608  quoted
    return {name: connection.exec_driver_sql(count).scalar_one() for name, count in counts.items()}


def _mark(connection: sa.Connection) -> tuple[Any, ...]:
    """Return a value that changes with every change of a row or of the schema."""
    driver: Any = connection.connection.driver_connection
    return driver.total_changes, connection.exec_driver_sql("PRAGMA schema_version").scalar()


def _names(connection: sa.Connection, kind: str) -> Sequence[str]:
    return connection.exec_driver_sql(NAMED, (kind,)).scalars().all()


def _violations(connection: sa.Connection) -> Iterator[str]:
    """Return a sentence for each foreign key whose row does not exist."""
    tables = _names(connection, "table")
    known = {name.lower() for name in tables}
    for table in tables:
        keys: dict[int, list[str]] = {}
        for number, parent, column in connection.exec_driver_sql(KEYS, (table,)):
            keys.setdefault(number, []).append(column)
            if parent.lower() not in known:
                yield f"{table}.{column} refers to {parent}, a table that is not there"
        try:
            rows = connection.exec_driver_sql("SELECT * FROM pragma_foreign_key_check(?)", (table,)).all()
        except sa.exc.OperationalError as error:  # the referenced columns are not unique
            yield f"{table}: {error.orig}"
            continue
        for _table, row, parent, number in rows:
            yield f"{table}, row {row}: {', '.join(keys[number])} refers to a row of {parent} that is not there"


def _broken_triggers(connection: sa.Connection) -> Iterator[str]:
    """Return the triggers that do not compile."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name, table, statement in connection.exec_driver_sql(TRIGGERS).all():
        words = [token.word for token in tokens_of(statement)]
        at = next(at for at, word in enumerate(words) if word in EVENTS)
        groups.setdefault((table, words[at]), []).append(name)
        watched = words[at + 2 : words.index("ON", at) : 2] if words[at + 1] == "OF" else []
        columns = {column.upper() for column in _columns(connection, table)}
        for column in set(map(unquoted, watched)) - columns:
            yield f"the trigger {name} watches {table}.{column.lower()}, which is not there"
    for (table, event), names in groups.items():
        if error := _compile_error(connection, _write(connection, table, event)):
            yield f"the trigger {' or '.join(names)} on {table} does not compile: {error}"


def _broken_views(connection: sa.Connection) -> Iterator[str]:
    """Return the views that do not compile."""
    quote = connection.dialect.identifier_preparer.quote_identifier
    for view in _names(connection, "view"):
        if error := _compile_error(connection, f"SELECT * FROM {quote(view)}"):  # noqa: S608  # nosec B608  # quoted
            yield f"the view {view} does not compile: {error}"


def _columns(connection: sa.Connection, table: str) -> Sequence[str]:
    """Return the columns of a table or view that a statement may set."""
    found = "SELECT name FROM pragma_table_xinfo(?) WHERE hidden = 0"
    return connection.exec_driver_sql(found, (table,)).scalars().all()


def _write(connection: sa.Connection, table: str, event: str) -> str:
    """Return a statement that fires every trigger of an event."""
    quote = connection.dialect.identifier_preparer.quote_identifier
    if event == "INSERT":
        return f"INSERT INTO {quote(table)} DEFAULT VALUES"
    if event == "DELETE":
        return f"DELETE FROM {quote(table)}"  # noqa: S608  # nosec B608  # quoted
    values = ", ".join(f"{quote(column)} = {quote(column)}" for column in _columns(connection, table))
    return f"UPDATE {quote(table)} SET {values}"  # noqa: S608  # nosec B608  # quoted


def _compile_error(connection: sa.Connection, statement: str) -> str | None:
    """Return why a statement does not compile, or None. The statement is not run."""
    try:
        connection.exec_driver_sql(f"EXPLAIN {statement}").all()
    except sa.exc.OperationalError as error:
        return str(error.orig)
    return None
