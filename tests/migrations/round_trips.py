"""Writes migrations on each database and runs them on both.

Up, down and up again, with nothing left to find in between.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from alembic.autogenerate import produce_migrations
from alembic.runtime.migration import MigrationContext

from rowhouse.core.settings import Settings
from rowhouse.db.engine import create_engine
from rowhouse.db.integrity import NAMING_CONVENTION
from rowhouse.db.sql_functions import create_fold_function, create_gram_functions
from rowhouse.migrations.autogenerate import autogenerate_options
from rowhouse.migrations.renames import Decisions
from tests.databases import BACKENDS, Databases
from tests.migrations import schema
from tests.migrations.project import Project

Declare = Callable[[sa.MetaData], object]
Schema = tuple[set[str], dict[str, str]]
REVISION = ("revision = ", "Revision: ", "down_revision = ")


def models(*declarations: Declare) -> sa.MetaData:
    """What some functions declare, under the engine's names of constraints."""
    metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)
    for declare in declarations:
        declare(metadata)
    return metadata


def with_functions(connection: sa.Connection) -> None:
    """The functions that the engine's first migration makes."""
    create_fold_function(connection)
    create_gram_functions(connection)


class Fresh:
    """Says what `create_all` makes, in one database of each kind that stays empty."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases
        self._engines: dict[str, sa.Engine] = {}
        self._made: dict[tuple[str, tuple[Declare, ...]], Schema] = {}

    def made(self, name: str, declarations: tuple[Declare, ...]) -> Schema:
        """What `create_all` makes, in which no difference may be found either."""
        key = (name, declarations)
        if key not in self._made:
            with self._engine(name).connect() as connection, connection.begin() as transaction:
                self._made[key] = self._make(connection, models(*declarations))
                transaction.rollback()
        return self._made[key]

    def _engine(self, name: str) -> sa.Engine:
        if name not in self._engines:
            url = self._databases.prepared(name, "functions", with_functions)
            self._engines[name] = create_engine(Settings(database_url=url))
        return self._engines[name]

    def _make(self, connection: sa.Connection, metadata: sa.MetaData) -> Schema:
        schemas = {table.schema for table in metadata.tables.values() if table.schema}
        for one in sorted(schemas if connection.dialect.name == "postgresql" else ()):
            connection.exec_driver_sql(f"CREATE SCHEMA {one}")
        metadata.create_all(connection)
        context = MigrationContext.configure(connection, opts=autogenerate_options(metadata))
        found = produce_migrations(context, metadata).upgrade_ops
        assert found is not None
        assert found.ops == [], f"{connection.dialect.name}, create_all: {[vars(one) for one in found.ops]}"
        return _schema(connection, metadata)

    def close(self) -> None:
        """Close the connections."""
        for engine in self._engines.values():
            engine.dispose()


class RoundTrip:
    """A project on both databases. Each writes the file of a step; what differs between them runs on both."""

    def __init__(self, databases: Databases, directory: Path, fresh: Fresh, *writers: str) -> None:
        self.fresh = fresh
        self.projects = [
            Project(directory / name, databases.prepared(name, "functions", with_functions)) for name in BACKENDS
        ]
        self.writers = [one for one in self.projects if one.engine.dialect.name in (writers or BACKENDS)]
        self.steps: list[tuple[Declare, ...]] = [()]

    def go(
        self, *declarations: Declare, drops: frozenset[str] = frozenset(), decisions: Decisions | None = None
    ) -> str:
        """Write the migration on each database, run it on both, back and forth; the texts."""
        metadata = models(*declarations)
        texts = self.write(metadata, decisions or Decisions(drops=drops))
        for number, (name, text) in enumerate(texts):
            is_last = number == len(texts) - 1
            with self._file(name, text, stays=is_last):
                self._all(Project.upgrade, metadata)
                if not is_last:
                    self.is_at(declarations)
                self._all(Project.downgrade, metadata)
                self.is_at(self.steps[-1], compare=False)
                if is_last:
                    self._all(Project.upgrade, metadata)
                    self.is_at(declarations)
        self.steps.append(declarations)
        return "".join(text for _name, text in texts)

    def write(self, metadata: sa.MetaData, decisions: Decisions) -> list[tuple[str, str]]:
        """What the databases write, without what says the same: names and texts of files."""
        texts: dict[str, tuple[str, str]] = {}
        for project in self.writers:
            written = project.write(metadata, f"step {len(self.steps)}", decisions=decisions)
            assert written is not None, "no difference was found"
            text = written[0].read_text()
            written[0].unlink()
            said = "\n".join(line for line in text.splitlines() if not line.startswith(REVISION))
            texts.setdefault(said, (written[0].name, text))
        return list(texts.values())

    @contextmanager
    def _file(self, name: str, text: str, *, stays: bool) -> Iterator[None]:
        paths = [project.directory / "versions" / name for project in self.projects]
        for path in paths:
            path.write_text(text)
        yield
        for path in () if stays else paths:
            path.unlink()

    def _all(self, move: Callable[[Project, sa.MetaData], None], metadata: sa.MetaData) -> None:
        for project in self.projects:
            move(project, metadata)

    def is_at(self, declarations: tuple[Declare, ...], *, compare: bool = True) -> None:
        """Whether neither a comparison finds a difference, nor what `create_all` makes differs."""
        for project in self.projects:
            if compare:
                left = project.plan(models(*declarations)).operations
                assert left == [], f"{project.engine.dialect.name}: {[(type(one).__name__, vars(one)) for one in left]}"
            self.equals_create_all(project, declarations)

    def equals_create_all(self, project: Project, declarations: tuple[Declare, ...]) -> None:
        """Require the schema that `create_all` makes, with every name."""
        name = project.engine.dialect.name
        with project.connected() as connection:
            found = _schema(connection, models(*declarations))
        wanted = self.fresh.made(name, declarations)
        assert found == wanted, f"{name}: {found[0] ^ wanted[0]} {found[1]} {wanted[1]}"

    def close(self) -> None:
        """Close the connections."""
        for project in self.projects:
            project.close()


def _schema(connection: sa.Connection, metadata: sa.MetaData) -> Schema:
    """As `schema` reads it; what a check says may be worded in two ways, and is left to the comparison."""
    lines = [line.split(" ") for line in schema.tables(connection) | schema.tables_in_schemas(connection, metadata)]
    named = {" ".join(words[:3] if words[1] == "check" else words) for words in lines}
    return named, schema.guards(connection)
