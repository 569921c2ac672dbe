"""A rebuilt table on SQLite keeps its rows, references to it, and everything that belongs to it."""

import io
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError

from rowhouse.migrations.sqlite.checks import UnsafeMigrationError, row_counts
from rowhouse.migrations.sqlite.rebuild import guarded
from tests.migrations.street import alter, are_foreign_keys_on, migration, refusal, rows, stored


def test_a_longer_name_changes_nothing_else(street: sa.Connection) -> None:
    """The rest of the schema, all rows and the counter of keys stay the same."""
    before, counts, houses = stored(street), row_counts(street), rows(street)
    with migration(street) as op, op.batch_alter_table("houses") as batch:
        batch.alter_column("name", type_=sa.String(20), existing_type=sa.String(10), existing_nullable=False)
    expected = before["houses"].replace("VARCHAR(10)", "VARCHAR(20)").replace(" -- never counts back", "")
    assert stored(street) == {**before, "houses": expected}
    assert (row_counts(street), rows(street)) == (counts, houses)
    street.exec_driver_sql("INSERT INTO houses (name) VALUES ('next')")
    assert street.exec_driver_sql("SELECT max(id) FROM houses").scalar() == 10
    with pytest.raises(sa.exc.IntegrityError, match="no x"):
        street.exec_driver_sql("UPDATE houses SET name = 'x'")
    with pytest.raises(sa.exc.IntegrityError, match="FOREIGN KEY"):
        street.exec_driver_sql("DELETE FROM houses WHERE id = 2")
    street.exec_driver_sql("DELETE FROM houses WHERE id = 1")
    assert rows(street, "rooms") == [(3, 2)]


def test_what_the_batch_changes_is_changed(street: sa.Connection) -> None:
    """Constraints and indexes are dropped, replaced and added by name, wherever they are written. The rest stays."""
    before = stored(street)
    with migration(street) as op, op.batch_alter_table("houses") as batch:
        batch.drop_constraint("tall", type_="check")
        batch.drop_constraint("low", type_="check")
        batch.drop_constraint("uq_houses", type_="unique")
        batch.create_unique_constraint("uq_houses", ["name", "area"])
        batch.create_foreign_key("fk_storeys", "rooms", ["storeys"], ["id"], ondelete="CASCADE")
        batch.drop_index("ix_plain")
        batch.drop_index("ix_folded")
        batch.create_index("ix_plain", [sa.text("area DESC")], sqlite_where=sa.text("area > 0"))
        batch.alter_column("storeys", server_default="7", nullable=True)
        batch.alter_column("area", server_default=None, nullable=False)
        batch.add_column(sa.Column("owner", sa.String(5), server_default="me", nullable=False))
    expected = before["houses"]
    for old, new in (
        (" -- never counts back", ""),
        ("storeys INT CONSTRAINT low CHECK (storeys < 9) NOT NULL ON CONFLICT REPLACE DEFAULT 1", "storeys INT DEFAULT '7'"),
        ("area MONEY DEFAULT (1 + 1) CHECK (area >= 0)", "area MONEY CHECK (area >= 0) NOT NULL"),
        ("CHECK (storeys <> 5), CONSTRAINT tall CHECK (storeys > 0 /* not flat */), CONSTRAINT uq_houses UNIQUE (name, storeys)",
         "owner VARCHAR(5) DEFAULT 'me' NOT NULL, CHECK (storeys <> 5)"),
    ):  # fmt: skip
        assert old in expected
        expected = expected.replace(old, new)
    fresh = (
        ", CONSTRAINT uq_houses UNIQUE (name, area),"
        " CONSTRAINT fk_storeys FOREIGN KEY(storeys) REFERENCES rooms (id) ON DELETE CASCADE)"
    )
    index = "CREATE INDEX ix_plain ON houses (area DESC) WHERE area > 0"
    del before["ix_folded"]
    assert stored(street) == {**before, "houses": expected[:-1] + fresh, "ix_plain": index}


