"""How many rows a list has, roughly and at once, where counting them all would be the cost.

PostgreSQL's planner is asked for its estimate (`EXPLAIN`). SQLite has none to ask: a thousand row ids spread over the table are
looked up, and the share of them that the list selects is taken for the whole. A list of everything lacks only gaps: few tell.
"""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from rowhouse.db.compiled import Row

SAMPLE, SAMPLE_OF_ALL = 1_000, 64
# The last row id up to which SQLite counts a whole table in less time than it takes to see whether there are ten thousand rows.
COUNTED_WHOLE = 200_000
STRIDE = 2_654_435_761  # a prime: no period of the data falls in step with it
PLAN, LAST, FOUND, PROBED = "plan", "_last_row", "_found_rows", "_probed_rows"


def estimate_from_sample(table: sa.Table, selected: Callable[[Any], sa.Select[Any]]) -> sa.Select[Any]:
    """The last row id of a table on SQLite, how many row ids spread up to it are looked up, and how many of those `selected` selects."""
    row_id = sa.literal_column(f'"{table.name}"."_rowid_"', sa.BigInteger())
    last = sa.select(sa.func.coalesce(sa.func.max(row_id), 0)).select_from(table).scalar_subquery()
    count = selected(sa.func.count())
    size = SAMPLE_OF_ALL if count.whereclause is None else SAMPLE
    first = sa.select(sa.literal_column("0", sa.BigInteger()).label("step")).cte("steps", recursive=True)
    steps = first.union_all(sa.select(first.c.step + 1).where(first.c.step < size - 1))
    probed = sa.select(1 + steps.c.step * STRIDE % last)
    found = count.where(row_id.in_(probed)).scalar_subquery()
    return sa.select(last.label(LAST), sa.literal_column(str(size), sa.Integer()).label(PROBED), found.label(FOUND))


def count_exactly(table: sa.Table, past: int) -> sa.Select[Any]:
    """How many rows a table has on SQLite, which of a large one says no more than that they are more than `past`.

    SQLite counts a table by its pages, without a look at the rows: 7 µs for ten thousand, milliseconds for millions.
    """
    row_id = sa.literal_column(f'"{table.name}"."_rowid_"', sa.BigInteger())
    last = sa.select(sa.func.max(row_id)).select_from(table).correlate(None).scalar_subquery()
    beyond: sa.Select[Any] = sa.select(sa.literal_column("1")).select_from(table).limit(1).offset(past).correlate(None)
    rows = sa.select(sa.func.count()).select_from(table).correlate(None).scalar_subquery()
    is_counted = sa.or_(last <= sa.literal_column(str(COUNTED_WHOLE)), ~beyond.exists())
    return sa.select(sa.case((is_counted, rows), else_=sa.literal_column(str(past + 1))))


def estimated_rows(answer: Row) -> int:
    """The estimate in the one row that `Statements.estimate` gives: PostgreSQL's plan, or what `estimate_from_sample` found."""
    if PLAN in answer:
        return int(answer[PLAN][0]["Plan"]["Plan Rows"])
    probes = min(answer[PROBED], answer[LAST]) or 1
    return int(answer[FOUND] * answer[LAST] // probes)
