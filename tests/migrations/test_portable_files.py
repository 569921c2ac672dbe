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
from rowhouse.migrations.renames import Decisions
from tests.conftest import ROOT
from tests.databases import Databases
from tests.migrations.project import Project, names
from tests.migrations.round_trips import Declare, Fresh, RoundTrip, models, with_functions
from tests.migrations.test_autogenerate_options import Role


@pytest.fixture(scope="module")
def fresh(databases: Databases) -> Iterator[Fresh]:
    """What `create_all` makes, for all tests here."""
    made = Fresh(databases)
    yield made
    made.close()


@pytest.fixture
def round_trip(databases: Databases, tmp_path: Path, fresh: Fresh) -> Iterator[RoundTrip]:
    """Two databases, each of which writes."""
    made = RoundTrip(databases, tmp_path, fresh)
    yield made
    made.close()


def key() -> sa.Column[int]:
    return sa.Column("id", sa.Integer(), primary_key=True)


def house(metadata: sa.MetaData, *parts: sa.schema.SchemaItem, name: str = "houses") -> None:
    sa.Table(name, metadata, key(), *parts)


def typed(which: str = "one") -> list[sa.schema.SchemaItem]:
    """A column of every type, each made anew: some belong to one table, and some have a name."""
    types: dict[str, Any] = {
        "document": sa.JSON().with_variant(JSONB(), "postgresql"),
        "plain_document": sa.JSON(none_as_null=True),
        "tags": sa.JSON().with_variant(ARRAY(sa.Text()), "postgresql"),
        "state": sa.Enum("draft", "published", name=f"state_{which}"),
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


def ring(metadata: sa.MetaData) -> None:
    """Three tables that refer to each other in a circle."""
    for name, other in (("as", "bs"), ("bs", "cs"), ("cs", "as")):
        sa.Table(name, metadata, key(), sa.Column("next_id", sa.ForeignKey(f"{other}.id"), nullable=False))


CHECKS = (
    "storeys > 0",
    "storeys > 1 AND name <> 'it''s :a (b) 100%'",
    "lower(name) IN ('a', 'b') OR (storeys >= 1 AND name LIKE 'c%')",
)


def test_alembic_check_shows_the_engines_differences(round_trip: RoundTrip) -> None:
    """As it shows its own: a message and no traceback."""

    def declare(metadata: sa.MetaData) -> None:
        booked(stay())(metadata)
        columns: Any = sa.Column("title", portable_text(20)), sa.Column("state", sa.Enum("draft", name="state"))
        sa.Table("papers", metadata, key(), *columns, SearchIndex("title"), schema="ops")

    metadata = models(declare)
    with pytest.raises(CommandError, match="New upgrade operations detected") as found:
        command.check(round_trip.projects[0].config(metadata))
    assert all(name in str(found.value) for name in ("CreateEnum", "CreateNoOverlap", "CreateSearchIndex"))


def reserved(table: str) -> Declare:
    """Rooms and desks, of which one has a rule, always under the same name."""

    def declare(metadata: sa.MetaData) -> None:
        for name in ("rooms", "desks"):
            columns = [sa.Column(one, sa.Integer(), nullable=False) for one in ("place", "starts", "ends")]
            rules = [NoOverlap("place", "starts", "ends", name="ex_reserved")] if name == table else []
            sa.Table(name, metadata, key(), *columns, *rules)

    return declare


def checked(text: str | None) -> Declare:
    """A hut with a check of its storeys."""

    def declare(metadata: sa.MetaData) -> None:
        checks = [] if text is None else [sa.CheckConstraint(text.replace(":", r"\:"), name="storeys")]
        columns = sa.Column("storeys", sa.Integer()), sa.Column("name", portable_text(20))
        house(metadata, *columns, *checks, name="huts")

    return declare


def measured(metadata: sa.MetaData) -> None:
    """A hall with a check that is made of columns."""
    width = sa.Column("width", sa.Numeric(6, 2))
    house(metadata, width, sa.CheckConstraint(sa.and_(width > 2, width.is_not(None)), name="width"), name="halls")


def lofty(*columns: str, check: str) -> Declare:
    """A tower whose check changes to a column that is new: the database cannot say yet what the new text means."""

    def declare(metadata: sa.MetaData) -> None:
        rule = sa.CheckConstraint(check, name="storeys")
        house(metadata, *(sa.Column(name, sa.Integer()) for name in columns), rule, name="towers")

    return declare


def indexed(condition: str | None) -> Declare:
    """A home with a unique index, which may have a condition; Alembic does not look at it."""
    where: Any = {} if condition is None else dict.fromkeys(("sqlite_where", "postgresql_where"), sa.text(condition))

    def declare(metadata: sa.MetaData) -> None:
        columns = sa.Column("storeys", sa.Integer()), sa.Column("name", portable_text(20))
        house(metadata, *columns, sa.Index("ix_name", "name", unique=True, **where), name="homes")

    return declare


ODD = r"' \:x, 100% \\: it''s::y'"


def odd(metadata: sa.MetaData) -> None:
    """A barn that has a colon, a percent sign and a quote in every text that a table may have."""
    where: Any = dict.fromkeys(("sqlite_where", "postgresql_where"), sa.text(f"note <> {ODD}"))
    house(
        metadata,
        sa.Column("note", portable_text(40)),
        sa.Column("stated", portable_text(40), server_default=sa.text(ODD), nullable=False),
        sa.Column("quoted", portable_text(40), server_default=" :x, 100% it's::y", nullable=False),
        sa.Column("joined", portable_text(None), sa.Computed(f"note || {ODD}", persisted=True)),
        sa.CheckConstraint(f"note <> {ODD}", name="note"),
        sa.Index("ix_barns", "note", **where),
        name="barns",
    )


def plain(name: str, *columns: str) -> Declare:
    """A table that has some columns of text, and nothing else."""
    return lambda metadata: house(metadata, *(sa.Column(one, portable_text(40)) for one in columns), name=name)


TABLES = ("houses", "huts")


def coded(metadata: sa.MetaData) -> None:
    """A constraint and an index for a column that has a default."""
    for name, rule in zip(TABLES, (sa.UniqueConstraint("code"), sa.Index("ix_code", "code", unique=True)), strict=True):
        code = sa.Column("code", sa.Integer(), server_default=sa.text("7"), nullable=False)
        house(metadata, code, rule, name=name)


def test_a_unique_column_with_a_default_comes_back_without_values(round_trip: RoundTrip) -> None:
    """A downgrade cannot give all rows the default."""
    bare = models(*(plain(name) for name in TABLES))
    round_trip.go(coded)
    files = round_trip.write(bare, Decisions())
    for project, (file, text) in ((project, file) for project in round_trip.projects for file in files):
        for name in TABLES:
            project.execute(f"DELETE FROM {name}", f"INSERT INTO {name} (id, code) VALUES (1, 1), (2, 2)")  # noqa: S608  the test's own
        path = project.directory / "versions" / file
        path.write_text(text)
        project.upgrade(bare)
        project.downgrade(bare)
        path.unlink()
        for name in TABLES:
            assert project.execute(f"SELECT id, code FROM {name} ORDER BY id") == [(1, None), (2, None)]  # noqa: S608  as above


def test_a_type_that_postgresql_does_not_convert_by_itself(round_trip: RoundTrip) -> None:
    """A file written on SQLite too says how."""

    def numbered(kind: Any) -> Declare:
        return lambda metadata: house(metadata, sa.Column("number", kind))

    round_trip.go(numbered(portable_text(9)))
    for project in round_trip.projects:
        project.execute("INSERT INTO houses (id, number) VALUES (1, '42')")
    written = round_trip.go(numbered(sa.Integer()))
    assert "postgresql_using='number::INTEGER'" in written
    assert "postgresql_using='number::VARCHAR(9)" in written
    for project in round_trip.projects:
        assert project.execute("SELECT number + 1 FROM houses") == [(43,)]


def grouped(*members: str) -> Declare:
    """Members of an enum in a check, and in a text that has none."""

    def declare(metadata: sa.MetaData) -> None:
        house(
            metadata,
            sa.Column("checked", sa.Enum(*members, name="k", native_enum=False, create_constraint=True, length=9)),
            sa.Column("plain", sa.Enum(*members, name="p", native_enum=False, length=9)),
            name="groups",
        )

    return declare


def searched(*columns: str) -> Declare:
    """A library that is searched by some columns."""

    def declare(metadata: sa.MetaData) -> None:
        texts = [sa.Column(name, portable_text(None)) for name in ("street", "order")]
        house(metadata, *texts, *([SearchIndex(*columns)] if columns else []), name="libraries")

    return declare


def booked(*rules: NoOverlap) -> Declare:
    """Stays at hotels."""

    def declare(metadata: sa.MetaData) -> None:
        house(metadata, name="hotels")
        columns = [sa.Column(name, sa.Date(), nullable=False) for name in ("arrival", "departure", "later")]
        sa.Table(
            "stays",
            metadata,
            key(),
            *columns,
            sa.Column("hotel_id", sa.ForeignKey("hotels.id"), nullable=False),
            sa.Column("guest", sa.Uuid(), nullable=False),
            sa.Column("state", portable_text(10), nullable=False),
            sa.Column("rank", sa.Integer(), nullable=False),
            sa.Column("firm", sa.Boolean(), nullable=False),
            *(rule.copied() for rule in rules),
        )

    return declare


def stay(resource: str = "hotel_id", end: str = "departure", **live: tuple[object, ...]) -> NoOverlap:
    return NoOverlap(resource, "arrival", end, live=live, name="ex_stays")


def published(*members: str) -> Declare:
    """A paper with a phase that PostgreSQL has a type for, and a default of it."""

    def declare(metadata: sa.MetaData) -> None:
        house(metadata, sa.Column("phase", sa.Enum(*members, name="phase"), server_default="a"), name="papers")

    return declare


def becomes_enum(round_trip: RoundTrip) -> None:
    """Require that the text `phase` of papers becomes a native enum, and that its rows stay."""
    for project in round_trip.projects:
        project.execute("INSERT INTO papers (id, phase) VALUES (1, 'b')")
    text = round_trip.go(
        lambda metadata: house(metadata, sa.Column("phase", sa.Enum("a", "b", name="phase")), name="papers")
    )
    assert "postgresql_using='phase::phase'" in text
    assert [project.execute("SELECT phase FROM papers") for project in round_trip.projects] == [[("b",)]] * 2


def test_a_native_enum_goes_with_its_column(databases: Databases, tmp_path: Path, fresh: Fresh) -> None:
    """A downgrade of a file that SQLite has written does not know the column's type: PostgreSQL writes this one."""
    round_trip = RoundTrip(databases, tmp_path, fresh, "postgresql")
    round_trip.go(published("a", "b"))
    round_trip.go(plain("papers"))
    round_trip.go(plain("papers", "phase"))
    becomes_enum(round_trip)
    round_trip.go(plain("papers"))
    round_trip.close()


def test_a_text_that_becomes_a_native_enum(round_trip: RoundTrip) -> None:
    """SQLite notices it too, though its column stays a text."""
    round_trip.go(plain("papers", "phase"))
    becomes_enum(round_trip)


def computed(*parts: str, **words: Any) -> Declare:
    """An index of expressions, or none."""

    def declare(metadata: sa.MetaData) -> None:
        columns = sa.Column("note", portable_text(20)), sa.Column("size", sa.Integer())
        index = [sa.Index("ix_sheds", *map(sa.text, parts), **words)] if parts else []
        house(metadata, *columns, *index, name="sheds")

    return declare


SMALL: dict[str, Any] = dict.fromkeys(("sqlite_where", "postgresql_where"), sa.text("size < 9"))


def apartments(ondelete: str | None, *unique: str, index: bool = False) -> Declare:
    """Apartments of a block that has a default in the database."""

    def declare(metadata: sa.MetaData) -> None:
        house(metadata, sa.Column("name", portable_text(20), server_default="it's new"), name="blocks")
        sa.Table(
            "apartments",
            metadata,
            key(),
            sa.Column("block_id", sa.ForeignKey("blocks.id", ondelete=ondelete), nullable=False),
            sa.Column("number", sa.Integer()),
            *([sa.UniqueConstraint(*unique)] if unique else []),
            *([sa.Index(None, "block_id", "number", unique=True)] if index else []),
        )

    return declare


def named_block(metadata: sa.MetaData) -> None:
    """The block alone, whose default is left as it is."""
    house(metadata, sa.Column("name", portable_text(20), server_default="it's new"), name="blocks")


STREETS: tuple[Declare, ...] = (
    ring,
    lambda metadata: house(metadata, sa.Column("street_id", sa.ForeignKey("streets.id"), index=True), name="plots"),
    lambda metadata: sa.Table("streets", metadata, key()),
)
# Each table goes its own way; what a step does not name any more is dropped, and the last step stays.
WAYS: dict[str, tuple[tuple[Declare, ...], ...]] = {
    # A column of every type: in a table that is new, and in one that is there.
    "every": ((), (lambda metadata: house(metadata, *typed("one"), name="every"),)),
    "various": ((plain("various"),), (lambda metadata: house(metadata, *typed("two"), name="various"),)),
    # Two tables that refer to each other: made, and dropped again with all that they referred to.
    "employees": ((pair,), ()),
    # A table that stays refers to one that is new, and then no more to one that is dropped; another three are a circle.
    "plots": ((plain("plots"),), STREETS, (plain("plots"),)),
    # A rule of overlaps moves to another table under the same name.
    "desks": ((reserved("rooms"),), (reserved("desks"),)),
    "huts": (*((checked(text),) for text in (None, *CHECKS, None)), ()),
    "halls": ((plain("halls"),), (measured,), (plain("halls"),)),
    "towers": (
        (lofty("storeys", check="storeys > 0"),),
        (lofty("storeys", "rooms", check="rooms > 0"),),
        (),
    ),
    # A downgrade on the other database has the condition too.
    "homes": (
        *(
            (indexed(text),)
            for text in (None, "storeys > 1", "storeys IN (1, 2) AND name <> 'it''s ok'", "name IS NULL", None)
        ),
        (plain("homes"),),
        (indexed("storeys > 1"),),
        (),
    ),
    # Indexes of expressions, whose texts each database shows in its own way.
    "sheds": (
        *(
            (computed(*parts),)
            for parts in (
                ("lower(note)",),
                (),
                ("lower(note)",),
                ("lower(note)", "size DESC"),
                ("(note || ': x')", "size"),
            )
        ),
        (computed("lower(note)", unique=True),),
        (computed("lower(note)", **SMALL),),
        (computed(),),
        (computed("(size + 1)"),),
        (),
    ),
    "barns": ((plain("barns", "note"),), (odd,), (plain("barns", "note"),), (odd,), ()),
    "groups": tuple((grouped(*members),) for members in (("a", "b"), ("a", "bb", "b"), ("bb", "b", "c"), ("b", "c"))),
    "libraries": (
        *((searched(*ways),) for ways in ((), ("street",), ("order", "street"), ("street", "order"), (), ("order",))),
        (),
    ),
    # Other live states, other columns; at last with its table.
    "stays": (
        (booked(stay()),),
        (booked(stay(state=("on", "it's ok"))),),
        (booked(stay(state=("on",))),),
        (booked(stay(state=("on", "it's ok"), rank=(1, -2), firm=(True,))),),
        (booked(stay(end="later")),),
        (booked(stay("guest", firm=(True, False))),),
        (booked(),),
        (booked(stay(), NoOverlap("guest", "arrival", "departure", live={"rank": (7,)})),),
        (),
    ),
    # Members of an enum: added at each end, taken away and put into another order.
    "papers": ((published("a", "b"),), (published("z", "a", "c", "b"),), (published("b", "a"),)),
    # Other words of a reference, a unique rule of other columns, and an index.
    "apartments": (
        (apartments(None, index=True),),
        (apartments("CASCADE", "block_id", "number"),),
        (apartments("SET NULL", "number"),),
        (named_block,),
    ),
}


def test_everything_comes_changes_and_goes(round_trip: RoundTrip) -> None:
    """Every kind of change at once, each in tables of its own."""
    text = ""
    for number in range(max(map(len, WAYS.values()))):
        now = {name: way[min(number, len(way) - 1)] for name, way in WAYS.items()}
        written = round_trip.go(*(one for way in now.values() for one in way), drops=frozenset({"houses"}))
        for name, way in WAYS.items():
            is_changed = number < len(way) and (way[number] != way[number - 1] if number else bool(way[0]))
            assert (f"{name}'" in written or f'"{name}"' in written) == is_changed, (number, name)
        text += written
    assert "AutoString" not in text
    assert "Text()" not in text.replace("sa.Text()", "")
    assert "op.change_enum('phase', ('a', 'b'), ('z', 'a', 'c', 'b'), columns=[('papers', 'phase')])" in text
    assert "Loses phase: the members z, c." in text
    created, _, altered = text.partition("op.batch_alter_table")
    assert "employees.id" not in created
    assert "fk_departments_head_id_employees" in altered


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


def test_a_schema(round_trip: RoundTrip) -> None:
    """It is made where there are schemas, and is part of the names of tables where there are none."""
    text = round_trip.go(operations)
    assert "op.create_schema('ops')" in text
    assert "schema='ops'" in text
    round_trip.go(more_operations)
    round_trip.go(other_operations, drops=frozenset({"ops.tasks.word", "ops.jobs.task_id"}))
    round_trip.go(operations, drops=frozenset({"ops.tasks.length", "ops.jobs.parent_id"}))


def test_what_others_have_in_a_schema_is_left_alone(databases: Databases, tmp_path: Path) -> None:
    """So are other schemas, and their tables of the same name."""
    project = Project(tmp_path / "alembic", databases.prepared("postgresql", "functions", with_functions))
    project.execute("CREATE SCHEMA elsewhere", "CREATE TABLE elsewhere.jobs (id integer)")
    project.migrate(models(operations))
    project.execute("CREATE TABLE ops.other (id integer)", "CREATE INDEX ix_other ON ops.other (id)")
    assert names(project.migrate(models(more_operations)).operations) == ["AddColumnOp"]
    project.close()


def test_scripts_check_accepts_a_file_as_it_was_written(databases: Databases, tmp_path: Path, fresh: Fresh) -> None:
    """Nothing has formatted it: ruff may not be installed where it was written.

    One is long and says what it loses, one is empty.
    """
    round_trip = RoundTrip(databases, tmp_path / "databases", fresh)
    rules = [NoOverlap("guest", "arrival", "departure", live={"rank": (7,)})]
    steps: tuple[tuple[Declare, ...], ...] = (
        (searched("street"), lambda metadata: house(metadata, sa.Column("street", sa.Integer()))),
        (booked(*rules), pair_alone, house),
        (
            lambda metadata: house(
                metadata, *typed(), sa.Column("storeys", sa.Integer(), sa.CheckConstraint("1 > 0", name="x"))
            ),
        ),
    )
    texts = []
    for step in steps:
        texts += [
            text for _name, text in round_trip.write(models(*step), Decisions(drops=frozenset({"houses.street"})))
        ]
        for project in round_trip.projects:
            project.migrate(models(*step), Decisions(drops=frozenset({"houses.street"})))
    empty = command.revision(round_trip.projects[0].config(models()), message="an empty one")
    assert isinstance(empty, Script)
    texts.append(Path(empty.path).read_text())
    assert "import" not in texts[-1]
    round_trip.close()
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
