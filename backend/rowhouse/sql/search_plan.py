"""Whether a search asks the search index, or looks at the rows in the order of its list.

What few rows hold is found by the index. What many hold is soon found on the way through the list, and the index would only give
all of it, to be sorted for one page. PostgreSQL's planner knows from its statistics which it is, but not for an index that holds the
trigrams of a text and not the text: so it is asked about the text alone (EXPLAIN, some 0.2 ms), and the statement is written accordingly.
"""

from dataclasses import replace

from rowhouse.db.compiled import Predicate
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.query.list_parameters import ListParameters
from rowhouse.query.list_query import ListQuery, QueryShape
from rowhouse.sql.count_estimate import estimated_rows
from rowhouse.sql.statements import Statements

# Rows that hold a text, from which on it is common: the first page of a million rows then takes some 5,000 of them to fill.
COMMON = 10_000


def read_through(shape: QueryShape) -> QueryShape:
    """The same rows, found without the search index, in no order."""
    return replace(shape, by_index=False, sort=(), nulls=None)


def fitted(
    unit: UnitOfWork, statements: Statements, parameters: ListParameters, selection: ListQuery, scope: Predicate
) -> QueryShape:
    """The shape of a selection, whose page asks the search index if that pays."""
    shape = selection.shape
    if unit.database.dialect.name != "postgresql" or not parameters.asks_search_index(shape):
        return shape
    answer = unit.run(statements.estimate(read_through(shape), scope), selection.values, scope)[0]
    return replace(shape, by_index=estimated_rows(answer) < COMMON)
