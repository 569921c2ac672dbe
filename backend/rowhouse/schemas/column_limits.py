"""Limits that follow from a database column, in addition to the constraints that the class states.

Each function takes the column and the constraints the class states, and returns further pydantic constraints.
A `ValueError` says why the column cannot be used.
"""

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from annotated_types import Ge, Le, MaxLen
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticKnownError
from sqlalchemy.dialects import postgresql

from rowhouse.schemas.json_types import NO_NUL, reject_nul

MAX_INDEXED_TEXT = 600
MAX_EXACT_DIGITS = 15
ZERO = re.compile(r"-?0+")
INTEGER_BITS = ((sa.SmallInteger, 15), (sa.BigInteger, 63), (sa.Integer, 31))
SCHEMA_BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}


def no_limits(_column: sa.Column[Any], _stated: Sequence[Any]) -> list[Any]:
    """Return nothing: every value of the type fits."""
    return []


def document_limits(column: sa.Column[Any], _stated: Sequence[Any]) -> list[Any]:
    """Return the rejection of null for a column that may not be null: `Any` would take it."""
    return [] if column.nullable else [AfterValidator(_reject_null)]


def _reject_null(value: Any) -> Any:
    if value is None:
        raise ValueError("must not be null")
    return value


def integer_range(column: sa.Column[Any]) -> tuple[Ge, Le]:
    """Return the smallest and the largest number that an integer column can store.

    Those of a type of the project's own are those of the type below it.
    """
    stored = getattr(column.type, "impl_instance", column.type)
    if isinstance(stored, postgresql.OID):  # -1 would be stored as 4294967295
        return Ge(0), Le(2**32 - 1)
    bits = next((bits for kind, bits in INTEGER_BITS if isinstance(stored, kind)), 31)
    return Ge(-(2**bits)), Le(2**bits - 1)


def integer_limits(column: sa.Column[Any], stated: Sequence[Any]) -> list[Any]:
    """Return the column's range where the class states no narrower bound."""
    least, greatest = integer_range(column)
    lowest = _bounds(stated, "ge") + [bound + 1 for bound in _bounds(stated, "gt")]
    highest = _bounds(stated, "le") + [bound - 1 for bound in _bounds(stated, "lt")]
    limits: list[Any] = []
    if not lowest or max(lowest) < least.ge:
        limits.append(least)
    if not highest or min(highest) > greatest.le:
        limits.append(greatest)
    return limits


def _bounds(stated: Sequence[Any], word: str) -> list[Any]:
    """Return the values that the class states for a word, such as `ge` or `max_length`."""
    return [getattr(one, word) for one in stated if getattr(one, word, None) is not None]


def text_limits(column: sa.Column[Any], stated: Sequence[Any]) -> list[Any]:
    """Return the maximum length of the column or its index, and the rejection of NUL."""
    limits: list[Any] = []
    longest = _bounds(stated, "max_length")
    length = getattr(column.type, "length", None)
    if not longest:
        length = length or (MAX_INDEXED_TEXT if is_indexed(column) else None)
    if length and not (longest and min(longest) <= length):
        limits.append(MaxLen(length))
    if any(getattr(m, "pattern", None) for m in stated):
        limits.append(AfterValidator(reject_nul))
    else:
        limits.append(Field(pattern=NO_NUL))
    return limits


def own_text_limits(column: sa.Column[Any], stated: Sequence[Any]) -> list[Any]:
    """Return the limits of text that a type of the project's own stores as text."""
    is_text = isinstance(getattr(column.type, "impl_instance", None), sa.String)
    return text_limits(column, stated) if is_text else []


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
    digits, places = (min(_bounds(stated, word), default=None) for word in ("max_digits", "decimal_places"))
    finest = scale if places is None else min(places, scale)
    described: list[Any] = [WithJsonSchema(_decimal_schema(precision - scale, finest, stated), mode="validation")]
    if precision == scale:
        described.append(BeforeValidator(_zero_with_place))
    if digits is None and places is None:
        return [Field(max_digits=precision, decimal_places=scale), *described]
    limits: list[Any] = [] if places == finest else [Field(decimal_places=scale)]
    if digits is None or digits - finest > precision - scale:
        limits.append(AfterValidator(_at_most_whole(precision - scale)))
    return [*limits, *described]


def _zero_with_place(value: Any) -> Any:
    """Write zero with a decimal place. Pydantic counts the digit of `0` as one before the point."""
    is_zero = (type(value) is str and ZERO.fullmatch(value)) or (type(value) in (int, Decimal) and value == 0)
    return "0.0" if is_zero else value


def _at_most_whole(digits: int) -> Callable[[Decimal], Decimal]:
    """Return a function that rejects decimals with more digits before the point."""

    def check(value: Decimal) -> Decimal:
        if abs(value) >= 10**digits:
            raise PydanticKnownError("decimal_whole_digits", {"whole_digits": digits})
        return value

    return check


def _decimal_schema(whole: int, scale: int, stated: Sequence[Any]) -> dict[str, Any]:
    digits = min([whole, *_bounds(stated, "max_digits")])
    largest = 10**digits - 10**-scale
    number: dict[str, Any] = {"type": "number", "minimum": -largest, "maximum": largest, "multipleOf": 10**-scale}
    for constraint in stated:
        for attribute, keyword in SCHEMA_BOUNDS.items():
            bound = getattr(constraint, attribute, None)
            if bound is not None and -largest <= bound <= largest:
                number[keyword] = float(bound)
    sign = "-?" if number.get("exclusiveMinimum", number["minimum"]) < 0 else ""
    not_zero = "(?=.*[1-9])" if number.get("exclusiveMinimum") == 0 else ""
    before = f"[0-9]{{1,{whole}}}" if whole else "0"
    fraction = rf"(\.[0-9]{{1,{scale}}})?" if scale else ""
    return {"anyOf": [number, {"type": "string", "pattern": f"^{not_zero}{sign}{before}{fraction}$"}]}
