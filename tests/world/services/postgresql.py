"""PostgreSQL clusters from Debian's package, each with its own directory and port.

`postgresql()` initialises one; `standby_of()` copies a running one and follows it. Never uses the system's cluster.
"""

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tests.databases import ORDINARY_ROLE
from tests.world.services.process import (
    HOST,
    MissingProgramError,
    Program,
    free_port,
    ordinary_account,
    own_directory,
    run,
    start,
    wait_until,
)

PROGRAMS = Path("/usr/lib/postgresql")
VERSION = "15"
ADMINISTRATOR = "postgres"
ICU = ("--locale-provider=icu", "--icu-locale=en-US", "--encoding=UTF8")
C = ("--locale=C", "--encoding=UTF8")
# A cluster that lives as long as the tests do need not outlive a crash of the machine; tests that kill one turn these
# on again.
CARELESS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
# One cluster holds the databases of hundreds of tests; a killed one leaves no shared memory behind it.
ROOMY = {"max_connections": "400", "dynamic_shared_memory_type": "mmap"}


def programs() -> Path:
    """Where Debian keeps the programs of PostgreSQL.

    Raises:
        MissingProgramError: it is not installed.
    """
    folder = PROGRAMS / VERSION / "bin"
    if not (folder / "postgres").exists():
        raise MissingProgramError(f"postgresql-{VERSION}")
    return folder


@dataclass(kw_only=True)
class Cluster:
    """One PostgreSQL server. It can be stopped, killed and started again within its block."""

    directory: Path
    port: int
    settings: Mapping[str, str] = field(default_factory=dict)
    program: Program | None = None

    def url(self, database: str = "postgres", *, role: str = ADMINISTRATOR) -> str:
        """The URL of a database for SQLAlchemy with psycopg."""
        return f"postgresql+psycopg://{role}@{HOST}:{self.port}/{database}"

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run one statement as the administrator, outside a transaction; its rows."""
        with psycopg.connect(
            host=HOST, port=self.port, user=ADMINISTRATOR, dbname=database, autocommit=True, connect_timeout=5
        ) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def create_database(self, name: str, *, template: str = "template1") -> str:
        """Make a database that an ordinary role owns, empty or like another that nobody is connected to; its URL."""
        self.execute(f'CREATE DATABASE "{name}" OWNER {ORDINARY_ROLE} TEMPLATE "{template}"')
        return self.url(name, role=ORDINARY_ROLE)

    def answers(self) -> bool:
        """Whether it takes connections."""
        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        options = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": str(self.directory),
            "logging_collector": "off",
            **CARELESS,
            **ROOMY,
            **self.settings,
        }
        command = [str(programs() / "postgres"), "-D", str(self.directory / "data")]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        self.program = start(command, log=self.directory / "log", cwd=self.directory, **ordinary_account())
        wait_until(self.answers, self.program)

    def stop(self) -> None:
        """Stop it at once, ending its connections."""
        if self.program is not None:
            self.program.stop(signal.SIGINT)

    def kill(self) -> None:
        """End it and all of its processes as a power failure would."""
        assert self.program is not None
        postmaster = self.program.process.pid
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        for process in (postmaster, *map(int, children)):
            os.kill(process, signal.SIGKILL)
        self.program.process.wait()

    def promote(self) -> None:
        """Make a standby the primary; returns once it takes writes."""
        self.execute("SELECT pg_promote(true, 30)")


@contextmanager
def postgresql(*initialisation: str, settings: Mapping[str, str] | None = None) -> Iterator[Cluster]:
    """A new cluster with an ordinary role, running; `initialisation` goes to initdb (`ICU`, `C`)."""
    with own_directory() as directory:
        data = str(directory / "data")
        command = [str(programs() / "initdb"), "-D", data, "-U", ADMINISTRATOR, "--auth=trust", "--no-sync"]
        run([*command, *initialisation], cwd=directory, **ordinary_account())
        cluster = Cluster(directory=directory, port=free_port(), settings=settings or {})
        with _running(cluster):
            cluster.execute(f"CREATE ROLE {ORDINARY_ROLE} LOGIN")
            yield cluster


@contextmanager
def standby_of(
    primary: Cluster, *, name: str = "standby", settings: Mapping[str, str] | None = None
) -> Iterator[Cluster]:
    """A hot standby that streams from `primary`, under a name that `synchronous_standby_names` can hold; running."""
    with own_directory() as directory:
        source = f"host={HOST} port={primary.port} user={ADMINISTRATOR} application_name={name}"
        command = [str(programs() / "pg_basebackup"), "--pgdata", str(directory / "data"), "--dbname", source]
        run([*command, "--checkpoint=fast", "--wal-method=stream", "--write-recovery-conf", "--no-sync"],
            cwd=directory, **ordinary_account())  # fmt: skip
        with _running(Cluster(directory=directory, port=free_port(), settings=settings or {})) as cluster:
            yield cluster


@contextmanager
def _running(cluster: Cluster) -> Iterator[Cluster]:
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def set_for_role(cluster: Cluster, settings: Mapping[str, str], *, role: str = ORDINARY_ROLE) -> None:
    """Have every connection of a role begin with these settings, whatever its database."""
    for name, value in settings.items():
        cluster.execute(f"ALTER ROLE {role} SET {name} = {value}")


def set_for_database(cluster: Cluster, settings: Mapping[str, str], *, databases: Sequence[str]) -> None:
    """Have every connection to the databases begin with these settings, whatever its role."""
    for database in databases:
        for name, value in settings.items():
            cluster.execute(f'ALTER DATABASE "{database}" SET {name} = {value}')
