"""Rowhouse servers as `scripts/run` starts them, for one environment each: `with rowhouse(url) as server`."""

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, ROOT
from tests.world.services.process import HOST, Program, free_port, run, start, wait_until

API = "/api/v1"
SETTINGS = {
    "ADMIN_EMAIL": ADMIN_EMAIL,
    "ADMIN_PASSWORD": ADMIN_PASSWORD,
    "LOG_LEVEL": "info",
    "LOG_JSON": "true",
    # A busy test machine must not be taken for an overloaded server.
    "QUEUE_SECONDS": "10",
}


@dataclass(frozen=True, kw_only=True)
class Server:
    """One running server process."""

    port: int
    program: Program

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{HOST}:{self.port}"

    def get(self, path: str) -> httpx2.Response:
        """What a GET of a path from the root answers."""
        return httpx2.get(f"{self.url}{path}", timeout=30)

    def answers(self, path: str = "/health") -> bool:
        """Whether a GET is answered with 200."""
        try:
            return self.get(path).status_code == 200
        except httpx2.TransportError:
            return False

    def wait_until_ready(self, seconds: float = 30) -> float:
        """Ask `/ready` until it is 200; the seconds that this took."""
        return wait_until(lambda: self.answers("/ready"), self.program, seconds=seconds)

    def log(self) -> list[dict[str, Any]]:
        """The lines of its log that are JSON."""
        return [json.loads(line) for line in self.program.output().splitlines() if line.startswith("{")]

    def stop(self) -> None:
        """End it by SIGTERM."""
        self.program.stop()


def migrate(database_url: str) -> None:
    """Bring a database to the newest migration by the command that the documentation names."""
    environment = {**os.environ, **SETTINGS, "DATABASE_URL": database_url}
    run([sys.executable, "-m", "alembic", "upgrade", "heads"], cwd=ROOT, env=environment)


@contextmanager
def rowhouse(
    database_url: str,
    *options: str,
    settings: Mapping[str, str] | None = None,
    port: int | None = None,
    wait_for: str = "/ready",
) -> Iterator[Server]:
    """A server on a migrated database; `options` go to uvicorn. It is there once `wait_for` answers with 200."""
    with tempfile.TemporaryDirectory() as directory:
        port = port or free_port()
        command = [sys.executable, "-m", "uvicorn", "app.main:create_app", "--factory", "--host", HOST]
        command += ["--port", str(port), "--no-access-log", "--no-server-header", *options]
        environment = {**SETTINGS, **(settings or {}), "DATABASE_URL": database_url}
        running = start(command, log=Path(directory) / "log", environment=environment, cwd=ROOT)
        server = Server(port=port, program=running)
        try:
            if wait_for:
                wait_until(lambda: server.answers(wait_for), running)
            yield server
        finally:
            server.stop()
