"""What `scripts/migrate` plans and writes: renames, losses, the values of new columns, and the files."""

import enum
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from alembic.operations import ops

from rowhouse.db.integrity import NAMING_CONVENTION
from rowhouse.entities.no_overlap import Rule
from rowhouse.migrations import renames
from rowhouse.migrations.compare.unchangeable import UnchangeableError
from rowhouse.migrations.defaults import UnfillableError
from rowhouse.migrations.losses import holds_all, losses_of
from rowhouse.migrations.operations.no_overlap import CreateNoOverlap, DropNoOverlap
from rowhouse.migrations.renames import Decisions, Rename, TableRename, UndecidedError, parse
from tests.databases import Databases
from tests.migrations.project import Project, names

ROWS = "INSERT INTO prices (id, name, amount) VALUES (1, 'oak', 3), (2, NULL, 4)"


class Wood(enum.StrEnum):
    """A kind of wood."""

    OAK = "oak"


def prices(*columns: sa.Column[Any] | sa.Constraint, name: str | None = "name") -> sa.MetaData:
    """A table of prices with these columns beside its own."""
    metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)
    own = [sa.Column(name, sa.String(50))] if name else []
    sa.Table(
        "prices", metadata, sa.Column("id", sa.Integer, primary_key=True), *own,
        sa.Column("amount", sa.Integer, nullable=False), *columns,
    )  # fmt: skip
    return metadata


@pytest.fixture
def project(backend: str, databases: Databases, tmp_path: Path) -> Iterator[Project]:
    """A project whose database has two prices."""
    made = Project(tmp_path / "alembic", databases.empty(backend))
    made.migrate(prices())
    made.execute(ROWS)
    yield made
    made.close()


def test_nothing_is_written_where_nothing_has_changed(project: Project) -> None:
    """Not even an empty file."""
    assert project.write(prices()) is None
    assert len(project.versions) == 1


def test_what_looks_like_a_rename_is_asked_about(project: Project) -> None:
    """One column is gone and one of the same type is new; nothing is written until somebody has decided."""
    title = prices(sa.Column("title", sa.String(60)), name=None)
    for attempt in (project.plan, project.write):
        with pytest.raises(UndecidedError, match=r"add --rename prices.name=title; if not, add --drop prices.name"):
            attempt(title)
    assert len(project.versions) == 1


def test_a_rename_keeps_the_values(project: Project) -> None:
    """Up, down and up again; what changed beside the name is done too."""
    title = prices(sa.Column("title", sa.String(60), index=True), name=None)
    made = project.migrate(title, parse(["prices.name=title"], []))
    assert made.losses == []
    assert project.execute("SELECT title FROM prices ORDER BY id") == [("oak",), (None,)]
    project.downgrade(title)
    assert project.execute("SELECT name FROM prices ORDER BY id") == [("oak",), (None,)]
    project.upgrade(title)
    assert project.execute("SELECT title FROM prices ORDER BY id") == [("oak",), (None,)]
    assert project.plan(title).operations == []


def test_a_rename_of_a_column_that_is_not_there_is_refused(project: Project) -> None:
    """A slip in the word is no drop."""
    title = prices(sa.Column("title", sa.String(50)), name=None)
    for word in ("prices.nam=title", "price.name=title"):
        with pytest.raises(ValueError, match=f"--rename {word}: the database has no column"):
            project.plan(title, parse([word], []))


def test_a_drop_is_written_with_what_it_loses(project: Project) -> None:
    """The file says it in `loses` and in a comment with the way to keep it.

    A downgrade brings the column back, empty.
    """
    title = prices(sa.Column("title", sa.String(50), nullable=False, default=""), name=None)
    project.execute("UPDATE prices SET name = 'ash' WHERE id = 2")
    written = project.write(title, "no more names", decisions=parse([], ["prices.name"]))
    assert written is not None
    path, made = written
    assert [loss.what for loss in made.losses] == ["prices.name: its values"]
    text = path.read_text()
    assert "loses = (\n    'prices.name: its values',\n)" in text
    assert '# If it was renamed, write op.alter_column("prices", "name", new_column_name="NEW") instead.' in text
    assert project.execute("SELECT name FROM prices WHERE id = 1") == [("oak",)]
    project.upgrade(title)
    assert project.execute("SELECT title FROM prices WHERE id = 1") == [("",)]
    project.downgrade(title)
    assert project.execute("SELECT name FROM prices WHERE id = 1") == [(None,)]
    project.upgrade(title)


