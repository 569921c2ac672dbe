"""Migrations equal the models, and Alembic writes a correct migration for a new entity. On both databases, at any date."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command

from tests.conftest import ROOT, alembic_config
from tests.databases import BACKENDS, Databases
from tests.migrations import schema
from tests.migrations.copies import copy_migrations

pytestmark = pytest.mark.xdist_group("autogenerate")  # the program is run once for each database


@pytest.fixture(scope="module")
def scripts(backend: str, databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the migrations with another one, written on this database; see `new_entity_program`."""
    directory = tmp_path_factory.mktemp("scripts")
    copy_migrations(directory)
    program = [sys.executable, "-m", "tests.migrations.new_entity_program", str(directory / "alembic.ini")]
    environment = {**os.environ, "DATABASE_URL": databases.empty(backend)}
    done = subprocess.run(program, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("No new upgrade operations detected") == 1
    return directory / "alembic"


def test_the_migration_depends_on_no_code_that_may_change(scripts: Path) -> None:
    """It imports nothing from the application or from SQLModel."""
    tree = ast.parse((scripts / "versions" / "odd_houses.py").read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert sorted(ast.unparse(node) for node in imports) == ["from alembic import op", "import sqlalchemy as sa"]
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert not names & {"sqlmodel", "backend"}


def test_the_migration_runs_on_the_other_database_too(scripts: Path, backend: str, databases: Databases) -> None:
    """It is written on one database, and applied and undone on the other, with the names and types that it states."""
    other = next(name for name in BACKENDS if name != backend)
    engine = sa.create_engine(databases.empty(other))
    with engine.connect() as connection:
        config = alembic_config(scripts.parent)
        config.attributes["connection"] = connection
        command.upgrade(config, "heads")
        lines = {line for line in schema.tables(connection) if line.startswith("odd_houses: ")}
        guards = {name for name in schema.guards(connection) if name.startswith("ex_odd_houses_owner_id")}
        command.downgrade(config, "project@-1")
        left = {line for line in schema.tables(connection) if "odd_houses" in line} | (
            schema.guards(connection).keys() & guards
        )
    engine.dispose()
    assert sum(line.startswith("odd_houses: column") for line in lines) == 26
    collated = {line.split()[2] for line in lines if 'COLLATE "C"' in line}
    texts = {"street", "note", "story", "code", "motto", "colour", "door_token"}
    assert collated == (texts if other == "postgresql" else set())
    assert "odd_houses: unique uq_odd_houses_street_number ['street', 'number']" in lines
    assert len(guards) == (1 if other == "postgresql" else 2)
    assert left == set()
