"""Migrations of tables in a schema, on SQLite, which has no schemas."""

import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext

from rowhouse.core.settings import Settings
from rowhouse.db.dialects.sqlite_schemas import SQLiteWithSchemas, joined_name, parted, written
from rowhouse.db.engine import create_engine
from rowhouse.db.sql_functions import portable_text
from rowhouse.migrations.operations.named_schemas import AlikeTablesError, CreateSchema, DropSchema
from rowhouse.migrations.sqlite.names import in_one_name
from tests.databases import Databases
from tests.migrations.project import Project
from tests.migrations.round_trips import models

FILE = '''
"""By hand."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "1", None


def upgrade() -> None:
    """Apply."""
    op.create_schema("ops")
    op.create_table("houses", sa.Column("id", sa.Integer(), primary_key=True))
    op.create_table(
        "jobs",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("house_id", sa.Integer(), sa.ForeignKey("houses.id")),
        sa.Column("note", sa.String(9)),
        schema="ops",
    )
    op.create_index("ix_jobs_note", "jobs", ["note"], schema="ops")
    op.add_column("jobs", sa.Column("word", sa.String(9)), schema="ops")
    op.execute("INSERT INTO ops.jobs (id, note) VALUES (1, 'ops.jobs')")
    op.execute(sa.text("UPDATE ops.jobs SET word = :word").bindparams(word="x"))
    op.execute(sa.update(sa.table("jobs", sa.column("word", sa.String()), schema="ops")).values(word="y"))
    op.alter_column("jobs", "word", new_column_name="words", schema="ops")
    op.drop_index("ix_jobs_note", "jobs", schema="ops")
    op.rename_table("jobs", "tasks", schema="ops")


def downgrade() -> None:
    """Undo."""
    op.drop_table("tasks", schema="ops")
    op.drop_table("houses")
    op.drop_schema("ops")
'''


@pytest.fixture
def connection(databases: Databases) -> Iterator[sa.Connection]:
    """A connection to an empty SQLite database."""
    engine = create_engine(Settings(database_url=databases.empty("sqlite")))
    with engine.connect() as made:
        yield made
    engine.dispose()


def tasks(_metadata: sa.MetaData) -> None:
    """No models: the file is written by hand."""


def test_a_file_that_was_written_by_hand_runs_on_both(databases: Databases, tmp_path: Path, backend: str) -> None:
    """Its SQL text too. Up and down."""
    project = Project(tmp_path / "project", databases.empty(backend))
    (project.directory / "versions" / "1_by_hand.py").write_text(FILE)
    project.upgrade(models(tasks))
    table = sa.table("tasks", *map(sa.column, ("id", "note", "words")), schema="ops")
    with project.connected() as connection:
        assert connection.execute(sa.select(table)).all() == [(1, "ops.jobs", "y")]
        (key,) = sa.inspect(connection).get_foreign_keys("tasks", "ops")
        assert (key["referred_schema"], key["referred_table"]) == (None, "houses")
    project.downgrade(models(tasks))
    with project.connected() as connection:
        assert not sa.inspect(connection).has_table("tasks", "ops")
    project.close()


def test_a_file_is_written_out_for_sqlite(databases: Databases, tmp_path: Path) -> None:
    """The models say which tables a text may name."""
    project = Project(tmp_path / "project", databases.empty("sqlite"))
    (project.directory / "versions" / "1_by_hand.py").write_text(FILE)
    metadata = models(lambda made: sa.Table("jobs", made, sa.Column("id", sa.Integer()), schema="ops"))
    config = project.config(metadata)
    config.output_buffer = io.StringIO()
    command.upgrade(config, "heads", sql=True)
    text = config.output_buffer.getvalue()
    assert "INSERT INTO \"ops.jobs\" (id, note) VALUES (1, 'ops.jobs')" in text
    assert 'ALTER TABLE "ops.jobs" RENAME TO "ops.tasks"' in text
    assert "SCHEMA" not in text
    project.close()


@pytest.mark.parametrize("other", ["sqlite", "postgresql"])
def test_a_column_of_a_filled_table_becomes_not_null(
    databases: Databases, tmp_path: Path, backend: str, other: str
) -> None:
    """The rows get its default, by a statement that is written on one database and runs on the other."""

    def loose(metadata: sa.MetaData) -> None:
        sa.Table("jobs", metadata, sa.Column("id", sa.Integer(), primary_key=True), word(nullable=True), schema="ops")

    def tight(metadata: sa.MetaData) -> None:
        sa.Table("jobs", metadata, sa.Column("id", sa.Integer(), primary_key=True), word(nullable=False), schema="ops")

    first, second = (
        Project(tmp_path / name, databases.empty(kind)) for name, kind in (("first", backend), ("second", other))
    )
    for declare in (loose, tight):
        first.migrate(models(declare))
        shutil.copy(first.versions[-1], second.directory / "versions")
        second.upgrade(models(declare))
        for project in (first, second):
            with project.connected() as connection, connection.begin():
                table = models(declare).tables["ops.jobs"]
                if declare is loose:
                    connection.execute(sa.insert(table).values(id=1, word=None))
                assert connection.execute(sa.select(table)).all() == [(1, None if declare is loose else "new")]
            assert project.plan(models(declare)).operations == []
    first.close()
    second.close()


