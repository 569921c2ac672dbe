"""SQLAlchemy statements that are compiled once and run on the bare driver.

SQLAlchemy writes the SQL and converts the values. Its execution machinery is skipped, because on a small query it costs
more than the database does (decision 0001). Only statements whose text does not depend on their values belong here.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from pydantic_core import PydanticSerializationError
from sqlmodel import UTCDateTime

from rowhouse.core.errors import InvalidInputError, RowhouseError, TransactionRetryError
from rowhouse.db.dialects.libpq import number_parameters
from rowhouse.db.integrity import UNSTORABLE
from rowhouse.db.out_of_range import OutOfRange
from rowhouse.db.sqlalchemy_internals import cache_key_of, compile_text, elements_of

Row = dict[str, Any]
"""A stored row: its column values by name.

Example:
    row: Row = crud.get(unit, 17)
    title = row["title"]
"""
NOT_UTF_8 = "Could not decode to UTF-8"
EXPLAIN = "EXPLAIN (FORMAT JSON) "
Convert = Callable[[Any], Any]


class Predicate:
    """A WHERE clause for one request. It equals every other clause of the same structure, whatever their values.

    So a statement compiled for the rows of one caller serves every caller. Only the bound values differ.
    """

    __slots__ = ("binds", "clause", "key")

    def __init__(self, *clauses: sa.ColumnElement[bool] | None) -> None:
        given = [clause for clause in clauses if clause is not None]
        self.clause = sa.and_(*given) if given else None
        self.binds: Sequence[sa.BindParameter[Any]] = ()
        self.key: Any = None
        if self.clause is not None:
            found = cache_key_of(self.clause)
            if found is None:
                self.key = self  # the text depends on the values: equal to itself only
                return
            self.key, self.binds = found

    @property
    def rows(self) -> "Predicate":
        """The condition on the rows alone, for a statement without an order."""
        return self

    def __hash__(self) -> int:
        return object.__hash__(self) if self.key is self else hash(self.key)

    def __eq__(self, other: object) -> bool:
        if self.key is self:
            return other is self
        return isinstance(other, Predicate) and bool(self.key == other.key)


EVERYTHING = Predicate()


class WithCondition(Predicate):
    """A predicate and a constant condition, whose values are passed by name.

    The two are joined when a statement is compiled, not for each request.
    """

    __slots__ = ("_condition", "_rows")

    def __init__(self, rows: Predicate, condition: sa.ColumnElement[bool]) -> None:
        self._rows, self._condition = rows, condition
        self.key, self.binds = (id(condition), rows.key), rows.binds

    @property
    def clause(self) -> sa.ColumnElement[bool]:  # type: ignore[override]  # computed here
        """The whole condition."""
        return self._condition if self._rows.clause is None else sa.and_(self._condition, self._rows.clause)


class NeedsCustomPlan:
    """Marks an element whose statement needs a plan for its own values. PostgreSQL does not prepare the statement."""


class CompiledStatement:
    """The text, the parameter conversions and the column names of one statement on one dialect.

    `source` is a Core select, or an insert, update or delete whose RETURNING columns are `columns`. Its values are
    `bindparam`s, passed by name at each run; those of `predicate` come from the predicate of each run. With `explain`,
    PostgreSQL returns the plan of a select instead of its rows.
    """

    def __init__(
        self,
        source: sa.Select[Any] | sa.UpdateBase,
        dialect: sa.Dialect,
        *,
        columns: Sequence[Any],
        predicate: Predicate = EVERYTHING,
        explain: bool = False,
    ) -> None:
        self.writes = isinstance(source, sa.UpdateBase)
        self._options: dict[str, bool] = {}
        if dialect.name == "postgresql" and all(isinstance(plain_type(column.type), BINARY) for column in columns):
            self._options["binary"] = True
            self._options["same_in_text"] = not any(isinstance(plain_type(column.type), sa.Float) for column in columns)
        if dialect.name == "postgresql" and any(isinstance(one, NeedsCustomPlan) for one in elements_of(source)):
            self._options["prepare"] = False
        compiled = compile_text(source, dialect)
        self.text, self._order = compiled.text, compiled.order
        if dialect.name == "postgresql":
            self.text, self._order = number_parameters(EXPLAIN + self.text if explain else self.text)
        self._constants: dict[str, Any] = dict(compiled.constants)
        # A bind with a callable, such as the present instant, is called for each run.
        self._calls = {name: bind.callable for bind, name in compiled.names.items() if bind.callable}
        self._predicate_names = [compiled.names[bind] for bind in predicate.binds]
        self._binds = {
            part: convert
            for bind, name in compiled.names.items()
            if (convert := _binding(bind.type, dialect))
            for part in compiled.expansions.get(name, [name])
        }
        self._columns = columns
        self._is_sqlite = dialect.name == "sqlite"
        # SQLite stores anything in any column. Whoever reads it gets its text (decision 0058).
        self._texts = {str(c.key) for c in columns if self._is_sqlite and not _is_of_project(c.type)}
        self._names = [str(column.key) for column in columns]
        self._dialect = dialect
        self._converts: list[tuple[str, Convert]] | None = None

    def execute(self, driver: Any, parameters: Mapping[str, Any], predicate: Predicate = EVERYTHING) -> list[Row]:
        """Run the statement. Return the rows as dicts by column name. Raises the driver's own errors.

        Raises:
            InvalidInputError: 422; the driver cannot send a number.
        """
        values = {**self._constants, **parameters}
        for name, bind in zip(self._predicate_names, predicate.binds, strict=True):
            values[name] = bind.value
        for name, call in self._calls.items():
            values[name] = call()
        cursor = self._send(driver, values)
        if not self._names:
            return []
        names = self._names
        try:
            found = cursor.fetchall()
        except sqlite3.OperationalError as error:
            cursor.close()  # an open statement would keep what it sees of the database for later requests
            found = self._read_again(driver, values, error)
        if self._is_sqlite and driver.reads_any_text:
            found = self._without_bytes(found)
        rows = [dict(zip(names, row, strict=True)) for row in found]
        converts = self._converts
        if converts is None:
            converts = self._converts = self._result_converts(cursor.description)
        for name, convert in converts:
            self._convert(rows, name, convert)
        return rows

    def _read_again(self, driver: Any, values: Row, error: sqlite3.OperationalError) -> Sequence[Any]:
        """Return the rows of a read that has failed because a text of another program is not UTF-8.

        Raises:
            sqlite3.OperationalError: the error, if it is another.
            TransactionRetryError: for a statement that writes, which must not run twice in one transaction.
        """
        if not str(error).startswith(NOT_UTF_8):
            raise error
        driver.read_any_text()
        if self.writes:
            raise TransactionRetryError(reason="a stored text is not UTF-8")
        return list(driver.execute(self.text, [values[name] for name in self._order]).fetchall())

    def _without_bytes(self, found: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
        """Return rows with text for bytes that another program has stored in columns of other types."""
        holds = [isinstance(plain_type(column.type), sa.LargeBinary) for column in self._columns]
        return [
            [
                value.decode(errors="replace") if isinstance(value, bytes) and not is_binary else value
                for value, is_binary in zip(row, holds, strict=True)
            ]
            for row in found
        ]

    def _convert(self, rows: Sequence[Row], name: str, convert: Convert) -> None:
        pending = iter(rows)
        while True:
            try:
                for row in pending:
                    row[name] = convert(row[name])
            except (ValueError, TypeError, ArithmeticError):
                if name not in self._texts:
                    raise
                row[name] = OutOfRange(str(row[name]))
            else:
                return

    def _send(self, driver: Any, values: Row) -> Any:
        """Convert the values, run the statement, and return the cursor."""
        try:
            for name, convert in self._binds.items():
                values[name] = convert(values[name])
            return driver.execute(self.text, [values[name] for name in self._order], **self._options)
        except OverflowError as error:  # a type of the project makes a number that SQLite cannot store
            raise InvalidInputError([], UNSTORABLE) from error

    def _result_converts(self, description: Any) -> list[tuple[str, Convert]]:
        """Return the conversions of the columns that need one. They may depend on the type codes of the driver."""
        converts = []
        for column, meta in zip(self._columns, description, strict=True):
            if isinstance(column.type, UTCDateTime) and self._dialect.name in INSTANTS:
                convert = INSTANTS[self._dialect.name]
            elif isinstance(column.type, sa.Enum) and column.type.enum_class is None:
                convert = None  # SQLAlchemy's would refuse a word that the class no longer has
            elif self._is_sqlite and isinstance(column.type, sa.LargeBinary):
                convert = _bytes_of  # SQLAlchemy's would make a number of that many zeros
            else:
                convert = column.type.dialect_impl(self._dialect).result_processor(self._dialect, meta[1])
            if convert is not None:
                converts.append((str(column.key), convert))
        return converts


# The types whose binary results psycopg reads whatever the session's settings are. Other types are read as text.
BINARY = (
    sa.Boolean,
    sa.Date,
    sa.DateTime,
    sa.Integer,
    sa.Interval,
    sa.JSON,
    sa.LargeBinary,
    sa.Numeric,
    sa.String,
    sa.Time,
    sa.Uuid,
)


def _is_of_project(kind: Any) -> bool:
    """Return whether a project has written this type. Its errors are the project's."""
    return isinstance(kind, sa.types.TypeDecorator) and not isinstance(kind, UTCDateTime | sa.Interval)


