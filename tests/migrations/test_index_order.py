"""An index with an order comes, changes and goes on both databases, and leaves nothing to find."""

from collections.abc import Iterator
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
