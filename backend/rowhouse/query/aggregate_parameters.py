"""The query parameters of aggregates: filters of the list, groups, what to compute, and the order of the groups."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from annotated_types import MaxLen, MinLen
from pydantic import BeforeValidator, Field
from sqlalchemy.dialects import postgresql

from rowhouse.core.errors import InvalidInputError
from rowhouse.entities.model import TEMPORAL
from rowhouse.query.list_parameters import WINDOW_WORDS, whole_number
from rowhouse.query.list_query import ListQuery
from rowhouse.query.pagination import MAX_PAGE
from rowhouse.query.parameters import Parameter, QueryParameters
from rowhouse.query.projection import PROJECTION_WORDS
from rowhouse.query.query_string import parse_query
from rowhouse.query.resource import Resource
from rowhouse.schemas.columns import Column
from rowhouse.schemas.field_types import Filtering

MAX_GROUPS, MAX_GROUP_COLUMNS, MAX_SORT = 1000, 4, 8
NUMBERS = (sa.Integer, sa.Numeric, sa.Float)
UNITS = ("day", "month", "year")
TEXTS = {
    "sum": "Columns whose exact sum to return, separated by commas. Null counts for nothing.",
    "avg": "Columns whose average to return, rounded to six decimals or those of the column, separated by commas. "
    "Null counts for nothing.",
    "min": "Columns whose least value to return, separated by commas.",
    "max": "Columns whose greatest value to return, separated by commas.",
}
FUNCTIONS = tuple(TEXTS)
COUNT = "count"
# Members of every item, so no group can have these names.
MEMBERS = (COUNT, *FUNCTIONS)
LISTS = ("group_by", "sort", *FUNCTIONS)
# PostgreSQL sorts their values, and has no `min` and `max` that return one.
WITHOUT_EXTREMES = (
    postgresql.BIT,
    postgresql.CIDR,
    postgresql.MACADDR,
    postgresql.MACADDR8,
    postgresql.TSQUERY,
    postgresql.TSVECTOR,
)
# Parameters of lists that aggregates lack.
LIST_ONLY = (WINDOW_WORDS | PROJECTION_WORDS | {"cursor", "sort"}) - {"skip", "limit"}


@dataclass(frozen=True, slots=True)
class Group:
    """One column to group by; `unit` truncates an instant or a date."""

    name: str
    column: Column
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class AggregateQuery:
    """The query of one request for aggregates. `rows` selects the rows."""

    rows: ListQuery
    groups: tuple[Group, ...]
    count: bool
    # The columns of each function, by its name.
    columns: Mapping[str, tuple[str, ...]]
    sort: Sequence[str]
    skip: int
    limit: int

    @property
    def measures(self) -> Iterator[tuple[str, str]]:
        """Each function with each of its columns."""
        return ((function, name) for function, names in self.columns.items() for name in names)


class AggregateParameters:
    """Parses the query parameters of one entity's aggregates, and describes them for OpenAPI."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        public = {name: resource.columns[name] for name in resource.schemas.public_names}
        self.groups = {group.name: group for column in public.values() for group in _groups(column)}
        numbers = tuple(name for name, column in public.items() if is_number(column))
        ordered = tuple(name for name, column in public.items() if _has_extremes(column))
        choices = {"sum": numbers, "avg": numbers, "min": ordered, "max": ordered}
        self.choices = {function: names for function, names in choices.items() if names}

    @cached_property
    def _parameters(self) -> QueryParameters:
        described = self._described()
        return QueryParameters(described, described.__getitem__)

    def _described(self) -> dict[str, Parameter]:
        found = {
            "group_by": Parameter(
                _names(tuple(self.groups), most=MAX_GROUP_COLUMNS),
                "Columns to group by, separated by commas; an instant or a date also by its UTC `__day`, `__month` or "
                "`__year`. One group without it.",
            ),
            COUNT: Parameter(
                Annotated[bool, BeforeValidator(lambda value: value or "true")],
                "Return the number of rows of each group. Without a value, and if nothing else is asked for, true.",
            ),
        }
        found |= {
            function: Parameter(_names(names, most=len(names)), TEXTS[function])
            for function, names in self.choices.items()
        }
        return found | {
            "sort": Parameter(
                Annotated[list[Annotated[str, Field(pattern=r"^-?[^-]+$")]], MinLen(1), MaxLen(MAX_SORT)],
                "Groups, `count` and values such as `sum__price` to sort by, separated by commas; `-` for descending. "
                "The groups break ties.",
            ),
            "skip": Parameter(whole_number(0, MAX_PAGE), "Groups to skip.", 0),
            "limit": Parameter(whole_number(1, MAX_GROUPS), "Groups to return.", MAX_GROUPS),
        }

    def openapi(self) -> list[dict[str, Any]]:
        """Return the parameters for OpenAPI 3.1, with the filters of the list."""
        own = self._parameters.openapi()
        names = LIST_ONLY | {parameter["name"] for parameter in own}
        return [*own, *(p for p in self._resource.parameters.openapi if p["name"] not in names)]

    def parse(self, query_string: bytes) -> AggregateQuery:
        """Return the query in a query string.

        Raises:
            InvalidInputError: 422, a parameter is unknown, repeated or malformed.
        """
        raw = parse_query(query_string) if query_string else {}
        for name in raw.keys() & LIST_ONLY - {"sort"}:
            message = "aggregates have no such parameter; they take group_by, skip and limit"
            raise InvalidInputError.at("query", name, message=message, kind="extra_forbidden")
        own = {name: raw.pop(name) for name in self._described_names if name in raw}
        values = self._parameters.validate({n: text.split(",") if n in LISTS else text for n, text in own.items()})
        columns = {function: tuple(dict.fromkeys(values[function])) for function in FUNCTIONS if function in values}
        query = AggregateQuery(
            self._resource.parameters.query_of(raw),
            tuple(self.groups[name] for name in dict.fromkeys(values.get("group_by", ()))),
            values.get(COUNT, not columns),
            columns,
            values.get("sort", ()),
            values.get("skip", 0),
            values.get("limit", MAX_GROUPS),
        )
        _require_answered(query)
        return query

    @cached_property
    def _described_names(self) -> Sequence[str]:
        return ("group_by", COUNT, *self.choices, "sort", "skip", "limit")


