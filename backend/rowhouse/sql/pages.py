"""Read the pages of a list: their rows, the total, and whether there is a next page.

A text that few rows contain is found by the search index. A text that many rows contain appears soon when the list is
read in its order, and the index would return all of these rows, to be sorted for one page. PostgreSQL's planner decides
this by its statistics, but has none for an index on grams. So the planner is asked for an estimate without the index
(EXPLAIN, about 0.2 ms), and the statement is written accordingly.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rowhouse.db.compiled import Predicate, Row
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.query.list_query import ListQuery, QueryShape
from rowhouse.query.resource import Resource
from rowhouse.sql.count_estimate import estimated_cost, estimated_rows
from rowhouse.sql.statements import PAGE_LIMIT, PAGE_OFFSET, TOTAL, Statements

# A text in at least this number of rows is common: in a table of a million rows, about 5,000 rows then fill the first
# page.
COMMON = 10_000
# Rows of a common text are counted in the first blocks if this many times the bound are expected there: the rows may be
# spread unevenly.
ENOUGH = 2
# What PostgreSQL's planner takes for the look-up of a row by its key, about.
LOOK_UP = 1.0


@dataclass(frozen=True, slots=True)
class ResultPage:
    """One page of rows; `total` is None if the rows were not counted."""

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

    def page(self, unit: UnitOfWork, query: ListQuery, scope: Predicate) -> ResultPage:
        """Return the page of the rows in `scope`.

        It takes one statement, and another one if the total is estimated or the page could not count it quickly. For a
        text the planner is asked first how many rows contain it.
        """
        shape, limit = self.choose_shape(unit, query, scope), query.limit
        bound = {**query.values, PAGE_LIMIT: limit + 1}  # one row more shows whether there is a next page
        if shape.nulls is not None:
            following = unit.run(self._statements.list_after(shape, scope), bound, scope)
            return ResultPage(following[:limit], None, more=len(following) > limit)
        rows, total = self._counted(unit, query, self._choose_total(unit, query, shape, scope), bound, scope)
        past, is_estimate = self._exact_count_limit, False
        if past is not None and total > past:
            seen = query.offset + len(rows) if rows else 0
            total, is_estimate = max(self._estimate(unit, query, scope), past + 1, seen), True
        return ResultPage(rows[:limit], total, more=len(rows) > limit, is_estimate=is_estimate)

    def _counted(
        self, unit: UnitOfWork, query: ListQuery, shape: QueryShape, bound: Row, scope: Predicate
    ) -> tuple[Sequence[Row], int]:
        """Return the rows of a page, one more than its limit if there are more, and the total."""
        if self._may_be_all(unit, query, shape):
            rows = unit.run(self._statements.list_after(shape, scope), bound, scope)
            return rows, len(rows) if len(rows) <= query.limit else self._count(unit, query, shape, scope.rows)
        rows = unit.run(self._statements.list(shape, scope), {**bound, PAGE_OFFSET: query.offset}, scope)
        if rows:
            totals = [row.pop(TOTAL) for row in rows]  # the statement returns the same total with each row
            total = totals[0]
            return rows, self._count_by_index(unit, query, shape, scope.rows) if total is None else int(total)
        return rows, self._count(unit, query, shape, scope.rows) if query.offset else 0

    def _may_be_all(self, unit: UnitOfWork, query: ListQuery, shape: QueryShape) -> bool:
        """Return whether a first page is read before its total is counted, because it may have all rows.

        The count of a text that no index finds would read the table again. On SQLite a further statement costs little.
        """
        return not query.offset and unit.database.dialect.name == "sqlite" and self._parameters.finds_text(shape)

    def _choose_total(self, unit: UnitOfWork, query: ListQuery, shape: QueryShape, scope: Predicate) -> QueryShape:
        """Return the shape of a common text so that PostgreSQL counts its rows in the first blocks, if it can.

        The search index would return the place of each of them: 0.15 s for a million.
        """
        if shape.by_index or self._exact_count_limit is None:
            return shape
        expected = self._estimate(unit, query, scope, in_first_blocks=True)
        return replace(shape, in_first_blocks=expected > ENOUGH * self._exact_count_limit)

    def count(self, unit: UnitOfWork, query: ListQuery, scope: Predicate) -> int:
        """Return the total of the rows in `scope` without reading a page. It may be an estimate, as that of a page."""
        shape = self.choose_shape(unit, replace(query, parents=()), scope)
        shape = replace(self._choose_total(unit, query, shape, scope), sort=())
        total = self._count(unit, query, shape, scope.rows)
        if self._exact_count_limit is None or total <= self._exact_count_limit:
            return total
        return max(self._estimate(unit, query, scope), self._exact_count_limit + 1)

    def _count(self, unit: UnitOfWork, query: ListQuery, shape: QueryShape, rows: Predicate) -> int:
        """Count the rows that the query selects, all of them or up to the bound."""
        total = unit.run(self._statements.count(shape, rows), query.values, rows)[0][TOTAL]
        return self._count_by_index(unit, query, shape, rows) if total is None else int(total)

    def _count_by_index(self, unit: UnitOfWork, query: ListQuery, shape: QueryShape, rows: Predicate) -> int:
        """The same where the first blocks do not have enough rows."""
        return self._count(unit, query, replace(shape, in_first_blocks=False), rows)

    def choose_shape(self, unit: UnitOfWork, query: ListQuery, scope: Predicate) -> QueryShape:
        """Return the shape of the query, which uses the search index if that is faster.

        A list that is sorted by a parent's column reads the parents in order if it selects many rows.
        """
        shape = query.shape
        if query.parents:
            return replace(shape, by_parent=self._reads_parents(unit, query, scope))
        if unit.database.dialect.name != "postgresql" or not self._parameters.uses_search_index(shape):
            return shape
        return replace(shape, by_index=self._estimate(unit, query, scope) < COMMON)

    def _reads_parents(self, unit: UnitOfWork, query: ListQuery, scope: Predicate) -> bool:
        keys = self._parameters.sort_keys(query.shape.sort)
        if [key.relation is None for key in keys] != [False, *[True] * (len(keys) - 1)]:
            return False  # the order follows from more than one parent, or begins with the row
        return self._estimate(unit, query, scope) >= COMMON

    def finds_at_less_cost(
        self, unit: UnitOfWork, query: ListQuery, rows: Predicate, parts: Sequence[Predicate]
    ) -> bool:
        """Return whether PostgreSQL finds the few rows of all parts at less cost than it reads `rows` of the query."""
        everything = QueryShape(by_index=False)
        found = [unit.run(self._statements.estimate(everything, part), {}, part)[0] for part in parts]
        number = sum(map(estimated_rows, found))
        if number >= COMMON:
            return False
        shape = replace(query.shape, by_index=False, sort=(), nulls=None)
        whole = unit.run(self._statements.estimate(shape, rows), query.values, rows)[0]
        return sum(map(estimated_cost, found)) + number * LOOK_UP < estimated_cost(whole)

    def _estimate(self, unit: UnitOfWork, query: ListQuery, scope: Predicate, *, in_first_blocks: bool = False) -> int:
        """Estimate how many rows the query selects. The search index and the order do not matter for that."""
        shape = replace(query.shape, by_index=False, sort=(), nulls=None, in_first_blocks=in_first_blocks)
        rows = scope.rows
        return estimated_rows(unit.run(self._statements.estimate(shape, rows), query.values, rows)[0])