def word(*, nullable: bool) -> sa.Column[str]:
    """Return a text with a default."""
    return sa.Column("word", portable_text(9), nullable=nullable, default="new")


def test_a_table_is_rebuilt_whenever_a_batch_says_so(connection: sa.Connection) -> None:
    """With its references to others and to itself."""
    operations: Any = Operations(MigrationContext.configure(connection))
    metadata = sa.MetaData()
    sa.Table("houses", metadata, sa.Column("id", sa.Integer(), primary_key=True))
    sa.Table(
        "jobs",
        metadata,
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("house_id", sa.ForeignKey("houses.id", name="fk_house")),
        sa.Column("parent_id", sa.ForeignKey("ops.jobs.id", name="fk_parent")),
        schema="ops",
    )
    with connection.begin():
        metadata.create_all(connection)
        before = sa.inspect(connection).get_foreign_keys("jobs", "ops")
        with operations.batch_alter_table("jobs", schema="ops", recreate="always") as batch:
            batch.alter_column("parent_id", new_column_name="within_id")
        after = sa.inspect(connection).get_foreign_keys("jobs", "ops")
    moved = [{**key, "constrained_columns": ["within_id"]} if key["name"] == "fk_parent" else key for key in before]
    assert after == moved
    assert len(after) == len(("fk_house", "fk_parent"))


def test_two_tables_that_differ_in_their_schema_alone_are_refused(databases: Databases, tmp_path: Path) -> None:
    """The names of their indexes would collide. The message says what to change."""

    def alike(metadata: sa.MetaData) -> None:
        for schema in (None, "ops"):
            sa.Table("jobs", metadata, sa.Column("id", sa.Integer(), primary_key=True), schema=schema)

    project = Project(tmp_path / "project", databases.empty("sqlite"))
    with pytest.raises(AlikeTablesError, match=r"jobs and ops\.jobs differ .* another __tablename__"):
        project.plan(models(alike))
    project.close()


def test_names_are_joined_and_parted() -> None:
    """SQLite's own schemas stay as they are."""
    names = [(None, "jobs"), ("ops", "jobs")]
    assert [parted(joined_name(table, schema)) for schema, table in names] == names
    assert [joined_name("jobs", own) for own in ("main", "temp")] == ["jobs", "jobs"]
    assert [written("jobs"), written("ops.jobs")] == ["jobs", '"ops.jobs"']


def test_a_text_means_a_table_only_where_it_names_one() -> None:
    """Not a column of an alias, nor a literal."""
    given = """UPDATE ops . "jobs" AS ops SET note = 'ops.jobs' WHERE ops.id = 1"""
    assert in_one_name(given, {"ops.jobs"}) == """UPDATE "ops.jobs" AS ops SET note = 'ops.jobs' WHERE ops.id = 1"""
    assert in_one_name(given, set()) == given


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (sa.select(sa.table("jobs", sa.column("id"), schema="Ops").c.id), 'SELECT "Ops.jobs".id \nFROM "Ops.jobs"'),
        (sa.select(sa.table("jobs", sa.column("id"), schema="main").c.id), "SELECT main.jobs.id \nFROM main.jobs"),
        (sa.schema.DropIndex(sa.Index("ix", _table=sa.Table("jobs", sa.MetaData(), schema="ops"))), "DROP INDEX ix"),
    ],
)
def test_statements_have_one_name(source: sa.ClauseElement, text: str) -> None:
    """For PostgreSQL's schemas. SQLite's own schemas stay."""
    assert str(source.compile(dialect=SQLiteWithSchemas())).strip() == text


def test_another_sqlite_has_its_own_schemas() -> None:
    """Another engine may have attached databases."""
    buffer = io.StringIO()
    context = MigrationContext.configure(dialect_name="sqlite", opts={"as_sql": True, "output_buffer": buffer})
    operations: Any = Operations(context)
    operations.rename_table("jobs", "tasks", schema="ops")
    operations.execute("DELETE FROM ops.jobs")
    assert buffer.getvalue().split("\n\n")[:2] == ["ALTER TABLE ops.jobs RENAME TO tasks;", "DELETE FROM ops.jobs;"]


def test_each_schema_operation_undoes_the_other() -> None:
    """As a downgrade needs it."""
    gone = CreateSchema("ops").reverse()
    assert isinstance(gone, DropSchema)
    assert (gone.name, gone.reverse().name) == ("ops", "ops")
