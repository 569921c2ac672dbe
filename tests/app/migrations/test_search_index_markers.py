"""On SQLite an empty index stands for a `SearchIndex`. No query uses it."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlmodel import SQLModel

from rowhouse.core.settings import Settings
from rowhouse.db.engine import create_engine
from rowhouse.migrations.writing import plan
from tests.conftest import migrate
from tests.databases import Databases

MARKERS = {"ix_books_search", "ix_reviews_search", "ix_users_search"}


@pytest.fixture
def engine(databases: Databases) -> Iterator[sa.Engine]:
    """A migrated SQLite database."""
    made = create_engine(Settings(database_url=databases.prepared("sqlite", "migrated", migrate)))
    yield made
    made.dispose()


def test_the_migrations_make_them(engine: sa.Engine) -> None:
    """For the product's and the engine's tables. A comparison finds no difference, and finds a missing one."""
    with engine.connect() as connection:
        inspector = sa.inspect(connection)
        found = {index["name"] for table in ("books", "reviews", "users") for index in inspector.get_indexes(table)}
        assert found >= MARKERS
        connection.rollback()
        assert plan(connection, SQLModel.metadata).operations == []
        connection.exec_driver_sql("DROP INDEX ix_books_search")
        connection.commit()
        assert [type(one).__name__ for one in plan(connection, SQLModel.metadata).operations] == ["CreateSearchIndex"]


@pytest.mark.parametrize(
    "query", ["title = 'a' AND author = 'b'", "title IS NULL", "id > 3", "1 = 1 ORDER BY title, author"]
)
def test_no_query_uses_one(engine: sa.Engine, query: str) -> None:
    """It is empty, so a query that used it would find nothing."""
    with engine.connect() as connection:
        steps = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN SELECT * FROM books WHERE {query}").all()  # noqa: S608  a case
        assert not any("ix_books_search" in str(step) for step in steps)
