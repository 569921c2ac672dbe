"""A default that a class leaves to the database is migrated, and one that fills rows follows its column's type."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from rowhouse.db.sql_functions import portable_text
from tests.databases import Databases
from tests.migrations.project import Project
from tests.migrations.round_trips import Declare, models, with_functions


@pytest.fixture
def project(backend: str, databases: Databases, tmp_path: Path) -> Iterator[Project]:
    """A project on one database."""
    made = Project(tmp_path, databases.prepared(backend, "functions", with_functions))
    yield made
    made.close()


def holding(kind: Any = None, **words: Any) -> Declare:
    """A table with a column of this type, or without it."""

    def declare(metadata: sa.MetaData) -> None:
        columns = [] if kind is None else [sa.Column("n", kind, **words)]
        sa.Table("houses", metadata, sa.Column("id", sa.Integer, primary_key=True), *columns)

    return declare


def inserted(project: Project, number: int) -> Any:
    """Return what a new row has that says nothing."""
    project.execute(f"INSERT INTO houses (id) VALUES ({number})")  # noqa: S608  a number
    return project.execute(f"SELECT n FROM houses WHERE id = {number}")[0][0]  # noqa: S608  as above


DEFAULTS: tuple[tuple[Any, Any, Any], ...] = (
    (sa.Integer(), "7", "8"),
    (sa.Integer(), sa.text("7"), sa.text("(8)")),
    (sa.BigInteger(), "7", sa.text("-8")),
    (sa.Numeric(9, 2), "7.50", "8.25"),
    (sa.Float(), "7.5", sa.text("8.25")),
    (sa.Boolean(), sa.false(), sa.true()),
    (sa.Boolean(), sa.text("false"), sa.text("true")),
    (portable_text(20), "old", "it's :new 100%"),
    (portable_text(20), "7", "8"),
    (portable_text(20), "", "lower('A')"),
    (sa.Text(), sa.text("'old'"), sa.text("lower('A')")),
    (sa.DateTime(timezone=True), sa.text("CURRENT_TIMESTAMP"), "2026-11-29 00:00:00.000000"),
    (sa.DateTime(), "2026-11-29 00:00:00.000000", sa.func.now()),
    (sa.Date(), "2001-11-29", sa.text("CURRENT_DATE")),
    (sa.JSON().with_variant(JSONB(), "postgresql"), "{}", '{"a": 1}'),
    (sa.Enum("a", "b", name="st"), "a", "b"),
    (sa.Uuid(), "00000000000000000000000000000001", "00000000000000000000000000000002"),
)


@pytest.mark.parametrize(("kind", "first", "second"), DEFAULTS)
def test_a_default_of_the_class_is_migrated(project: Project, kind: Any, first: Any, second: Any) -> None:
    """It is added and changed, found once, and undone."""
    expected: list[Any] = []
    for default in (None, first, second, first):
        metadata = models(holding(kind, server_default=default))
        plan = project.migrate(metadata)
        assert len(plan.operations) >= 1
        assert plan.losses == []
        assert project.plan(metadata).operations == []
        expected.append(inserted(project, len(expected)))
    assert expected[0] is None
    assert expected[1] == expected[3] or "CURRENT_TIMESTAMP" in str(first)
    assert expected[2] not in (None, expected[1])
    project.downgrade(metadata)
    assert project.plan(models(holding(kind, server_default=second))).operations == []


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [
        (sa.Integer(), "7", sa.text("7")),
        (sa.Boolean(), sa.text("true"), sa.true()),
        (sa.Numeric(9, 2), "7.50", sa.text("7.5")),
        (portable_text(9), "7", sa.text("'7'")),
        (sa.DateTime(), sa.text("CURRENT_TIMESTAMP"), sa.func.now()),
        (sa.Integer(), None, sa.text("NULL")),
    ],
)
def test_a_default_in_other_words_is_the_same(project: Project, kind: Any, first: Any, second: Any) -> None:
    """Nothing is written for it."""
    project.migrate(models(holding(kind, server_default=first)))
    assert project.plan(models(holding(kind, server_default=second))).operations == []


def test_a_default_that_no_class_declares_stays(project: Project) -> None:
    """It may be what filled the rows, and servers of the former release need it."""
    project.migrate(models(holding()))
    project.migrate(models(holding(sa.Integer(), default=7, nullable=False)))
    for words in ({"default": 8}, {}):
        assert project.plan(models(holding(sa.Integer(), nullable=False, **words))).operations == []
    assert inserted(project, 1) == 7
    project.migrate(models(holding(sa.Integer(), nullable=False, server_default="9")))
    assert inserted(project, 2) == 9


@pytest.mark.parametrize(
    ("before", "after", "default", "expected"),
    [
        ((sa.Integer(), 1), (sa.Boolean(), True), {}, True),
        ((sa.Boolean(), False), (sa.Integer(), 5), {}, 5),
        ((portable_text(9), "0"), (sa.Integer(), 5), {}, 5),
        ((portable_text(9), "a"), (sa.Enum("a", "b", name="st"), "b"), {}, "b"),
        ((sa.Enum("a", "b", name="st"), "a"), (portable_text(9), "c"), {}, "c"),
        ((sa.Enum("a", "b", name="st"), "a"), (sa.Enum("a", "b", name="st_2"), "b"), {}, "b"),
        ((portable_text(9), "0"), (sa.Integer(), None), {"server_default": "6"}, 6),
        ((sa.Integer(), 1), (sa.BigInteger(), 2), {}, 1),
    ],
)
def test_a_default_follows_the_type_of_its_column(
    project: Project, before: Any, after: Any, default: dict[str, Any], expected: Any
) -> None:
    """PostgreSQL would not convert it. A downgrade gives the former one back."""
    project.migrate(models(holding()))
    project.execute("INSERT INTO houses (id) VALUES (1)")
    project.migrate(models(holding(before[0], default=before[1], nullable=False)))
    metadata = models(holding(after[0], default=after[1], nullable=False, **default))
    project.migrate(metadata)
    assert project.plan(metadata).operations == []
    # SQLite stores an enum as text, so a column that was one keeps the type and the default.
    is_kept = project.engine.dialect.name == "sqlite" and isinstance(before[0], sa.Enum)
    assert inserted(project, 2) == (before[1] if is_kept else expected)
    if not is_kept:
        project.execute("DELETE FROM houses WHERE id = 2")
        project.downgrade(metadata)
        assert inserted(project, 2) == before[1]


def test_a_default_goes_with_a_type_that_has_none(project: Project) -> None:
    """There is no default of the new type that could take its place."""
    project.migrate(models(holding()))
    project.migrate(models(holding(portable_text(9), default="7", nullable=False)))
    project.migrate(models(holding(sa.Integer(), nullable=False)))
    with pytest.raises(sa.exc.IntegrityError):
        inserted(project, 1)


@pytest.mark.parametrize(
    ("kind", "default"),
    [
        (sa.Uuid(), sa.text("gen_random_uuid()")),
        (sa.DateTime(), sa.text("timezone('utc', now())")),
        (sa.DateTime(timezone=True), sa.text("now() + interval '1 day'")),
        (sa.DateTime(timezone=True), "2026-01-01T00:00:00Z"),
        (sa.ARRAY(sa.Text()), "{}"),
        (sa.ARRAY(portable_text(9)), sa.text("ARRAY['a']")),
        (sa.Interval(), "1 day"),
        (sa.LargeBinary(), "a"),
        (JSONB(), sa.text("jsonb_build_object('a', 1)")),
        (portable_text(9), sa.text("CURRENT_USER")),
        (sa.Integer(), sa.text("nextval('counter')")),
    ],
)
def test_an_expression_of_postgresql_is_found_once(
    databases: Databases, tmp_path: Path, kind: Any, default: Any
) -> None:
    """The database shows it in words of its own."""
    project = Project(tmp_path, databases.prepared("postgresql", "functions", with_functions))
    project.execute("CREATE SEQUENCE counter")
    for step in (holding(kind), holding(kind, server_default=default)):
        assert len(project.migrate(models(step)).operations) == 1
        assert project.plan(models(step)).operations == []
    assert inserted(project, 1) is not None
    project.close()


@pytest.mark.parametrize(
    "default", ["abc", sa.text("(1 + 1)"), sa.text("(abs(-7))"), sa.text("(strftime('%s', 'now'))")]
)
def test_an_expression_of_sqlite_is_found_once(databases: Databases, tmp_path: Path, default: Any) -> None:
    """So is one of the other database, and a text, which SQLite stores in a column of numbers."""
    project = Project(tmp_path, databases.prepared("sqlite", "functions", with_functions))
    for step in (holding(sa.Integer()), holding(sa.Integer(), server_default=default)):
        assert len(project.migrate(models(step)).operations) == 1
        assert project.plan(models(step)).operations == []
    assert inserted(project, 1) is not None
    project.close()


def test_a_counter_that_belongs_to_its_column_is_found_once(databases: Databases, tmp_path: Path) -> None:
    """Alembic takes it for a SERIAL, and shows no default."""
    project = Project(tmp_path, databases.prepared("postgresql", "functions", with_functions))
    project.migrate(models(holding(sa.Integer())))
    project.execute(
        "CREATE SEQUENCE counter OWNED BY houses.n", "ALTER TABLE houses ALTER COLUMN n SET DEFAULT nextval('counter')"
    )
    metadata = models(holding(sa.Integer(), server_default=sa.text("nextval('counter')")))
    assert project.plan(metadata).operations == []
    project.close()
