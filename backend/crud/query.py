"""Lists: typed filters, sort, search and pages, from the query string to compiled SQL.

What a list takes is fixed at registration (`ListParameters`); OpenAPI is written from the same table that parses. A request's
values never become SQL text: the shape of the query decides the text, which is compiled once for each shape.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from annotated_types import MaxLen, MinLen
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
)

from backend.core.errors import InvalidInputError
from backend.crud.columns import Column
from backend.crud.filters import (
    INTEGER_TEXT,
    LISTS,
    bind_values,
    clause,
    describe_filter,
    filter_annotation,
    filters_of,
    folded_like,
    like_pattern,
    refuse_unless,
)
from backend.crud.pagination import DEFAULT_SIZE, MAX_PAGE, MAX_SIZE
from backend.crud.parameters import describe_parameters, parse_query
from backend.crud.schemas import build_model
from backend.crud.wire import NO_NUL

MAX_SORT = 8
MAX_SEARCH = 200


@dataclass(frozen=True, slots=True)
class Selection:
    """What one request asks of a list. `shape` decides the SQL text, `values` are bound to it."""

    filters: tuple[tuple[str, int], ...]
    sort: tuple[str, ...]
    searched: bool
    values: dict[str, Any]
    offset: int
    limit: int

    @property
    def shape(self) -> tuple[Any, ...]:
        """Equal for two requests that need the same SQL."""
        return (self.filters, self.sort, self.searched)


class ListParameters:
    """The query parameters of one entity's list: parses them, and describes them to OpenAPI."""

    def __init__(
        self, columns: Mapping[str, Column], *, name: str, search: tuple[str, ...], aliases: Mapping[str, str]
    ) -> None:
        self.filters = {f.name: f for column in columns.values() for f in filters_of(column)}
        for alias, meant in aliases.items():
            self.filters[alias] = replace(self.filters[meant], name=alias)
        self.search = tuple(columns[column] for column in search)
        self.sortable = tuple(column.name for column in columns.values() if not column.is_json)
        self._lists = {"sort"} | {f.name for f in self.filters.values() if f.operator in LISTS}
        self.model = self._build_model(name)

    def _build_model(self, name: str) -> type[BaseModel]:
        choices = tuple(f"{sign}{column}" for column in self.sortable for sign in ("", "-"))
        whole = refuse_unless(INTEGER_TEXT, "a whole number")
        members: dict[str, Any] = {
            "page": (Annotated[int, whole, Field(ge=1, le=MAX_PAGE)], _parameter(1, "The page, from 1.")),
            "size": (Annotated[int, whole, Field(ge=1, le=MAX_SIZE)], _parameter(DEFAULT_SIZE, "Rows on a page.")),
            "skip": (
                Annotated[int, whole, Field(ge=0, le=MAX_PAGE)],
                _parameter(0, "Rows to pass over; not with `page`."),
            ),
            "limit": (
                Annotated[int, whole, Field(ge=1, le=MAX_SIZE)],
                _parameter(DEFAULT_SIZE, "Rows to give; not with `size`."),
            ),
            "sort": (
                Annotated[list[Literal[choices]], MinLen(1), MaxLen(MAX_SORT)],  # type: ignore[valid-type]  # built at run time
                _parameter(None, "Columns to sort by, separated by commas; `-` for descending. The key breaks ties."),
            ),
        }
        if self.search:
            where = ", ".join(column.name for column in self.search)
            text = Annotated[str, Field(pattern=NO_NUL, min_length=1, max_length=MAX_SEARCH)]
            members["search"] = (text, _parameter(None, f"Text to find in {where}, in any case."))
        for entry in self.filters.values():
            members[entry.name] = (filter_annotation(entry), _parameter(None, describe_filter(entry)))
        config = ConfigDict(extra="forbid", allow_inf_nan=False)
        return build_model(f"{name}ListQuery", members, __config__=config)

    def parse(self, query_string: bytes) -> Selection:
        """The selection that a query string asks for.

        Raises:
            InvalidInputError: 422 for an unknown, repeated or malformed parameter.
        """
        if not query_string:
            return Selection((), (), searched=False, values={}, offset=0, limit=DEFAULT_SIZE)
        raw: dict[str, Any] = parse_query(query_string)
        for name in self._lists.intersection(raw):
            raw[name] = raw[name].split(",")
        try:
            given = self.model.__pydantic_validator__.validate_python(raw)
        except ValidationError as error:
            raise InvalidInputError.from_pydantic(error, "query") from error
        return self._select(given)

    def _select(self, given: BaseModel) -> Selection:
        values = given.__dict__
        names = given.model_fields_set
        offset, limit = _window(values, names)
        filters, bound = [], {}
        for name in sorted(names & self.filters.keys()):
            entry = self.filters[name]
            size, parts = bind_values(entry, values[name])
            filters.append((name, size))
            bound.update(parts)
        searched = "search" in names
        if searched:
            bound["_search_text"] = like_pattern("contains", values["search"])
        sort = tuple(values["sort"] or ()) if "sort" in names else ()
        return Selection(tuple(filters), sort, searched=searched, values=bound, offset=offset, limit=limit)

    def conditions(self, shape: tuple[Any, ...]) -> list[Any]:
        """The WHERE clauses of a shape, with a `bindparam` for each value."""
        filters, _sort, searched = shape
        clauses = [clause(self.filters[name], size) for name, size in filters]
        if searched:
            text = sa.bindparam("_search_text", type_=sa.String())
            clauses.append(sa.or_(*(folded_like(column.column, text) for column in self.search)))
        return clauses

    def order(self, shape: tuple[Any, ...], table: sa.Table) -> list[Any]:
        """The ORDER BY of a shape: nulls last ascending and first descending, the primary key last."""
        _filters, sort, _searched = shape
        key = next(iter(table.primary_key.columns))
        orders, seen = [], set()
        for word in sort:
            name = word.removeprefix("-")
            if name not in seen:
                seen.add(name)
                orders.append(_ordered(table.columns[name], descending=word.startswith("-")))
        return orders if key.name in seen else [*orders, key.asc()]

    def openapi(self) -> list[dict[str, Any]]:
        """The parameters as OpenAPI 3.1 has them."""
        return describe_parameters(self.model)


def _window(values: Mapping[str, Any], names: set[str]) -> tuple[int, int]:
    if names & {"skip", "limit"}:
        if names & {"page", "size"}:
            raise InvalidInputError.at("query", message="use page and size, or skip and limit, not both")
        return values["skip"], values["limit"]
    return (values["page"] - 1) * values["size"], values["size"]


def _parameter(default: Any, description: str) -> Any:
    return Field(default, description=description)


def _ordered(column: sa.Column[Any], *, descending: bool) -> Any:
    order = column.desc() if descending else column.asc()
    if not column.nullable:
        return order
    return order.nulls_first() if descending else order.nulls_last()
