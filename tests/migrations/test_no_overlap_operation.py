"""`op.create_no_overlap`: autogenerate finds a missing rule, writes it in one line, and the line works.

On both databases.
"""

import io
from datetime import date
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import produce_migrations, render_python_code
from alembic.operations import Operations
from alembic.operations.ops import MigrationScript, UpgradeOps
from alembic.runtime.migration import MigrationContext

from rowhouse.entities.no_overlap import NoOverlap, Rule, literal, rules_of
from rowhouse.migrations.autogenerate import autogenerate_options
from rowhouse.migrations.operations.no_overlap import CreateNoOverlap, DropNoOverlap
from tests.migrations import schema

LIVE = {"state": ("on", "it's"), "rank": (1, 2), "firm": (True,)}


def declared() -> sa.MetaData:
    """Return a table with places, and one with stays that must not overlap while they are live."""
    metadata = sa.MetaData()
    sa.Table("places", metadata, sa.Column("id", sa.Integer(), primary_key=True))
    sa.Table(
        "stays",
        metadata,
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("place_id", sa.ForeignKey("places.id"), nullable=False),
        *(sa.Column(name, sa.Date(), nullable=False) for name in ("arrival", "departure")),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("firm", sa.Boolean(), nullable=False),
        NoOverlap("place_id", "arrival", "departure", live=LIVE),
    )
    return metadata


def missing(connection: sa.Connection, metadata: sa.MetaData) -> UpgradeOps:
    """Return the operations that autogenerate finds."""
    script: MigrationScript = produce_migrations(
        MigrationContext.configure(connection, opts=autogenerate_options(metadata)), metadata
    )
    found = script.upgrade_ops
    assert found is not None
    return found


def stay(connection: sa.Connection, metadata: sa.MetaData, days: tuple[int, int], **values: Any) -> None:
    """Insert a row with plain SQL."""
    first, last = (date(2030, 1, day) for day in days)
    row = {"place_id": 1, "arrival": first, "departure": last, "state": "on", "rank": 1, "firm": True, **values}
    connection.execute(metadata.tables["stays"].insert(), row)


@pytest.fixture
def metadata(empty: sa.Connection) -> sa.MetaData:
    """The tables, whose rule the database lacks."""
    found = declared()
    found.create_all(empty)
    assert missing(empty, found).is_empty()
    rule = rules_of(found.tables["stays"])[0].rule
    Operations(MigrationContext.configure(empty)).invoke(DropNoOverlap(rule))
    assert schema.guards(empty) == {}
    return found


def test_a_rule_that_is_not_there_is_missed_and_written_in_one_line(
    empty: sa.Connection, metadata: sa.MetaData
) -> None:
    found = missing(empty, metadata)
    written = [line.strip() for line in render_python_code(found).splitlines()]
    line = (
        "op.create_no_overlap('ex_stays_place_id', 'stays', resource='place_id', start='arrival', end='departure', "
        "live={'state': ('on', \"it's\"), 'rank': (1, 2), 'firm': (True,)})"
    )
    assert [one for one in written if one.startswith("op.")] == [line]
    undone = render_python_code(found.reverse())
    assert "op.drop_no_overlap('ex_stays_place_id', 'stays')" in undone
    assert isinstance(DropNoOverlap(rules_of(metadata.tables["stays"])[0].rule).reverse(), CreateNoOverlap)


def test_the_line_holds_the_rule_and_its_undoing_gives_it_up(empty: sa.Connection, metadata: sa.MetaData) -> None:
    operations: Any = Operations(MigrationContext.configure(empty))
    empty.execute(metadata.tables["places"].insert(), {"id": 1})
    words = {"resource": "place_id", "start": "arrival", "end": "departure"}
    operations.create_no_overlap("ex_stays_place_id", "stays", **words, live=LIVE)
    assert missing(empty, metadata).is_empty()
    stay(empty, metadata, (1, 5))
    stay(empty, metadata, (5, 7))
    for dead in ({"state": "off"}, {"rank": 3}, {"firm": False}):
        stay(empty, metadata, (1, 5), **dead)
    with pytest.raises(sa.exc.IntegrityError, match="ex_stays_place_id"), empty.begin_nested():
        stay(empty, metadata, (4, 6), state="it's")
    operations.drop_no_overlap("ex_stays_place_id", "stays")
    stay(empty, metadata, (4, 6))
    assert schema.guards(empty) == {}


def test_another_text_is_another_rule(empty: sa.Connection, metadata: sa.MetaData) -> None:
    """A rule that was changed by hand is restored. The stored one is dropped."""
    stored = Rule(
        "ex_stays_place_id", "stays", "place_id", "arrival", "departure", {"state": ("it's",), "firm": (False,)}
    )
    Operations(MigrationContext.configure(empty)).invoke(CreateNoOverlap(stored))
    dropped, created = missing(empty, metadata).ops
    assert isinstance(dropped, DropNoOverlap)
    assert dropped.rule == stored
    assert isinstance(created, CreateNoOverlap)


FOREIGN = {
    "sqlite": "CREATE TRIGGER theirs BEFORE INSERT ON places BEGIN SELECT 1; END",
    "postgresql": "ALTER TABLE places ADD CONSTRAINT theirs EXCLUDE USING gist (int8range(id, id) WITH &&)",
}


