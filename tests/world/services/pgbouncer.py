"""PgBouncer in front of one cluster, with its default settings except those that a test names."""

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg

from tests.databases import ORDINARY_ROLE
from tests.world.services.postgresql import ADMINISTRATOR, Cluster
from tests.world.services.process import (
    HOST,
    Program,
    find_program,
    free_port,
    is_listening,
    ordinary_account,
    own_directory,
    run,
    start,
    wait_until,
)

PROGRAM = "pgbouncer"


@dataclass(frozen=True, kw_only=True)
class Pooler:
    """One running PgBouncer."""

    port: int
    program: Program

    def url(self, database: str, *, role: str = ORDINARY_ROLE) -> str:
        """The URL of a database behind it for SQLAlchemy with psycopg."""
        return f"postgresql+psycopg://{role}@{HOST}:{self.port}/{database}"

    def show(self, what: str) -> list[dict[str, object]]:
        """What its console says: `show("pools")`."""
        with psycopg.connect(
            host=HOST, port=self.port, user=ADMINISTRATOR, dbname="pgbouncer", autocommit=True
        ) as connection, psycopg.ClientCursor(connection) as cursor:  # fmt: skip
            cursor.execute(f"SHOW {what}".encode())
            names = [column.name for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@contextmanager
def pgbouncer(
    cluster: Cluster, *, mode: str, settings: Mapping[str, str] | None = None, program: str | None = None
) -> Iterator[Pooler]:
    """A PgBouncer for every database of the cluster.

    `mode` is `session` or `transaction`, `program` another one than Debian's.
    """
    with own_directory() as directory:
        port = free_port()
        users = directory / "users.txt"
        users.write_text(f'"{ORDINARY_ROLE}" ""\n"{ADMINISTRATOR}" ""\n')
        options = {
            "listen_addr": HOST,
            "listen_port": str(port),
            "unix_socket_dir": "",
            "auth_type": "trust",
            "auth_file": str(users),
            "admin_users": ADMINISTRATOR,
            "pool_mode": mode,
            **(settings or {}),
        }
        lines = [f"{name} = {value}" for name, value in options.items()]
        file = directory / "pgbouncer.ini"
        file.write_text("\n".join([f"[databases]\n* = host={HOST} port={cluster.port}\n\n[pgbouncer]", *lines, ""]))
        running = start([program or find_program(PROGRAM), str(file)], log=directory / "log", **ordinary_account())
        try:
            wait_until(lambda: is_listening(port), running)
            yield Pooler(port=port, program=running)
        finally:
            running.stop(signal.SIGINT)


def version(program: str | None = None) -> tuple[int, ...]:
    """The version of an installed PgBouncer: `(1, 18, 0)`."""
    first = run([program or find_program(PROGRAM), "--version"]).splitlines()[0]
    return tuple(int(part) for part in first.split()[-1].split("."))
