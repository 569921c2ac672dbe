"""Checks of what a class says to one database only. The other would store what the first refuses, or fail.

An adopted table exists, on the database that it was made for, so it is not checked.
"""

import sqlite3
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from pydantic.fields import FieldInfo
from sqlalchemy.dialects import postgresql
from sqlmodel import SQLModel

from rowhouse.entities.model import is_adopted
from rowhouse.entities.sqlalchemy_internals import prefixes_of
from rowhouse.registration.class_checks import check_database
from rowhouse.schemas.columns import RegistrationError
from rowhouse.schemas.defaults import is_filled
from rowhouse.schemas.sqlmodel_internals import mapper_registry

SQLITE, POSTGRESQL = "sqlite", "postgresql"
OTHER = {SQLITE: POSTGRESQL, POSTGRESQL: SQLITE}
NAMES = {SQLITE: "SQLite", POSTGRESQL: "PostgreSQL"}
COLLATIONS_OF_SQLITE = ("BINARY", "NOCASE", "RTRIM")
Problems = Iterator[tuple[str, str]]


def check_classes(metadata: sa.MetaData, dialect: sa.Dialect) -> None:
    """Check every class of these models before a migration is written. A start checks those that are registered.

    Raises:
        RegistrationError: for the first class that this database cannot store as it says.
    """
    for mapper in mapper_registry().mappers:
        if getattr(mapper.local_table, "metadata", None) is metadata:
            check_database(mapper.class_, dialect)
            check_words(mapper.class_, dialect)


def check_words(model: type[SQLModel], dialect: sa.Dialect) -> None:
    """Reject words of SQLAlchemy that this database does not honour, or by which it alone would lose rows.

    Raises:
        RegistrationError: with the class, the word and the fix.
    """
    table: Any = sa.inspect(model).local_table
    if is_adopted(table):
        return
    for found in (_conflicts, _unique_rules, _kind_of_table, _collations):
        for place, problem in found(table, dialect):
            raise RegistrationError(f"{model.__name__}{place}: {problem}")
    for name, column in sa.inspect(model).columns.items():
        info = model.model_fields.get(name)
        missing = _missing_function(column, info, dialect) if info is not None else None
        if missing is not None:
            raise RegistrationError(
                f"{model.__name__}.{name}: SQLite cannot evaluate its server_default: {missing}; write "
                "default_factory, or use PostgreSQL alone"
            )


def _conflicts(table: sa.Table, _dialect: sa.Dialect) -> Problems:
    """Yield `sqlite_on_conflict`: a POST would delete another row, or store nothing, where PostgreSQL answers 409."""
    for one in (*table.constraints, *table.columns):
        for word, value in one.dialect_kwargs.items():
            if word.startswith("sqlite_on_conflict") and value not in (None, "ABORT"):
                place = f".{one.key}" if isinstance(one, sa.Column) else ""
                yield place, f"{word}={value!r} changes or loses rows on SQLite alone; take it out: a conflict is a 409"


def _unique_rules(table: sa.Table, dialect: sa.Dialect) -> Problems:
    """Yield unique rules for other rows than those of the other database."""
    name, other = dialect.name, OTHER[dialect.name]
    rules: tuple[Any, ...] = (*table.constraints, *table.indexes)
    for one in rules:
        if name == SQLITE and one.dialect_kwargs.get("postgresql_nulls_not_distinct"):
            fix = "make the columns NOT NULL, or use PostgreSQL alone"
            yield "", f"postgresql_nulls_not_distinct has no effect on SQLite, which stores several nulls; {fix}"
        if name == SQLITE and isinstance(one, postgresql.ExcludeConstraint):
            yield "", "SQLite has no ExcludeConstraint; use NoOverlap, or PostgreSQL alone"
    for index in table.indexes:
        is_partial = {key: index.dialect_kwargs.get(f"{key}_where") is not None for key in OTHER}
        if index.unique and is_partial[other] and not is_partial[name]:
            fix = f"write {name}_where={other}_where, or use {NAMES[other]} alone"
            yield (
                "",
                f"the unique index {index.name} holds for all rows on {NAMES[name]}, for it has no {name}_where; {fix}",
            )


def _kind_of_table(table: sa.Table, dialect: sa.Dialect) -> Problems:
    """Yield kinds of tables that this database cannot create, or that other connections do not see."""
    prefixes = [prefix.upper() for prefix in prefixes_of(table)]
    if any("TEMP" in prefix for prefix in prefixes):
        yield "", "other connections do not see a temporary table; take prefixes out"
    if dialect.name != SQLITE:
        return
    if prefixes:
        yield "", f"SQLite has no {prefixes[0]} tables; take prefixes out, or use PostgreSQL alone"
    if table.dialect_kwargs.get("sqlite_with_rowid") is False and table.dialect_kwargs.get("sqlite_autoincrement"):
        yield "", "SQLite counts no key of a table WITHOUT ROWID; take sqlite_with_rowid out"
    if table.dialect_kwargs.get("sqlite_strict"):
        yield "", "strict tables of SQLite have no VARCHAR and no DATETIME; take sqlite_strict out"


def _collations(table: sa.Table, dialect: sa.Dialect) -> Problems:
    """Yield collations of the other database."""
    for column in table.columns:
        collation = getattr(column.type.dialect_impl(dialect), "collation", None)
        if collation is not None and (collation.upper() in COLLATIONS_OF_SQLITE) != (dialect.name == SQLITE):
            fix = "take it out, or give each database its own with with_variant"
            yield f".{column.key}", f"{NAMES[dialect.name]} has no collation {collation!r}; {fix}"


def _missing_function(column: sa.Column[Any], info: FieldInfo, dialect: sa.Dialect) -> str | None:
    """Return SQLite's message for a default that calls a function it lacks. `CREATE TABLE` takes such a default.

    None if Python fills the column, so that the database never evaluates the default.
    """
    if dialect.name != SQLITE or column.default is not None or not is_filled(column, info):
        return None
    text = dialect.ddl_compiler(dialect, None).get_column_default_string(column)  # type: ignore[arg-type]  # no statement
    if text is None:
        return None
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute(f"SELECT {text}")
    except sqlite3.OperationalError as error:
        return str(error) if "function" in str(error) else None
    finally:
        connection.close()
    return None
