"""Keyset pagination: a cursor contains the sort values of the last row, so every page is as fast as the first.

A cursor is a JWT that the server signs (PyJWT). It contains the filters and the sort of the list, and the values of the
row. Lists may be sorted by nullable columns: nulls come last ascending and first descending.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python

from rowhouse.core.errors import InvalidInputError, NotAuthenticatedError
from rowhouse.core.security import sign, verify
from rowhouse.db.compiled import Row
from rowhouse.db.out_of_range import OutOfRange
from rowhouse.entities.model import TEMPORAL, EnumText
from rowhouse.schemas.columns import Column

KIND = "cursor"
# A stored decimal of any length, as Python writes it.
EXACT = re.compile(r"-?\d+(\.\d+)?(E[-+]?\d+)?|NaN|-?Infinity")
BIND = "_after_{}"
SEPARATOR = "__"  # between a relation and a column of its rows


@dataclass(frozen=True)
class SortKey:
    """One column of a sort."""

    column: Column
    descending: bool
    # The relation to the row with the column, if it is not the listed row itself, and the SQL that reads the value.
    relation: str | None = None
    value: sa.ColumnElement[Any] | None = None

    @cached_property
    def name(self) -> str:
        """The member of a row that holds the value."""
        return self.column.name if self.relation is None else f"{self.relation}{SEPARATOR}{self.column.name}"

    @property
    def expression(self) -> sa.ColumnElement[Any]:
        """The SQL expression to sort by."""
        return self.column.sorted if self.value is None else self.value

    @property
    def nullable(self) -> bool:
        """Whether the value may be null, as it is without a related row that the caller sees."""
        return self.relation is not None or self.column.reads_null

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        """Validates a value from a cursor. It is cached because building it takes longer than reading a page."""
        return TypeAdapter(self.column.filter_annotation)

    @cached_property
    def stored_adapter(self) -> TypeAdapter[Any]:
        """Validates any value that the column returns."""
        return TypeAdapter(self.column.archive_annotation)


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position in a list: the query, the page size, and the sort values of the last row."""

    query: Mapping[str, str]
    size: int
    values: tuple[Any, ...]


def encode(cursor: Cursor, *, path: str, secret: str) -> str:
    """Return the cursor as a signed token that is valid for the list at `path`."""
    values = [_plain(value) for value in cursor.values]
    return sign({"for": path, "q": dict(cursor.query), "n": cursor.size, "at": values}, kind=KIND, secret=secret)


def decode(token: str, *, path: str, secret: str) -> Cursor:
    """Return the cursor from a token that `encode` made for the same path.

    Raises:
        InvalidInputError: 422, any other token.
    """
    try:
        claims = verify(token, kind=KIND, secret=secret)
    except NotAuthenticatedError as error:
        raise invalid_cursor() from error
    if claims.get("for") != path:
        raise invalid_cursor()
    return Cursor(claims["q"], claims["n"], tuple(claims["at"]))


def invalid_cursor(
    message: str = "this cursor does not belong to this list; start again without it",
) -> InvalidInputError:
    """Return the error 422 `cursor_invalid`."""
    return InvalidInputError.at("query", "cursor", message=message, kind="cursor_invalid")


def _plain(value: Any) -> Any:
    """Return a sort value as exact JSON: numbers and booleans as they are, everything else as text."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, Decimal):
        return str(value)
    return to_jsonable_python(value)


def position(keys: Sequence[SortKey], values: Sequence[Any]) -> Row:
    """Return the bind values of `after` for the sort values of a decoded cursor.

    Raises:
        InvalidInputError: 422, a value does not have its column's type, because the schema has changed.
    """
    if len(keys) != len(values):
        raise invalid_cursor()
    bound = {}
    for number, (key, value) in enumerate(zip(keys, values, strict=True)):
        if value is not None:
            bound[BIND.format(number)] = _value_of(key, value)
    return bound


def _value_of(key: SortKey, value: Any) -> Any:
    """Return the sort value of a column. What its database returned is exact, also where no client may write it."""
    kind = key.column.column.type
    if isinstance(value, str) and isinstance(kind, sa.Numeric) and EXACT.fullmatch(value):
        return Decimal(value)
    try:
        return key.adapter.validate_python(value)
    except ValidationError as error:
        found = _stored(key, value)
        if found is None:
            raise invalid_cursor() from error
        return found


def _stored(key: SortKey, value: Any) -> Any:
    """Return a date, time, duration or word that other programs may store, None for other values."""
    kind = key.column.column.type
    if isinstance(kind, sa.Enum | EnumText) and isinstance(value, str):
        return value
    if not isinstance(kind, TEMPORAL):
        return None
    try:
        return key.stored_adapter.validate_python(value)
    except ValidationError:
        # A cursor is signed, so the database has returned this text: SQLite holds any.
        return OutOfRange(value) if isinstance(value, str) else None


def in_order(keys: Sequence[SortKey]) -> list[Any]:
    """Return the ORDER BY of a sort: nulls last ascending and first descending."""
    return [_ordered(key) for key in keys]


def _ordered(key: SortKey) -> Any:
    order = key.expression.desc() if key.descending else key.expression.asc()
    if not key.nullable:
        return order
    return order.nulls_first() if key.descending else order.nulls_last()


def after(keys: Sequence[SortKey], nulls: Sequence[bool], *, start: int = 0) -> sa.ColumnElement[bool]:
    """Return the condition of the rows after the one whose sort values are bound; `nulls` says which are null.

    The last key is the primary key, so no two rows are equal. For one direction and no nullable column the condition is
    a row comparison, for which one index on all columns is enough. Otherwise it begins with the range of the first
    column, so that an index on that column helps. `start` is the place of the first key in the cursor.
    """
    one_way = len({key.descending for key in keys}) == 1
    if one_way and not any(key.nullable for key in keys):
        row = sa.tuple_(*(key.expression for key in keys))
        bound = sa.tuple_(*(bound_value(key, start + number) for number, key in enumerate(keys)))
        return row < bound if keys[0].descending else row > bound
    condition: sa.ColumnElement[bool] = sa.false()
    for number in reversed(range(len(keys))):
        beyond, equal = _beyond(keys[number], start + number, is_null=nulls[number])
        condition = sa.or_(beyond, sa.and_(equal, condition))
    return sa.and_(_range(keys[0], start, is_null=nulls[0]), condition)


def bound_value(key: SortKey, number: int) -> sa.BindParameter[Any]:
    """Return the parameter with the value of a cursor's key, by its place."""
    return sa.bindparam(BIND.format(number), type_=key.column.sorted_type)


def _beyond(key: SortKey, number: int, *, is_null: bool) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    """Return two conditions: the value of a row comes after the bound value, and it is equal to it."""
    column = key.expression
    if is_null:
        return (column.is_not(None) if key.descending else sa.false()), column.is_(None)
    bound = bound_value(key, number)
    if key.descending:
        return column < bound, column == bound
    return (sa.or_(column > bound, column.is_(None)) if key.nullable else column > bound), column == bound


def _range(key: SortKey, number: int, *, is_null: bool) -> sa.ColumnElement[bool]:
    """Return a condition that all rows after the bound one meet, and that an index on the first column supports."""
    column = key.expression
    if is_null:
        return sa.true() if key.descending else column.is_(None)
    bound = bound_value(key, number)
    if key.descending:
        return column <= bound
    return sa.or_(column >= bound, column.is_(None)) if key.nullable else column >= bound
