"""An index with an order comes, changes and goes on both databases, and leaves nothing to find."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.databases import Databases
from tests.migrations.project import Project, names
from tests.migrations.round_trips import Declare, Fresh, RoundTrip, models, with_functions


@pytest.fixture
def round_trip(databases: Databases, tmp_path: Path) -> Iterator[RoundTrip]:
    """Two databases, each of which writes."""
    fresh = Fresh(databases)
    made = RoundTrip(databases, tmp_path, fresh)
    yield made
    made.close()
    fresh.close()


def ordered(*parts: Any, **words: Any) -> Declare:
    """A table with an index, or without one."""

    def declare(metadata: sa.MetaData) -> None:
        index = [sa.Index("ix_order", *parts, **words)] if parts else []
        columns = [
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("size", sa.Integer),
            sa.Column("n", sa.Integer),
        ]
        sa.Table("houses", metadata, *columns, *index)

    return declare


SMALL: dict[str, Any] = dict.fromkeys(("sqlite_where", "postgresql_where"), sa.text("n < 9"))


def test_an_index_with_an_order(round_trip: RoundTrip) -> None:
    """Each step is found, and found once."""
    for step in (
        ordered(sa.desc("n")),
        ordered("n"),
        ordered(sa.desc("size"), "n"),
        ordered("size", sa.text("n DESC")),
        ordered(sa.text("n desc"), unique=True),
        ordered(sa.desc("n"), **SMALL),
        ordered(sa.text("(n + 1) DESC")),
        ordered(),
        ordered(sa.text("n desc")),
    ):
        round_trip.go(step)
    round_trip.go(drops=frozenset({"houses"}))


def test_ascending_is_what_an_index_is_anyway(databases: Databases, tmp_path: Path, backend: str) -> None:
    """So is a direction in small letters; no second file is written."""
    project = Project(tmp_path, databases.prepared(backend, "functions", with_functions))
    project.migrate(models(ordered("n")))
    assert project.plan(models(ordered(sa.asc("n")))).operations == []
    project.migrate(models(ordered(sa.desc("n"))))
    assert project.plan(models(ordered(sa.text("n desc")))).operations == []
    project.close()


def test_the_place_of_nulls_in_an_index(databases: Databases, tmp_path: Path) -> None:
    """PostgreSQL alone has it."""
    project = Project(tmp_path, databases.prepared("postgresql", "functions", with_functions))
    parts: tuple[Any, ...] = (
        sa.nulls_last(sa.desc("n")),
        sa.nulls_first(sa.asc("n")),
        sa.nulls_first(sa.desc("n")),
        sa.text("n NULLS FIRST"),
    )
    for part in parts:
        changed = names(project.migrate(models(ordered(part))).operations)
        assert project.plan(models(ordered(part))).operations == [], changed
    project.close()


def noted(*parts: Any, **words: Any) -> Declare:
    """A table with an index of texts."""

    def declare(metadata: sa.MetaData) -> None:
        columns: list[sa.schema.SchemaItem] = [
            sa.Column("note", sa.Text),
            sa.Column("n", sa.Integer),
            sa.Column("m", sa.Integer),
        ]
        index = sa.Index("ix_notes", *(parts or ("note",)), **words)
        sa.Table("notes", metadata, sa.Column("id", sa.Integer, primary_key=True), *columns, index)

    return declare


def test_what_an_index_is_on_postgresql(databases: Databases, tmp_path: Path) -> None:
    """Its method, its operator classes and the columns that it includes: each change is found, and undone."""
    project = Project(tmp_path, databases.prepared("postgresql", "functions", with_functions))
    steps: tuple[dict[str, Any], ...] = (
        {},
        {"postgresql_using": "hash"},
        {"postgresql_ops": {"note": "text_pattern_ops"}},
        {"postgresql_include": ["n"]},
        {"postgresql_include": ["n", "m"], "postgresql_ops": {"note": "text_pattern_ops"}},
        {},
    )
    project.migrate(models(noted(**steps[0])))
    for former, step in pairwise(steps):
        plan = project.migrate(models(noted(**step)))
        assert plan.losses == []
        assert names(plan.operations) == ["DropIndexOp", "CreateIndexOp"]
        assert project.plan(models(noted(**step))).operations == []
        project.downgrade(models())
        assert project.plan(models(noted(**former))).operations == []
        project.upgrade(models())
    for same in ({"postgresql_using": "BTREE"}, {"postgresql_ops": {"note": "text_ops"}}):
        assert project.plan(models(noted(**same))).operations == []
    project.close()


def test_the_options_of_postgresql_say_nothing_on_sqlite(databases: Databases, tmp_path: Path) -> None:
    """The class may declare them for the database of production."""
    project = Project(tmp_path, databases.prepared("sqlite", "functions", with_functions))
    project.migrate(models(noted()))
    assert project.plan(models(noted(postgresql_using="hash", postgresql_include=["n"]))).operations == []
    project.close()
