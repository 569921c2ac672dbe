"""A file that is written on one database runs on both, and leaves nothing to find: for each kind of change."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.script import Script
from alembic.util import CommandError
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import AutoString, UTCDateTime

from rowhouse.db.sql_functions import in_code_point_order, portable_text
from rowhouse.entities.model import EnumText
from rowhouse.entities.no_overlap import NoOverlap
from rowhouse.entities.search_index import SearchIndex
from tests.conftest import ROOT
from tests.databases import Databases
from tests.migrations.test_autogenerate_options import Role
from tests.migrations.travel import Declare, Journey, models


@pytest.fixture
def journey(databases: Databases, tmp_path: Path, backend: str) -> Iterator[Journey]:
    """Two databases, of which the first writes."""
    made = Journey(databases, tmp_path, backend)
    yield made
    made.close()


def key() -> sa.Column[int]:
    return sa.Column("id", sa.Integer(), primary_key=True)


def house(metadata: sa.MetaData, *parts: sa.schema.SchemaItem) -> None:
    sa.Table("houses", metadata, key(), *parts)


def typed() -> list[sa.schema.SchemaItem]:
    """A column of every type, each made anew: some belong to one table."""
    types: dict[str, Any] = {
        "document": sa.JSON().with_variant(JSONB(), "postgresql"),
        "plain_document": sa.JSON(none_as_null=True),
        "tags": sa.JSON().with_variant(ARRAY(sa.Text()), "postgresql"),
        "state": sa.Enum("draft", "published", name="state"),
        "kind": sa.Enum("small", "large", name="kind", native_enum=False, create_constraint=True),
        "shade": sa.Enum("light", "dark", name="shade", native_enum=False, length=20),
        "role": EnumText(Role),
        "key": sa.Uuid(),
        "seen_at": UTCDateTime(),
        "price": sa.Numeric(10, 2),
        "ratio": sa.Float(),
        "exact": sa.Double(),
        "picture": sa.LargeBinary(),
        "lease": sa.Interval(),
        "word": AutoString(40),
        "words": AutoString(),
        "name": portable_text(20),
        "text": in_code_point_order(sa.Text()),
        "motto": in_code_point_order(sa.Unicode(20)),
        "code": sa.CHAR(5),
        "is_open": sa.Boolean(),
        "is_green": sa.Boolean(create_constraint=True, name="green"),
        "day": sa.Date(),
        "hour": sa.Time(),
        "small": sa.SmallInteger(),
        "large": sa.BigInteger(),
        "either": sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
    }
    return [sa.Column(name, kind) for name, kind in types.items()]


def test_every_type(journey: Journey) -> None:
    """In a table of its own; the file imports nothing of the application."""
    text = journey.go(lambda metadata: house(metadata, *typed()))
    assert "AutoString" not in text
    assert "Text()" not in text.replace("sa.Text()", "")


def test_columns_of_every_type_come_and_go(journey: Journey) -> None:
    """In a table that is there."""
    journey.go(house)
    journey.go(lambda metadata: house(metadata, *typed()))


def pair(metadata: sa.MetaData, *parts: sa.schema.SchemaItem) -> None:
    """Departments and employees refer to each other; an employee has a superior."""
    house(metadata)
    sa.Table(
        "departments",
        metadata,
        key(),
        sa.Column("head_id", sa.ForeignKey("employees.id")),
        sa.Column("house_id", sa.ForeignKey("houses.id")),
    )
    sa.Table(
        "employees",
        metadata,
        key(),
        sa.Column("department_id", sa.ForeignKey("departments.id", ondelete="CASCADE"), index=True),
        sa.Column("superior_id", sa.ForeignKey("employees.id")),
        *parts,
    )


def test_tables_that_refer_to_each_other(journey: Journey) -> None:
    """Made, and dropped again with all that they referred to."""
    text = journey.go(pair)
    created, _, altered = text.partition("op.batch_alter_table")
    assert "employees.id" not in created
    assert altered.count("create_foreign_key") == 4
    journey.go()


def ring(metadata: sa.MetaData) -> None:
    """Three tables that refer to each other in a circle."""
    for name, other in (("as", "bs"), ("bs", "cs"), ("cs", "as")):
        sa.Table(name, metadata, key(), sa.Column("next_id", sa.ForeignKey(f"{other}.id"), nullable=False))


def test_a_reference_to_a_table_that_goes_or_comes(journey: Journey) -> None:
    """A table that stays refers to one that is new, and then no more to one that is dropped.

    Another three are a circle.
    """
    journey.go(house)
    journey.go(
        ring,
        lambda metadata: house(metadata, sa.Column("street_id", sa.ForeignKey("streets.id"), index=True)),
        lambda metadata: sa.Table("streets", metadata, key()),
    )
    journey.go(house)


CHECKS = (
    "storeys > 0",
    "storeys > 1 AND name <> 'it''s :a (b) 100%'",
    "lower(name) IN ('a', 'b') OR (storeys >= 1 AND name LIKE 'c%')",
)


def test_alembic_check_shows_the_engines_differences(journey: Journey) -> None:
    """As it shows its own: a message and no traceback."""

    def declare(metadata: sa.MetaData) -> None:
        booked(stay())(metadata)
        columns: Any = sa.Column("title", portable_text(20)), sa.Column("state", sa.Enum("draft", name="state"))
        sa.Table("papers", metadata, key(), *columns, SearchIndex("title"), schema="ops")

    metadata = models(declare)
    with pytest.raises(CommandError, match="New upgrade operations detected") as found:
        command.check(journey.first.config(metadata))
    assert all(name in str(found.value) for name in ("CreateEnum", "CreateNoOverlap", "CreateSearchIndex"))


def test_a_rule_of_overlaps_moves_to_another_table(journey: Journey) -> None:
    """Under the same name."""

    def reserved(table: str) -> Declare:
        def declare(metadata: sa.MetaData) -> None:
            for name in ("rooms", "desks"):
                columns = [sa.Column(one, sa.Integer(), nullable=False) for one in ("place", "starts", "ends")]
                rules = [NoOverlap("place", "starts", "ends", name="ex_reserved")] if name == table else []
                sa.Table(name, metadata, key(), *columns, *rules)

        return declare

    journey.go(reserved("rooms"))
    journey.go(reserved("desks"))


def checked(text: str | None) -> Declare:
    """A house with a check of its storeys."""

    def declare(metadata: sa.MetaData) -> None:
        checks = [] if text is None else [sa.CheckConstraint(text.replace(":", r"\:"), name="storeys")]
        house(metadata, sa.Column("storeys", sa.Integer()), sa.Column("name", portable_text(20)), *checks)

    return declare


def test_a_check_comes_changes_and_goes(journey: Journey) -> None:
    """Under one name; and one that is made of columns."""
    for text in (None, *CHECKS, None):
        journey.go(checked(text))


def test_a_check_that_is_made_of_columns(journey: Journey) -> None:
    """It comes with a column, and goes with it."""

    def declare(metadata: sa.MetaData) -> None:
        width = sa.Column("width", sa.Numeric(6, 2))
        house(metadata, width, sa.CheckConstraint(sa.and_(width > 2, width.is_not(None)), name="width"))

    for declaration in (house, declare, house):
        journey.go(declaration)


def test_a_check_changes_to_a_column_that_is_new(journey: Journey) -> None:
    """The database cannot say yet what the new text means."""

    def declare(metadata: sa.MetaData) -> None:
        house(
            metadata,
            sa.Column("storeys", sa.Integer()),
            sa.Column("rooms", sa.Integer()),
            sa.CheckConstraint("rooms > 0", name="storeys"),
        )

    journey.go(checked("storeys > 0"))
    journey.go(declare)


def test_the_condition_of_an_index_comes_changes_and_goes(journey: Journey) -> None:
    """Alembic does not look at it; a downgrade on the other database has it too."""

    def indexed(condition: str | None) -> Declare:
        where: Any = (
            {} if condition is None else dict.fromkeys(("sqlite_where", "postgresql_where"), sa.text(condition))
        )

        def declare(metadata: sa.MetaData) -> None:
            columns = sa.Column("storeys", sa.Integer()), sa.Column("name", portable_text(20))
            house(metadata, *columns, sa.Index("ix_name", "name", unique=True, **where))

        return declare

    conditions = (None, "storeys > 1", "storeys IN (1, 2) AND name <> 'it''s ok'", "name IS NULL", None)
    for condition in conditions:
        journey.go(indexed(condition))
    journey.go(house)
    journey.go(indexed("storeys > 1"))
    journey.go()


@pytest.mark.parametrize("is_index", [False, True])
def test_a_unique_column_with_a_default_comes_back_without_values(journey: Journey, *, is_index: bool) -> None:
    """A downgrade cannot give all rows the default."""

    def declare(metadata: sa.MetaData) -> None:
        rule = sa.Index("ix_code", "code", unique=True) if is_index else sa.UniqueConstraint("code")
        house(metadata, sa.Column("code", sa.Integer(), server_default=sa.text("7"), nullable=False), rule)

    journey.go(declare)
    for project in journey.projects:
        project.execute("INSERT INTO houses (id, code) VALUES (1, 1), (2, 2)")
    bare = models(house)
    journey.first.write(bare)
    shutil.copy(journey.first.versions[-1], journey.others[0].directory / "versions")
    for project in journey.projects:
        project.upgrade(bare)
        project.downgrade(bare)
        assert project.execute("SELECT id, code FROM houses ORDER BY id") == [(1, None), (2, None)]


def test_a_type_that_postgresql_does_not_convert_by_itself(journey: Journey) -> None:
    """A file written on SQLite too says how."""

    def numbered(kind: Any) -> Declare:
        return lambda metadata: house(metadata, sa.Column("number", kind))

    text, number = numbered(portable_text(9)), numbered(sa.Integer())
    journey.go(text)
    for project in journey.projects:
        project.execute("INSERT INTO houses (id, number) VALUES (1, '42')")
    written = journey.go(number)
    assert "postgresql_using='number::INTEGER'" in written
    assert "postgresql_using='number::VARCHAR(9)" in written
    for project in journey.projects:
        assert project.execute("SELECT number + 1 FROM houses") == [(43,)]


def test_members_of_an_enum(journey: Journey) -> None:
    """Added, taken away and renamed: in a check, in a type of PostgreSQL's own, and in a text that has neither."""
    for members in (("a", "b"), ("a", "bb", "b"), ("bb", "b", "c"), ("b", "c")):

        def declare(metadata: sa.MetaData, members: tuple[str, ...] = members) -> None:
            house(
                metadata,
                sa.Column("checked", sa.Enum(*members, name="k", native_enum=False, create_constraint=True, length=9)),
                sa.Column("plain", sa.Enum(*members, name="p", native_enum=False, length=9)),
            )

        journey.go(declare)