def plain_type(kind: Any) -> Any:
    """Return a type without a decorator."""
    return kind.impl_instance if isinstance(kind, sa.types.TypeDecorator) else kind


def _binding(kind: sa.types.TypeEngine[Any], dialect: sa.Dialect) -> Convert | None:
    """Return the conversion of a value that is sent. SQLite gets a text of another program as it stores it."""
    convert = kind.dialect_impl(dialect).bind_processor(dialect)
    if convert is None or dialect.name != "sqlite" or _is_of_project(kind):
        return convert
    return lambda value: str(value) if isinstance(value, OutOfRange) else convert(value)


def _instant(stored: str | None) -> datetime | None:
    """Return an instant as SQLAlchemy stores it in SQLite. SQLAlchemy's own reader takes five times as long.

    Of a date of another program, without a time, Python takes the zone for the time. Other programs write a zone, too.
    """
    if stored is None:
        return None
    try:
        found = datetime.fromisoformat(f"{stored}+00:00")
    except ValueError:
        found = datetime.fromisoformat(stored)
        return found.astimezone(UTC) if found.tzinfo is not None else found.replace(tzinfo=UTC)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _bytes_of(stored: Any) -> bytes | None:
    """Return what SQLite has stored in a column of bytes: another program may have left a text or a number there."""
    return stored if stored is None or isinstance(stored, bytes) else str(stored).encode()


# PostgreSQL's instants are read in binary, which is in UTC.
INSTANTS: Mapping[str, Convert | None] = {"postgresql": None, "sqlite": _instant}


def unreadable_text(error: BaseException | None, driver: Any) -> RowhouseError | None:
    """Return the error for a text that is not UTF-8: of the client, or of another program, to be read once more."""
    if isinstance(error, UnicodeEncodeError) and error.encoding == "utf-8":
        return InvalidInputError([], "Some text contains half a surrogate pair, which is not a character.")
    if isinstance(error, PydanticSerializationError | UnicodeDecodeError) and not driver.reads_any_text:
        driver.read_any_text()
        return TransactionRetryError(reason="a stored text is not UTF-8")
    return None
