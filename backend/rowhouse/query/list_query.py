"""The parsed query of a list: the shape that decides the SQL, and the values that are bound to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rowhouse.query.pagination import DEFAULT_SIZE
from rowhouse.query.projection import ALL_FIELDS, Projection


@dataclass(frozen=True, slots=True)
class QueryShape:
    """Everything that decides the SQL text of a list. Requests with equal shapes share a compiled statement."""

    # The name and the variant of each filter; see `Operator`.
    filters: tuple[tuple[str, int], ...] = ()
    sort: tuple[str, ...] = ()
    # The variant of the search, as of the operator `contains`; 0 without a search.
    searched: int = 0
    # Whether the statement uses the search index for texts that it finds.
    by_index: bool = True
    # With a cursor: which sort values of the last row are null.
    nulls: tuple[bool, ...] | None = None


@dataclass(frozen=True, slots=True)
class ListQuery:
    """The query of one request. `shape` decides the SQL text, and `values` are bound to it."""

    shape: QueryShape
    values: dict[str, Any]
    offset: int
    limit: int
    # The filters, the sort and the search as the client wrote them, for the next cursor.
    query: Mapping[str, str]
    projection: Projection = ALL_FIELDS
    # The conditions on related rows, with their values, by the name of the relation.
    related: Mapping[str, Sequence[Any]] = field(default_factory=dict)


FIRST_PAGE = ListQuery(QueryShape(), {}, offset=0, limit=DEFAULT_SIZE, query={})


@dataclass(frozen=True, slots=True)
class Search:
    """The columns that `search` reads, and those of the table's `SearchIndex`."""

    columns: tuple[str, ...] = ()
    index: tuple[str, ...] = ()