def test_what_mentions_a_column_goes_with_it(street: sa.Connection) -> None:
    """Its checks and indexes, as on PostgreSQL. A foreign key to a column with the same name elsewhere stays."""
    with migration(street) as op:
        op.execute("DROP TRIGGER counted")
        op.execute("DROP TRIGGER guarded_name")
        op.execute("DROP VIEW high")
        with op.batch_alter_table("houses") as batch:
            batch.drop_column("name")
            batch.drop_column("code")
    left = stored(street)
    assert {"ix_plain", "elsewhere"} <= set(left)
    assert {"ix_short", "ix_folded"}.isdisjoint(left)
    assert "uq_houses" not in left["houses"]
    assert "FOREIGN KEY" not in left["houses"]
    assert "CONSTRAINT tall CHECK (storeys > 0 /* not flat */)" in left["houses"]
    with migration(street) as op, op.batch_alter_table("log") as batch:
        batch.add_column(sa.Column("tag", sa.Text()))
        batch.add_column(sa.Column("code", sa.Text()))
        batch.create_foreign_key("fk_log", "plans", ["text", "tag"], ["code", "tag"])
    with migration(street) as op, op.batch_alter_table("log") as batch:
        batch.drop_column("code")
    assert "CONSTRAINT fk_log FOREIGN KEY(text, tag) REFERENCES plans (code, tag)" in stored(street)["log"]


def test_checks_that_mention_a_column_go_with_it(street: sa.Connection) -> None:
    """With or without a name, of the table or of another column. One that has only the same name stays."""
    with migration(street) as op:
        op.execute(
            "CREATE TABLE spans (a INT CHECK (a < b) CHECK (a > 0), b INT CONSTRAINT up CHECK (b > 1), c INT,"
            " CHECK (b > a), CONSTRAINT least CHECK (b > 2), CONSTRAINT b CHECK (c > 3))"
        )
        with op.batch_alter_table("spans") as batch:
            batch.drop_column("b")
    assert stored(street)["spans"] == 'CREATE TABLE "spans" (a INT CHECK (a > 0), c INT, CONSTRAINT b CHECK (c > 3))'


@pytest.mark.parametrize("in_batch", [True, False])
def test_everything_follows_a_column_that_is_renamed(street: sa.Connection, *, in_batch: bool) -> None:
    """In a batch, with another change, and outside a batch: values, checks, indexes, triggers and foreign keys."""
    houses = rows(street)
    with migration(street) as op:
        if in_batch:
            with op.batch_alter_table("houses") as batch:
                batch.alter_column("name", new_column_name="title", type_=sa.String(30), nullable=False)
                batch.alter_column("id", new_column_name="number")
                batch.create_index("ix_title", ["name", "area"])
        else:
            op.alter_column("houses", "name", new_column_name="title")
            op.alter_column("houses", "id", new_column_name="number")
    assert rows(street) == houses
    found = {
        name: sql.replace('"title"', "title").replace('"number"', "number") for name, sql in stored(street).items()
    }
    assert found.get("ix_title") == ("CREATE INDEX ix_title ON houses (title, area)" if in_batch else None)
    kind = "VARCHAR(30)" if in_batch else "VARCHAR(10)"
    assert f"title {kind} COLLATE NOCASE NOT NULL DEFAULT 'a, (b' CHECK (length(title) > 0)" in found["houses"]
    assert "number INTEGER PRIMARY KEY AUTOINCREMENT" in found["houses"]
    assert "CONSTRAINT uq_houses UNIQUE (title, storeys)" in found["houses"]
    assert "houses (lower(title), storeys DESC)" in found["ix_folded"]
    assert "UPDATE OF title, storeys ON houses WHEN NEW.title" in found["guarded_name"]
    assert "SELECT title, rooms FROM houses" in found["high"]
    with pytest.raises(sa.exc.IntegrityError, match="FOREIGN KEY"):
        street.exec_driver_sql("DELETE FROM houses WHERE number = 2")


def test_foreign_keys_to_a_renamed_column_follow(street: sa.Connection) -> None:
    """In other tables, by SQLite itself."""
    with migration(street) as op:
        op.execute("CREATE TABLE visits (house_id INTEGER, FOREIGN KEY (house_id) REFERENCES houses (id))")
        op.alter_column("houses", "id", new_column_name="number")
    assert stored(street)["visits"].endswith("REFERENCES houses (number))")