def _require_answered(query: AggregateQuery) -> None:
    """Require that something is asked for, and that the sort names members of the response."""
    if not (query.groups or query.count or query.columns):
        raise InvalidInputError.at("query", COUNT, message="ask for count, sum, avg, min, max or group_by")
    members = {group.name for group in query.groups} | {f"{function}__{name}" for function, name in query.measures}
    members |= {COUNT} if query.count else set()
    for position, word in enumerate(query.sort):
        if word.removeprefix("-") not in members:
            message = f"sort by what you ask for: {', '.join(sorted(members))}"
            raise InvalidInputError.at("query", "sort", position, message=message, kind="literal_error")


def _has_extremes(column: Column) -> bool:
    """Return whether the database has `min` and `max` for the column."""
    return column.type.filtering >= Filtering.ORDER and not isinstance(column.column.type, WITHOUT_EXTREMES)


def is_number(column: Column) -> bool:
    """Return whether a column has sums and averages."""
    return column.type.declared[0] in (int, float, Decimal) and isinstance(column.column.type, NUMBERS)


def _groups(column: Column) -> Iterator[Group]:
    if not column.is_comparable:
        return
    if column.name not in MEMBERS:
        yield Group(column.name, column)
    if column.type.declared[0] in (datetime, date) and isinstance(column.column.type, TEMPORAL):
        yield from (Group(f"{column.name}__{unit}", column, unit) for unit in UNITS)


def _names(choices: tuple[str, ...], *, most: int) -> Any:
    names: Any = Annotated[list[Literal[choices]], MinLen(1), MaxLen(most)]  # type: ignore[valid-type]  # run time
    return names