def test_a_dropped_column_that_was_not_null_comes_back_empty(project: Project) -> None:
    """Its values are gone, so the downgrade lets it be NULL, and says so."""
    project.execute("DELETE FROM prices WHERE name IS NULL")
    without = sa.MetaData(naming_convention=NAMING_CONVENTION)
    sa.Table("prices", without, sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(50)))
    project.migrate(without)
    assert "# prices.amount was NOT NULL; its values are gone." in project.versions[-1].read_text()
    project.downgrade(without)
    assert project.execute("SELECT name, amount FROM prices") == [("oak", None)]


VALUES: dict[str, tuple[Any, Any, Any]] = {
    "text": (sa.String(20), "it's :x, 100%", "it's :x, 100%"),
    "wood": (sa.String(20), Wood.OAK, "oak"),
    "whole": (sa.Integer(), 7, 7),
    "money": (sa.Numeric(10, 2), Decimal("1.50"), Decimal("1.50")),
    "share": (sa.Float(), 0.25, 0.25),
    "yes": (sa.Boolean(), True, True),
    "no": (sa.Boolean(), False, False),
    "day": (sa.Date(), date(2026, 1, 2), date(2026, 1, 2)),
    "hour": (sa.Time(), time(12, 30), time(12, 30)),
    "key": (sa.Uuid(), UUID(int=5), UUID(int=5)),
    "tags": (sa.JSON(), lambda: ["a"], ["a"]),
    "words": (sa.JSON(), dict, {}),
}


def test_a_new_column_is_filled_from_the_default_of_its_field(project: Project) -> None:
    """With the value that the application would store, for the rows that are there."""
    columns = [sa.Column(name, type_, nullable=False, default=default) for name, (type_, default, _) in VALUES.items()]
    metadata = prices(*columns)
    assert project.plan(metadata).only_adds
    made = project.migrate(metadata)
    assert made.losses == []
    with project.connected() as connection:
        stored = connection.execute(sa.select(*(metadata.tables["prices"].c[name] for name in VALUES))).all()
    assert stored == [tuple(expected for _type, _default, expected in VALUES.values())] * 2
    assert project.plan(metadata).operations == []


def test_a_new_instant_is_that_of_the_migration(project: Project) -> None:
    """As the timestamps of an entity have it, whose default is the present."""
    made = sa.Column("made_at", sa.DateTime(timezone=True), nullable=False, default=lambda: datetime.now(UTC))
    project.migrate(prices(made))
    assert project.execute("SELECT count(*) FROM prices WHERE made_at > '2026-01-01'") == [(2,)]


UNFILLABLE: dict[str, tuple[Any, Any]] = {
    "absent": (sa.String(20), None),
    "random": (sa.Uuid(), uuid4),
    "instant": (sa.DateTime(timezone=True), datetime(2026, 1, 1, tzinfo=UTC)),
    "bytes": (sa.LargeBinary(), b"x"),
    "clause": (sa.Integer(), sa.func.random()),
}


def test_a_new_column_without_a_value_for_the_rows_is_refused(project: Project) -> None:
    """The message says what to write; where there are no rows, there is nothing to fill."""
    columns = [sa.Column(name, type_, nullable=False, default=default) for name, (type_, default) in UNFILLABLE.items()]
    metadata = prices(*columns)
    with pytest.raises(UnfillableError) as refused:
        project.write(metadata)
    lines = str(refused.value).splitlines()
    for name, line in zip(UNFILLABLE, lines, strict=True):
        assert f"prices.{name} is NOT NULL, and prices has rows that nothing fills" in line
    assert len(project.versions) == 1
    project.execute("DELETE FROM prices")
    assert names(project.migrate(metadata).operations) == ["AddColumnOp"] * len(UNFILLABLE)


