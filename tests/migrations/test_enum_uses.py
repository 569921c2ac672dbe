"""Changes of a native enum together with what uses its members: columns, defaults, checks and indexes."""

import enum
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.util import CommandError
from sqlalchemy import event

from rowhouse.db.integrity import NAMING_CONVENTION
from rowhouse.entities.no_overlap import NoOverlap
from tests.databases import Databases
from tests.migrations.project import Project


class Few(enum.StrEnum):
    """The members before."""

    OPEN = "OPEN"
    DONE = "DONE"


class More(enum.StrEnum):
    """With a new member."""

    OPEN = "OPEN"
    DONE = "DONE"
    GONE = "GONE"


class Other(enum.StrEnum):
    """Without a former member."""

    OPEN = "OPEN"
    GONE = "GONE"


Declare = Callable[[], sa.schema.SchemaItem]


def state(members: type[enum.Enum]) -> sa.Enum:
    """Return the type, which has one name for all of them."""
    return sa.Enum(members, name="state")


def houses(members: type[enum.Enum], *parts: sa.schema.SchemaItem, default: str | None = None) -> sa.MetaData:
    """Return a table with a column of the enum."""
    metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)
    column: sa.Column[Any] = sa.Column("state", state(members), nullable=False, server_default=default)
    sa.Table("houses", metadata, sa.Column("id", sa.Integer, primary_key=True), column, *parts)
    return metadata


def check(condition: str) -> sa.CheckConstraint:
    """Return a check of the table."""
    return sa.CheckConstraint(condition, name="rule")


def index(condition: str) -> sa.Index:
    """Return an index of some rows."""
    return sa.Index("ix_some", "id", postgresql_where=sa.text(condition), sqlite_where=sa.text(condition))


@pytest.fixture
def project(backend: str, databases: Databases, tmp_path: Path) -> Iterator[Project]:
    """A project with an empty database."""
    made = Project(tmp_path / "alembic", databases.empty(backend))
    yield made
    made.close()


def is_migrated(project: Project, metadata: sa.MetaData) -> None:
    """Migrate, and require that nothing is left to change."""
    project.migrate(metadata)
    assert project.write(metadata) is None


USES: dict[str, Callable[[], sa.MetaData]] = {
    "a new column is filled with it": lambda: houses(
        More, sa.Column("next", state(More), nullable=False, default=More.GONE)
    ),
    "a new column has it as default": lambda: houses(
        More, sa.Column("next", state(More), nullable=False, server_default="GONE")
    ),
    "the default becomes it": lambda: houses(More, default="GONE"),
    "a check": lambda: houses(More, check("state <> 'GONE' OR id > 5")),
    "an index": lambda: houses(More, index("state = 'GONE'")),
}


@pytest.mark.parametrize("use", USES)
def test_a_new_member_can_be_used_in_the_same_migration(project: Project, use: str) -> None:
    """PostgreSQL refuses that for a member that was added, so it gets a new type instead."""
    project.migrate(houses(Few))
    project.execute("INSERT INTO houses (id, state) VALUES (1, 'OPEN')")
    is_migrated(project, USES[use]())
    project.execute("INSERT INTO houses (id, state) VALUES (7, 'GONE')" if "column" not in use else "SELECT 1")
    project.execute("UPDATE houses SET state = 'GONE' WHERE id > 5", "DELETE FROM houses WHERE id > 5")
    project.downgrade(houses(Few))
    assert project.execute("SELECT id, state FROM houses") == [(1, "OPEN")]


def test_a_later_file_can_use_it_while_both_are_pending(
    backend: str, databases: Databases, project: Project, tmp_path: Path
) -> None:
    """On a database with rows, and on an empty one, where all files run in one transaction."""
    files = [houses(Few), houses(More), houses(More, default="GONE")]
    for metadata in files:
        is_migrated(project, metadata)
    for name, rows in (("old", True), ("new", False)):
        other = Project(tmp_path / name, databases.empty(backend))
        for position, path in enumerate(project.versions):
            shutil.copy(path, other.directory / "versions" / path.name)
            if rows and position == 0:
                other.upgrade(files[0])
                other.execute("INSERT INTO houses (id, state) VALUES (1, 'OPEN')")
        added: list[str] = []

        @event.listens_for(sa.Engine, "before_cursor_execute")
        def note(_connection: Any, _cursor: Any, statement: str, *_: Any, found: list[str] = added) -> None:
            if "ADD VALUE" in statement:
                found.append(statement)

        other.upgrade(files[-1])
        event.remove(sa.Engine, "before_cursor_execute", note)
        # A type of the same transaction is replaced at once. Otherwise adding is tried first: it rewrites no table.
        assert len(added) == (1 if rows and backend == "postgresql" else 0)
        other.execute("INSERT INTO houses (id) VALUES (2)")
        assert ("GONE",) in other.execute("SELECT state FROM houses")
        other.close()