def test_other_tables_are_made_and_renamed_as_ever(street: sa.Connection) -> None:
    """Also after a rebuild. References to them follow."""
    with migration(street) as op:
        with op.batch_alter_table("log") as batch:
            batch.alter_column("text", type_=sa.String(5))
        op.create_table("gardens", sa.Column("id", sa.Integer(), primary_key=True))
        op.rename_table("houses", "homes")
    found = stored(street)
    assert 'REFERENCES "homes" ON DELETE CASCADE' in found["rooms"]
    assert 'UPDATE "homes" SET storeys' in found["elsewhere"]
    assert "gardens" in found


def test_a_column_that_must_have_a_value_is_added_to_an_empty_table(street: sa.Connection) -> None:
    """SQLite itself cannot add it. For a table with rows, the error says what is missing."""

    def add(op: Any, table: str, *, default: str | None = None) -> None:
        with op.batch_alter_table(table) as batch:
            batch.add_column(sa.Column("day", sa.Date(), nullable=False, server_default=default))

    with migration(street) as op:
        op.execute("CREATE TABLE gates (text TEXT)")
        add(op, "gates")
    assert stored(street)["gates"] == 'CREATE TABLE "gates" (text TEXT, day DATE NOT NULL)'
    message = refusal(street, lambda op: add(op, "rooms"))
    assert message == "rooms.day cannot be NOT NULL: 3 rows have no value; give it a server_default"
    with migration(street) as op:
        add(op, "rooms", default="2026-11-27")
    assert {row[-1] for row in rows(street, "rooms")} == {"2026-11-27"}


def test_a_column_with_rows_without_a_value_says_so(street: sa.Connection) -> None:
    """Before anything is done."""
    message = refusal(street, lambda op: alter(op, "people", "house_id", nullable=False))
    assert message == "people.house_id cannot be NOT NULL: 1 rows have no value; give them a value first"


def test_a_rebuild_that_loses_rows_is_undone(street: sa.Connection) -> None:
    """Here a constraint would drop a row silently."""

    def change(op: Any) -> None:
        with op.batch_alter_table("rooms") as batch:
            batch.create_unique_constraint("one", ["house_id"], sqlite_on_conflict="IGNORE")

    assert refusal(street, change) == "Rebuilding rooms loses rows: rooms had 3 rows and has 2"


def test_a_table_that_others_refer_to_is_not_rebuilt_with_foreign_keys_on(street: sa.Connection) -> None:
    """A connection in a transaction cannot switch them off. A table without references to it is rebuilt."""
    street.exec_driver_sql("SELECT 1")
    context = MigrationContext.configure(street, opts={"transactional_ddl": True})
    with guarded(street, context.begin_transaction):
        op = Operations(context)
        alter(op, "log", "text", type_=sa.String(9))
        with pytest.raises(UnsafeMigrationError, match=r"houses cannot .* on: deeds, people, rooms would lose rows"):
            alter(op, "houses", "name", type_=sa.String(20))
    assert row_counts(street)["rooms"] == 3


def test_a_table_without_row_numbers_stays_one(street: sa.Connection) -> None:
    """And a strict table stays strict, unless the batch says otherwise."""
    with migration(street) as op:
        op.execute("CREATE TABLE strict_one (a TEXT NOT NULL, b INT, PRIMARY KEY (a)) STRICT, WITHOUT ROWID")
        op.execute("INSERT INTO strict_one VALUES ('x', 1)")
        alter(op, "strict_one", "b", nullable=False)
    assert stored(street)["strict_one"].endswith("b INT NOT NULL, PRIMARY KEY (a)) STRICT, WITHOUT ROWID")
    assert rows(street, "strict_one") == [("x", 1)]
    remade("strict_one", street, table_kwargs={"sqlite_with_rowid": True})
    assert stored(street)["strict_one"].endswith("PRIMARY KEY (a)) STRICT")


def remade(table: str, street: sa.Connection, **options: Any) -> None:
    """Rebuild a table without an operation."""
    with migration(street) as op, op.batch_alter_table(table, recreate="always", **options):
        pass