def test_a_default_of_the_database_fills_by_itself(project: Project) -> None:
    """So does a column that the database computes."""
    metadata = prices(
        sa.Column("city", sa.String(20), nullable=False, server_default=sa.text("'Ulm'")),
    )
    project.migrate(metadata)
    assert project.execute("SELECT DISTINCT city FROM prices") == [("Ulm",)]


def test_a_column_that_may_not_be_null_any_more_is_filled(project: Project) -> None:
    """Rows without a value get the field's default, others keep theirs."""
    metadata = prices(name=None)
    metadata.tables["prices"].append_column(sa.Column("name", sa.String(50), nullable=False, default="none :x"))
    assert project.migrate(metadata).losses == []
    assert project.execute("SELECT name FROM prices ORDER BY id") == [("oak",), ("none :x",)]
    assert project.plan(metadata).operations == []


def test_a_column_that_may_not_be_null_any_more_without_a_default_is_refused(project: Project) -> None:
    """As long as a row has no value."""
    metadata = prices(name=None)
    metadata.tables["prices"].append_column(sa.Column("name", sa.String(50), nullable=False))
    with pytest.raises(UnfillableError, match=r"prices.name becomes NOT NULL, and some rows have no value"):
        project.write(metadata)
    project.execute("UPDATE prices SET name = 'ash' WHERE name IS NULL")
    project.migrate(metadata)
    assert project.execute("SELECT name FROM prices ORDER BY id") == [("oak",), ("ash",)]


def test_a_narrower_type_is_a_loss_and_a_wider_one_is_none(project: Project) -> None:
    """The file of the first says what does not fit."""
    assert project.migrate(prices(sa.Column("note", sa.String(9)))).losses == []
    assert project.migrate(prices(sa.Column("note", sa.String(19)))).losses == []
    (loss,) = project.migrate(prices(sa.Column("note", sa.String(5)))).losses
    assert loss.what == "prices.note: what VARCHAR(5) cannot hold of VARCHAR(19)"


def test_a_change_that_no_migration_is_written_for_is_refused(project: Project) -> None:
    """Alembic leaves out other columns of a primary key, and the expression of a generated column."""
    with pytest.raises(UnchangeableError, match=r"the primary key changes from \(id\) to \(id, code\)"):
        project.write(prices(sa.Column("code", sa.String(9), primary_key=True)))
    metadata = prices()
    metadata.tables["prices"].append_column(sa.Column("amount", sa.Uuid), replace_existing=True)
    with pytest.raises(UnchangeableError, match=r"prices: amount changes from a number to a UUID, .* --empty"):
        project.write(metadata)
    generated = [
        sa.Column("double", sa.Integer, sa.Computed(f"amount * {factor}", persisted=True)) for factor in (2, 3)
    ]
    project.migrate(prices(generated[0]))
    with pytest.raises(UnchangeableError, match="prices: double is generated by another expression"):
        project.plan(prices(generated[1]))
    with pytest.raises(UnchangeableError, match=r"prices: double is no longer generated, .* --empty"):
        project.plan(prices(sa.Column("double", sa.Integer)))
    assert project.execute("SELECT double FROM prices ORDER BY id") == [(6,), (8,)]
    with pytest.raises(UnchangeableError, match="name is generated now"):
        project.plan(prices(sa.Column("name", sa.String(50), sa.Computed("lower('X')", persisted=True)), name=None))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (sa.String(9), sa.Integer(), "the key id becomes a number that the database counts"),
        (sa.Integer(), sa.String(9), "the key id is no longer a number that the database counts"),
        (sa.BigInteger(), sa.Date(), "the key id is no longer a number that the database counts"),
        (sa.Integer(), sa.Uuid(), "id changes from a number to a UUID"),
    ],
)
def test_a_key_that_the_database_counts_stays_one(project: Project, before: Any, after: Any, said: str) -> None:
    """PostgreSQL would have no sequence for it, or SQLite an AUTOINCREMENT that it refuses."""

    def keyed(kind: Any) -> sa.MetaData:
        metadata = prices()
        sa.Table(
            "woods", metadata, sa.Column("id", kind, primary_key=True), sqlite_autoincrement=type(kind) is sa.Integer
        )
        return metadata

    project.migrate(keyed(before))
    with pytest.raises(UnchangeableError, match=f"woods: {said}, which no migration is written for"):
        project.write(keyed(after))