@pytest.mark.parametrize("members", [Other, More])
@pytest.mark.parametrize("rule", [check, index])
@pytest.mark.parametrize("condition", ["state <> 'OPEN' OR id > 0", "state IN ('OPEN', 'GONE') AND id > 0"])
def test_what_compares_with_a_member_stays_when_another_goes(
    project: Project,
    members: type[enum.Enum],
    rule: Callable[[str], sa.schema.SchemaItem],
    condition: str,
) -> None:
    """Both ways. On PostgreSQL it is made anew for the new type."""
    before = More if members is Other else Other
    project.migrate(houses(before, rule(condition), default="OPEN"))
    project.execute("INSERT INTO houses (id) VALUES (1)")
    is_migrated(project, houses(members, rule(condition), default="OPEN"))
    project.downgrade(houses(before, rule(condition), default="OPEN"))
    project.versions[-1].unlink()
    assert project.write(houses(before, rule(condition), default="OPEN")) is None
    if rule is check:
        with pytest.raises(sa.exc.IntegrityError):
            project.execute("INSERT INTO houses (id) VALUES (-1)")


def test_a_rule_that_names_a_removed_member_goes_first(project: Project) -> None:
    """And comes back last."""

    def ruled(members: type[enum.Enum], name: str) -> sa.MetaData:
        return houses(members, check(f"state <> '{name}' OR id > 5"), index(f"state = '{name}'"))

    project.migrate(ruled(More, "DONE"))
    project.execute("INSERT INTO houses (id, state) VALUES (1, 'OPEN')")
    is_migrated(project, ruled(Other, "GONE"))
    project.downgrade(ruled(More, "DONE"))
    project.execute("INSERT INTO houses (id, state) VALUES (2, 'GONE'), (7, 'DONE')")
    with pytest.raises(sa.exc.IntegrityError):
        project.execute("INSERT INTO houses (id, state) VALUES (3, 'DONE')")


def test_a_member_goes_while_a_column_and_a_table_come(project: Project) -> None:
    """SQLite looks for rows with the member in the columns that exist."""

    def after() -> sa.MetaData:
        metadata = houses(Few, sa.Column("next", state(Few), nullable=False, default=Few.DONE))
        sa.Table("huts", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("state", state(Few)))
        return metadata

    project.migrate(houses(More))
    project.execute("INSERT INTO houses (id, state) VALUES (1, 'GONE')")
    with pytest.raises((CommandError, sa.exc.DataError), match="GONE"):
        project.migrate(after())
    project.versions[-1].unlink()
    project.execute("UPDATE houses SET state = 'OPEN'")
    is_migrated(project, after())


@pytest.mark.parametrize("backend", ["postgresql"], scope="session")
def test_arrays_of_an_enum(project: Project) -> None:
    """The type is made, changed and dropped as for a plain column. SQLite has no arrays."""

    def tagged(members: type[enum.Enum] | None) -> sa.MetaData:
        metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)
        posts = sa.Table("posts", metadata, sa.Column("id", sa.Integer, primary_key=True))
        if members is not None:
            posts.append_column(sa.Column("tags", sa.ARRAY(state(members)), server_default="{OPEN}"))
        return metadata

    is_migrated(project, tagged(None))
    project.execute("INSERT INTO posts (id) VALUES (1)")
    for members in (Few, More, Other):
        is_migrated(project, tagged(members))
    project.execute("INSERT INTO posts (id, tags) VALUES (2, '{GONE,OPEN}')")
    for before in (More, Few, None):
        project.downgrade(tagged(before))
        if before is not None:
            project.execute("UPDATE posts SET tags = '{OPEN}'")
    assert project.execute("SELECT count(*) FROM pg_type WHERE typname = 'state'") == [(0,)]


def test_a_rule_of_intervals_follows_its_enum(project: Project) -> None:
    """On PostgreSQL it is an exclusion constraint whose condition compares with members."""

    def stays(members: type[enum.Enum], *live: str) -> sa.MetaData:
        metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)
        columns = [sa.Column(name, sa.Integer, nullable=False) for name in ("place_id", "arrival", "departure")]
        sa.Table(
            "stays", metadata, sa.Column("id", sa.Integer, primary_key=True), *columns,
            sa.Column("state", state(members), nullable=False),
            NoOverlap("place_id", "arrival", "departure", live={"state": live}),
        )  # fmt: skip
        return metadata

    row = "INSERT INTO stays (id, place_id, arrival, departure, state) VALUES"
    project.migrate(stays(More, "OPEN"))
    project.execute(f"{row} (1, 1, 1, 5, 'OPEN')")
    for after in (stays(Other, "OPEN"), stays(More, "OPEN", "DONE"), stays(Other, "OPEN", "GONE")):
        is_migrated(project, after)
        with pytest.raises(sa.exc.DBAPIError):
            project.execute(f"{row} (2, 1, 4, 6, 'OPEN')")
    project.downgrade(stays(More, "OPEN", "DONE"))
    project.execute(f"{row} (3, 1, 4, 6, 'GONE')")
    with pytest.raises(sa.exc.DBAPIError):
        project.execute(f"{row} (2, 1, 4, 6, 'DONE')")
