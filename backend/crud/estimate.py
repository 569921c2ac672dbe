"""How many rows a list has, roughly and at once, where counting them all would be the cost.

PostgreSQL's planner is asked for its estimate (`EXPLAIN`). SQLite has none to ask: a thousand row ids spread over the table are
looked up, and the share of them that the list selects is taken for the whole. A list of everything lacks only gaps: two hundred do.
"""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from backend.core.statement import Row

SAMPLE, SAMPLE_OF_ALL = 1_000, 200
STRIDE = 2_654_435_761  # a prime: no period of the data falls in step with it
PLAN, LAST, FOUND, PROBED = "plan", "_last_row", "_found_rows", "_probed_rows"


def sampled(table: sa.Table, selected: Callable[[Any], sa.Select[Any]]) -> sa.Select[Any]:
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


def estimated_rows(answer: Row) -> int:
    """The estimate in the one row that `Statements.estimate` gives: PostgreSQL's plan, or what `sampled` found."""
    if PLAN in answer:
        return int(answer[PLAN][0]["Plan"]["Plan Rows"])
    probes = min(answer[PROBED], answer[LAST]) or 1
    return int(answer[FOUND] * answer[LAST] // probes)
