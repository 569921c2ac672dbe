"""A table that has another name keeps its rows, its rules and the rows that refer to it.

On both databases, whoever wrote the file.
"""

from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations

from rowhouse.core.settings import Settings
from rowhouse.db.engine import create_engine
from rowhouse.db.sql_functions import portable_text
from rowhouse.entities.no_overlap import NoOverlap
from rowhouse.entities.search_index import SearchIndex
from rowhouse.migrations import renames
from rowhouse.migrations.operations.primary_keys import RenamePrimaryKey
from rowhouse.migrations.renames import Decisions, TableRename, UndecidedError, parse
from tests.databases import Databases
from tests.migrations.round_trips import Declare, Fresh, RoundTrip, models

RENAME = parse(["books=titles"], [])
ROWS = (
    "INSERT INTO books (id, key, name, shelf_id, starts, ends) VALUES (1, '{key}', 'oak', 1, 1, 5), (2, '{key}', 'elm', 2, 1, 5)",
    "INSERT INTO lines (id, book_id) VALUES (1, 1), (2, 2)",
)
CLASHES = (
    "INSERT INTO titles (id, key, name, shelf_id, starts, ends) VALUES (3, '{key}', 'ash', 1, 2, 3)",
    "INSERT INTO titles (id, key, name, shelf_id, starts, ends) VALUES (3, '{key}', 'oak', 3, 1, 5)",
    "INSERT INTO titles (id, key, name, shelf_id, starts, ends) VALUES (3, '{key}', 'ash', 3, 5, 1)",
)
EARLY, TOO_LATE = (
    "INSERT INTO titles (id, key, name, shelf_id, starts, ends) VALUES (4, '{key}', 'fir', 4, 4, 99), (5, '{key}', 'bay', 5, 4, 99)",
    "INSERT INTO titles (id, key, name, shelf_id, starts, ends) VALUES (6, '{key}', 'yew', 6, 10, 77), (7, '{key}', 'may', 7, 11, 77)",
)
LATE = sa.text("starts > 9 AND name <> 'ash'")
KEY = "00000000000000000000000000000001"


def library(name: str, *more: str) -> Declare:
    """Books with every kind of rule, lines that refer to them, and books that refer to each other."""

    def declare(metadata: sa.MetaData) -> None:
        columns: list[Any] = [
            sa.Column(one, sa.Integer(), nullable=False) for one in ("shelf_id", "starts", "ends", *more)
        ]
        sa.Table(
            name,
            metadata,
            sa.Column("id", sa.Integer(), primary_key=True),
            sa.Column("key", sa.Uuid(), nullable=False),
            sa.Column("name", portable_text(20), unique=True),
            sa.Column("part_of_id", sa.ForeignKey(f"{name}.id"), index=True),
            *columns,
            sa.CheckConstraint("starts < ends", name="order"),
            sa.Index(None, "starts", "name", unique=True),
            sa.Index(None, "ends", unique=True, sqlite_where=LATE, postgresql_where=LATE),
            NoOverlap("shelf_id", "starts", "ends"),
            SearchIndex("name"),
        )
        sa.Table(
            "lines",
            metadata,
            sa.Column("id", sa.Integer(), primary_key=True),
            sa.Column("book_id", sa.ForeignKey(f"{name}.id", ondelete="CASCADE"), nullable=False),
        )

    return declare


@pytest.fixture(scope="module")
def fresh(databases: Databases) -> Iterator[Fresh]:
    """What `create_all` makes, for all tests here."""
    made = Fresh(databases)
    yield made
    made.close()


@pytest.fixture
def round_trip(databases: Databases, tmp_path: Path, fresh: Fresh) -> Iterator[RoundTrip]:
    """Books with rows on two databases, each of which writes."""
    made = RoundTrip(databases, tmp_path, fresh)
    made.go(library("books"))
    for project in made.projects:
        project.execute(*(row.format(key=KEY) for row in ROWS))
    yield made
    made.close()