@pytest.mark.filterwarnings("ignore:autoincrement")  # Alembic's, of MySQL
def test_a_key_that_the_database_does_not_count_may_get_another_type(project: Project) -> None:
    """Another row gives it, or the client does."""

    def keyed(kind: Any) -> sa.MetaData:
        metadata = prices()
        sa.Table("woods", metadata, sa.Column("id", kind, primary_key=True, autoincrement=False))
        return metadata

    project.migrate(keyed(sa.String(9)))
    for kind in (sa.Integer(), sa.BigInteger()):
        assert names(project.migrate(keyed(kind)).operations)[-1] == "AlterColumnOp"
        assert project.plan(keyed(kind)).operations == []


HOLDS = [
    (sa.Text(), sa.String(9), True),
    (sa.String(9), sa.Text(), False),
    (sa.BigInteger(), sa.Integer(), True),
    (sa.Integer(), sa.BigInteger(), False),
    (sa.Integer(), sa.SmallInteger(), True),
    (sa.Numeric(10, 2), sa.Numeric(8, 2), True),
    (sa.Numeric(10, 2), sa.Numeric(10, 3), False),
    (sa.Numeric(), sa.Numeric(10, 3), True),
    (sa.Float(), sa.Float(), True),
    (sa.Numeric(10, 2), sa.Float(), False),
    (sa.Float(), sa.Integer(), False),
    (sa.Date(), sa.Date(), True),
    (sa.Integer(), sa.String(9), False),
]


@pytest.mark.parametrize(("after", "before", "holds"), HOLDS)
def test_which_type_holds_all_values_of_another(after: Any, before: Any, holds: bool) -> None:  # noqa: FBT001  the answer
    """Each pair of the table above."""
    assert holds_all(after, before) is holds


def test_a_dropped_table_is_a_loss(project: Project) -> None:
    """All its rows."""
    empty = sa.MetaData(naming_convention=NAMING_CONVENTION)
    (loss,) = project.plan(empty).losses
    assert loss.what == "prices: all its rows"


def test_a_dropped_rule_is_a_loss_and_one_that_is_made_anew_is_none() -> None:
    """Unique, foreign key, check, no overlap; an index without a rule holds nothing."""
    unique = sa.UniqueConstraint("a", name="uq")
    check = sa.CheckConstraint("a > 0", name="ck")
    key = sa.ForeignKeyConstraint(["a"], ["s.id"], name="fk")
    metadata = sa.MetaData()
    sa.Table("s", metadata, sa.Column("id", sa.Integer, primary_key=True))
    table = sa.Table("t", metadata, sa.Column("a", sa.Integer), unique, check, key)
    drops = [ops.DropConstraintOp.from_constraint(one) for one in (unique, check, key)]
    assert [loss.what for loss in losses_of(drops)] == ["t: the rule uq", "t: the rule ck", "t: the rule fk"]
    makes: list[ops.MigrateOperation] = [
        ops.CreateUniqueConstraintOp.from_constraint(unique), ops.CreateCheckConstraintOp.from_constraint(check),
        ops.CreateForeignKeyOp.from_constraint(key),
    ]  # fmt: skip
    assert losses_of([*drops, *makes]) == []
    index = sa.Index("ix", table.c.a)
    assert losses_of([ops.DropIndexOp.from_index(index)]) == []
    (loss,) = losses_of([ops.DropIndexOp.from_index(sa.Index("ux", table.c.a, unique=True))])
    assert loss.what == "t: the unique rule of ux"
    rule = Rule("ex", "t", "a", "b", "c", {})
    (loss,) = losses_of([DropNoOverlap(rule)])
    assert loss.what == "t: the rule ex, that no two rows overlap"
    assert losses_of([DropNoOverlap(rule), CreateNoOverlap(rule)]) == []


