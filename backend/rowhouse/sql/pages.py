"""Pages: the rows of one, how many there are in all, and whether more follow."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rowhouse.db.compiled import Predicate, Row
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.query.list_query import ListQuery, QueryShape
from rowhouse.query.resource import Resource
from rowhouse.sql.count_estimate import estimated_rows
from rowhouse.sql.search_plan import fitted, read_through
from rowhouse.sql.statements import PAGE_LIMIT, PAGE_OFFSET, TOTAL, Statements


@dataclass(frozen=True, slots=True)
class ResultPage:
    """One page of rows; `total` is None where nothing was counted."""

    rows: Sequence[Row]
    total: int | None
    more: bool
    is_estimate: bool = False


class PageReader:
    """Reads the pages of one entity."""

    def __init__(self, resource: Resource, statements: Statements) -> None:
        self._parameters = resource.parameters
        self._exact_count_limit = resource.exact_count_limit
        self._statements = statements

    def page(self, unit: UnitOfWork, selection: ListQuery, scope: Predicate) -> ResultPage:
        """The page that is selected of the rows in `scope`, in one statement where nothing has to be estimated."""
        shape, limit = self.fitted(unit, selection, scope), selection.limit
        bound = {**selection.values, PAGE_LIMIT: limit + 1}  # one row more tells whether there is a next page
        if shape.nulls is not None:
            rows = unit.run(self._statements.list_after(shape, scope), bound, scope)
            return ResultPage(rows[:limit], None, more=len(rows) > limit)
        bound[PAGE_OFFSET] = selection.offset
        rows = unit.run(self._statements.list(shape, scope), bound, scope)
        if rows:
            totals = [row.pop(TOTAL) for row in rows]
            total = int(totals[0])  # every row of the one statement has the same
        elif selection.offset:
            total = int(unit.run(self._statements.count(shape, scope), selection.values, scope)[0][TOTAL])
        else:
            total = 0
        listing = ResultPage(rows[:limit], total, more=len(rows) > limit)
        if self._exact_count_limit is None or total <= self._exact_count_limit:
            return listing
        least = max(self._exact_count_limit + 1, selection.offset + len(rows))
        return replace(listing, total=max(self._estimate(unit, selection, scope), least), is_estimate=True)

    def fitted(self, unit: UnitOfWork, selection: ListQuery, scope: Predicate) -> QueryShape:
        """The shape of a selection as it is read best; see `search_plan`."""
        return fitted(unit, self._statements, self._parameters, selection, scope)

    def _estimate(self, unit: UnitOfWork, selection: ListQuery, scope: Predicate) -> int:
        shape = read_through(selection.shape)
        return estimated_rows(unit.run(self._statements.estimate(shape, scope), selection.values, scope)[0])
