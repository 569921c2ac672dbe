"""Pages: the rows of one, how many there are in all, and whether more follow."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from backend.core.db import UnitOfWork
from backend.core.statement import Predicate, Row
from backend.crud.estimate import estimated_rows
from backend.crud.resource import Resource
from backend.crud.search_plan import fitted, read_through
from backend.crud.selection import Selection, Shape
from backend.crud.statements import PAGE_LIMIT, PAGE_OFFSET, TOTAL, Statements


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of rows; `total` is None where nothing was counted."""

    rows: Sequence[Row]
    total: int | None
    more: bool
    is_estimate: bool = False


class Lists:
    """Reads the pages of one entity."""

    def __init__(self, resource: Resource, statements: Statements) -> None:
        self._parameters = resource.parameters
        self._estimate_past = resource.estimate_past
        self._statements = statements
        # Whether the whole table had no more rows than are counted when it was last asked, by this process.
        self._is_small = False

    def page(self, unit: UnitOfWork, selection: Selection, scope: Predicate) -> Listing:
        """The page that is selected of the rows in `scope`, in one statement where nothing has to be estimated."""
        shape, limit = self.fitted(unit, selection, scope), selection.limit
        bound = {**selection.values, PAGE_LIMIT: limit + 1}  # one row more tells whether there is a next page
        if shape.nulls is not None:
            rows = unit.run(self._statements.list_after(shape, scope), bound, scope)
            return Listing(rows[:limit], None, more=len(rows) > limit)
        bound[PAGE_OFFSET] = selection.offset
        is_whole = self._statements.is_counted_by_key and shape.is_whole and scope.clause is None
        statement = self._statements.list(shape, scope, is_small=is_whole and self._is_small)
        rows = unit.run(statement, bound, scope)
        if rows:
            totals = [row.pop(TOTAL) for row in rows]
            total = int(totals[0])  # every row of the one statement has the same
        elif selection.offset:
            total = int(unit.run(self._statements.count(shape, scope), selection.values, scope)[0][TOTAL])
        else:
            total = 0
        listing, most = Listing(rows[:limit], total, more=len(rows) > limit), self._estimate_past
        if most is None:
            return listing
        if is_whole:
            self._is_small = total <= most
        if total <= most:
            return listing
        least = max(most + 1, selection.offset + len(rows))
        return replace(listing, total=max(self._estimate(unit, selection, scope), least), is_estimate=True)

    def fitted(self, unit: UnitOfWork, selection: Selection, scope: Predicate) -> Shape:
        """The shape of a selection as it is read best; see `search_plan`."""
        return fitted(unit, self._statements, self._parameters, selection, scope)

    def _estimate(self, unit: UnitOfWork, selection: Selection, scope: Predicate) -> int:
        shape = read_through(selection.shape)
        return estimated_rows(unit.run(self._statements.estimate(shape, scope), selection.values, scope)[0])