def test_a_reference_of_something_new_only_adds(project: Project) -> None:
    """Two new tables that refer to each other, and a new column.

    Not one of a column that is there, which may refer to nothing.
    """

    def houses(*keys: sa.ForeignKeyConstraint, owner: bool) -> sa.MetaData:
        extra = [sa.Column("owner_id", sa.Integer)] if owner else []
        metadata = prices(*extra, *keys)
        for table, other in (("houses", "streets"), ("streets", "houses")):
            sa.Table(
                table, metadata, sa.Column("id", sa.Integer, primary_key=True),
                sa.Column("other_id", sa.Integer, sa.ForeignKey(f"{other}.id", use_alter=True)),
            )  # fmt: skip
        return metadata

    new = houses(sa.ForeignKeyConstraint(["owner_id"], ["houses.id"]), owner=True)
    assert project.plan(new).only_adds
    project.migrate(new)
    there = houses(
        sa.ForeignKeyConstraint(["owner_id"], ["houses.id"]),
        sa.ForeignKeyConstraint(["amount"], ["houses.id"]),
        owner=True,
    )
    assert not project.plan(there).only_adds


def test_the_words_of_the_command_line() -> None:
    """Another form is refused with an example."""
    decided = parse(["prices.name=title", "ops.prices.name=title", "prices=rates"], ["prices.x", "goods"])
    assert decided == Decisions(
        (TableRename("prices", "rates"), Rename("prices", "name", "title"), Rename("prices", "name", "title", "ops")),
        frozenset({"prices.x", "goods"}),
    )
    for word in ("prices.name", "name=", ".name=title", "prices.name=", "prices.name=prices.title"):
        with pytest.raises(ValueError, match=r"write table\.old=new"):
            parse([word], [])
    with pytest.raises(ValueError, match=r"write table\.column"):
        parse([], ["prices."])


def test_each_pair_is_asked_about_once() -> None:
    """What was renamed is no candidate for another name."""
    found = [
        Rename("t", "a", "x"),
        Rename("t", "a", "y"),
        Rename("t", "b", "x"),
        Rename("t", "b", "y"),
        Rename("s", "a", "x"),
    ]
    asked: list[str] = []

    def answer(question: str) -> str:
        asked.append(question)
        return {3: "", 1: "n"}.get(len(asked), "y")

    assert renames.ask(found, answer) == Decisions((Rename("t", "a", "y"), Rename("s", "a", "x")), frozenset({"t.b"}))
    assert len(asked) == 4


def test_a_key_gets_more_bits(project: Project) -> None:
    """The database still counts it, and the file has no word that Alembic warns of."""
    metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)
    columns: list[sa.Column[Any]] = [sa.Column("name", sa.String(50)), sa.Column("amount", sa.Integer, nullable=False)]
    kind = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # as the engine declares it
    sa.Table("prices", metadata, sa.Column("id", kind, primary_key=True), *columns)
    project.migrate(metadata)
    assert "autoincrement" not in project.versions[-1].read_text().partition("def downgrade")[0]
    assert project.write(metadata) is None
    project.execute("DELETE FROM prices", "INSERT INTO prices (name, amount) VALUES ('ash', 1)")
    assert len(project.execute("SELECT id FROM prices WHERE id IS NOT NULL")) == 1
