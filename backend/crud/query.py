"""Lists: typed filters, sort, search and pages, from the query string to compiled SQL.

What a list takes is fixed at registration (`ListParameters`); OpenAPI is written from the same table that parses. A request's
values never become SQL text: the shape of the query decides the text, which is compiled once for each shape.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl

import sqlalchemy as sa
from annotated_types import MaxLen, MinLen
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.json_schema import GenerateJsonSchema

from backend.core.errors import InvalidInputError
from backend.crud.pagination import DEFAULT_SIZE, MAX_PAGE, MAX_SIZE
from backend.crud.schemas import NO_NUL, Column, RegistrationError, WireDecimal, build_model, integer_range

MAX_FIELDS = 200
MAX_CHOICES = 100
MAX_SORT = 8
MAX_SEARCH = 200
MAX_PATTERN = 1000
INTEGER_TEXT = re.compile(r"-?[0-9]{1,20}\Z")
NUMBER_TEXT = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?\Z")
PAGE_WORDS = frozenset({"page", "size", "skip", "limit", "sort", "search", "cursor", "fields", "expand"})


def _folded_like(column: Any, pattern: Any) -> Any:
    return sa.func.rowhouse_fold(column).like(pattern, escape="\\")


Comparison = Callable[[Any, Any], Any]
COMPARISONS: dict[str, tuple[Comparison, str]] = {
    "eq": (lambda column, value: column == value, "equal to"),
    "ne": (lambda column, value: column != value, "other than, and not null"),
    "lt": (lambda column, value: column < value, "less than"),
    "lte": (lambda column, value: column <= value, "at most"),
    "gt": (lambda column, value: column > value, "greater than"),
    "gte": (lambda column, value: column >= value, "at least"),
    "in": (lambda column, values: column.in_(values), "one of these, separated by commas"),
    "not_in": (lambda column, values: column.not_in(values), "none of these, separated by commas, and not null"),
    "contains": (_folded_like, "contains this text, in any case"),
    "startswith": (_folded_like, "starts with this text, in any case"),
    "endswith": (_folded_like, "ends with this text, in any case"),
    "isnull": (lambda _column, condition: condition, "whether it is null"),
}
PATTERNS = {"contains": "%{}%", "startswith": "{}%", "endswith": "%{}"}
LISTS = frozenset({"in", "not_in"})
EQUALITY = ("eq", "ne", "in", "not_in", "isnull")
ORDERED = ("eq", "ne", "lt", "lte", "gt", "gte", "in", "not_in", "isnull")
TEXT = (*ORDERED, "contains", "startswith", "endswith")


def like_pattern(operator: str, text: str) -> str:
    """The LIKE pattern of a text filter: case folded, `%` and `_` literal."""
    escaped = re.sub(r"([\\%_])", r"\\\1", text.casefold())
    return PATTERNS[operator].format(escaped)


def operators_of(column: Column) -> tuple[str, ...]:
    """The filter operators that the type of `column` supports."""
    kind = column.base
    if column.is_json:
        return ("isnull",)
    if kind is bool:
        return ("eq", "ne", "isnull")
    if isinstance(column.column.type, sa.Uuid) or (isinstance(kind, type) and issubclass(kind, Enum)):
        return EQUALITY
    if isinstance(column.column.type, sa.String):
        return TEXT
    return ORDERED


def _refuse_unless(pattern: re.Pattern[str], what: str) -> BeforeValidator:
    def check(value: Any) -> Any:
        if isinstance(value, str) and not pattern.match(value):
            raise ValueError(f"write {what}")
        return value

    return BeforeValidator(check)


def _shortest_decimal(value: float) -> Decimal:
    """The decimal that a JSON number stands for; against at most 15 digits it compares alike on both databases."""
    return Decimal(str(value))


def filter_type(column: Column) -> Any:
    """What a filter on `column` takes: the column's type and range, without its business constraints."""
    kind = column.base
    if kind is int:
        # The bounds stand before the check of the text: pydantic writes those that follow it wrongly into OpenAPI.
        return Annotated[(int, *integer_range(column.column), _refuse_unless(INTEGER_TEXT, "a whole number"))]
    if kind is float:
        return Annotated[float, _refuse_unless(NUMBER_TEXT, "a number")]
    if kind is WireDecimal:
        return Annotated[float, _refuse_unless(NUMBER_TEXT, "a number"), AfterValidator(_shortest_decimal)]
    if isinstance(column.column.type, sa.String) and not (isinstance(kind, type) and issubclass(kind, Enum)):
        return Annotated[str, Field(pattern=NO_NUL)]
    return kind


