"""Fill what `perf.growth` lists beside books: a label for each book, and as many deleted books as books."""

import json
from functools import reduce
from typing import Any

import sqlalchemy as sa

from perf.app.datasets.large_books import BY_AUTHOR, NUMBER, insert_numbered, numbered_text
from perf.app.micro.growth_app import BookLabel, Label
from rowhouse.history.deleted_rows import deleted_rows

LABELS: Any = Label.__table__  # type: ignore[attr-defined]  # SQLAlchemy sets it on mapped classes
LINKS: Any = BookLabel.__table__  # type: ignore[attr-defined]  # as above
INSTANT = "2026-01-01 00:00:00.000000"
DELETED = {"price": "9.00", "stock": 1, "category_id": 1, "created_at": INSTANT, "updated_at": INSTANT}
# Deleted at any instant of two months, so that the newest are few.
DAYS = 60


def fill_related(database_url: str, rows: int) -> None:
    """Create the tables of labels, and insert the rows. A label has 20 books, whatever the size."""
    engine = sa.create_engine(database_url)
    is_postgresql = engine.dialect.name == "postgresql"
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for table in (LABELS, LINKS):
            table.create(connection)
        labels = max(1, rows // BY_AUTHOR)
        connection.execute(insert_numbered(LABELS, 1, labels, {"name": numbered_text("Label ")}))
        links = _numbers(rows).with_only_columns(NUMBER, 1 + NUMBER % labels)
        connection.execute(sa.insert(LINKS).from_select(["book_id", "label_id"], links))
        connection.execute(_deleted(rows, is_postgresql=is_postgresql))
        for statement in ("VACUUM ANALYZE deleted_rows", "VACUUM ANALYZE") if is_postgresql else ("ANALYZE",):
            connection.exec_driver_sql(statement)
    engine.dispose()


def _numbers(rows: int) -> sa.Select[Any]:
    """Return the numbers from 1 to `rows`."""
    ids = sa.select(sa.literal(1, sa.Integer()).label("n")).cte("ids", recursive=True)
    ids = ids.union_all(sa.select(ids.c.n + 1).where(ids.c.n < rows))
    return sa.select(NUMBER).select_from(ids)


def _deleted(rows: int, *, is_postgresql: bool) -> sa.Insert:
    """Return the insert of deleted books, whose ids follow those of the books."""
    key = sa.cast(rows + NUMBER, sa.Text())
    second = f"CAST(n AS BIGINT) * 7919 % {DAYS * 86_400}"
    instant = (
        f"timestamp with time zone '{INSTANT}+00' + interval '1 second' * ({second})"
        if is_postgresql
        else f"strftime('%Y-%m-%d %H:%M:%f000', '{INSTANT}', ({second}) || ' seconds')"
    )
    content = _joined('{"id": ', key, ', "title": "Deleted ', key, f'", "author": "Nobody", {json.dumps(DELETED)[1:]}')
    values = [sa.literal("books", sa.Text()), key, sa.literal_column(instant), content]
    names = ["entity", "row_id", "deleted_at", "content"]
    return sa.insert(deleted_rows).from_select(names, _numbers(rows).with_only_columns(*values), include_defaults=False)


def _joined(*parts: Any) -> sa.ColumnElement[str]:
    """Return parts joined to one text."""
    texts = [sa.literal(part, sa.Text()) if isinstance(part, str) else part for part in parts]
    return reduce(lambda one, other: one + other, texts)