def test_another_primary_key_takes_the_place_of_one_without_a_name(street: sa.Connection) -> None:
    """In every place in which it can be written. Alembic lets SQLAlchemy warn of the two."""

    def change() -> None:
        with migration(street) as op:
            op.execute("CREATE TABLE lanes (id INTEGER NOT NULL, part INTEGER NOT NULL, PRIMARY KEY (id))")
            for table, other in (("rooms", "house_id"), ("lanes", "part")):
                with op.batch_alter_table(table) as batch:
                    batch.create_primary_key(f"pk_{table}", ["id", other])

    with pytest.warns(sa.exc.SAWarning, match="locally"):
        change()
    for table, other in (("rooms", "house_id"), ("lanes", "part")):
        found = stored(street)[table]
        assert found.count("PRIMARY KEY") == 1
        assert found.endswith(f"CONSTRAINT pk_{table} PRIMARY KEY (id, {other}))")
    assert len(rows(street, "rooms")) == 3


def test_a_constraint_without_a_name_is_dropped_by_that_of_a_convention(street: sa.Connection) -> None:
    """As in Alembic, for one of the table and one of a column. Others stay."""
    convention = {"fk": "fk_%(table_name)s_%(column_0_name)s", "uq": "uq_%(table_name)s_%(column_0_name)s"}
    with migration(street) as op:
        op.execute(
            "CREATE TABLE links (a INT REFERENCES rooms (id) ON DELETE CASCADE, b INT NOT NULL UNIQUE, c INT NOT NULL UNIQUE,"
            ' "D" INT, FOREIGN KEY ("D") REFERENCES rooms (id), UNIQUE (a, "D"), UNIQUE ("D", a))'
        )
        with op.batch_alter_table("links", naming_convention=convention) as batch:
            batch.drop_constraint("fk_links_a", type_="foreignkey")
            batch.drop_constraint("fk_links_D", type_="foreignkey")
            batch.drop_constraint("uq_links_b", type_="unique")
            batch.drop_constraint("uq_links_a", type_="unique")
    assert stored(street)["links"] == (
        'CREATE TABLE "links" (a INT, b INT NOT NULL, c INT NOT NULL UNIQUE, "D" INT, UNIQUE ("D", a))'
    )


def test_checks_without_a_name_are_restated_in_the_batch(street: sa.Connection) -> None:
    """As in Alembic: the former ones are dropped."""
    remade("houses", street, table_args=(sa.CheckConstraint("storeys < 77"),))
    found = stored(street)["houses"]
    assert "CHECK (storeys < 77)" in found
    assert "storeys <> 5" not in found
    assert "length" not in found
    assert "CONSTRAINT tall" in found


def test_a_copied_table_is_made_as_it_is_stated(street: sa.Connection) -> None:
    """Indexes and triggers stay. A column that is left out would be lost, so it is an error."""
    log = sa.Table("log", sa.MetaData(), sa.Column("text", sa.Text()), sa.Index("ix_log", "text"))
    with migration(street) as op:
        op.execute("CREATE INDEX ix_other ON log (text DESC)")
        with op.batch_alter_table("log", copy_from=log) as batch:
            batch.alter_column("text", type_=sa.String(5))
    found = stored(street)
    assert found["log"] == 'CREATE TABLE "log" (text VARCHAR(5))'
    assert {"ix_log", "ix_other", "elsewhere"} <= set(found)
    people = sa.Table("people", sa.MetaData(), sa.Column("id", sa.Integer(), primary_key=True))
    with pytest.raises(UnsafeMigrationError, match="people would lose house_id"):
        remade("people", street, copy_from=people)


def test_a_table_of_an_attached_database_is_not_rebuilt(street: sa.Connection) -> None:
    """Its triggers and indexes would be lost."""
    street.rollback()
    driver: Any = street.connection.driver_connection
    driver.executescript("ATTACH ':memory:' AS other; CREATE TABLE other.log (text TEXT)")
    with pytest.raises(sa.exc.NoSuchTableError, match=r"other\.log"):
        remade("log", street, schema="other")
    log = sa.Table("log", sa.MetaData(), sa.Column("text", sa.Text()), schema="other")
    with pytest.raises(
        UnsafeMigrationError, match=r"other\.log is in an attached database, or `copy_from` has a schema"
    ):
        remade("log", street, copy_from=log)


