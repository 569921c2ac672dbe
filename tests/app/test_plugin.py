"""The pytest plugin over a project with migrations: the product."""

import sqlalchemy as sa

from rowhouse.cli.project import Project
from rowhouse.health.migration_state import Revisions
from rowhouse.testing.running_app import RunningApps
from tests.conftest import ROOT, alembic_config
from tests.databases import Databases


def test_a_database_has_every_migration(databases: Databases, backend: str) -> None:
    """Of the product and of the engine, by Alembic."""
    project = Project(ROOT, app="app.main:create_app", source="backend")
    engine = sa.create_engine(RunningApps(databases).new_database(project, backend))
    with engine.connect() as connection:
        stored = connection.scalars(sa.text("SELECT version_num FROM alembic_version")).all()
    assert set(stored) == set(Revisions(alembic_config()).needed)
    assert {"bookings", "books", "history_entries"} <= {*sa.inspect(engine).get_table_names()}
    engine.dispose()
