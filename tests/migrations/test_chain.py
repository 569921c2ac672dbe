"""The chain of migrations: up, down and up again. Its result equals the classes."""

import logging
import subprocess
import sys
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import produce_migrations
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlmodel import SQLModel

import rowhouse
from rowhouse.core.settings import Settings
from rowhouse.db.engine import create_engine, disposing
from rowhouse.db.sql_functions import create_fold_function, create_gram_functions
from rowhouse.health.migration_state import Revisions
from rowhouse.migrations.autogenerate import autogenerate_options
from rowhouse.migrations.engine_tables import ENGINE_TABLES
from rowhouse.migrations.losses import flat
from tests.conftest import alembic_config, migrate
from tests.databases import Databases
from tests.migrations import schema

PREFIXES = {"key": "pk_", "foreign key": "fk_", "unique": "uq_", "check": "ck_", "index": "ix_"}


def config_for(connection: sa.Connection) -> Config:
    """Return Alembic's configuration for an open connection."""
    config = alembic_config()
    config.attributes["connection"] = connection
    return config


def down(connection: sa.Connection) -> None:
    """Undo every migration."""
    command.downgrade(config_for(connection), "base")
    connection.commit()


def up(connection: sa.Connection) -> None:
    """Apply every migration."""
    migrate(connection)
    connection.commit()


def test_up_down_up_gives_the_same_schema(empty: sa.Connection) -> None:
    """A downgrade leaves nothing behind, not even a function or a trigger. Another upgrade makes the same schema."""
    up(empty)
    first = schema.tables(empty), schema.guards(empty), schema.functions(empty)
    empty.commit()
    down(empty)
    nothing: tuple[object, ...] = (set(), {}, set())
    assert (schema.tables(empty), schema.guards(empty), schema.functions(empty)) == nothing
    empty.commit()
    up(empty)
    assert (schema.tables(empty), schema.guards(empty), schema.functions(empty)) == first


def test_upgrading_twice_changes_nothing(empty: sa.Connection) -> None:
    """A second upgrade does nothing."""
    up(empty)
    first = schema.tables(empty)
    empty.commit()
    up(empty)
    assert schema.tables(empty) == first


def test_a_migrated_database_records_the_newest_revision(migrated: sa.Connection) -> None:
    """`/ready` compares it."""
    stored = migrated.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all()
    revisions = Revisions.of_the_code()
    assert revisions is not None
    assert sorted(stored) == sorted(revisions.needed)


def test_the_engines_tables_are_those_of_its_branch(empty: sa.Connection) -> None:
    """Its migrations create the tables that `import rowhouse` declares in a process of its own, of this checkout.

    A server does not load Alembic, and the collector ignores what it has loaded.
    """
    command.upgrade(config_for(empty), "rowhouse@head")
    assert set(sa.inspect(empty).get_table_names()) == {*ENGINE_TABLES, schema.VERSION_TABLE}
    names = "rowhouse.__file__, 'alembic' in sys.modules, gc.get_freeze_count() > 0, *sqlmodel.SQLModel.metadata.tables"
    names = f"import rowhouse, gc, sqlmodel, sys; print({names}, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", names], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    source, loads_alembic, is_frozen, *tables = done.stdout.splitlines()
    assert (source, loads_alembic, is_frozen) == (rowhouse.__file__, "False", "True")
    assert set(tables) == ENGINE_TABLES


@pytest.mark.parametrize("branch", ["project", "rowhouse"])
def test_no_branch_has_anything_to_change(migrated: sa.Connection, branch: str) -> None:
    """Each compares its own tables."""
    options = autogenerate_options(SQLModel.metadata, branch)
    context = MigrationContext.configure(migrated, opts=options)
    assert produce_migrations(context, SQLModel.metadata).upgrade_ops_list[0].ops == []


def test_a_project_never_changes_the_engines_tables(empty: sa.Connection) -> None:
    """Neither if they differ, nor if its models lack them. The engine's branch finds the difference."""
    up(empty)
    empty.exec_driver_sql("DROP INDEX ix_users_search")
    empty.exec_driver_sql("ALTER TABLE users ADD COLUMN of_tomorrow INTEGER")
    empty.commit()
    found = {}
    for metadata, branch in (
        (SQLModel.metadata, "project"),
        (sa.MetaData(), "project"),
        (SQLModel.metadata, "rowhouse"),
    ):
        context = MigrationContext.configure(empty, opts=autogenerate_options(metadata, branch))
        operations = list(flat(produce_migrations(context, metadata).upgrade_ops_list[0].ops))
        found[branch, bool(metadata.tables)] = [type(one).__name__ for one in operations if "users" in _named(one)]
    empty.rollback()
    assert found["project", True] == found["project", False] == []
    assert sorted(found["rowhouse", True]) == ["CreateSearchIndex", "DropColumnOp"]


def _named(operation: Any) -> str:
    return str(getattr(operation, "table_name", "") or operation.rule.table)


def test_the_classes_make_the_same_tables(migrated: sa.Connection, empty: sa.Connection) -> None:
    """Also in parts that Alembic does not compare: check constraints, collations and AUTOINCREMENT."""
    names = set(sa.inspect(migrated).get_table_names()) - {schema.VERSION_TABLE}
    create_fold_function(empty)
    create_gram_functions(empty)
    SQLModel.metadata.create_all(empty, tables=[SQLModel.metadata.tables[name] for name in names])
    assert schema.tables(empty) == schema.tables(migrated)


def test_every_constraint_and_index_has_a_name_by_the_convention(migrated: sa.Connection) -> None:
    """Errors are translated by these names, and downgrades drop by them."""
    for line in schema.tables(migrated):
        table, _, rest = line.partition(": ")
        kind = next((kind for kind in PREFIXES if rest.startswith(f"{kind} ")), None)
        if kind is None or (kind == "key" and migrated.dialect.name == "sqlite"):
            continue  # SQLite forgets the name of a key that counts
        name = rest.removeprefix(f"{kind} ").split()[0]
        assert name.startswith(f"{PREFIXES[kind]}{table}"), line


def test_text_sorts_by_code_point_on_postgresql(migrated: sa.Connection) -> None:
    """As on SQLite, in every locale of the server."""
    texts = [line for line in schema.tables(migrated) if "VARCHAR" in line]
    assert texts
    collated = [line for line in texts if 'COLLATE "C"' in line]
    assert collated == (texts if migrated.dialect.name == "postgresql" else [])


@pytest.mark.parametrize(("before", "after"), [(logging.NOTSET, logging.WARNING), (logging.DEBUG, logging.DEBUG)])
def test_alembic_says_what_the_application_wants(databases: Databases, before: int, after: int) -> None:
    """Without a level of its own it says warnings only, whatever the application's log shows."""
    log = logging.getLogger("alembic")
    former = log.level
    log.setLevel(before)
    try:
        settings = Settings(database_url=databases.empty("sqlite"))
        with disposing(create_engine(settings)) as engine, engine.connect() as connection:
            migrate(connection)
        assert log.level == after
    finally:
        log.setLevel(former)
