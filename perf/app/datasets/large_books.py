"""Fill the books of a database to any size with generated rows, the same on PostgreSQL and on SQLite.

Indexes that no constraint needs are dropped before and created again after, which is several times as fast. An author
has 20 books and a category 2,000, whatever the size; there are 4,500 prices. The database must be empty and migrated.
Search indexes are not created again unless the caller searches, because for five million rows they take minutes.
"""

import sys
from typing import Any

import sqlalchemy as sa

from app.catalog.models import Book, Category
from perf.app.datasets.benchmark_rows import FIRST_INSTANT

CHUNK_ROWS = 500_000
BY_AUTHOR, BY_CATEGORY, PRICES = 20, 2_000, 4_500
DEFINITIONS = {
    "postgresql": "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'books' AND indexname LIKE 'ix%'",
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'books' AND name LIKE 'ix%'",
}
SETTLE = {
    "postgresql": ("VACUUM ANALYZE books", "CHECKPOINT"),
    "sqlite": ("ANALYZE", "PRAGMA wal_checkpoint(TRUNCATE)"),
}
CATEGORIES: Any = Category.__table__  # type: ignore[attr-defined]  # SQLAlchemy sets it on mapped classes
BOOKS: Any = Book.__table__  # type: ignore[attr-defined]  # as above


def fill_books(database_url: str, rows: int, *, is_searched: bool = False) -> None:
    """Insert this number of books, with ids from 1, and their categories; then update the statistics."""
    engine = sa.create_engine(database_url)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        indexes = connection.execute(sa.text(DEFINITIONS[engine.dialect.name])).all()
        for name, _ in indexes:
            connection.exec_driver_sql(f"DROP INDEX {name}")
        categories = max(1, rows // BY_CATEGORY)
        connection.execute(insert_numbered(CATEGORIES, 1, categories, {"name": numbered_text("Shelf ")}))
        for first in range(1, rows + 1, CHUNK_ROWS):
            last = min(first + CHUNK_ROWS - 1, rows)
            connection.execute(
                insert_numbered(BOOKS, first, last, _book(categories, authors=max(1, rows // BY_AUTHOR)))
            )
            print(f"books: {last} of {rows}", file=sys.stderr)
        for name, definition in indexes:
            has_grams = "rowhouse_grams" in definition
            if has_grams and not is_searched:
                continue
            print(f"{name} ...", file=sys.stderr)
            connection.exec_driver_sql(definition)
            if has_grams:
                connection.exec_driver_sql(f"ALTER INDEX {name} ALTER COLUMN 1 SET STATISTICS 0")
        for statement in SETTLE[engine.dialect.name]:
            connection.exec_driver_sql(statement)
    engine.dispose()


NUMBER: sa.ColumnClause[int] = sa.column("n", sa.Integer)


def numbered_text(prefix: str, number: sa.ColumnElement[int] = NUMBER) -> sa.ColumnElement[str]:
    """Return a text that ends in the number of the row."""
    return sa.literal(prefix, sa.Text()) + sa.cast(number, sa.Text())


def _book(categories: int, *, authors: int) -> dict[str, sa.ColumnElement[Any]]:
    return {
        "title": numbered_text("The house with number "),
        "author": numbered_text("Author ", NUMBER % authors),
        "price": sa.cast(500 + NUMBER % PRICES, sa.Numeric()) / 100,
        "stock": NUMBER % 100,
        "category_id": 1 + NUMBER % categories,
    }


def insert_numbered(table: Any, first: int, last: int, values: dict[str, sa.ColumnElement[Any]]) -> sa.Insert:
    """Return the statement that inserts the rows with ids `first` to `last`."""
    ids = sa.select(sa.literal(first, sa.Integer()).label("n")).cte("ids", recursive=True)
    ids = ids.union_all(sa.select(ids.c.n + 1).where(ids.c.n < last))
    instants = {name: sa.literal(FIRST_INSTANT, table.c[name].type) for name in ("created_at", "updated_at")}
    row = {"id": NUMBER, **instants, **values}
    source = sa.select(*row.values()).select_from(ids)
    inserted: sa.Insert = sa.insert(table).from_select(list(row), source, include_defaults=False)
    return inserted