@dataclass(frozen=True, slots=True)
class Filter:
    """One filter of a list: `price__gte`."""

    name: str
    column: Column
    operator: str


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
        self.filters = {f.name: f for column in columns.values() for f in _filters_of(column)}
        for alias, meant in aliases.items():
            if meant not in self.filters:
                raise RegistrationError(
                    f"{name}: filter_aliases names {meant!r}, which is no filter such as 'price__gte'"
                )
            self.filters[alias] = replace(self.filters[meant], name=alias)
        self.search = tuple(columns[column] for column in search)
        self.sortable = tuple(column.name for column in columns.values() if not column.is_json)
        self._lists = {"sort"} | {f.name for f in self.filters.values() if f.operator in LISTS}
        self.model = self._build_model(name)

    def _build_model(self, name: str) -> type[BaseModel]:
        choices = tuple(f"{sign}{column}" for column in self.sortable for sign in ("", "-"))
        whole = _refuse_unless(INTEGER_TEXT, "a whole number")
        members: dict[str, Any] = {
            "page": (Annotated[int, Field(ge=1, le=MAX_PAGE), whole], _parameter(1, "The page, from 1.")),
            "size": (Annotated[int, Field(ge=1, le=MAX_SIZE), whole], _parameter(DEFAULT_SIZE, "Rows on a page.")),
            "skip": (
                Annotated[int, Field(ge=0, le=MAX_PAGE), whole],
                _parameter(0, "Rows to pass over; not with `page`."),
            ),
            "limit": (
                Annotated[int, Field(ge=1, le=MAX_SIZE), whole],
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
            members[entry.name] = (_filter_annotation(entry), _parameter(None, _describe(entry)))
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
            size, parts = _bind_values(entry, values[name])
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
        clauses = [_clause(self.filters[name], size) for name, size in filters]
        if searched:
            text = sa.bindparam("_search_text", type_=sa.String())
            clauses.append(sa.or_(*(_folded_like(column.column, text) for column in self.search)))
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


def parse_query(query_string: bytes) -> dict[str, str]:
    """The parameters of a query string, each at most once.

    Raises:
        InvalidInputError: 422 for a repeated parameter, or bytes that are not UTF-8.
    """
    try:
        pairs = parse_qsl(
            query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS
        )
    except ValueError as error:
        raise InvalidInputError.at("query", message="the query string is not valid UTF-8 or too long") from error
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise InvalidInputError.at("query", repeated, message="give this parameter once", kind="repeated")
    return found


def _window(values: Mapping[str, Any], names: set[str]) -> tuple[int, int]:
    if names & {"skip", "limit"}:
        if names & {"page", "size"}:
            raise InvalidInputError.at("query", message="use page and size, or skip and limit, not both")
        return values["skip"], values["limit"]
    return (values["page"] - 1) * values["size"], values["size"]


def _parameter(default: Any, description: str) -> Any:
    return Field(default, description=description)


def _filters_of(column: Column) -> list[Filter]:
    found = [Filter(f"{column.name}__{operator}", column, operator) for operator in operators_of(column)]
    if column.name in PAGE_WORDS or column.is_json:  # `size` is the page's: a column of that name has `size__eq`
        return found
    return [Filter(column.name, column, "eq"), *found[1:]]


def _filter_annotation(entry: Filter) -> Any:
    if entry.operator == "isnull":
        return bool
    kind = filter_type(entry.column)
    if entry.operator in PATTERNS:  # SQLite refuses longer ones
        return Annotated[kind, Field(max_length=MAX_PATTERN)]
    return Annotated[list[kind], MinLen(1), MaxLen(MAX_CHOICES)] if entry.operator in LISTS else kind  # type: ignore[valid-type]  # run time


def _describe(entry: Filter) -> str:
    return (
        f"Only rows whose `{entry.column.name}` is {COMPARISONS[entry.operator][1]}.".replace("is contains", "contains")
        .replace("is starts", "starts")
        .replace("is ends", "ends")
    )


def _bind_values(entry: Filter, value: Any) -> tuple[int, dict[str, Any]]:
    """How many values the filter has (for isnull, which way it asks), and each under its bind name."""
    if entry.operator == "isnull":
        return int(value), {}
    if entry.operator in PATTERNS:
        return 1, {entry.name: like_pattern(entry.operator, value)}
    if entry.operator in LISTS:
        return len(value), {f"{entry.name}_{position}": part for position, part in enumerate(value)}
    return 1, {entry.name: value}


def _clause(entry: Filter, size: int) -> Any:
    column, (compare, _) = entry.column.column, COMPARISONS[entry.operator]
    if entry.operator == "isnull":
        return column.is_(None) if size else column.is_not(None)
    if entry.operator in LISTS:
        return compare(column, [sa.bindparam(f"{entry.name}_{n}", type_=column.type) for n in range(size)])
    kind = sa.String() if entry.operator in PATTERNS else column.type
    return compare(column, sa.bindparam(entry.name, type_=kind))


def _ordered(column: sa.Column[Any], *, descending: bool) -> Any:
    order = column.desc() if descending else column.asc()
    if not column.nullable:
        return order
    return order.nulls_first() if descending else order.nulls_last()


def describe_parameters(model: type[BaseModel]) -> list[dict[str, Any]]:
    """The members of `model` as OpenAPI query parameters, with references put in place."""
    schema = model.model_json_schema(schema_generator=GenerateJsonSchema)
    definitions = schema.get("$defs", {})
    return [_describe_parameter(name, _inlined(member, definitions)) for name, member in schema["properties"].items()]


def _describe_parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    parameter: dict[str, Any] = {"name": name, "in": "query", "required": False}
    parameter["description"] = schema.pop("description", "")
    if schema.get("default", ...) is None:
        schema.pop("default")
    if schema.get("type") == "array":
        parameter |= {"style": "form", "explode": False}
    return parameter | {"schema": schema}


def _inlined(schema: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_inlined(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        target = definitions[schema["$ref"].rpartition("/")[2]]
        schema = {**target, **{k: v for k, v in schema.items() if k != "$ref"}}
    return {key: _inlined(value, definitions) for key, value in schema.items() if key != "title"}
