"""Keyset pages: a cursor names the last row by its sort values, so the next page costs what the first did.

A cursor is a JWT signed by the server (PyJWT): it carries the list's sort and filters and the row's values. Nullable columns are
walked without losing a row: nulls are last ascending and first descending, and the conditions say so.
"""

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
from rowhouse.schemas.columns import Column

KIND = "cursor"
BIND = "_after_{}"


@dataclass(frozen=True)
class SortKey:
    """One column of a sort."""

    column: Column
    descending: bool

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        """Reads a value of the column as a cursor carries it. Making it takes longer than reading a page."""
        return TypeAdapter(self.column.filter_annotation)


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a list: its query, its page size and the sort values of the last row that was given."""

    query: Mapping[str, str]
    size: int
    values: tuple[Any, ...]


def encode(cursor: Cursor, *, path: str, secret: str) -> str:
    """The cursor as a token that only this API's list at `path` takes back."""
    values = [_plain(value) for value in cursor.values]
    return sign({"for": path, "q": dict(cursor.query), "n": cursor.size, "at": values}, kind=KIND, secret=secret)


def decode(token: str, *, path: str, secret: str) -> Cursor:
    """The cursor that `encode` made for the same path.

    Raises:
        InvalidInputError: 422 for any other token.
    """
    try:
        claims = verify(token, kind=KIND, secret=secret)
    except NotAuthenticatedError as error:
        raise foreign_cursor() from error
    if claims.get("for") != path:
        raise foreign_cursor()
    return Cursor(claims["q"], claims["n"], tuple(claims["at"]))


def foreign_cursor(message: str = "this is no cursor of this list; start again without it") -> InvalidInputError:
    """422 for a cursor that does not fit."""
    return InvalidInputError.at("query", "cursor", message=message, kind="cursor_invalid")


def _plain(value: Any) -> Any:
    """A sort value as JSON has it, exact: decimals and everything but numbers and truth values as text."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, Decimal):
        return str(value)
    return to_jsonable_python(value)


def position(keys: Sequence[SortKey], values: Sequence[Any]) -> Row:
    """The bind values of `after` for the row with these sort values, as `decode` gives them.

    Raises:
        InvalidInputError: 422 when a value is not of its column's type, which a changed schema can bring about.
    """
    if len(keys) != len(values):
        raise foreign_cursor()
    bound = {}
    for number, (key, value) in enumerate(zip(keys, values, strict=True)):
        if value is not None:
            try:
                bound[BIND.format(number)] = key.adapter.validate_python(value)
            except ValidationError as error:
                raise foreign_cursor() from error
    return bound


def after(keys: Sequence[SortKey], nulls: Sequence[bool]) -> sa.ColumnElement[bool]:
    """The rows that come after the one whose sort values are bound; `nulls` says which of them are null.

    The last key is the primary key, so no two rows are equal. One direction over columns without nulls is a row comparison,
    which an index on them answers directly; else the first column's range comes first, so that an index on it still serves.
    """
    one_way = len({key.descending for key in keys}) == 1
    if one_way and not any(key.column.nullable for key in keys):
        row = sa.tuple_(*(key.column.expression for key in keys))
        bound = sa.tuple_(*(_bind(number, key) for number, key in enumerate(keys)))
        return row < bound if keys[0].descending else row > bound
    condition: sa.ColumnElement[bool] = sa.false()
    for number in reversed(range(len(keys))):
        beyond, equal = _beyond(keys[number], number, is_null=nulls[number])
        condition = sa.or_(beyond, sa.and_(equal, condition))
    return sa.and_(_range(keys[0], is_null=nulls[0]), condition)


def _bind(number: int, key: SortKey) -> sa.BindParameter[Any]:
    return sa.bindparam(BIND.format(number), type_=key.column.column.type)


def _beyond(key: SortKey, number: int, *, is_null: bool) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    """Whether a row's value comes after the bound one, and whether it is equal to it."""
    column = key.column.expression
    if is_null:
        return (column.is_not(None) if key.descending else sa.false()), column.is_(None)
    bound = _bind(number, key)
    if key.descending:
        return column < bound, column == bound
    return (sa.or_(column > bound, column.is_(None)) if key.column.nullable else column > bound), column == bound


def _range(key: SortKey, *, is_null: bool) -> sa.ColumnElement[bool]:
    """A condition that every row after the bound one meets, in a form that an index on the first column answers."""
    column = key.column.expression
    if is_null:
        return sa.true() if key.descending else column.is_(None)
    bound = _bind(0, key)
    if key.descending:
        return column <= bound
    return sa.or_(column >= bound, column.is_(None)) if key.column.nullable else column >= bound
