"""A unique rule that is deferrable is made on PostgreSQL, and refused in a sentence on SQLite."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from rowhouse.migrations.compare.unchangeable import UnchangeableError
from tests.databases import Databases
from tests.migrations.project import Project
from tests.migrations.round_trips import Declare, models, with_functions


def unique(**words: object) -> Declare:
    """A table with a unique rule."""

    def declare(metadata: sa.MetaData) -> None:
        columns = [sa.Column("id", sa.Integer, primary_key=True), sa.Column("place", sa.Integer)]
        sa.Table("seats", metadata, *columns, sa.UniqueConstraint("place", **words))  # type: ignore[arg-type]  # words of a parameter

    return declare


@pytest.mark.parametrize("words", [{"deferrable": True}, {"deferrable": True, "initially": "DEFERRED"}])
def test_a_deferrable_rule(backend: str, databases: Databases, tmp_path: Path, words: dict[str, object]) -> None:
    """Of a new table, and of one that is there."""
    project = Project(tmp_path, databases.prepared(backend, "functions", with_functions))
    if backend == "postgresql":
        project.migrate(models(unique(**words)))
        assert project.plan(models(unique(**words))).operations == []
    else:
        for _ in range(2):
            with pytest.raises(
                UnchangeableError, match=r"^seats: .* UniqueConstraint\(place\) is deferrable: leave out"
            ):
                project.plan(models(unique(**words)))
            project.migrate(models(unique()))
    project.close()


def test_the_class_is_named(databases: Databases, tmp_path: Path) -> None:
    """A developer looks for the class."""

    class OrchestraSeat(SQLModel, table=True):
        __table_args__ = (sa.UniqueConstraint("place", deferrable=True),)
        metadata = sa.MetaData()
        id: int | None = Field(default=None, primary_key=True)
        place: int

    project = Project(tmp_path, databases.prepared("sqlite", "functions", with_functions))
    with pytest.raises(UnchangeableError, match=r"^OrchestraSeat: "):
        project.plan(OrchestraSeat.metadata)
    project.close()
