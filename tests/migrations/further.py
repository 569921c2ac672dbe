"""Further migrations after those of this repository, and a record of the log while one of them waits."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.config import Config

from rowhouse.migrations import locks
from tests.conftest import alembic_config, migrate
from tests.databases import Databases
from tests.migrations.copies import HAS_PROJECT, HEADS, PROJECT, copy_project

FILE = '''"""A change."""

from alembic import op

revision = "{revision}"
down_revision = "{before}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
{upgrade}


def downgrade() -> None:
    """Undo."""
{downgrade}
'''
MakeChain = Callable[[str], "Chain"]


@dataclass(eq=False)
class Chain(logging.Handler):
    """The migrations of this repository with further ones after them, and hooks for the time while one waits."""

    url: str
    folder: Path
    while_waiting: Callable[[], object] = lambda: None
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.newest = PROJECT

    def emit(self, record: logging.LogRecord) -> None:
        """Record the line that is logged before a pause."""
        self.lines.append(record.getMessage())
        self.while_waiting()

    def add(self, revision: str, upgrade: str, downgrade: str = "pass") -> None:
        """Write another migration."""
        bodies = {
            name: "\n".join(f"    {line}" for line in text.strip().splitlines())
            for name, text in (("upgrade", upgrade), ("downgrade", downgrade))
        }
        file = self.folder / f"alembic/versions/{revision}.py"
        file.write_text(FILE.format(revision=revision, before=self.newest, **bodies))
        self.newest = revision

    @property
    def config(self) -> Config:
        """The configuration of Alembic."""
        return alembic_config(self.folder)

    def upgrade(self) -> None:
        """Run `alembic upgrade heads`."""
        command.upgrade(self.config, "heads")

    def run(self, statement: str) -> None:
        """Run a statement on a connection of its own."""
        with connected(self.url) as connection:
            connection.execute(statement.encode())

    def ask(self, statement: str) -> list[Any]:
        """Return the first column of a query, on a connection of its own that waits for no lock."""
        with connected(self.url) as connection:
            connection.execute("SET lock_timeout = '1ms'")
            return [row[0] for row in connection.execute(statement.encode())]

    def columns(self, table: str) -> set[str]:
        """Return the names of a table's columns."""
        found = self.ask("SELECT attrelid::regclass || '.' || attname FROM pg_attribute WHERE attnum > 0")
        return {name.removeprefix(f"{table}.") for name in found}

    def revision(self) -> str:
        """Return the newest stored migration of the project."""
        found = self.ask("SELECT version_num FROM alembic_version")
        (newest,) = [one for one in found if one not in HEADS[1:]]
        return str(newest)


@contextmanager
def connected(url: str) -> Iterator[psycopg.Connection[Any]]:
    """Open a psycopg connection."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        yield connection


@pytest.fixture
def make_chain(
    databases: Databases, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Callable[[str], Chain]]:
    """`make_chain("sqlite")` returns a migrated database that the settings name, with few files."""

    def make(backend: str) -> Chain:
        url = databases.prepared(backend, "migrated", migrate)
        monkeypatch.setenv("DATABASE_URL", url)
        copy_project(tmp_path)
        chain = Chain(url, tmp_path)
        if not HAS_PROJECT:
            chain.upgrade()
        locks.log.addHandler(chain)
        return chain

    before = list(locks.log.handlers)
    yield make
    locks.log.handlers[:] = before