def searched(*columns: str) -> Declare:
    """A house that is searched by some columns."""

    def declare(metadata: sa.MetaData) -> None:
        texts = [sa.Column(name, portable_text(None)) for name in ("street", "order")]
        house(metadata, *texts, *([SearchIndex(*columns)] if columns else []))

    return declare


def test_a_search_index_comes_changes_and_goes(journey: Journey) -> None:
    """On a table that is there; at last with its table."""
    for columns in ((), ("street",), ("order", "street"), ("street", "order"), (), ("order",)):
        journey.go(searched(*columns))
    journey.go()


def booked(*rules: NoOverlap) -> Declare:
    """Stays at houses."""

    def declare(metadata: sa.MetaData) -> None:
        house(metadata)
        columns = [sa.Column(name, sa.Date(), nullable=False) for name in ("arrival", "departure", "later")]
        sa.Table(
            "stays",
            metadata,
            key(),
            *columns,
            sa.Column("house_id", sa.ForeignKey("houses.id"), nullable=False),
            sa.Column("guest", sa.Uuid(), nullable=False),
            sa.Column("state", portable_text(10), nullable=False),
            sa.Column("rank", sa.Integer(), nullable=False),
            sa.Column("firm", sa.Boolean(), nullable=False),
            *rules,
        )

    return declare


