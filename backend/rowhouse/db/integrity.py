"""Translates database errors, by the name of the constraint and not by the driver's message (after PostgREST's table).

SQLite names neither unique nor foreign-key constraints. Its unique errors list the columns, which identify the
constraint. A trigger for a rule raises the constraint's name as its message, so both databases report the same.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.schema import conv
from sqlmodel import SQLModel

from rowhouse.core.errors import (
    NOT_STORED,
    ConflictError,
    ConnectionLostError,
    DatabaseError,
    DatabaseRightsError,
    DuplicateError,
    InvalidInputError,
    LockedError,
    ReadOnlyDatabaseError,
    ReferenceNotFoundError,
    RowhouseError,
    StatementTimeoutError,
    StillReferencedError,
    TransactionRetryError,
    UnavailableError,
)
from rowhouse.db.sqlalchemy_internals import stored_name

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
UNSTORABLE = "The database cannot store one of these values."
# The key in `Table.info` of the names of attributes, by the names of their columns.
MEMBERS = "members"
SQLModel.metadata.naming_convention = NAMING_CONVENTION


class ForeignKeyError(ConflictError):
    """409: a foreign key was violated.

    The caller knows whether a reference was missing or a row is still referenced.
    """

    def __init__(self, constraint: str | None = None) -> None:
        super().__init__("A row refers to another that does not exist, or is still referred to.")
        self.constraint = constraint


class ConstraintCatalog:
    """The constraints of the metadata by name, and the error for a violation of each.

    A table's `info["conflicts"]` maps the name of a constraint to its `ConflictError` class.
    """

    def __init__(self, metadata: sa.MetaData) -> None:
        self._metadata = metadata

    def key_of(self, schema: str | None, table: str | None) -> str | None:
        """Return the metadata's key of a table: with its schema where a class declares it."""
        qualified = f"{schema}.{table}"
        return qualified if qualified in self._metadata.tables else table

    def unique_violation(
        self, name: str | None, columns: list[str] | None = None, table: str | None = None
    ) -> RowhouseError:
        """Return the error for a duplicate value, from the constraint's name or its columns."""
        found = self._find(name, table)
        if found is None:
            return DuplicateError("A value that must be unique is taken.")
        return self._taken(found, columns or _unique_columns(found, name))

    def rule_violation(self, name: str | None) -> RowhouseError:
        """Return the error for a check, exclusion or NOT NULL constraint. The name of the last is `table.column`."""
        for candidate in self._metadata.tables.values():
            conflict = candidate.info.get("conflicts", {}).get(name)
            if conflict is not None:
                return _instance(conflict)
        return ConflictError(f"The values break {f'the rule {name}' if name else 'a rule of the database'}.")

    def reference_error(self, error: ForeignKeyError, statement: str | None) -> RowhouseError:
        """Return the error for a session's statement: a missing reference, or a row that is still referenced.

        PostgreSQL names the constraint and so the member; SQLite does not.
        """
        match (statement or "").split(maxsplit=3):
            case ["DELETE", *_]:
                return StillReferencedError()
            case ["INSERT", "INTO", table, *_] | ["UPDATE", table, *_]:
                found = self._metadata.tables.get(table.strip('"'))
                keys = found.foreign_key_constraints if found is not None else ()
                return _missing([key for key in keys if is_named(key, error.constraint)] or keys)
        return error

    def reference_error_at_commit(self, error: ForeignKeyError, statements: Iterable[str]) -> RowhouseError:
        """Return the error for a foreign key that the database checks at the commit.

        `statements` are those of the transaction that wrote. A deletion of what the key refers to leaves references; an
        insertion or a change makes a missing one.
        """
        written: dict[bool, set[str]] = {True: set(), False: set()}
        for statement in statements:
            match statement.split(maxsplit=3):
                case ["DELETE", "FROM", table, *_]:
                    written[True].add(table.replace('"', ""))
                case ["INSERT", "INTO", table, *_] | ["UPDATE", table, *_]:
                    written[False].add(table.replace('"', ""))
        keys = [
            key
            for table in self._metadata.tables.values()
            for key in table.foreign_key_constraints
            if error.constraint is None or is_named(key, error.constraint)
        ]
        if any(key.referred_table.fullname in written[True] for key in keys):
            return StillReferencedError()
        meant = [key for key in keys if key.table.fullname in written[False]]
        return _missing(meant) if meant else error

    def _find(self, name: str | None, table: str | None) -> sa.Table | None:
        if table in self._metadata.tables:
            return self._metadata.tables[str(table)]
        return next((t for t in self._metadata.tables.values() if name and _has(t, name)), None)

    def _taken(self, table: sa.Table, columns: list[str]) -> RowhouseError:
        entity = table.info.get("entity", table.name)
        names = table.info.get(MEMBERS, {})
        members = " and ".join(names.get(name, name) for name in columns) or "value"
        return DuplicateError(f"{entity} with this {members} already exists")


