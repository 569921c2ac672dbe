"""Differences that Alembic alone misses: names of references, AUTOINCREMENT, search indexes, and lengths of text."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.operations import ops

from rowhouse.db.sql_functions import create_fold_function, create_gram_functions
from rowhouse.migrations.operations.search_index import CreateSearchIndex, DropSearchIndex
from rowhouse.migrations.renames import parse
from tests.databases import Databases
from tests.migrations.chains.catalogue import catalogue
from tests.migrations.chains.classes import Column, Overlap, Schema, Table, build
from tests.migrations.project import Project, names

OWNERS = Table("owners", "whole", (Column(1, "name", "short"), Column(2, "weight", "whole")), search=(1,))
PET = (
    Column(3, "owner_id", "ref", points="owners", is_linked=True),
    Column(4, "first", "starts", is_nullable=False),
    Column(5, "last", "ends", is_nullable=False),
)
PETS = Table("pets", "uuid", PET, overlap=Overlap(3, 4, 5))
NOTES = Table("notes", "big", (Column(6, "text", "text"),))
SCHEMA = Schema((OWNERS, PETS, NOTES))


@pytest.fixture
def project(backend: str, databases: Databases, tmp_path: Path) -> Iterator[Project]:
    """A project whose database has the three tables."""
    made = Project(tmp_path / "alembic", databases.empty(backend))
    with made.engine.begin() as connection:
        create_fold_function(connection)
        create_gram_functions(connection)
    made.migrate(build(SCHEMA))
    yield made
    made.close()


def lines(project: Project, schema: Schema) -> set[str]:
    """Return the schema of the database as lines."""
    with project.connected() as connection:
        return catalogue(connection, schema)


def test_whole_numbers_may_be_the_interval_of_a_rule(project: Project) -> None:
    """A comparison finds the same rule again."""
    assert project.plan(build(SCHEMA)).operations == []


def test_the_reference_of_a_renamed_column_gets_the_name_of_the_convention(project: Project) -> None:
    """The engine recognizes a conflict by that name. Up, down and up."""
    former = lines(project, SCHEMA)
    renamed = SCHEMA.with_table(replace(PETS, columns=(replace(PET[0], name="keeper_id"), *PET[1:])))
    made = project.migrate(build(renamed), parse(["pets.owner_id=keeper_id"], []))
    assert made.losses == []
    assert {"DropConstraintOp", "CreateForeignKeyOp"} <= set(names(made.operations))
    keys = [line for line in lines(project, renamed) if "fk_pets" in line]
    assert len(keys) == 1
    assert "fk_pets_keeper_id_owners" in keys[0]
    project.downgrade(build(SCHEMA))
    assert lines(project, SCHEMA) == former
    project.upgrade(build(renamed))
    assert project.plan(build(renamed)).operations == []


def test_the_key_of_a_table_that_comes_back_counts_up_for_good(project: Project) -> None:
    """As before. A key without AUTOINCREMENT stays without it."""
    former = lines(project, SCHEMA)
    left = SCHEMA.without("pets").without("notes")
    written = project.write(build(left))
    assert written is not None
    is_sqlite = project.engine.dialect.name == "sqlite"
    assert written[0].read_text().count("sqlite_autoincrement=True") == (1 if is_sqlite else 0)
    project.upgrade(build(left))
    project.downgrade(build(SCHEMA))
    assert lines(project, SCHEMA) == former


@pytest.mark.parametrize("kind", ["long", "text"])
def test_a_search_index_is_made_anew_when_its_column_gets_another_type(project: Project, kind: str) -> None:
    """PostgreSQL would lose its statistics. Also for a text without a length, which Alembic takes for the same type."""
    wider = SCHEMA.with_table(OWNERS.with_column(replace(OWNERS.columns[0], kind=kind)))
    made = project.migrate(build(wider))
    kinds = [type(one) for one in made.operations if not isinstance(one, ops.ExecuteSQLOp)]
    assert kinds == [DropSearchIndex, ops.AlterColumnOp, CreateSearchIndex]
    assert made.losses == []
    indexes = [line for line in lines(project, wider) if "ix_owners_search" in line and line.startswith("index")]
    assert all(line.endswith(" 0") for line in indexes)
    assert project.plan(build(wider)).operations == []


def test_another_type_elsewhere_leaves_the_search_index_alone(project: Project) -> None:
    """Of another column, or if the index changes anyway."""
    bigger = SCHEMA.with_table(OWNERS.with_column(replace(OWNERS.columns[1], kind="big")))
    assert names(project.migrate(build(bigger)).operations) == ["AlterColumnOp"]
    changed = bigger.with_table(
        replace(bigger.table("owners").with_column(replace(OWNERS.columns[0], kind="text")), search=())
    )
    kinds = [type(one) for one in project.migrate(build(changed)).operations]
    assert kinds == [DropSearchIndex, ops.AlterColumnOp]


def test_a_text_that_gets_a_length_loses_what_is_longer(project: Project) -> None:
    """The file states the loss."""
    shorter = SCHEMA.with_table(NOTES.with_column(replace(NOTES.columns[0], kind="long")))
    assert [loss.what.split(":")[0] for loss in project.plan(build(shorter)).losses] == ["notes.text"]