def stay(resource: str = "house_id", end: str = "departure", **live: tuple[object, ...]) -> NoOverlap:
    return NoOverlap(resource, "arrival", end, live=live, name="ex_stays")


def test_a_rule_of_overlaps_comes_changes_and_goes(journey: Journey) -> None:
    """Other live states, other columns; at last with its table."""
    rules = (
        (stay(),),
        (stay(state=("on", "it's ok")),),
        (stay(state=("on",)),),
        (stay(state=("on", "it's ok"), rank=(1, -2), firm=(True,)),),
        (stay(end="later"),),
        (stay("guest", firm=(True, False)),),
        (),
        (stay(), NoOverlap("guest", "arrival", "departure", live={"rank": (7,)})),
    )
    for some in rules:
        journey.go(booked(*(rule.copied() for rule in some)))
    journey.go()


def published(*members: str) -> Declare:
    """A house with a state that PostgreSQL has a type for, and a default of it."""

    def declare(metadata: sa.MetaData) -> None:
        house(metadata, sa.Column("state", sa.Enum(*members, name="state"), server_default="a"))

    return declare


def test_members_of_a_native_enum(journey: Journey) -> None:
    """Added at each end, taken away and put into another order."""
    journey.go(published("a", "b"))
    assert "op.change_enum('state', ('a', 'b'), ('z', 'a', 'c', 'b'), columns=[('houses', 'state')])" in journey.go(
        published("z", "a", "c", "b")
    )
    text = journey.go(published("b", "a"))
    assert "Loses state: the members z, c." in text