def test_a_generated_column_is_added_and_given_up(street: sa.Connection) -> None:
    """No statement sets its value. Another one stays as it is."""
    with migration(street) as op, op.batch_alter_table("rooms") as batch:
        batch.add_column(sa.Column("double", sa.Integer(), sa.Computed("id * 2", persisted=True)))
    assert [row[-1] for row in rows(street, "rooms")] == [2, 4, 6]
    with migration(street) as op:
        op.execute("DROP VIEW high")
        op.execute("CREATE TABLE line (a INT, b INT GENERATED ALWAYS AS (a + 1) STORED, c INT, CHECK (c > 0))")
        alter(op, "line", "c", nullable=False)
        with op.batch_alter_table("houses") as batch:
            batch.drop_column("rooms")
    assert stored(street)["line"].endswith("b INT GENERATED ALWAYS AS (a + 1) STORED, c INT NOT NULL, CHECK (c > 0))")
    assert "rooms" not in stored(street)["houses"]
    assert "doors INT AS (storeys + 1)" in stored(street)["houses"]


def test_an_operation_that_cannot_be_leaves_all_as_it_is(street: sa.Connection) -> None:
    """Also if the new table has the rows but cannot get the name."""

    def change(op: Any) -> None:
        op.execute("CREATE TABLE twice (a INTEGER, b INTEGER)")
        op.execute("INSERT INTO twice VALUES (1, 1), (1, 2)")
        with op.batch_alter_table("twice") as batch:
            batch.create_unique_constraint("one", ["a"])

    before = stored(street)
    with pytest.raises(sa.exc.IntegrityError, match="UNIQUE"), migration(street) as op:
        change(op)
    assert stored(street) == before
    assert are_foreign_keys_on(street)


def test_a_column_takes_the_name_of_another(street: sa.Connection) -> None:
    """Of a dropped column, or its own."""
    with migration(street) as op:
        op.execute("CREATE TABLE pairs (a INTEGER CHECK (pairs.a < 9), b TEXT, c INTEGER)")
        op.execute("CREATE INDEX ix_pairs_a ON pairs (a)")
        op.execute("CREATE INDEX ix_pairs_c ON pairs (c)")
        op.execute("INSERT INTO pairs VALUES (1, 'two', 3)")
        with op.batch_alter_table("pairs") as batch:
            batch.alter_column("a", new_column_name="b")
            batch.alter_column("b", new_column_name="a")
    assert street.exec_driver_sql("SELECT a, b, c FROM pairs").all() == [("two", 1, 3)]
    with migration(street) as op, op.batch_alter_table("pairs") as batch:
        batch.drop_column("c")
        batch.alter_column("b", new_column_name="c")
    found = {name: sql.replace('"', "") for name, sql in stored(street).items() if "pairs" in name}
    assert found == {
        "pairs": "CREATE TABLE pairs (c INTEGER CHECK (c < 9), a TEXT)",
        "ix_pairs_a": "CREATE INDEX ix_pairs_a ON pairs (c)",
    }
    assert street.exec_driver_sql("SELECT a, c FROM pairs").all() == [("two", 1)]


def as_sql(change: Any) -> str:
    """What a migration writes out in `--sql` mode."""
    buffer = io.StringIO()
    context = MigrationContext.configure(dialect_name="sqlite", opts={"as_sql": True, "output_buffer": buffer})
    with Operations.context(context) as op:
        change(op)
    return " ".join(buffer.getvalue().split())


def test_what_is_written_out_as_sql_is_what_it_was() -> None:
    """A table that is stated is rebuilt; one that would have to be read is refused; a column is added in place."""
    table = sa.Table("things", sa.MetaData(), sa.Column("name", sa.String(9)))

    def rebuild(op: Operations, copy_from: sa.Table | None = None) -> None:
        with op.batch_alter_table("things", copy_from=copy_from) as batch:
            batch.alter_column("name", type_=sa.String(20))

    def add(op: Operations) -> None:
        with op.batch_alter_table("things") as batch:
            batch.add_column(sa.Column("size", sa.Integer(), nullable=False))

    assert as_sql(lambda op: rebuild(op, table)) == (
        "CREATE TABLE _alembic_tmp_things ( name VARCHAR(20) ); "
        "INSERT INTO _alembic_tmp_things (name) SELECT things.name FROM things; "
        "DROP TABLE things; ALTER TABLE _alembic_tmp_things RENAME TO things;"
    )
    assert as_sql(add) == "ALTER TABLE things ADD COLUMN size INTEGER NOT NULL;"
    with pytest.raises(CommandError, match="cannot proceed in --sql mode"):
        as_sql(rebuild)
