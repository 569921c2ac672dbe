"""Statements that cannot run in a transaction: Alembic's `autocommit_block`, as `CREATE INDEX CONCURRENTLY` needs it."""

import sqlalchemy as sa
from alembic.migration import MigrationContext

from rowhouse.core.settings import Settings
from rowhouse.db.engine import create_engine
from tests.conftest import migrate
from tests.databases import Databases


def test_an_index_is_made_beside_writers(databases: Databases) -> None:
    """Statements after the block are in a transaction again."""
    engine = create_engine(Settings(database_url=databases.prepared("postgresql", "migrated", migrate)))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"transactional_ddl": True})
        with context.begin_transaction():
            connection.exec_driver_sql("CREATE TABLE before_it (id integer)")
            with context.autocommit_block():
                connection.exec_driver_sql("CREATE INDEX CONCURRENTLY ix_users_full_name ON users (full_name)")
            connection.exec_driver_sql("CREATE TABLE after_it (id integer)")
        connection.rollback()
        names = {index["name"] for index in sa.inspect(connection).get_indexes("users")}
        assert "ix_users_full_name" in names
        assert {"before_it", "after_it"} <= set(sa.inspect(connection).get_table_names())
    engine.dispose()
