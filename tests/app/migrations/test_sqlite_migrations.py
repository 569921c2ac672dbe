"""Migrations on SQLite that alter tables with references, over the demo's rows: upgrade, downgrade, rollback, and SQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError

from app.demo.seed import seed
from rowhouse.core.settings import Settings
from rowhouse.db.engine import create_engine
from rowhouse.migrations.sqlite.checks import row_counts
from tests.conftest import migrate
from tests.databases import Databases
from tests.migrations import schema
from tests.migrations.copies import NEWEST, copy_migrations
from tests.migrations.street import are_foreign_keys_on, migration, stored

MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision = "longer"
down_revision = "{newest}"


def upgrade() -> None:
    alter("books", "title", type_=sa.String(200), existing_type=sa.String(255))
    alter("users", "full_name", type_=sa.String(300), existing_type=sa.String(200))
    op.execute("UPDATE bookings SET vehicle_id = (SELECT max(id) FROM vehicles) WHERE vehicle_id IS NULL")
    alter("bookings", "vehicle_id", nullable=False)
    {more}


def downgrade() -> None:
    alter("books", "title", type_=sa.String(255), existing_type=sa.String(200))
    alter("users", "full_name", type_=sa.String(200), existing_type=sa.String(300))
    alter("bookings", "vehicle_id", nullable=True)


def alter(table: str, column: str, **change: object) -> None:
    with op.batch_alter_table(table) as batch:
        batch.alter_column(column, **change)
"""


@pytest.fixture
def url(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an SQLite with the demo in it, which the settings name."""
    made = databases.prepared("sqlite", "migrated", migrate)
    monkeypatch.setenv("DATABASE_URL", made)
    seed(Settings())
    return made


@pytest.fixture
def connection(url: str) -> Iterator[sa.Connection]:
    """A connection to it."""
    engine = create_engine(Settings(database_url=url))
    with engine.connect() as made:
        yield made
    engine.dispose()


def written(directory: Path, more: str = "") -> Config:
    """Alembic's configuration, with a migration more than the repository has."""
    config = copy_migrations(directory)
    (directory / "alembic" / "versions" / "longer.py").write_text(MIGRATION.format(newest=NEWEST, more=more))
    return config


def contents(connection: sa.Connection) -> tuple[set[str], dict[str, str], dict[str, int]]:
    """Tables, triggers and the number of rows."""
    found = schema.tables(connection), schema.guards(connection), row_counts(connection)
    connection.rollback()
    return found


def test_columns_of_tables_that_others_refer_to_are_altered(connection: sa.Connection, tmp_path: Path) -> None:
    """No row is lost, neither of `NoOverlap`'s triggers, nor anything else; and the same way back."""
    config, (tables, triggers, counts) = written(tmp_path), contents(connection)
    assert min(counts[name] for name in ("books", "reviews", "users", "bookings")) > 0
    assert len(triggers) == 2
    command.upgrade(config, "heads")
    altered, *rest = contents(connection)
    assert rest == [triggers, counts]
    assert altered - tables == {
        "books: column title VARCHAR(200) null=False default=None",
        "users: column full_name VARCHAR(300) null=False default=None",
        "bookings: column vehicle_id INTEGER null=False default=None",
    }
    assert len(tables - altered) == 3
    command.downgrade(config, "-1")
    assert contents(connection) == (tables, triggers, counts)


def test_a_migration_that_fails_is_undone(connection: sa.Connection, tmp_path: Path) -> None:
    """Whole, also what came before in the same run."""
    before = contents(connection)
    config = written(tmp_path, 'op.execute("DELETE FROM books WHERE id = 1")')
    with pytest.raises(CommandError, match="refers to a row of books that is not there"):
        command.upgrade(config, "heads")
    assert contents(connection) == before


def test_a_connection_that_is_given_has_foreign_keys_afterwards(connection: sa.Connection, tmp_path: Path) -> None:
    """And takes the same way."""
    config, counts = written(tmp_path), row_counts(connection)
    config.attributes["connection"] = connection
    connection.rollback()
    command.upgrade(config, "heads")
    assert row_counts(connection) == counts
    assert are_foreign_keys_on(connection)


def test_a_table_that_is_rebuilt_for_nothing_is_what_it_was(connection: sa.Connection) -> None:
    """Each of the repository's."""
    before, counts = stored(connection), row_counts(connection)
    with migration(connection) as op:
        for table in counts:
            with op.batch_alter_table(table, recreate="always"):
                pass

    def plain(found: dict[str, str]) -> dict[str, str]:
        return {name: sql.replace('"', "").replace("( ", "(") for name, sql in found.items()}

    assert plain(stored(connection)) == plain(before)
    assert row_counts(connection) == counts
