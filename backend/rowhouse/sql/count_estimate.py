"""Estimate the total of a list when counting all rows would be slow.

On PostgreSQL the planner estimates it (`EXPLAIN`). SQLite's planner does not, so a thousand row ids spread over the
table are looked up, and the share of them that the list selects is applied to the whole table. Without a filter only
gaps between the ids matter, so fewer ids are enough.
"""

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from rowhouse.db.compiled import Row

SAMPLE, SAMPLE_OF_ALL = 1_000, 64
# Up to this row id, SQLite counts a whole table faster than it checks whether there are more than ten thousand rows.
COUNTED_WHOLE = 200_000
# PostgreSQL caches a table that it reads in sequence up to a quarter of `shared_buffers`, by default 128 MB.
CACHED_BYTES = 32 * 1024 * 1024
STRIDE = 2_654_435_761  # a prime, so that no regular pattern in the data is sampled unevenly
PLAN, LAST, FOUND, PROBED = "plan", "_last_row", "_found_rows", "_probed_rows"


def estimate_from_sample(table: sa.Table, selected: Callable[[Any], sa.Select[Any]]) -> sa.Select[Any]:
    """Return the statement that samples a table on SQLite.

    It returns the last row id, the number of row ids that are looked up, and how many of them `selected` selects.
    """
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
    """Return the statement that counts a table on SQLite up to `past` rows. For a larger table it returns `past + 1`.

    SQLite counts the pages of a table without reading rows: 7 µs for ten thousand rows, milliseconds for millions.
    """
    row_id = sa.literal_column(f'"{table.name}"."_rowid_"', sa.BigInteger())
    last = sa.select(sa.func.max(row_id)).select_from(table).correlate(None).scalar_subquery()
    beyond: sa.Select[Any] = sa.select(sa.literal_column("1")).select_from(table).limit(1).offset(past).correlate(None)
    rows = sa.select(sa.func.count()).select_from(table).correlate(None).scalar_subquery()
    is_counted = sa.or_(last <= sa.literal_column(str(COUNTED_WHOLE)), ~beyond.exists())
    return sa.select(sa.case((is_counted, rows), else_=sa.literal_column(str(past + 1))))


def count_by_key(table: sa.Table, keys: Sequence[Any], past: int, *, dialect: sa.Dialect) -> sa.ColumnElement[int]:
    """Return the number of rows of a table on PostgreSQL, up to `past + 1`.

    A small table is read from its beginning, which takes half the time. PostgreSQL caches nothing of a large one that
    it reads so, but it caches the index of an integer key. The size decides at each run; it is a property of a file.
    """
    limit: sa.ColumnElement[int] = sa.literal_column(str(past + 1))
    rows = sa.select().select_from(table).limit(limit).correlate(None).subquery()
    # Select the key: a constant would be added to each row of the index.
    entries = sa.select(*keys).order_by(*keys).limit(limit).correlate(None).subquery()
    by_reading, by_key = (sa.select(sa.func.count()).select_from(one).scalar_subquery() for one in (rows, entries))
    name = dialect.identifier_preparer.format_table(table).replace("'", "''")
    size: Any = sa.func.pg_relation_size(sa.literal_column(f"'{name}'::regclass"))
    return sa.case((size <= sa.literal_column(str(CACHED_BYTES)), by_reading), else_=by_key)


def estimated_rows(answer: Row) -> int:
    """Return the estimate from the row of `Statements.estimate`: PostgreSQL's plan, or a sample on SQLite."""
    if PLAN in answer:
        return int(answer[PLAN][0]["Plan"]["Plan Rows"])
    probes = min(answer[PROBED], answer[LAST]) or 1
    return int(answer[FOUND] * answer[LAST] // probes)
