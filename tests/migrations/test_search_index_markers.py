"""On SQLite an empty index tells of a `SearchIndex`: made in databases that were migrated before, and used by no query."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from alembic import command
from sqlmodel import SQLModel

from rowhouse.core.settings import Settings
from rowhouse.db.engine import create_engine
from rowhouse.migrations.writing import plan
from tests.conftest import migrate
from tests.databases import Databases
from tests.migrations.test_chain import config_for

MARKERS = ("ix_books_search", "ix_reviews_search", "ix_users_search")


@pytest.fixture
def engine(databases: Databases) -> Iterator[sa.Engine]:
    """A migrated SQLite of the test's own."""
    made = create_engine(Settings(database_url=databases.prepared("sqlite", "migrated", migrate)))
    yield made
    made.dispose()


def test_a_database_that_was_migrated_before_gets_them(engine: sa.Engine) -> None:
    """By migration 0010; a comparison then finds nothing."""
    with engine.connect() as connection:
        command.downgrade(config_for(connection), "0009")
        connection.commit()
        for name in MARKERS:
            connection.exec_driver_sql(f"DROP INDEX {name}")
        connection.commit()
        migrate(connection)
        connection.commit()
        assert plan(connection, SQLModel.metadata).operations == []
        assert (
            tuple(
                sorted(
                    index["name"] or ""
                    for table in ("books", "reviews", "users")
                    for index in sa.inspect(connection).get_indexes(table)
                    if index["name"] in MARKERS
                )
            )
            == MARKERS
        )


@pytest.mark.parametrize(
    "query", ["title = 'a' AND author = 'b'", "title IS NULL", "id > 3", "1 = 1 ORDER BY title, author"]
)
def test_no_query_uses_one(engine: sa.Engine, query: str) -> None:
    """It holds nothing, so that a query that used it would find nothing."""
    with engine.connect() as connection:
        steps = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN SELECT * FROM books WHERE {query}").all()  # noqa: S608  a case
        assert not any("ix_books_search" in str(step) for step in steps)
