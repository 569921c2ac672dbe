"""Rows without a value get the field's default when their column becomes NOT NULL, whatever else changes."""

import enum
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from rowhouse.db.sql_functions import portable_text
from rowhouse.entities.model import EnumText
from rowhouse.migrations.defaults import UnfillableError
from tests.databases import Databases
from tests.migrations.project import Project
from tests.migrations.round_trips import Declare, models, with_functions


@pytest.fixture
def project(backend: str, databases: Databases, tmp_path: Path) -> Iterator[Project]:
    """A project on one database."""
    made = Project(tmp_path, databases.prepared(backend, "functions", with_functions))
    yield made
    made.close()


def holding(kind: Any, *more: Any, **words: Any) -> Declare:
    """A table with a column of this type."""

    def declare(metadata: sa.MetaData) -> None:
        columns = [sa.Column("id", sa.Integer, primary_key=True), sa.Column("n", kind, **words), *more]
        sa.Table("houses", metadata, *columns)

    return declare


@pytest.mark.parametrize(
    ("before", "after", "default", "value", "expected"),
    [
        (sa.Integer(), portable_text(9), "it's :x", "7", ["it's :x", "7"]),
        (sa.Integer(), sa.Boolean(), True, "1", [True, True]),
        (sa.Boolean(), sa.Integer(), 7, "true", [7, 1]),
        (sa.Boolean(), portable_text(9), "none", "true", ["none", "true"]),
        (sa.Date(), portable_text(10), "", "'2026-01-02'", ["", "2026-01-02"]),
        (portable_text(10), sa.Date(), date(2026, 1, 3), "'2026-01-02'", ["2026-01-03", "2026-01-02"]),
        (sa.Integer(), sa.Numeric(9, 2), Decimal("1.25"), "7", [1.25, 7]),
    ],
)
def test_a_column_gets_a_type_and_a_value_at_once(
    project: Project, before: Any, after: Any, default: Any, value: str, expected: list[Any]
) -> None:
    """The value is of the new type. The change may be undone, and a rule that needs it comes after it."""
    project.migrate(models(holding(before)))
    project.execute(
        "INSERT INTO houses (id, n) VALUES (1, NULL)",
        f"INSERT INTO houses (id, n) VALUES (2, {value})",  # noqa: S608  the test's own
    )
    rule = sa.CheckConstraint("n IS NOT NULL", name="there")
    metadata = models(holding(after, rule, default=default, nullable=False))
    project.migrate(metadata)
    assert project.plan(metadata).operations == []
    found: list[Any] = [row[0] for row in project.execute("SELECT n FROM houses ORDER BY id")]
    assert [str(one) if isinstance(one, date) else one for one in found] == expected
    with pytest.raises(sa.exc.IntegrityError):
        project.execute("INSERT INTO houses (id, n) VALUES (3, NULL)")


def test_such_a_change_is_undone(project: Project) -> None:
    """The filled rows keep what they got."""
    project.migrate(models(holding(sa.Integer())))
    project.execute("INSERT INTO houses (id, n) VALUES (1, NULL)")
    metadata = models(holding(portable_text(9), default="7", nullable=False))
    project.migrate(metadata)
    project.downgrade(metadata)
    assert project.plan(models(holding(sa.Integer()))).operations == []
    assert project.execute("SELECT n FROM houses") == [(7,)]


class Level(enum.Enum):
    """A level with a number."""

    LOW = 1


class Rank(enum.IntEnum):
    """A rank that is a number."""

    FIRST = 1


@pytest.mark.parametrize(
    ("kind", "default", "expected"),
    [
        (EnumText(Level), Level.LOW, "1"),
        (EnumText(Rank), Rank.FIRST, "1"),
        (sa.Integer(), Rank.FIRST, 1),
        (sa.Enum(Level, name="level"), Level.LOW, "LOW"),
        (sa.Enum(Rank, name="rank"), Rank.FIRST, "FIRST"),
        (sa.Enum(Level, name="level", native_enum=False), Level.LOW, "LOW"),
        (sa.Text(), "plain", "plain"),
    ],
)
def test_a_member_fills_what_is_there(project: Project, kind: Any, default: Any, expected: Any) -> None:
    """As the application stores it."""
    project.migrate(models(holding(sa.Integer())))
    project.execute("INSERT INTO houses (id) VALUES (1)")
    metadata = models(holding(sa.Integer(), sa.Column("member", kind, default=default, nullable=False)))
    project.migrate(metadata)
    assert project.execute("SELECT member FROM houses") == [(expected,)]
    assert project.plan(metadata).operations == []


def test_a_set_fills_a_document(project: Project) -> None:
    """As a list, which every reader of JSON knows."""
    project.migrate(models(holding(sa.Integer())))
    project.execute("INSERT INTO houses (id) VALUES (1)")
    more = sa.Column("tags", sa.JSON(), default={"b", "a"}, nullable=False)
    metadata = models(holding(sa.Integer(), more))
    project.migrate(metadata)
    with project.connected() as connection:
        assert connection.execute(sa.select(metadata.tables["houses"].c.tags)).scalar_one() == ["a", "b"]


@pytest.mark.parametrize(("kind", "default"), [(sa.Interval(), timedelta(days=1)), (sa.LargeBinary(), b"a")])
def test_what_the_databases_write_in_two_ways_fills_nothing(project: Project, kind: Any, default: Any) -> None:
    """The file would not run on the other one. The message names the kinds."""
    project.migrate(models(holding(sa.Integer())))
    project.execute("INSERT INTO houses (id) VALUES (1)")
    metadata = models(holding(sa.Integer(), sa.Column("lease", kind, default=default, nullable=False)))
    with pytest.raises(UnfillableError, match="a timedelta, bytes"):
        project.write(metadata)
