"""The query parameters of lists: filters, sort, search and pages.

They are fixed at registration. The values of a request never become SQL text: the shape of the query decides the text,
which is compiled once for each shape.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache, partial
from types import MappingProxyType
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import Field

from rowhouse.core.errors import InvalidInputError
from rowhouse.db.compiled import Row
from rowhouse.db.sql_functions import MayHold
from rowhouse.query.any_of import PARAMETER as ANY_PARAMETER
from rowhouse.query.any_of import AnyOf, Members
from rowhouse.query.cursor import SEPARATOR, Cursor, SortKey, decode, encode, invalid_cursor, position
from rowhouse.query.filters import ANY, RESERVED_WORDS, Filter, filters_of
from rowhouse.query.keys import key_columns
from rowhouse.query.list_query import FIRST_PAGE, Branch, ListQuery, QueryShape, Search
from rowhouse.query.operators import CONTAINS, folded_like, searched_text
from rowhouse.query.pagination import DEFAULT_SIZE, MAX_PAGE, MAX_SIZE
from rowhouse.query.parameters import Parameter, QueryParameters
from rowhouse.query.projection import PROJECTION_WORDS, Projection, projection_parameters
from rowhouse.query.query_string import parse_query, split_values
from rowhouse.query.related_filters import RelatedFilters
from rowhouse.schemas.columns import Column, RegistrationError
from rowhouse.schemas.json_types import INTEGER_TEXT, NO_NUL, require_format

MAX_SORT = 8
MAX_SEARCH = 200
MAX_CURSOR = 40_000  # with the longest `any`
CACHED_QUERY_BYTES, CACHED_QUERIES = 200, 512  # the longest query string that is cached, and how many are
SEARCH = "_search_text"
SIZE_WORDS = ("size", "limit")
DIRECTIONS = {"": "", "-": "_descending"}
DEFAULTS = {"page": 1, "size": DEFAULT_SIZE, "skip": 0, "limit": DEFAULT_SIZE}
WINDOW_WORDS = frozenset(DEFAULTS)
NO_LISTS: "Mapping[str, ListParameters]" = MappingProxyType({})


class ListParameters:
    """Parses the query parameters of one entity's list, describes them for OpenAPI, and writes their SQL conditions."""

    def __init__(  # noqa: PLR0913  all but the columns by keyword
        self,
        columns: Mapping[str, Column],
        *,
        name: str,
        search: Search,
        aliases: Mapping[str, str],
        relations: Iterable[str] = (),
        extra_fields: Iterable[str] = (),
        related: "Mapping[str, ListParameters]" = NO_LISTS,
        parents: Collection[str] = (),
        filters: Mapping[str, Filter] | None = None,
    ) -> None:
        self._name = name
        self.aliases = aliases
        self._relations = tuple(relations)
        self._extra_fields = tuple(extra_fields)
        self.filters = _filters(columns, name, aliases) if filters is None else filters
        self._columns = columns
        self._keys = [column.name for column in key_columns(columns.values())]
        self.search = search
        self.sortable = tuple(column.name for column in columns.values() if column.is_comparable)
        # Clients repeat their queries, and a parsed query never changes.
        self._cached_query = lru_cache(maxsize=CACHED_QUERIES)(
            lambda query_string: self.query_of(parse_query(query_string))
        )
        self.sort_keys = lru_cache(maxsize=CACHED_QUERIES)(self._sort_keys)
        self._list_names = {"sort", *PROJECTION_WORDS} | {
            f.name for f in self.filters.values() if f.operator.takes_list
        }
        # Another application of the same registrations needs the same models, and building them is most of its start-up
        # time.
        self._with_names = lru_cache(maxsize=CACHED_QUERIES)(self._with_related)
        self._related = RelatedFilters(related)
        self._parents = {name: related[name] for name in parents}

    def with_relations(
        self,
        names: tuple[str, ...],
        related: "Mapping[str, ListParameters] | None" = None,
        parents: Collection[str] = (),
    ) -> "ListParameters":
        """Return the same parameters, with these names of `expand`, and with filters by related rows.

        `related` has the parameters of the related entities by the name of the relation. Those in `parents` lead to one
        row at most, and the list can be sorted by its columns.
        """
        return self._with_related(names, related, parents) if related else self._with_names(names)

    def _with_related(
        self,
        names: tuple[str, ...],
        related: "Mapping[str, ListParameters]" = NO_LISTS,
        parents: Collection[str] = (),
    ) -> "ListParameters":
        return ListParameters(
            self._columns, name=self._name, search=self.search, aliases=self.aliases, relations=names,
            extra_fields=self._extra_fields, related=related, parents=parents, filters=self.filters,
        )  # fmt: skip

    @cached_property
    def _parameters(self) -> QueryParameters:
        described = self._general_parameters()

        def describe(name: str) -> Parameter:
            if name in described:
                return described[name]
            return self.filters[name].parameter if name in self.filters else self._related.parameter(name)

        return QueryParameters((*described, *self.filters), describe, further=self._related)

    @cached_property
    def _any_of(self) -> AnyOf:
        return AnyOf(self.filters, self._related)

    def _general_parameters(self) -> dict[str, Parameter]:
        """Return the parameters that are no filters."""
        size = whole_number(1, MAX_SIZE)
        cursor: Any = Annotated[str, MinLen(1), MaxLen(MAX_CURSOR)]
        found = {
            "page": Parameter(whole_number(1, MAX_PAGE), "The page, from 1.", DEFAULTS["page"]),
            "size": Parameter(size, "Rows on a page.", DEFAULTS["size"]),
            "skip": Parameter(whole_number(0, MAX_PAGE), "Rows to skip; not with `page`.", DEFAULTS["skip"]),
            "limit": Parameter(size, "Rows to return; not with `size`.", DEFAULTS["limit"]),
            "sort": Parameter(
                self._sort_annotation(),
                "Columns to sort by, separated by commas; `-` for descending. The key breaks ties.",
            ),
            "cursor": Parameter(
                cursor, "The `next_cursor` of another page, with its sort and filters; not with `page` or `skip`."
            ),
        }
        if self.search.columns:
            where = ", ".join(self.search.columns)
            text: Any = Annotated[str, Field(pattern=NO_NUL, min_length=1, max_length=MAX_SEARCH)]
            found["search"] = Parameter(text, f"Text to find in {where}, in any case.")
        found[ANY] = ANY_PARAMETER
        return found | projection_parameters((*self._columns, *self._extra_fields), self._relations)

    def _sort_annotation(self) -> Any:
        names = (*self.sortable, *self.sortable_of_parents)
        choices = {f"{sign}{name}": f"{name}{order}" for name in names for sign, order in DIRECTIONS.items()}
        # Generated clients name the values after these; a minus sign is not part of a name.
        labels = Field(json_schema_extra={"x-enum-varnames": list(choices.values())})
        choice: Any = Annotated[Literal[tuple(choices)], labels]
        return Annotated[list[choice], MinLen(1), MaxLen(MAX_SORT)]

    @property
    def sortable_of_parents(self) -> tuple[str, ...]:
        """The words to sort by a column of a related row. A column with such a name comes first."""
        found = (f"{parent}{SEPARATOR}{name}" for parent, target in self._parents.items() for name in target.sortable)
        return tuple(word for word in found if word not in self._columns)

    def parse(self, query_string: bytes, *, path: str, secret: str) -> ListQuery:
        """Return the query in a query string. Cursors are signed for `path` with `secret`.

        Raises:
            InvalidInputError: 422, a parameter is unknown, repeated or malformed, or the cursor is invalid.
        """
        if not query_string:
            return FIRST_PAGE
        if len(query_string) <= CACHED_QUERY_BYTES and b"cursor" not in query_string and b"%" not in query_string:
            return self._cached_query(query_string)
        raw = parse_query(query_string)
        token = raw.pop("cursor", None)
        return self.query_of(raw) if token is None else self._continue(raw, decode(token, path=path, secret=secret))

    def _continue(self, raw: dict[str, str], cursor: Cursor) -> ListQuery:
        """Return the query of the page after a cursor, with the filters and the sort of the cursor.

        A client may repeat them, and may choose another page size and other members.
        """
        free = {*SIZE_WORDS, *PROJECTION_WORDS}
        for name, text in raw.items():
            if name not in free and cursor.query.get(name) != text:
                raise invalid_cursor(
                    f"the cursor contains its own query: leave out {name}, or start again without the cursor"
                )
        sizes = {name: raw[name] for name in SIZE_WORDS if name in raw} or {"size": str(cursor.size)}
        projection = {name: raw[name] for name in PROJECTION_WORDS if name in raw}
        query = self.query_of({**cursor.query, **sizes, **projection})
        bound = position(self.sort_keys(query.shape.sort), cursor.values)
        shape = replace(query.shape, nulls=tuple(value is None for value in cursor.values))
        return replace(query, shape=shape, values={**query.values, **bound})

    def next_cursor(self, query: ListQuery, last: Row, *, path: str, secret: str) -> str:
        """Return the cursor of the page after the row `last`."""
        values = tuple(last[key.name] for key in self.sort_keys(query.shape.sort))
        return encode(Cursor(query.query, query.limit, values), path=path, secret=secret)

    def query_of(self, raw: Mapping[str, str]) -> ListQuery:
        """Return the query of these parameters, which have no cursor.

        Raises:
            InvalidInputError: 422, a parameter is unknown or malformed.
        """
        written = {name: text for name, text in raw.items() if name not in WINDOW_WORDS}
        parts: dict[str, Any] = {
            n: split_values(text, "query", n) if self._takes_list(n) else text for n, text in raw.items()
        }
        values, faults = self._parameters.read(parts)
        branches: Sequence[Members] = ()
        if ANY in values:
            branches, wrong = self._any_of.read(values.pop(ANY))
            faults += wrong
        if faults:
            raise InvalidInputError(faults)
        return self._bind(values, written, branches)

    def _takes_list(self, name: str) -> bool:
        return name in self._list_names or (name not in self.filters and self._related.takes_list(name))

    def _bind(self, given: Mapping[str, Any], written: Mapping[str, str], branches: Sequence[Members]) -> ListQuery:
        values, names = {**DEFAULTS, **given}, given.keys()
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
        shape = QueryShape(tuple(filters), tuple(values.get("sort", ())), searched=searched)
        related: list[Sequence[Branch]] = []
        further = {name: given[name] for name in names - self.filters.keys() if SEPARATOR in name}
        if further:
            related.append([Branch(self._related.conditions(further))])
        if branches and self._any_of.is_own(branches):
            joined, parts = self._any_of.bind(branches)
            shape = replace(shape, branches=joined)
            bound.update(parts)
        elif branches:
            related.append(self._any_of.with_related(branches))
        return ListQuery(
            shape,
            bound,
            offset=offset,
            limit=limit,
            query=written,
            projection=Projection.of(values),
            related=related,
            parents=self._parents_in(shape.sort),
        )

    def _parents_in(self, sort: Iterable[str]) -> Sequence[str]:
        """Return each relation that a sort names, once."""
        found = (word.removeprefix("-") for word in sort if SEPARATOR in word)
        return tuple(dict.fromkeys(name.partition(SEPARATOR)[0] for name in found if name not in self._columns))

    def conditions(self, shape: QueryShape) -> list[Any]:
        """Return the WHERE clauses of a shape, with a bind parameter for each value."""
        clauses = [self.filters[name].clause(variant) for name, variant in shape.filters]
        if shape.searched:
            text = sa.bindparam(SEARCH, type_=sa.String())
            clauses.append(sa.or_(*(folded_like(self._columns[name].expression, text) for name in self.search.columns)))
        if shape.by_index:
            indexed = [self._columns[name].column for name in self.search.index]
            clauses += [MayHold(*indexed, searched_text(name)) for name in self._indexed_texts(shape)]
        if shape.branches:
            clauses.append(self._any_of.clause(shape.branches, partial(self._branch_clause, by_index=shape.by_index)))
        return clauses

    def _branch_clause(self, name: str, entry: Filter, variant: int, *, by_index: bool) -> Any:
        """Return the condition of a filter in `any`. The search index finds its text, if it can and is used."""
        if not (by_index and self._is_indexed(name, variant)):
            return entry.clause(variant)
        indexed = [self._columns[column].column for column in self.search.index]
        return sa.and_(entry.clause(variant), MayHold(*indexed, searched_text(entry.bind_name)))

    def _is_indexed(self, name: str, variant: int) -> bool:
        return bool(variant) and name in self._indexed_filters

    def finds_text(self, shape: QueryShape) -> bool:
        """Return whether the query looks for a text within others."""
        return bool(shape.searched) or any(self.filters[name].operator.finds_text for name in shape.filter_names)

    def uses_search_index(self, shape: QueryShape) -> bool:
        """Return whether the search index finds any text of the query."""
        if any(self._indexed_texts(shape)):
            return True
        if not shape.branches:
            return False
        return any(self._is_indexed(name, variant) for filters in shape.branches for name, variant in filters)

    def _indexed_texts(self, shape: QueryShape) -> Iterator[str]:
        """Yield the bind names of the texts that the search index finds: those in its columns that are not empty."""
        if not self.search.index:
            return
        for name, variant in shape.filters:
            if self._is_indexed(name, variant):
                yield self.filters[name].bind_name
        if shape.searched:
            yield SEARCH

    @cached_property
    def _indexed_filters(self) -> frozenset[str]:
        """The filters whose texts the search index finds."""
        found = (f for f in self.filters.values() if f.operator.finds_text and f.column.name in self.search.index)
        return frozenset(f.name for f in found)

    def _sort_keys(self, sort: tuple[str, ...]) -> Sequence[SortKey]:
        """Return the columns to sort by, each once, up to the primary key, after which there are no ties."""
        keys: dict[str, SortKey] = {}
        for word in (*sort, *self._keys):
            name = word.removeprefix("-")
            keys.setdefault(name, self._sort_key(name, descending=word.startswith("-")))
        names = list(keys)
        return list(keys.values())[: max(map(names.index, self._keys)) + 1]

    def _sort_key(self, name: str, *, descending: bool) -> SortKey:
        if name in self._columns:
            return SortKey(self._columns[name], descending)
        relation, _, column = name.partition(SEPARATOR)
        return SortKey(self._parents[relation].column(column), descending, relation)

    def column(self, name: str) -> Column:
        """Return a column of the listed rows."""
        return self._columns[name]

    @cached_property
    def openapi(self) -> Sequence[dict[str, Any]]:
        """The parameters for OpenAPI 3.1, for lists and exports."""
        return [*self._parameters.openapi(), *self._related.openapi()]


def _filters(columns: Mapping[str, Column], name: str, aliases: Mapping[str, str]) -> Mapping[str, Filter]:
    """Return the filters of an entity by their names, with those of `filter_aliases`."""
    found = {f.name: f for column in columns.values() for f in filters_of(column)}
    for alias, target in aliases.items():
        if target not in found:
            raise RegistrationError(f"{name}: filter_aliases names {target!r}, which is no filter such as 'price__gte'")
        if alias in RESERVED_WORDS:
            raise RegistrationError(f"{name}: filter_aliases has {alias!r}, a parameter of every list; rename it")
        found[alias] = replace(found[target], name=alias)
    return found


def whole_number(least: int, greatest: int) -> Any:
    """Return the type of a parameter that is a whole number between two bounds."""
    return Annotated[int, Ge(least), Le(greatest), require_format(INTEGER_TEXT, "a whole number")]


def _window(values: Mapping[str, Any], names: Collection[str]) -> tuple[int, int]:
    if "skip" in names or "limit" in names:
        if "page" in names or "size" in names:
            raise InvalidInputError.at("query", message="use page and size, or skip and limit, not both")
        return values["skip"], values["limit"]
    return (values["page"] - 1) * values["size"], values["size"]
