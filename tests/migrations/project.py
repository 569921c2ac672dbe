"""A project of migrations in a temporary directory.

This repository's `env.py` and template, with models of the test's own.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.operations import ops

from rowhouse.core.settings import Settings
from rowhouse.db.engine import create_engine
from rowhouse.migrations.renames import Decisions
from rowhouse.migrations.writing import Plan, plan, write
from tests.conftest import ROOT


class Project:
    """One database and its migrations."""

    def __init__(self, directory: Path, url: str) -> None:
        self.directory, self.settings = directory, Settings(database_url=url)
        (directory / "versions").mkdir(parents=True)
        for name in ("env.py", "script.py.mako"):
            shutil.copy(ROOT / "alembic" / name, directory / name)
        self.engine = create_engine(self.settings)

    @property
    def versions(self) -> list[Path]:
        """Return the files, the newest last."""
        return sorted((self.directory / "versions").glob("*.py"), key=lambda path: path.stat().st_mtime_ns)

    @contextmanager
    def connected(self) -> Iterator[sa.Connection]:
        """Open a connection to the database."""
        with self.engine.connect() as connection:
            yield connection

    def config(self, metadata: sa.MetaData) -> Config:
        """Return Alembic's configuration for these models."""
        config = Config()
        config.set_main_option("script_location", str(self.directory))
        config.set_main_option("path_separator", "os")
        config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
        config.attributes |= {"metadata": metadata, "settings": self.settings}
        return config

    def plan(self, metadata: sa.MetaData, decisions: Decisions = Decisions()) -> Plan:  # noqa: B008  it is frozen
        """Return the differences between the database and the models."""
        with self.connected() as connection:
            return plan(connection, metadata, decisions)

    def write(
        self, metadata: sa.MetaData, message: str = "change", *, decisions: Decisions = Decisions()  # noqa: B008  it is frozen
    ) -> tuple[Path, Plan] | None:  # fmt: skip
        """Write the next migration."""
        with self.connected() as connection:
            return write(self.config(metadata), connection, metadata, message=message, decisions=decisions)

    def migrate(self, metadata: sa.MetaData, decisions: Decisions = Decisions()) -> Plan:  # noqa: B008  it is frozen
        """Write the next migration and apply it, whatever it loses."""
        written = self.write(metadata, decisions=decisions)
        self.upgrade(metadata)
        return written[1] if written is not None else Plan()

    def upgrade(self, metadata: sa.MetaData, to: str = "heads") -> None:
        """Apply the pending migrations."""
        command.upgrade(self.config(metadata), to)

    def downgrade(self, metadata: sa.MetaData, to: str = "-1") -> None:
        """Undo the newest one."""
        command.downgrade(self.config(metadata), to)

    def execute(self, *statements: str) -> list[sa.Row[tuple[object, ...]]]:
        """Run SQL and return the rows of the last statement."""
        with self.engine.begin() as connection:
            results = [connection.exec_driver_sql(statement) for statement in statements]
            return list(results[-1].all()) if results[-1].returns_rows else []

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()


def names(operations: list[ops.MigrateOperation]) -> list[str]:
    """Return the kinds of the operations."""
    return [type(operation).__name__ for operation in operations]