def test_a_native_enum_goes_with_its_column(databases: Databases, tmp_path: Path) -> None:
    """A downgrade of a file that SQLite has written cannot tell the column's type: PostgreSQL writes this one."""
    journey = Journey(databases, tmp_path, "postgresql")
    for declaration in (published("a", "b"), house):
        journey.go(declaration)
    journey.close()


def rooms(ondelete: str | None, *unique: str, index: bool = False) -> Declare:
    """Rooms of a house that has a default in the database."""

    def declare(metadata: sa.MetaData) -> None:
        house(metadata, sa.Column("name", portable_text(20), server_default="it's new"))
        sa.Table(
            "rooms",
            metadata,
            key(),
            sa.Column("house_id", sa.ForeignKey("houses.id", ondelete=ondelete), nullable=False),
            sa.Column("number", sa.Integer()),
            *([sa.UniqueConstraint(*unique)] if unique else []),
            *([sa.Index(None, "house_id", "number", unique=True)] if index else []),
        )

    return declare


def test_references_uniques_and_indexes(journey: Journey) -> None:
    """Other words of a reference, a unique rule of other columns, and an index.

    A default of the database's is left alone.
    """
    journey.go(rooms(None, index=True))
    journey.go(rooms("CASCADE", "house_id", "number"))
    journey.go(rooms("SET NULL", "number"))
    journey.go(lambda metadata: house(metadata, sa.Column("name", portable_text(20), server_default="it's new")))


def operations(metadata: sa.MetaData) -> None:
    """Tables in a schema, which refer to each other and to one outside, with a rule, a search index and checks."""
    house(metadata)
    sa.Table(
        "jobs",
        metadata,
        key(),
        sa.Column("house_id", sa.ForeignKey("houses.id"), nullable=False, index=True),
        sa.Column("task_id", sa.ForeignKey("ops.tasks.id")),
        sa.Column("note", portable_text(None)),
        *(sa.Column(name, sa.Date(), nullable=False) for name in ("begins", "ends")),
        sa.CheckConstraint("ends > begins", name="order"),
        NoOverlap("house_id", "begins", "ends"),
        SearchIndex("note"),
        schema="ops",
    )
    sa.Table("tasks", metadata, key(), sa.Column("job_id", sa.ForeignKey("ops.jobs.id")), schema="ops")