def _missing(keys: Iterable[sa.ForeignKeyConstraint]) -> ReferenceNotFoundError:
    """Return the error of a row that refers to nothing by one of these keys."""
    members = sorted(_member(column) for key in keys for column in key.columns) or ["A member"]
    return ReferenceNotFoundError(f"{' or '.join(members)}: there is nothing with this id.")


def _member(column: sa.Column[Any]) -> str:
    """Return the name of the attribute, which clients know."""
    return str(column.table.info.get(MEMBERS, {}).get(column.name, column.name))


def _instance(conflict: Any) -> RowhouseError:
    error = conflict()
    if not isinstance(error, RowhouseError):
        raise TypeError(f"info['conflicts'] must map to RowhouseError classes, not {conflict!r}")
    return error


def is_named(item: sa.Constraint | sa.Index, name: str | None) -> bool:
    """Return True if the database stores a constraint or index under this name. SQLAlchemy shortens long names."""
    given = item.name
    if not isinstance(given, conv):
        return given == name
    return name in (given, stored_name(given))


def _has(table: sa.Table, name: str) -> bool:
    items: list[sa.Constraint | sa.Index] = [*table.constraints, *table.indexes]
    return any(is_named(item, name) for item in items)


def _unique_columns(table: sa.Table, name: str | None) -> list[str]:
    for constraint in table.constraints:
        if is_named(constraint, name) and isinstance(constraint, (sa.UniqueConstraint, sa.PrimaryKeyConstraint)):
            return [column.name for column in constraint.columns]
    for index in table.indexes:
        if is_named(index, name):
            return [column.name for column in index.columns]
    return []


# A prepared statement whose table has changed since (a migration while the server runs); one that the session does not
# have, or already has, where a pooler gives each transaction another session.
PLAN_CHANGED, STATEMENT_LOST, STATEMENT_THERE = "0A000", "26000", "42P05"
RETRYABLE = ("40001", "40P01", PLAN_CHANGED, STATEMENT_LOST, STATEMENT_THERE)
LOCK_NOT_AVAILABLE, QUERY_CANCELED, READ_ONLY, NO_RIGHT = "55P03", "57014", "25006", "42501"
# The server has closed the connection: it was idle in a transaction for longer than the role or the database allows, or
# the transaction took too long.
ENDED = ("25P03", "25P04")


def translate(error: BaseException | None, catalog: ConstraintCatalog) -> RowhouseError:
    """Return the `RowhouseError` for a driver's error. Anything unknown is a 500 and keeps its cause."""
    if isinstance(error, psycopg.Error):
        return _rule_of_the_database(error, catalog) or _translate_postgresql(error, catalog)
    if isinstance(error, sqlite3.Error):
        return _ended_transaction(error) or _translate_sqlite(error, catalog)
    return RowhouseError()


def _translate_postgresql(error: psycopg.Error, catalog: ConstraintCatalog) -> RowhouseError:
    state = error.sqlstate or _client_side_state(error)
    name, table = error.diag.constraint_name, catalog.key_of(error.diag.schema_name, error.diag.table_name)
    if state in RETRYABLE or is_disconnect(error):
        return TransactionRetryError() if state in RETRYABLE else ConnectionLostError()
    match state:
        case "23505":
            return catalog.unique_violation(name, table=table)
        case "23503" | "23001":  # the second for ON DELETE RESTRICT, from PostgreSQL 18
            return ForeignKeyError(name)
        case "23514" | "23P01":
            return catalog.rule_violation(name)
        case "23502":
            return catalog.rule_violation(f"{table}.{error.diag.column_name}")
    return _translate_sqlstate_class(state)


# The functions of PostgreSQL's source that report an error, as its protocol names them: `RAISE` of PL/pgSQL, a policy
# of row-level security, and a rule without RETURNING. Messages are in the language of the server.
RAISE, POLICY, REWRITING = "exec_stmt_raise", "ExecWithCheckOptions", "RewriteQuery"
# The classes of SQLSTATE that PostgreSQL defines, without that of PL/pgSQL. A trigger raises what it likes.
# fmt: off
DEFINED = frozenset((
    "00", "01", "02", "03", "08", "09", "0A", "0B", "0F", "0L", "0P", "0Z", "10", "20", "21", "22", "23", "24", "25",
    "26", "27", "28", "2B", "2D", "2F", "34", "38", "39", "3B", "3D", "3F", "40", "42", "44", "53", "54", "55", "57",
    "58", "72", "F0", "HV", "XX",
))
# fmt: on
# What a trigger raises with these keeps the meaning that they have: a value, a constraint, a conflict, a lock.
KEPT = ("22", "23", "40", "53", "54", "57", LOCK_NOT_AVAILABLE)
# A trigger has changed or deleted the row that it was called for; and the condition of a view.
TRIGGERED, NOT_IN_VIEW = "27000", "44000"


