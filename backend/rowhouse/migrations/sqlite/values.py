"""Converts the values of a column whose type changes on SQLite, and finds those that do not fit.

Alembic's CAST turns a date into 2026 and a word into 0, and SQLite stores values that do not fit. PostgreSQL rejects
such a change, so the engine rejects it on SQLite too. Must not know a connection.
"""

from collections.abc import Callable
from math import inf
from typing import Any

import sqlalchemy as sa

from rowhouse.entities.sqlalchemy_internals import general_type

DIGIT = "[0-9]"
DATE = "-".join(DIGIT * count for count in (4, 2, 2))
TIME = ":".join([DIGIT * 2] * 3)
# Midnight, and where the time begins, in a date and time as SQLAlchemy stores it.
MIDNIGHT, TIME_AT = " 00:00:00.000000", 12

# By the kinds of the types before and after. Other values stay as they are; the affinity of a numeric column converts
# the text of a number.
CONVERSIONS: dict[tuple[type, type], Callable[[Any], Any]] = {
    **{(kind, sa.Integer): lambda value: sa.cast(sa.func.round(value), sa.Integer) for kind in (sa.Numeric, sa.Float)},
    **{(kind, sa.Boolean): lambda value: value != 0 for kind in (sa.Integer, sa.Numeric, sa.Float)},
    (sa.Boolean, sa.String): lambda value: sa.case((value == sa.true(), "true"), (value == sa.false(), "false")),
    (sa.DateTime, sa.Date): lambda value: sa.func.substr(value, 1, TIME_AT - 2),
    (sa.DateTime, sa.Time): lambda value: sa.func.substr(value, TIME_AT),
    (sa.Date, sa.DateTime): lambda value: sa.type_coerce(value, sa.String).concat(MIDNIGHT),
    (sa.String, sa.Uuid): lambda value: sa.func.lower(sa.func.replace(value, "-", "")),
}
# SQLite takes the 30th of February for a date, and 24:00:00 for a time, but counts them as others.
NO_DATE = "substr({0}, 1, 10) < '0001' OR date(julianday(substr({0}, 1, 10))) IS NOT substr({0}, 1, 10)"
NO_TIME = (
    "time(substr({0}, {1}, 8)) IS NOT substr({0}, {1}, 8) OR substr({0}, {1}, 2) > '23' "
    "OR substr({0}, {1} + 8) GLOB '*[^.0-9]*'"
)
NO_INSTANT = f"{{0}} NOT GLOB '{DATE} {TIME}*' OR {NO_DATE} OR {NO_TIME.replace('{1}', str(TIME_AT))}"
# Conditions for values that do not fit, by the kind of the new type.
MISFITS: dict[type, str] = {
    sa.Integer: "typeof({0}) <> 'integer'",
    sa.Numeric: "typeof({0}) = 'text'",
    sa.Float: "typeof({0}) = 'text'",
    sa.Boolean: "{0} NOT IN (0, 1)",
    sa.Date: f"{{0}} NOT GLOB '{DATE}' OR {NO_DATE}",
    sa.DateTime: NO_INSTANT,
    sa.Interval: NO_INSTANT,  # SQLAlchemy stores it as an instant
    sa.Time: f"{{0}} NOT GLOB '{TIME}*' OR {NO_TIME.replace('{1}', '1')}",
    sa.Uuid: "length({0}) <> 32 OR {0} GLOB '*[^0-9a-f]*'",
    sa.JSON: "NOT json_valid({0})",
}
# What a text of a number does not match, and then what it matches.
NO_NUMBER = ("*[^0-9.+-]*", "*.*.*", "?*[+-]*")
A_DIGIT = "*[0-9]*"

AnyType = sa.types.TypeEngine[Any]


def convert(value: Any, former: AnyType, new: AnyType) -> Any:
    """Return the SQL expression that converts a value from the former to the new type."""
    kinds = general_type(former), general_type(new)
    if kinds in CONVERSIONS:
        return CONVERSIONS[kinds](value)
    if kinds[1] is sa.Numeric and _scale(new) < _scale(former):
        return _rounded(value, int(_scale(new)), is_text=kinds[0] is sa.String)
    return sa.cast(value, sa.Text) if kinds[1] is sa.String and kinds[0] is not sa.String else value


def _rounded(value: Any, scale: int, *, is_text: bool) -> Any:
    """Return a number with fewer digits. A text that is no number stays, for `misfit` to find."""
    rounded = sa.func.round(value, scale)
    if not is_text:
        return rounded
    text = sa.type_coerce(value, sa.String)
    conditions = [sa.not_(text.op("GLOB", is_comparison=True)(pattern)) for pattern in NO_NUMBER]
    return sa.case((sa.and_(text.op("GLOB", is_comparison=True)(A_DIGIT), *conditions), rounded), else_=value)


def misfit(column: str, former: AnyType, new: AnyType) -> str | None:
    """Return the SQL condition for values that do not fit the new type. None if all fit. `column` is quoted."""
    kind = general_type(new)
    conditions = []
    if kind is not general_type(former):
        conditions.append(MISFITS.get(kind, ""))
    elif kind is sa.String:
        length, former_length = getattr(new, "length", None), getattr(former, "length", None)
        if length is not None and (former_length is None or length < former_length):
            conditions.append(f"length({{0}}) > {length}")
    if kind in (sa.Integer, sa.Numeric) and (limit := _limit(new)) < _limit(former):
        is_whole = kind is sa.Integer
        conditions.append(f"{{0}} NOT BETWEEN {-limit - 1} AND {limit}" if is_whole else f"abs({{0}}) >= {limit}")
    condition = " OR ".join(filter(None, conditions)).format(column)
    return f"{column} IS NOT NULL AND ({condition})" if condition else None


def _scale(kind: Any) -> float:
    """Return the number of digits behind the point that a type keeps."""
    if general_type(kind) is sa.Integer:
        return 0
    is_exact = general_type(kind) is sa.Numeric and kind.precision is not None
    return int(kind.scale or 0) if is_exact else inf


def _limit(kind: Any) -> float:
    """Return the greatest whole number of a type; for a decimal, the least power of ten that is too great."""
    if general_type(kind) is sa.Integer:
        bits = 63 if isinstance(kind, sa.BigInteger) else 15 if isinstance(kind, sa.SmallInteger) else 31
        return int(2**bits) - 1
    if general_type(kind) is sa.Numeric and kind.precision is not None:
        return int(10 ** (kind.precision - (kind.scale or 0)))
    return inf