def test_everything_follows_a_table(round_trip: RoundTrip) -> None:
    """Up, down and up again: the comparison finds nothing, and no row is gone."""
    titles = library("titles")
    former, renamed = models(library("books")), models(titles)
    for project in round_trip.projects:
        assert project.plan(renamed, RENAME).losses == []
    for name, text in round_trip.write(renamed, RENAME):
        assert "op.rename_table('books', 'titles')" in text
        for project in round_trip.projects:
            path = project.directory / "versions" / name
            path.write_text(text)
            for _ in range(2):
                project.upgrade(renamed)
                assert project.plan(renamed).operations == []
                round_trip.equals_create_all(project, (titles,))
                assert project.execute("SELECT id, name FROM titles ORDER BY id") == [(1, "oak"), (2, "elm")]
                assert project.execute("SELECT id, book_id FROM lines ORDER BY id") == [(1, 1), (2, 2)]
                project.downgrade(renamed)
                assert project.plan(former).operations == []
                assert project.execute("SELECT count(*) FROM books JOIN lines ON book_id = books.id") == [(2,)]
            project.upgrade(renamed)
            project.execute(EARLY.format(key=KEY))  # the condition of the partial index lets both in
            with pytest.raises(sa.exc.IntegrityError, match="ends"):
                project.execute(TOO_LATE.format(key=KEY))
            for clash, rule in zip(CLASHES, ("ex_titles_shelf_id", "titles", "ck_titles_order"), strict=True):
                with pytest.raises(sa.exc.IntegrityError, match=rule):
                    project.execute(clash.format(key=KEY))
            project.execute("DELETE FROM titles WHERE id > 2")
            project.downgrade(renamed)
            path.unlink()


def test_the_former_name_is_free_for_another_table(round_trip: RoundTrip) -> None:
    """The primary key has the new name too; PostgreSQL would refuse a second `pk_books`."""
    renamed = models(library("titles"))
    both = models(
        library("titles"), lambda metadata: sa.Table("books", metadata, sa.Column("id", sa.Integer(), primary_key=True))
    )
    for project in round_trip.projects:
        project.migrate(renamed, RENAME)
        project.migrate(both)
        assert project.execute("SELECT (SELECT count(*) FROM titles), (SELECT count(*) FROM books)") == [(2, 0)]
        for _ in range(2):
            project.downgrade(both)
        assert project.plan(models(library("books"))).operations == []


def test_what_is_said_of_a_table_decides(round_trip: RoundTrip) -> None:
    """Nothing is written until somebody has said whether it was renamed."""
    renamed, other = models(library("titles")), models(library("titles", "pages"))
    for project in round_trip.projects:
        with pytest.raises(UndecidedError, match="add --rename books=titles; if not, add --drop books") as undecided:
            project.write(renamed)
        (found,) = undecided.value.candidates
        assert renames.ask([found], lambda question: "y" if "the former books" in question else "") == RENAME
        plan = project.plan(renamed, parse([], ["books"]))
        assert "books: all its rows" in [loss.what for loss in plan.losses]
        for word, fix in (("boks=titles", "no table boks"), ("books=lines", "a table lines already")):
            with pytest.raises(ValueError, match=f"--rename {word}: the database has {fix}"):
                project.plan(renamed, parse([word], []))
        # A table with other columns is not asked about, but may be the former one.
        assert "books: all its rows" in [loss.what for loss in project.plan(other, Decisions()).losses]
        project.execute("DELETE FROM lines", "DELETE FROM books")
        assert project.plan(other, RENAME).losses == []


def test_a_key_with_a_name_of_its_own_keeps_it(databases: Databases) -> None:
    """SQLite rebuilds nothing then; with `--sql` it cannot read the name, and says nothing."""
    engine = create_engine(Settings(database_url=databases.empty("sqlite")))
    created = "CREATE TABLE titles (id INTEGER, CONSTRAINT own PRIMARY KEY (id))"
    with engine.begin() as connection:
        connection.exec_driver_sql(created)
        Operations(MigrationContext.configure(connection)).invoke(RenamePrimaryKey("books", "titles"))
        assert connection.exec_driver_sql("SELECT sql FROM sqlite_master").scalars().all() == [created]
    engine.dispose()
    buffer = StringIO()
    offline = MigrationContext.configure(dialect_name="sqlite", opts={"as_sql": True, "output_buffer": buffer})
    Operations(offline).invoke(RenamePrimaryKey("books", "titles"))
    assert buffer.getvalue() == ""


def test_a_table_is_asked_about_once() -> None:
    """A table that was renamed is no candidate for another name."""
    found = [TableRename("a", "x"), TableRename("a", "y"), TableRename("b", "x"), TableRename("b", "y")]
    asked = SimpleNamespace(count=0)

    def answer(_question: str) -> str:
        asked.count += 1
        return "yes"

    assert renames.ask(found, answer).renames == (found[0], found[3])
    assert asked.count == 2
