"""Aggregates of the rows that a list selects: exact, and the same on SQLite and PostgreSQL.

The database adds; the division of an average, its rounding and the order of the groups are Python's. SQLite has neither
decimals nor integers beyond 64 bits, so it adds decimals as integers, in two halves that cannot overflow.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from enum import Enum
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Any

import sqlalchemy as sa
from sqlmodel import UTCDateTime

from rowhouse.core.errors import InvalidInputError
from rowhouse.db.compiled import CompiledStatement, Predicate, Row
from rowhouse.db.out_of_range import OutOfRange
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.entities.model import is_adopted
from rowhouse.query.aggregate_parameters import COUNT, MAX_GROUPS, AggregateQuery, Group
from rowhouse.query.list_query import QueryShape
from rowhouse.query.resource import Resource
from rowhouse.schemas.columns import Column
from rowhouse.sql.statements import CACHED_SHAPES

AVERAGE_DIGITS, FLOAT_DIGITS = 6, 12
EXACT = Context(prec=100)
HALF_BITS = 32
LENGTHS = {"year": 4, "month": 7, "day": 10}
Measures = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class AggregateRow:
    """One group: the values of its columns, and those of the functions by `sum__price`."""

    groups: Row
    count: int
    values: Row


class Aggregates:
    """Reads aggregates of one entity on one database."""

    def __init__(self, resource: Resource, dialect: sa.Dialect) -> None:
        self._resource = resource
        self._dialect = dialect
        self._statement = lru_cache(maxsize=CACHED_SHAPES)(self._make_statement)

    def read(
        self, unit: UnitOfWork, query: AggregateQuery, *, shape: QueryShape, scope: Predicate
    ) -> list[AggregateRow]:
        """Return the groups of the rows in `scope`, sorted and cut as the query says. `shape` is that of its rows.

        Raises:
            InvalidInputError: 422 if there are more than `MAX_GROUPS` groups, or a sum is beyond a double.
        """
        statement = self._statement(shape, query.groups, tuple(query.measures), scope)
        found = unit.run(statement, query.rows.values, scope)
        if len(found) > MAX_GROUPS:
            message = f"there are more than {MAX_GROUPS:,} groups; filter the rows, or group by less"
            raise InvalidInputError.at("query", "group_by", message=message, kind="too_many_groups")
        rows = [self._row(query, row) for row in found]
        for word in reversed((*query.sort, *(group.name for group in query.groups))):
            rows = _sorted(rows, word.removeprefix("-"), descending=word.startswith("-"))
        return rows[query.skip : query.skip + query.limit]

    def _make_statement(
        self, shape: QueryShape, groups: tuple[Group, ...], measures: Measures, scope: Predicate
    ) -> CompiledStatement:
        """The groups. Binds the values of the shape. Columns are numbered: their names could be those of others."""
        keys = [self._group(group).label(f"_group_{position}") for position, group in enumerate(groups)]
        columns = [*keys, sa.func.count().label(COUNT)]
        for position, (function, name) in enumerate(measures):
            parts = self._parts(function, self._resource.columns[name])
            columns += [part.label(f"_{position}_{number}") for number, part in enumerate(parts)]
        source = sa.select(*columns).select_from(self._resource.table)
        source = source.where(*self._resource.parameters.conditions(shape))
        if scope.clause is not None:
            source = source.where(scope.clause)
        if groups:
            # By position: a name could also be that of a column.
            source = source.group_by(*(sa.literal_column(str(number + 1)) for number in range(len(groups))))
        source = source.limit(sa.literal_column(str(MAX_GROUPS + 1)))
        return CompiledStatement(source, self._dialect, columns=columns, predicate=scope)

    def _group(self, group: Group) -> sa.ColumnElement[Any]:
        """Return the value of a group: the column, or the beginning of its date, such as `2030-01`."""
        expression = group.column.expression
        if group.unit is None:
            return expression
        length = LENGTHS[group.unit]
        if self._dialect.name == "sqlite":
            text = sa.type_coerce(expression, sa.String())
            return sa.func.substr(text, sa.literal_column("1"), sa.literal_column(str(length)), type_=sa.String())
        kind: Any = group.column.column.type
        if isinstance(kind, UTCDateTime) or getattr(kind, "timezone", False):
            expression = sa.func.timezone(sa.literal_column("'UTC'"), expression)
        moment = sa.cast(expression, sa.DateTime())
        beginning = sa.func.to_char(moment, sa.literal_column(f"'{'YYYY-MM-DD'[:length]}'"), type_=sa.String())
        return self._of_any_year(moment, beginning, group.unit) if is_adopted(self._resource.table) else beginning

    def _of_any_year(self, moment: Any, beginning: Any, unit: str) -> sa.ColumnElement[Any]:
        """Return the beginning of an instant of any year. What Python cannot hold is written as by PostgreSQL."""
        first: Any = sa.func.date_trunc(sa.literal_column(f"'{unit}'"), moment)
        is_usual = sa.extract("year", moment).between(sa.literal_column("1"), sa.literal_column("9999"))
        return sa.case((is_usual, beginning), else_=sa.cast(sa.cast(first, sa.Date()), sa.String()))

    def _parts(self, function: str, column: Column) -> Iterator[sa.ColumnElement[Any]]:
        """Yield the columns from which `_value` computes a function: an average has the sum and the number."""
        expression = column.expression
        if function in ("min", "max"):
            yield getattr(sa.func, function)(expression)
            return
        yield from self._sum(expression, column)
        if function == "avg":
            yield sa.func.count(expression)

    def _sum(self, expression: sa.ColumnElement[Any], column: Column) -> Iterator[sa.ColumnElement[Any]]:
        scale = scale_of(column)
        if self._dialect.name == "postgresql":
            yield sa.cast(sa.func.sum(sa.cast(expression, sa.Numeric())), sa.Numeric())
        elif scale is None:
            yield sa.func.sum(sa.type_coerce(expression, sa.Float()))
        if scale is None:
            yield sa.func.max(sa.func.abs(sa.type_coerce(expression, sa.Float())), type_=sa.Float())
        elif self._dialect.name == "sqlite":
            whole: Any = sa.type_coerce(expression, sa.BigInteger())
            if scale or not isinstance(column.column.type, sa.Integer):
                factor: Any = sa.literal_column(f"{10**scale}.0")
                whole = sa.cast(sa.func.round(sa.type_coerce(expression, sa.Float()) * factor), sa.BigInteger())
            yield sa.func.sum(whole.op(">>")(sa.literal_column(str(HALF_BITS))), type_=sa.BigInteger())
            yield sa.func.sum(whole.op("&")(sa.literal_column(str(2**HALF_BITS - 1))), type_=sa.BigInteger())

    def _row(self, query: AggregateQuery, row: Row) -> AggregateRow:
        groups = {group.name: row[f"_group_{position}"] for position, group in enumerate(query.groups)}
        values = {}
        for position, (function, name) in enumerate(query.measures):
            parts: list[Any] = []
            while (key := f"_{position}_{len(parts)}") in row:
                parts.append(row[key])
            values[f"{function}__{name}"] = self._value(function, self._resource.columns[name], parts)
        return AggregateRow(groups, int(row[COUNT]), values)

    def _value(self, function: str, column: Column, parts: list[Any]) -> Any:
        """Return the value of a function: null if every value is null."""
        if function in ("min", "max") or parts[0] is None:
            return parts[0]
        number = parts.pop() if function == "avg" else None
        scale = scale_of(column)
        if scale is None or not Decimal(parts[0]).is_finite():
            total, largest = (float(part) / (number or 1) for part in (parts[0], parts[-1]))
            return _rounded(total, largest, column.name, function)
        exact = Decimal(parts[0])
        if self._dialect.name == "sqlite":
            exact = EXACT.scaleb(Decimal(int(parts[0]) * 2**HALF_BITS + int(parts[1])), -scale)
        if number is not None:
            digits = max(scale, AVERAGE_DIGITS)
            return EXACT.quantize(EXACT.divide(exact, Decimal(number)), Decimal(1).scaleb(-digits))
        return exact if scale or not isinstance(column.column.type, sa.Integer) else int(exact)


def _rounded(value: float, largest: float, column: str, function: str) -> float | None:
    """Return a sum or an average with twelve digits, counted from its own first one or that of its largest part.

    The digits behind depend on the order in which the database adds, and PostgreSQL reads fifteen digits of a number.
    NaN, which others may have stored, is null, as in a row.
    """
    if math.isnan(value):
        return None
    if math.isinf(value):
        message = "the sum is beyond the largest number; filter the rows"
        raise InvalidInputError.at("query", function, message=f"{column}: {message}", kind="too_large")
    most = max(abs(value), abs(largest))
    return round(value, FLOAT_DIGITS - 1 - math.floor(math.log10(most))) + 0.0 if most else 0.0  # not -0.0


def scale_of(column: Column) -> int | None:
    """Return the number of decimals of an exact number, None for a floating-point number."""
    kind = column.column.type
    if isinstance(kind, sa.Integer):
        return 0
    return None if isinstance(kind, sa.Float) else kind.scale  # type: ignore[attr-defined]  # the others are Numeric


def _sorted(rows: Sequence[AggregateRow], name: str, *, descending: bool) -> list[AggregateRow]:
    """Return the rows in the order of one member: nulls last ascending and first descending."""

    def value(row: AggregateRow) -> Any:
        found = row.count if name == COUNT else row.groups.get(name, row.values.get(name))
        return found.value if isinstance(found, Enum) else found

    def order(row: AggregateRow) -> tuple[bool, bool, Any]:
        """A stored text that is no member of an enum of numbers comes after the members, and NaN after all numbers.

        Addresses of IPv6 come after those of IPv4, as PostgreSQL sorts them.
        """
        found = value(row)
        if found != found:  # noqa: PLR0124  NaN
            return False, True, 0
        return isinstance(found, str) and not isinstance(found, OutOfRange), isinstance(found, IPv6Address), found

    full = sorted((row for row in rows if value(row) is not None), key=order, reverse=descending)
    empty = [row for row in rows if value(row) is None]
    return [*empty, *full] if descending else [*full, *empty]
