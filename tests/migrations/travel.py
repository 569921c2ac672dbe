"""Writes migrations on one database and runs them on both.

Up, down and up again, with nothing left to find in between.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa

from rowhouse.db.integrity import NAMING_CONVENTION
from rowhouse.db.sql_functions import create_fold_function, create_trigram_function
from rowhouse.migrations.renames import Decisions
from tests.databases import BACKENDS, Databases
from tests.migrations import schema
from tests.migrations.project import Project

Declare = Callable[[sa.MetaData], object]
Schema = tuple[set[str], dict[str, str]]


def models(*declarations: Declare) -> sa.MetaData:
    """What some functions declare, under the engine's names of constraints."""
    metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)
    for declare in declarations:
        declare(metadata)
    return metadata


class Journey:
    """A project on both databases; its files are written on the first of them."""

    def __init__(self, databases: Databases, directory: Path, first: str, *, others: bool = True) -> None:
        self.databases = databases
        names = [first, *(name for name in BACKENDS if others and name != first)]
        self.projects = [self._project(directory / name, name) for name in names]
        self.first, *self.others = self.projects
        self.steps: list[tuple[Declare, ...]] = [()]
        self._made: dict[tuple[str, tuple[Declare, ...]], Schema] = {}

    def _project(self, directory: Path, name: str) -> Project:
        project = Project(directory, self.databases.empty(name))
        with project.engine.begin() as connection:
            create_fold_function(connection)
            create_trigram_function(connection)
        return project

    def go(self, *declarations: Declare, drops: frozenset[str] = frozenset()) -> str:
        """Write the migration on the first database, run it on both, back and forth; its text."""
        metadata = models(*declarations)
        written = self.first.write(metadata, f"step {len(self.steps)}", decisions=Decisions(drops=drops))
        assert written is not None, "no difference was found"
        for other in self.others:
            shutil.copy(written[0], other.directory / "versions" / written[0].name)
        self._all(Project.upgrade, metadata)
        self._all(Project.downgrade, metadata)
        self.is_at(self.steps[-1], compare=False)
        self._all(Project.upgrade, metadata)
        self.is_at(declarations)
        self.steps.append(declarations)
        return written[0].read_text()

    def _all(self, move: Callable[[Project, sa.MetaData], None], metadata: sa.MetaData) -> None:
        for project in self.projects:
            move(project, metadata)

    def is_at(self, declarations: tuple[Declare, ...], *, compare: bool = True) -> None:
        """Whether neither a comparison finds a difference, nor what `create_all` makes differs."""
        for project in self.projects:
            name = project.engine.dialect.name
            if compare:
                self.has_no_difference(project, models(*declarations), name)
            found, wanted = _schema(project, models(*declarations)), self.made(name, declarations)
            assert found == wanted, f"{name}: {found[0] ^ wanted[0]} {found[1]} {wanted[1]}"

    def has_no_difference(self, project: Project, metadata: sa.MetaData, where: str) -> None:
        """What `scripts/migrate` would find."""
        found = project.plan(metadata).operations
        assert found == [], f"{where}: {[(type(one).__name__, vars(one)) for one in found]}"

    def made(self, name: str, declarations: tuple[Declare, ...]) -> Schema:
        """What `create_all` makes, in which no difference may be found either."""
        key = (name, declarations)
        if key not in self._made:
            metadata = models(*declarations)  # anew: PostgreSQL's `create_all` leaves its marks in it
            fresh = self._project(self.first.directory.parent / f"fresh {name} {len(self._made)}", name)
            with fresh.engine.begin() as connection:
                schemas = {table.schema for table in metadata.tables.values() if table.schema}
                for one in sorted(schemas if name == "postgresql" else ()):
                    connection.exec_driver_sql(f"CREATE SCHEMA {one}")
                metadata.create_all(connection)
            self.has_no_difference(fresh, metadata, f"{name}, create_all")
            self._made[key] = _schema(fresh, metadata)
            fresh.close()
        return self._made[key]

    def close(self) -> None:
        """Close the connections."""
        for project in self.projects:
            project.close()


def _schema(project: Project, metadata: sa.MetaData) -> Schema:
    """As `schema` reads it; what a check says may be worded in two ways, and is left to the comparison."""
    with project.connected() as connection:
        lines = [line.split(" ") for line in schema.tables(connection) | schema.tables_in_schemas(connection, metadata)]
        named = {" ".join(words[:3] if words[1] == "check" else words) for words in lines}
        return named, schema.guards(connection)
