"""Converts the values of a column whose type changes on SQLite, and finds those that do not fit.

Alembic's CAST turns a date into 2026 and a word into 0, and SQLite stores values that do not fit. PostgreSQL rejects
such a change, so the engine rejects it on SQLite too. Must not know a connection.
"""

from collections.abc import Callable
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
# Conditions for values that do not fit, by the kind of the new type.
MISFITS: dict[type, str] = {
    sa.Integer: "typeof({0}) <> 'integer'",
    sa.Numeric: "typeof({0}) = 'text'",
    sa.Float: "typeof({0}) = 'text'",
    sa.Boolean: "{0} NOT IN (0, 1)",
    sa.Date: f"{{0}} NOT GLOB '{DATE}'",
    sa.DateTime: f"{{0}} NOT GLOB '{DATE} {TIME}*'",
    sa.Time: f"{{0}} NOT GLOB '{TIME}*'",
    sa.Uuid: "length({0}) <> 32",
    sa.JSON: "NOT json_valid({0})",
}

AnyType = sa.types.TypeEngine[Any]


def convert(value: Any, former: AnyType, new: AnyType) -> Any:
    """Return the SQL expression that converts a value from the former to the new type."""
    kinds = general_type(former), general_type(new)
    if kinds in CONVERSIONS:
        return CONVERSIONS[kinds](value)
    return sa.cast(value, sa.Text) if kinds[1] is sa.String and kinds[0] is not sa.String else value


def misfit(column: str, former: AnyType, new: AnyType) -> str | None:
    """Return the SQL condition for values that do not fit the new type. None if all fit. `column` is quoted."""
    kind = general_type(new)
    if kind is not general_type(former):
        condition = MISFITS.get(kind)
        return condition and f"{column} IS NOT NULL AND {condition.format(column)}"
    length, former_length = getattr(new, "length", None), getattr(former, "length", None)
    if kind is sa.String and length is not None and (former_length is None or length < former_length):
        return f"length({column}) > {length}"
    return None