def _rule_of_the_database(error: psycopg.Error, catalog: ConstraintCatalog) -> RowhouseError | None:
    """Return the error if a trigger, a policy or a rule of the database refused a write.

    A trigger's RAISE says the name of the rule, as in SQLite's triggers.
    """
    state, diag = error.sqlstate, error.diag
    if state is None:
        return None
    if state[:2] not in DEFINED or (diag.source_function == RAISE and not state.startswith(KEPT)):
        return catalog.rule_violation(diag.constraint_name or diag.message_primary)
    is_refused = state in (PLAN_CHANGED, NO_RIGHT) and diag.source_function in (REWRITING, POLICY)
    return ConflictError(NOT_STORED) if is_refused or state in (TRIGGERED, NOT_IN_VIEW) else None


def _client_side_state(error: psycopg.Error) -> str:
    """Return a SQLSTATE for errors of psycopg itself: a lost connection, a value such as NUL, or a bug here."""
    if isinstance(error, psycopg.DataError):
        return "22000"
    return "08000" if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)) else "XX000"


def _translate_sqlstate_class(state: str) -> RowhouseError:
    if state[:2] in ("22", "54"):
        return InvalidInputError([], UNSTORABLE)
    if state in UNAVAILABLE:
        return UNAVAILABLE[state]()
    if state[:2] in ("08", "53", "57", "58"):
        return DatabaseError()
    return RowhouseError()


UNAVAILABLE: Mapping[str, type[UnavailableError]] = {
    LOCK_NOT_AVAILABLE: LockedError,
    QUERY_CANCELED: StatementTimeoutError,
    READ_ONLY: ReadOnlyDatabaseError,
    NO_RIGHT: DatabaseRightsError,
}


def _translate_sqlite(error: sqlite3.Error, catalog: ConstraintCatalog) -> RowhouseError:
    code = getattr(error, "sqlite_errorcode", None)
    subject = str(error).rpartition(": ")[2] or str(error)
    match code:
        case sqlite3.SQLITE_CONSTRAINT_UNIQUE | sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
            return _sqlite_unique(subject, catalog)
        case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
            return ForeignKeyError()
        case sqlite3.SQLITE_CONSTRAINT_TRIGGER if subject == RESTRICTED:
            return ForeignKeyError()
        case sqlite3.SQLITE_CONSTRAINT_CHECK | sqlite3.SQLITE_CONSTRAINT_TRIGGER | sqlite3.SQLITE_CONSTRAINT_NOTNULL:
            return catalog.rule_violation(subject)
    if code is not None and code & 0xFF in SQLITE_UNAVAILABLE:
        return SQLITE_UNAVAILABLE[code & 0xFF]()
    return RowhouseError()


def _ended_transaction(error: sqlite3.Error) -> RowhouseError | None:
    """Return the error that ended a transaction with a savepoint: of `RAISE(ROLLBACK)` or `ON CONFLICT ROLLBACK`."""
    before = error.__context__ if str(error).startswith(NO_SAVEPOINT) else None
    while before is not None and not isinstance(before, ConflictError):
        before = before.__context__
    return before


NO_SAVEPOINT = "no such savepoint"
# SQLite implements ON DELETE RESTRICT as a trigger, which reports this.
RESTRICTED = "FOREIGN KEY constraint failed"
# The equivalents of 55P03, 57014 and 25006, and of the classes 08, 53 and 58, on PostgreSQL.
SQLITE_UNAVAILABLE: Mapping[int, type[UnavailableError]] = {
    sqlite3.SQLITE_BUSY: LockedError,
    sqlite3.SQLITE_LOCKED: LockedError,
    sqlite3.SQLITE_INTERRUPT: StatementTimeoutError,
    sqlite3.SQLITE_READONLY: ReadOnlyDatabaseError,
    sqlite3.SQLITE_CANTOPEN: DatabaseError,
    sqlite3.SQLITE_FULL: DatabaseError,
    sqlite3.SQLITE_IOERR: DatabaseError,
    sqlite3.SQLITE_PROTOCOL: DatabaseError,
}


def _sqlite_unique(subject: str, catalog: ConstraintCatalog) -> RowhouseError:
    """Return the error for a duplicate.

    `subject` is `index 'name'` for an index on an expression, else `table.a, table.b`.
    """
    if subject.startswith("index "):
        return catalog.unique_violation(subject.removeprefix("index ").strip("'"))
    qualified = [part.rpartition(".") for part in subject.split(", ")]
    return catalog.unique_violation(None, [column for _, _, column in qualified], qualified[0][0])


def is_disconnect(error: BaseException | None) -> bool:
    """Return True if `error` or one of its causes means that the connection is lost."""
    return any(_ends_connection(one) for one in causes(error))


def _ends_connection(error: BaseException) -> bool:
    if not isinstance(error, psycopg.Error):
        return False
    lost = isinstance(error, psycopg.OperationalError) and (error.sqlstate or "08")[:3] in ("08", "080", "57P")
    return lost or error.sqlstate in ENDED


def is_read_only(error: BaseException | None) -> bool:
    """Return True if the database rejected a write.

    Another server may be the primary now; a new connection finds it.
    """
    return any(isinstance(one, ReadOnlyDatabaseError) for one in causes(error))


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, its cause, the cause of that, and so on. An error may be its own cause: each comes once."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__