def more_operations(metadata: sa.MetaData) -> None:
    """The same with a column more."""
    operations(metadata)
    metadata.tables["ops.tasks"].append_column(sa.Column("word", portable_text(9)))


def other_operations(metadata: sa.MetaData) -> None:
    """A table is rebuilt on SQLite: its columns, foreign keys, checks, indexes and rules change."""
    house(metadata)
    sa.Table(
        "jobs",
        metadata,
        key(),
        sa.Column("house_id", sa.ForeignKey("houses.id", ondelete="CASCADE"), nullable=False),
        sa.Column("parent_id", sa.ForeignKey("ops.jobs.id"), index=True),
        sa.Column("note", portable_text(20), nullable=False),
        *(sa.Column(name, sa.Date(), nullable=False) for name in ("begins", "ends")),
        sa.CheckConstraint("ends >= begins", name="order"),
        NoOverlap("house_id", "begins", "ends", live={"note": ("a", "b")}),
        schema="ops",
    )
    sa.Table(
        "tasks",
        metadata,
        key(),
        sa.Column("job_id", sa.ForeignKey("ops.jobs.id"), unique=True),
        sa.Column("length", sa.Integer(), server_default=sa.text("1"), nullable=False),
        schema="ops",
    )
    sa.Table("visits", metadata, key(), sa.Column("task_id", sa.ForeignKey("ops.tasks.id")))


def test_a_schema(journey: Journey) -> None:
    """It is made where there are schemas, and is part of the names of tables where there are none."""
    text = journey.go(operations)
    assert "op.create_schema('ops')" in text
    assert "schema='ops'" in text
    journey.go(more_operations)
    journey.go(other_operations, drops=frozenset({"ops.tasks.word", "ops.jobs.task_id"}))
    journey.go(operations, drops=frozenset({"ops.tasks.length", "ops.jobs.parent_id"}))


def test_what_others_have_in_a_schema_is_left_alone(databases: Databases, tmp_path: Path) -> None:
    """So are other schemas, and their tables of the same name."""
    journey = Journey(databases, tmp_path, "postgresql", others=False)
    journey.first.execute("CREATE SCHEMA elsewhere", "CREATE TABLE elsewhere.jobs (id integer)")
    journey.go(operations)
    journey.first.execute("CREATE TABLE ops.other (id integer)", "CREATE INDEX ix_other ON ops.other (id)")
    journey.go(more_operations)
    journey.close()


def test_scripts_check_accepts_a_file_as_it_was_written(databases: Databases, tmp_path: Path, backend: str) -> None:
    """Nothing has formatted it: ruff may not be installed where it was written.

    One is long and says what it loses, one is empty.
    """
    journey = Journey(databases, tmp_path / "databases", backend, others=False)
    rules = [NoOverlap("guest", "arrival", "departure", live={"rank": (7,)})]
    texts = [
        journey.go(searched("street")),
        journey.go(booked(*rules), pair_alone, drops=frozenset({"houses.street"})),
        journey.go(
            lambda metadata: house(
                metadata, *typed(), sa.Column("storeys", sa.Integer(), sa.CheckConstraint("1 > 0", name="x"))
            )
        ),
    ]
    empty = command.revision(journey.first.config(models()), message="an empty one")
    assert isinstance(empty, Script)
    texts.append(Path(empty.path).read_text())
    assert "import" not in texts[-1]
    journey.close()
    assert "# Loses" in "".join(texts)
    versions = tmp_path / "alembic" / "versions"
    versions.mkdir(parents=True)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for number, text in enumerate(texts):
        (versions / f"{number}.py").write_text(text)
    for words in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *words, "--no-cache", "alembic"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout


def pair_alone(metadata: sa.MetaData) -> None:
    """Two tables that refer to each other."""
    for name, other in (("lefts", "rights"), ("rights", "lefts")):
        sa.Table(name, metadata, key(), sa.Column("other_id", sa.ForeignKey(f"{other}.id")))
