"""How many rows a list has, roughly and at once, where counting them all would be the cost.

PostgreSQL's planner is asked for its estimate (`EXPLAIN`). SQLite has none to ask: a thousand row ids spread over the table are
looked up, and the share of them that the list selects is taken for the whole.
"""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from backend.core.statement import Row

SAMPLE = 1_000
STRIDE = 2_654_435_761  # a prime: no period of the data falls in step with it
PLAN, LAST, FOUND = "plan", "_last_row", "_found_rows"


def sampled(table: sa.Table, selected: Callable[[Any], sa.Select[Any]]) -> sa.Select[Any]:
    """The last row id of a table on SQLite, and how many of `SAMPLE` row ids spread up to it `selected` selects."""
    row_id = sa.literal_column(f'"{table.name}"."_rowid_"', sa.BigInteger())
    last = sa.select(sa.func.coalesce(sa.func.max(row_id), 0)).select_from(table).scalar_subquery()
    first = sa.select(sa.literal_column("0", sa.BigInteger()).label("step")).cte("steps", recursive=True)
    steps = first.union_all(sa.select(first.c.step + 1).where(first.c.step < SAMPLE - 1))
    probed = sa.select(1 + steps.c.step * STRIDE % last)
    found = selected(sa.func.count()).where(row_id.in_(probed)).scalar_subquery()
    return sa.select(last.label(LAST), found.label(FOUND))


def estimated_rows(answer: Row) -> int:
    """The estimate in the one row that `Statements.estimate` gives: PostgreSQL's plan, or what `sampled` found."""
    if PLAN in answer:
        return int(answer[PLAN][0]["Plan"]["Plan Rows"])
    probes = min(SAMPLE, answer[LAST]) or 1
    return int(answer[FOUND] * answer[LAST] // probes)
