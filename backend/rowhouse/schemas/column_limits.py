"""Limits that follow from a database column, in addition to the constraints that the class states.

Each function takes the column and the constraints the class states, and returns further pydantic constraints.
A `ValueError` says why the column cannot be used.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from annotated_types import Ge, Gt, Le, Lt, MaxLen
from pydantic import AfterValidator, Field, WithJsonSchema

from rowhouse.schemas.json_types import NO_NUL, reject_nul

MAX_INDEXED_TEXT = 600
MAX_EXACT_DIGITS = 15
INTEGER_BITS = ((sa.SmallInteger, 15), (sa.BigInteger, 63), (sa.Integer, 31))
SCHEMA_BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}


def no_limits(_column: sa.Column[Any], _stated: Sequence[Any]) -> list[Any]:
    """Return nothing: every value of the type fits."""
    return []


def integer_range(column: sa.Column[Any]) -> tuple[Ge, Le]:
    """Return the smallest and the largest number that an integer column can store."""
    bits = next((bits for kind, bits in INTEGER_BITS if isinstance(column.type, kind)), 31)
    return Ge(-(2**bits)), Le(2**bits - 1)


def integer_limits(column: sa.Column[Any], stated: Sequence[Any]) -> list[Any]:
    """Return the column's range where the class states no bound of its own."""
    least, greatest = integer_range(column)
    limits: list[Any] = []
    if not any(isinstance(m, (Ge, Gt)) for m in stated):
        limits.append(least)
    if not any(isinstance(m, (Le, Lt)) for m in stated):
        limits.append(greatest)
    return limits


def text_limits(column: sa.Column[Any], stated: Sequence[Any]) -> list[Any]:
    """Return the maximum length of the column or its index, and the rejection of NUL."""
    limits: list[Any] = []
    if not any(isinstance(m, MaxLen) or getattr(m, "max_length", None) for m in stated):
        length = getattr(column.type, "length", None) or (MAX_INDEXED_TEXT if is_indexed(column) else None)
        limits += [MaxLen(length)] if length else []
    if any(getattr(m, "pattern", None) for m in stated):
        limits.append(AfterValidator(reject_nul))
    else:
        limits.append(Field(pattern=NO_NUL))
    return limits


def is_indexed(column: sa.Column[Any]) -> bool:
    """Return whether an index or a unique constraint includes the column, so that its values must be short."""
    table = column.table
    if (
        column.unique
        or column.index
        or column.primary_key
        or any(column.name in index.columns for index in table.indexes)
    ):
        return True
    return any(isinstance(c, sa.UniqueConstraint) and column.name in c.columns for c in table.constraints)


def decimal_limits(column: sa.Column[Any], stated: Sequence[Any]) -> list[Any]:
    """Describe a decimal as a number, or as a string for clients whose numbers are not exact.

    Raises:
        ValueError: the column has no precision and scale, or too many digits.
    """
    precision, scale = getattr(column.type, "precision", None), getattr(column.type, "scale", None)
    if precision is None or scale is None or precision > MAX_EXACT_DIGITS:
        raise ValueError(
            f"give the Decimal Field(max_digits=…, decimal_places=…) with at most {MAX_EXACT_DIGITS} digits; "
            "more are not exact on SQLite nor as a JSON number"
        )
    limits: list[Any] = [WithJsonSchema(_decimal_schema(precision, scale, stated), mode="validation")]
    if not any(getattr(m, "max_digits", None) is not None for m in stated):
        limits.insert(0, Field(max_digits=precision, decimal_places=scale))
    return limits


def _decimal_schema(precision: int, scale: int, stated: Sequence[Any]) -> dict[str, Any]:
    largest = 10 ** (precision - scale) - 10**-scale
    number: dict[str, Any] = {"type": "number", "minimum": -largest, "maximum": largest, "multipleOf": 10**-scale}
    for constraint in stated:
        for attribute, keyword in SCHEMA_BOUNDS.items():
            if getattr(constraint, attribute, None) is not None:
                number[keyword] = float(getattr(constraint, attribute))
    sign = "-?" if number.get("exclusiveMinimum", number["minimum"]) < 0 else ""
    not_zero = "(?=.*[1-9])" if number.get("exclusiveMinimum") == 0 else ""
    fraction = rf"(\.[0-9]{{1,{scale}}})?" if scale else ""
    digits = rf"[0-9]{{1,{precision - scale}}}{fraction}"
    return {"anyOf": [number, {"type": "string", "pattern": f"^{not_zero}{sign}{digits}$"}]}
