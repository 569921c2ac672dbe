"""The code of a column's type: its annotation, and the arguments of its `Field`. One entry for each SQL type."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from rowhouse.migrations.compare.column_types import POSTGRESQL

MOST_DIGITS = 15  # more are not exact as a JSON number
Arguments = tuple[str, ...]


@dataclass(frozen=True)
class TypeCode:
    """An annotation, such as `int`, the arguments of `Field`, and the type as `ARRAY(...)` takes it."""

    annotation: str
    arguments: Arguments
    sa_type: str


class UntakenError(ValueError):
    """A column cannot be taken. The message says why."""


def code_of(kind: Any, dialect: str) -> TypeCode:
    """Return the code of a type as it was read from a database.

    Raises:
        UntakenError: no member can hold its values.
    """
    while isinstance(kind, postgresql.DOMAIN):
        kind = kind.data_type
        if isinstance(kind, sa.Enum):
            raise UntakenError("its type is a domain over an enum, which PostgreSQL compares with no text")
    for known, write in TYPES:
        if isinstance(kind, known):
            return write(kind, dialect)
    if isinstance(kind, sa.types.NullType):
        raise UntakenError("its values have no common type")
    raise UntakenError(f"its type is {kind.compile(POSTGRESQL)}, which no member can hold")


def _typed(annotation: str, sa_type: str) -> TypeCode:
    return TypeCode(annotation, (f"sa_type={sa_type}",), sa_type)


def _plain(annotation: str, sa_type: str) -> Callable[[Any, str], TypeCode]:
    return lambda _kind, _dialect: TypeCode(annotation, (), sa_type)


def _special(annotation: str, sa_type: str) -> Callable[[Any, str], TypeCode]:
    return lambda _kind, _dialect: _typed(annotation, sa_type)


def _integer(_kind: Any, dialect: str) -> TypeCode:
    # Every integer of SQLite has 64 bits.
    return _typed("int", "sa.BigInteger") if dialect == "sqlite" else TypeCode("int", (), "sa.Integer")


def _text(kind: Any, dialect: str) -> TypeCode:
    if type(kind) is sa.String and dialect == "postgresql":  # neither VARCHAR nor TEXT
        raise UntakenError('its type is name or "char" of PostgreSQL\'s own catalogue, which cuts longer text')
    if kind.length is None:
        return TypeCode("str", (), "sa.Text")
    return TypeCode("str", (f"max_length={kind.length}",), f"sa.String({kind.length})")


def _padded(kind: Any, dialect: str) -> TypeCode:
    if dialect == "sqlite":
        return _text(kind, dialect)
    return TypeCode("str", (f"max_length={kind.length or 1}", f"sa_type=sa.CHAR({kind.length or 1})"), "sa.CHAR")


def _enum(kind: Any, _dialect: str) -> TypeCode:
    arguments = [repr_of(one) for one in kind.enums]
    arguments += [f"name={repr_of(kind.name)}"] if kind.name else []
    arguments += [f"schema={repr_of(kind.schema)}"] if kind.schema else []
    return _typed("str", f"sa.Enum({', '.join(arguments)})")


def _decimal(kind: Any, dialect: str) -> TypeCode:
    if kind.precision is None and dialect == "sqlite":
        return TypeCode("float", (), "sa.Float")  # as it is stored
    # `read_precision` has looked at the rows where the type does not say the scale. PostgreSQL's may be negative, or
    # greater than the precision.
    scale = kind.scale or 0
    digits = min(max((kind.precision or MOST_DIGITS) - min(scale, 0), scale), MOST_DIGITS)
    places = min(max(scale, 0), digits)
    arguments = (f"max_digits={digits}", f"decimal_places={places}")
    return TypeCode("Decimal", arguments, f"sa.Numeric({digits}, {places})")


def _instant(kind: Any, dialect: str) -> TypeCode:
    if isinstance(kind, sqlite.DATETIME):
        return _typed("dt.datetime", "sqlite.DATETIME")
    if kind.timezone or dialect == "sqlite":
        return TypeCode("dt.datetime", (), "sa.DateTime(timezone=True)")
    return _typed("dt.datetime", "sa.DateTime")


def _time(kind: Any, _dialect: str) -> TypeCode:
    if kind.timezone:
        raise UntakenError("it is a time of day with a zone, which says no instant")
    return TypeCode("dt.time", (), "sa.Time")


def _document(kind: Any, _dialect: str) -> TypeCode:
    return _typed("Any", "postgresql.JSONB" if isinstance(kind, postgresql.JSONB) else "sa.JSON")


def _array(kind: Any, dialect: str) -> TypeCode:
    if kind.dimensions not in (None, 1):
        raise UntakenError("it is an array of several dimensions")
    if isinstance(kind.item_type, postgresql.DOMAIN):
        raise UntakenError("it is an array of a domain, which the driver reads as a text")
    element = code_of(kind.item_type, dialect)
    return _typed(f"list[{element.annotation}]", f"postgresql.ARRAY({element.sa_type})")


def _search_text(_kind: Any, _dialect: str) -> TypeCode:
    raise UntakenError("it is the index of a full-text search, not a value")


def repr_of(text: str) -> str:
    """Return a text as Python code, in double quotes where ruff writes them."""
    quoted = repr(text)
    return quoted if '"' in text or quoted.startswith('"') else f'"{quoted[1:-1]}"'


# The first that matches is used, so a type comes before those that it derives from.
TYPES: tuple[tuple[type[Any] | tuple[type[Any], ...], Callable[[Any, str], TypeCode]], ...] = (
    (postgresql.TSVECTOR, _search_text),
    (postgresql.ARRAY, _array),
    (sa.Boolean, _plain("bool", "sa.Boolean")),
    (sa.SmallInteger, _special("int", "sa.SmallInteger")),
    (sa.BigInteger, _special("int", "sa.BigInteger")),
    (sa.Integer, _integer),
    (sa.REAL, _special("float", "sa.REAL")),
    (sa.Float, _plain("float", "sa.Double")),
    (sa.Numeric, _decimal),
    (sa.Enum, _enum),
    (sa.CHAR, _padded),
    ((postgresql.CITEXT,), _special("str", "postgresql.CITEXT")),
    (sa.String, _text),
    (sa.Uuid, _plain("UUID", "sa.Uuid")),
    (sa.DateTime, _instant),
    (sa.Date, _plain("dt.date", "sa.Date")),
    (sa.Time, _time),
    (sa.Interval, _plain("dt.timedelta", "sa.Interval")),
    (postgresql.INTERVAL, _plain("dt.timedelta", "sa.Interval")),
    (sa.LargeBinary, _plain("bytes", "sa.LargeBinary")),
    (sa.JSON, _document),
    (postgresql.INET, _special("str", "postgresql.INET")),
)
