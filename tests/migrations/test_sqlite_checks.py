"""A migration on SQLite is committed only if every referenced row exists, and triggers and views work."""

import contextlib
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from rowhouse.migrations.sqlite.rebuild import guarded
from tests.migrations.street import are_foreign_keys_on, migration, refusal, rows


def test_a_trigger_that_mentions_a_column_that_is_gone_is_named(street: sa.Connection) -> None:
    """So is a view."""

    def change(op: Any) -> None:
        with op.batch_alter_table("houses") as batch:
            batch.drop_column("name")

    assert refusal(street, change) == (
        "The migration is undone. the trigger guarded_name watches houses.name, which is not there; "
        "the trigger counted on houses does not compile: no such column: NEW.name; "
        "the trigger elsewhere on log does not compile: no such column: NEW.name; "
        "the trigger guarded_name on houses does not compile: no such column: NEW.name; "
        "the view high does not compile: no such column: name"
    )


def test_a_trigger_may_be_corrected_later_in_the_migration(street: sa.Connection) -> None:
    """Only the end of the migration counts."""
    with migration(street) as op:
        with op.batch_alter_table("houses") as batch:
            batch.drop_column("name")
        for dropped in ("TRIGGER counted", "TRIGGER guarded_name", "VIEW high"):
            op.execute(f"DROP {dropped}")
    assert len(rows(street)) == 2


def test_a_trigger_of_a_view_is_looked_at_too(street: sa.Connection) -> None:
    """And one that fires on deletes."""
    on_delete = "CREATE TRIGGER high_old INSTEAD OF DELETE ON high BEGIN SELECT OLD.name; END"
    with migration(street) as op:
        op.execute("CREATE TRIGGER high_new INSTEAD OF INSERT ON high BEGIN SELECT NEW.rooms; END")
        op.execute(on_delete)

    def change(op: Any) -> None:
        for statement in ("DROP VIEW high", "CREATE VIEW high AS SELECT rooms FROM houses", on_delete):
            op.execute(statement)

    assert "the trigger high_old on high does not compile: no such column: OLD.name" in refusal(street, change)


def test_a_row_that_refers_to_none_is_named(street: sa.Connection) -> None:
    """With its table, its number and the parent. An earlier fault does not count."""
    street.rollback()
    driver: Any = street.connection.driver_connection
    driver.executescript(
        "PRAGMA foreign_keys=OFF; INSERT INTO rooms VALUES (7, 99);"
        "CREATE TABLE odd (name TEXT REFERENCES log (text), gone_id INTEGER REFERENCES gone); PRAGMA foreign_keys=ON"
    )
    with migration(street) as op:
        op.execute("INSERT INTO people VALUES (3, 2)")

    def change(op: Any) -> None:
        op.execute("DELETE FROM houses WHERE id = 1")
        op.execute("CREATE TABLE lost (plan_id INTEGER REFERENCES nowhere)")

    assert refusal(street, change) == (
        "The migration is undone. houses, row 2: next_id refers to a row of houses that is not there; "
        "lost.plan_id refers to nowhere, a table that is not there; "
        "people, row 1: house_id refers to a row of houses that is not there; "
        "rooms, row 1: house_id refers to a row of houses that is not there; "
        "rooms, row 2: house_id refers to a row of houses that is not there; "
        "SQLite has foreign keys off in a migration: delete the rows that refer to a row before the row itself"
    )


def test_a_key_that_is_not_unique_any_more_is_named(street: sa.Connection) -> None:
    """Each write to a table that refers to it would fail."""

    def change(op: Any) -> None:
        op.execute("DROP TABLE plans")
        op.execute("CREATE TABLE plans (code TEXT, tag TEXT)")

    assert 'houses: foreign key mismatch - "houses" referencing "plans"' in refusal(street, change)


def test_only_the_first_errors_are_listed(street: sa.Connection) -> None:
    """With the number of the others."""

    def change(op: Any) -> None:
        for key in range(18):
            op.execute(sa.text("INSERT INTO rooms VALUES (:key, 77)").bindparams(key=key + 10))

    assert refusal(street, change).endswith("; and 9 more")


def test_nothing_is_checked_where_nothing_was_done(street: sa.Connection) -> None:
    """A start without a pending migration takes no time."""
    statements: list[str] = []

    @sa.event.listens_for(street, "before_cursor_execute")
    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    with migration(street):
        statements.clear()
    assert statements == ["PRAGMA schema_version"]


def test_foreign_keys_are_on_again_whatever_happens(street: sa.Connection) -> None:
    """After a migration, and after one that left its transaction open, which is rolled back.

    `refusal` checks this for a failing one.
    """
    with migration(street) as op:
        assert street.exec_driver_sql("PRAGMA foreign_keys").scalar() == 0
        op.execute("INSERT INTO log VALUES ('kept')")
    assert are_foreign_keys_on(street)
    street.rollback()
    with guarded(street, contextlib.nullcontext):
        street.exec_driver_sql("INSERT INTO log VALUES ('left open')")
    assert are_foreign_keys_on(street)
    assert rows(street, "log")[-1] == ("kept",)


def test_elsewhere_a_migration_only_has_its_transaction(empty: sa.Connection, backend: str) -> None:
    """PostgreSQL alters in place and checks by itself."""
    begun: list[str] = []

    @contextlib.contextmanager
    def begin() -> Iterator[None]:
        begun.append("begin")
        yield
        begun.append("end")

    with guarded(empty, begin):
        assert begun == ["begin"]
    assert begun == ["begin", "end"]
    assert empty.in_transaction() == (backend == "sqlite")