def test_what_others_have_made_is_left_alone(empty: sa.Connection, backend: str) -> None:
    """A trigger or an exclusion constraint of the project."""
    metadata = declared()
    metadata.create_all(empty)
    empty.exec_driver_sql(FOREIGN[backend])
    assert missing(empty, metadata).is_empty()


@pytest.mark.parametrize("backend", ["sqlite"], scope="session")
def test_a_rule_that_has_lost_a_trigger_is_made_anew(empty: sa.Connection) -> None:
    metadata = declared()
    metadata.create_all(empty)
    empty.exec_driver_sql("DROP TRIGGER ex_stays_place_id_update")
    operations = missing(empty, metadata)
    assert [type(one) for one in operations.ops] == [DropNoOverlap, CreateNoOverlap]
    for one in operations.ops:
        Operations(MigrationContext.configure(empty)).invoke(one)
    assert missing(empty, metadata).is_empty()


def test_a_rule_goes_with_its_table(empty: sa.Connection) -> None:
    """It is dropped first. A new table of that name has a rule of its own."""
    declared().create_all(empty)
    kinds = [type(one).__name__ for one in missing(empty, sa.MetaData()).ops]
    assert kinds == ["DropNoOverlap", "DropTableOp", "DropTableOp"]


def test_a_copy_of_a_table_has_the_rule() -> None:
    """With its name, as Alembic and `to_metadata` copy tables."""
    table = declared().tables["stays"].to_metadata(sa.MetaData())
    assert [rule.rule for rule in rules_of(table)] == [rule.rule for rule in rules_of(declared().tables["stays"])]
    unnamed = NoOverlap("a", "b", "c").copied()
    assert (unnamed.name, unnamed.resource) == (None, "a")


def quoted() -> sa.MetaData:
    """Return a rule with names that SQL must quote, for a nullable column."""
    metadata = sa.MetaData()
    columns = [sa.Column(name, sa.Integer()) for name in ("order", 'von "wann"', "Bis", "Größe")]
    live = {"Größe": (1, 2), "Zustand": ("a:b", "100%")}
    rule = NoOverlap("order", 'von "wann"', "Bis", live=live, name="ex it's")
    key = sa.Column("id", sa.Integer(), primary_key=True)
    sa.Table("Über Nacht", metadata, key, *columns, sa.Column("Zustand", sa.String(9)), rule)
    return metadata


def test_names_are_quoted(empty: sa.Connection) -> None:
    """In the rule, and where it is created, dropped and compared."""
    metadata = quoted()
    metadata.create_all(empty)
    assert missing(empty, metadata).is_empty()
    table = metadata.tables["Über Nacht"]
    rule = rules_of(table)[0].rule
    operations = Operations(MigrationContext.configure(empty))
    (found,) = missing(empty, sa.MetaData()).ops[:1]
    assert isinstance(found, DropNoOverlap)
    assert found.rule == rule
    operations.invoke(found)
    assert schema.guards(empty) == {}
    operations.invoke(CreateNoOverlap(rule))
    assert missing(empty, metadata).is_empty()
    row = {"order": 1, 'von "wann"': 1, "Bis": 5, "Größe": 1, "Zustand": "a:b"}
    for one in (row, {**row, "order": None}, {**row, "order": None}, {**row, "Größe": 3}, {**row, "order": 2}):
        empty.execute(table.insert(), one)
    with pytest.raises(sa.exc.IntegrityError, match="ex it's"), empty.begin_nested():
        empty.execute(table.insert(), row)


FORMER = "EXCLUDE USING gist (int8range(place_id, place_id, '[]') WITH &&, daterange(arrival, departure, '[)') WITH &&)"


@pytest.mark.parametrize("backend", ["postgresql"], scope="session")
@pytest.mark.parametrize("is_nullable", [False, True])
def test_a_former_constraint_stays_where_the_resource_is_needed(empty: sa.Connection, *, is_nullable: bool) -> None:
    """It let a row without a resource conflict with every other one. If such rows may exist, it is created again."""
    metadata = declared()
    rule = rules_of(metadata.tables["stays"])[0]
    rule.live = {}
    metadata.tables["stays"].columns["place_id"].nullable = is_nullable
    metadata.create_all(empty)
    empty.exec_driver_sql("ALTER TABLE stays DROP CONSTRAINT ex_stays_place_id")
    empty.exec_driver_sql(f"ALTER TABLE stays ADD CONSTRAINT ex_stays_place_id {FORMER}")
    assert [type(one) for one in missing(empty, metadata).ops] == [DropNoOverlap, CreateNoOverlap] * is_nullable


def test_literals() -> None:
    assert [literal(value) for value in (True, 7, "it's")] == ["TRUE", "7", "'it''s'"]


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_the_rule_is_written_out_as_sql(dialect: str) -> None:
    """In `--sql` mode, where the types of the columns are those of the models."""
    buffer = io.StringIO()
    options = {"as_sql": True, "output_buffer": buffer, "target_metadata": declared()}
    operations: Any = Operations(MigrationContext.configure(dialect_name=dialect, opts=options))
    places = {"resource": "place_id", "start": "arrival", "end": "departure"}
    operations.create_no_overlap("ex_stays_place_id", "stays", **places, live=LIVE)
    assert "ex_stays_place_id" in buffer.getvalue()
    assert ("daterange" in buffer.getvalue()) == (dialect == "postgresql")
