"""The parsed query of a list: the shape that decides the SQL, and the values that are bound to it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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
    # Whether PostgreSQL counts the rows in the first blocks of the table: so many are expected there that it need not
    # read further.
    in_first_blocks: bool = False
    # With a cursor: which sort values of the last row are null.
    nulls: tuple[bool, ...] | None = None
    # The filters of each branch of `any`, one of which must hold. Empty if one is over a relation: see `ListQuery`.
    branches: tuple[tuple[tuple[str, int], ...], ...] = ()
    # Whether a list sorted by a parent's column reads the parents in order; otherwise it sorts all selected rows.
    by_parent: bool = False

    @property
    def filter_names(self) -> Iterator[str]:
        """The names of all filters."""
        yield from (name for filters in (self.filters, *self.branches) for name, _ in filters)


@dataclass(frozen=True, slots=True)
class Branch:
    """Conditions that a row must meet, with their values: on related rows by relation, and on its own columns."""

    related: Mapping[str, Sequence[Any]]
    own: Sequence[Any] = ()


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
    # The conditions on related rows: a row must meet one branch of each entry.
    related: Sequence[Sequence[Branch]] = ()
    # The relations to the rows by whose columns the list is sorted.
    parents: Sequence[str] = ()


FIRST_PAGE = ListQuery(QueryShape(), {}, offset=0, limit=DEFAULT_SIZE, query={})


@dataclass(frozen=True, slots=True)
class Search:
    """The columns that `search` reads, and those of the table's `SearchIndex`."""

    columns: tuple[str, ...] = ()
    index: tuple[str, ...] = ()
