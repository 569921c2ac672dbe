"""What one request asks of a list, once its query string is parsed: the shape that decides the SQL, and the values bound to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rowhouse.query.pagination import DEFAULT_SIZE
from rowhouse.query.projection import ALL_FIELDS, Projection


@dataclass(frozen=True, slots=True)
class QueryShape:
    """What decides the SQL text of a list; equal for two requests that need the same."""

    filters: tuple[tuple[str, int], ...] = ()
    sort: tuple[str, ...] = ()
    # How many letters are searched for, as far as that matters; 0 where nothing is.
    searched: int = 0
    # Whether the search index is asked, where it knows the answer.
    by_index: bool = True
    # For a page behind a cursor, which sort values of the row before it are null.
    nulls: tuple[bool, ...] | None = None


@dataclass(frozen=True, slots=True)
class ListQuery:
    """What one request asks of a list. `shape` decides the SQL text, `values` are bound to it."""

    shape: QueryShape
    values: dict[str, Any]
    offset: int
    limit: int
    # What a cursor has to repeat: the filters, the sort and the search as they were written.
    query: Mapping[str, str]
    view: Projection = ALL_FIELDS


FIRST_PAGE = ListQuery(QueryShape(), {}, offset=0, limit=DEFAULT_SIZE, query={})


@dataclass(frozen=True, slots=True)
class Search:
    """The columns that `search` looks into, and those of the table's `SearchIndex`, if it has one."""

    columns: tuple[str, ...] = ()
    index: tuple[str, ...] = ()
