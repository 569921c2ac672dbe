"""Lists: typed filters, sort, search and pages, from the query string to compiled SQL.

What a list takes is fixed at registration (`ListParameters`); OpenAPI is written from the same table that parses. A request's
values never become SQL text: the shape of the query decides the text, which is compiled once for each shape.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from annotated_types import MaxLen, MinLen
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)

from rowhouse.core.errors import InvalidInputError
from rowhouse.db.compiled import Row
from rowhouse.db.sql_functions import TRIGRAM, MayHold
from rowhouse.query.cursor import Cursor, SortKey, decode, encode, foreign_cursor, position
from rowhouse.query.filters import filters_of
from rowhouse.query.list_query import FIRST_PAGE, ListQuery, QueryShape, Search
from rowhouse.query.operators import CONTAINS, folded_like, searched_text
from rowhouse.query.pagination import DEFAULT_SIZE, MAX_PAGE, MAX_SIZE
from rowhouse.query.projection import VIEW_WORDS, Projection, view_members
from rowhouse.query.query_string import describe_parameters, parse_query
from rowhouse.schemas.columns import Column, RegistrationError
from rowhouse.schemas.derivation import build_model
from rowhouse.schemas.json_types import INTEGER_TEXT, NO_NUL, require_format

MAX_SORT = 8
MAX_SEARCH = 200
MAX_CURSOR = 8000
MAX_REMEMBERED, REMEMBERED = 200, 512  # bytes of a query string, and how many
SEARCH = "_search_text"
SIZE_WORDS = ("size", "limit")
DIRECTIONS = {"": "", "-": "_descending"}
WINDOW_WORDS = frozenset({"page", "size", "skip", "limit"})


class ListParameters:
    """The query parameters of one entity's list: parses them, and describes them to OpenAPI."""

    def __init__(
        self,
        columns: Mapping[str, Column],
        *,
        name: str,
        search: Search,
        aliases: Mapping[str, str],
        relations: Iterable[str] = (),
        extra_fields: Iterable[str] = (),
    ) -> None:
        self._name = name
        self._aliases = aliases
        self._relations = tuple(relations)
        self._extra_fields = tuple(extra_fields)
        self.filters = {f.name: f for column in columns.values() for f in filters_of(column)}
        for alias, meant in aliases.items():
            if meant not in self.filters:
                raise RegistrationError(
                    f"{name}: filter_aliases names {meant!r}, which is no filter such as 'price__gte'"
                )
            self.filters[alias] = replace(self.filters[meant], name=alias)
        self._columns = columns
        self._key = next(column.name for column in columns.values() if column.column.primary_key)
        self.search = search
        self.sortable = tuple(column.name for column in columns.values() if not column.is_json)
        # Clients ask for the same pages again and again, and a selection never changes.
        self._remembered = lru_cache(maxsize=REMEMBERED)(lambda query_string: self.select(parse_query(query_string)))
        self.sort_keys = lru_cache(maxsize=REMEMBERED)(self._sort_keys)
        self._lists = {"sort", *VIEW_WORDS} | {f.name for f in self.filters.values() if f.operator.takes_list}
        # A second application of the same registrations needs the same models, which take the most time of its start.
        self.with_relations = lru_cache(maxsize=REMEMBERED)(self._with_relations)

    def _with_relations(self, relations: tuple[str, ...]) -> "ListParameters":
        """The same parameters, and `expand` with these names."""
        kept: dict[str, Any] = {"search": self.search, "aliases": self._aliases, "extra_fields": self._extra_fields}
        return ListParameters(self._columns, name=self._name, relations=relations, **kept)

    @cached_property
    def model(self) -> type[BaseModel]:
        """The parameters as a pydantic model: it parses them and describes them."""
        choices = {f"{sign}{name}": f"{name}{order}" for name in self.sortable for sign, order in DIRECTIONS.items()}
        # Generated clients take their names for the values from here; a minus sign is none.
        names = Field(json_schema_extra={"x-enum-varnames": list(choices.values())})
        word: Any = Annotated[Literal[tuple(choices)], names]
        whole = require_format(INTEGER_TEXT, "a whole number")
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
                Annotated[list[word], MinLen(1), MaxLen(MAX_SORT)],
                _parameter(None, "Columns to sort by, separated by commas; `-` for descending. The key breaks ties."),
            ),
        }
        members["cursor"] = (
            Annotated[str, Field(min_length=1, max_length=MAX_CURSOR)],
            _parameter(
                None, "The `next_cursor` of an earlier page; brings its sort and filters, not with `page` or `skip`."
            ),
        )
        if self.search.columns:
            where = ", ".join(self.search.columns)
            text = Annotated[str, Field(pattern=NO_NUL, min_length=1, max_length=MAX_SEARCH)]
            members["search"] = (text, _parameter(None, f"Text to find in {where}, in any case."))
        members |= view_members((*self._columns, *self._extra_fields), self._relations)
        for entry in self.filters.values():
            members[entry.name] = (entry.annotation, _parameter(None, entry.description))
        config = ConfigDict(extra="forbid", allow_inf_nan=False)
        return build_model(f"{self._name}ListQuery", members, __config__=config)

    @cached_property
    def _validator(self) -> Any:
        return TypeAdapter(self.model).validator

    def parse(self, query_string: bytes, *, path: str, secret: str) -> ListQuery:
        """The selection that a query string asks for; `path` and `secret` are what cursors are signed with.

        Raises:
            InvalidInputError: 422 for an unknown, repeated or malformed parameter, or a cursor that does not fit.
        """
        if not query_string:
            return FIRST_PAGE
        if len(query_string) <= MAX_REMEMBERED and b"cursor" not in query_string and b"%" not in query_string:
            return self._remembered(query_string)
        raw = parse_query(query_string)
        token = raw.pop("cursor", None)
        return self.select(raw) if token is None else self._continue(raw, decode(token, path=path, secret=secret))

    def _continue(self, raw: dict[str, str], cursor: Cursor) -> ListQuery:
        """The page behind a cursor, which brings its own sort and filters; repeating them is fine, another view too."""
        free = {*SIZE_WORDS, *VIEW_WORDS}
        for name, text in raw.items():
            if name not in free and cursor.query.get(name) != text:
                raise foreign_cursor(
                    f"the cursor brings its own query: leave out {name}, or start again without the cursor"
                )
        sizes = {name: raw[name] for name in SIZE_WORDS if name in raw} or {"size": str(cursor.size)}
        view = {name: raw[name] for name in VIEW_WORDS if name in raw}
        selection = self.select({**cursor.query, **sizes, **view})
        bound = position(self.sort_keys(selection.shape.sort), cursor.values)
        shape = replace(selection.shape, nulls=tuple(value is None for value in cursor.values))
        return replace(selection, shape=shape, values={**selection.values, **bound})

    def next_cursor(self, selection: ListQuery, last: Row, *, path: str, secret: str) -> str:
        """The cursor to the page behind the row `last`."""
        values = tuple(last[key.column.name] for key in self.sort_keys(selection.shape.sort))
        return encode(Cursor(selection.query, selection.limit, values), path=path, secret=secret)

    def select(self, raw: Mapping[str, str]) -> ListQuery:
        """The selection that these parameters ask for, a cursor not among them.

        Raises:
            InvalidInputError: 422 for an unknown or malformed parameter.
        """
        query = {name: text for name, text in raw.items() if name not in WINDOW_WORDS}
        parts: dict[str, Any] = {n: text.split(",") if n in self._lists else text for n, text in raw.items()}
        try:
            given = self._validator.validate_python(parts)
        except ValidationError as error:
            raise InvalidInputError.from_pydantic(error, "query") from error
        return self._bind(given, query)

    def _bind(self, given: BaseModel, query: Mapping[str, str]) -> ListQuery:
        values = given.__dict__
        names = given.model_fields_set
        offset, limit = _window(values, names)
        filters, bound = [], {}
        for name in sorted(names & self.filters.keys()):
            variant, parts = self.filters[name].bind(values[name])
            filters.append((name, variant))
            bound.update(parts)
        searched = 0
        if "search" in names:
            searched, parts = CONTAINS.bind(SEARCH, values["search"])
            bound.update(parts)
        shape = QueryShape(tuple(filters), tuple(values["sort"] or ()), searched=searched)
        return ListQuery(shape, bound, offset=offset, limit=limit, query=query, view=Projection.of(values))

    def conditions(self, shape: QueryShape) -> list[Any]:
        """The WHERE clauses of a shape's filters and search, with a `bindparam` for each value."""
        clauses = [self.filters[name].clause(variant) for name, variant in shape.filters]
        if shape.searched:
            text = sa.bindparam(SEARCH, type_=sa.String())
            clauses.append(sa.or_(*(folded_like(self._columns[name].expression, text) for name in self.search.columns)))
        if shape.by_index:
            indexed = [self._columns[name].column for name in self.search.index]
            clauses += [MayHold(*indexed, searched_text(name)) for name in self._indexed_texts(shape)]
        return clauses

    def asks_search_index(self, shape: QueryShape) -> bool:
        """Whether the search index knows of anything that a shape looks for."""
        return any(self._indexed_texts(shape))

    def _indexed_texts(self, shape: QueryShape) -> Iterator[str]:
        """The bind names of texts that the search index finds: those that have trigrams, of its columns."""
        if not self.search.index:
            return
        for name, variant in shape.filters:
            entry = self.filters[name]
            if entry.operator.finds_text and variant == TRIGRAM and entry.column.name in self.search.index:
                yield name
        if shape.searched == TRIGRAM:
            yield SEARCH

    def _sort_keys(self, sort: tuple[str, ...]) -> Sequence[SortKey]:
        """The columns that a list is sorted by, each once, up to the primary key, which leaves no ties."""
        keys: dict[str, SortKey] = {}
        for word in (*sort, self._key):
            name = word.removeprefix("-")
            keys.setdefault(name, SortKey(self._columns[name], descending=word.startswith("-")))
        return list(keys.values())[: list(keys).index(self._key) + 1]

    def order(self, shape: QueryShape) -> list[Any]:
        """The ORDER BY of a shape: nulls last ascending and first descending, the primary key last."""
        return [_ordered(key) for key in self.sort_keys(shape.sort)]

    @cached_property
    def openapi(self) -> Sequence[dict[str, Any]]:
        """The parameters as OpenAPI 3.1 has them, for lists and exports."""
        return describe_parameters(self.model)


def _window(values: Mapping[str, Any], names: set[str]) -> tuple[int, int]:
    if names & {"skip", "limit"}:
        if names & {"page", "size"}:
            raise InvalidInputError.at("query", message="use page and size, or skip and limit, not both")
        return values["skip"], values["limit"]
    return (values["page"] - 1) * values["size"], values["size"]


def _parameter(default: Any, description: str) -> Any:
    return Field(default, description=description)


def _ordered(key: SortKey) -> Any:
    column = key.column.expression
    order = column.desc() if key.descending else column.asc()
    if not key.column.nullable:
        return order
    return order.nulls_first() if key.descending else order.nulls_last()
