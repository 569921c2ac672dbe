"""Starts real server processes on free loopback ports, waits until they are ready, and stops them cleanly.

For tests that one process cannot show: two servers on one database, signals, bursts. Knows nothing of any entity.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import Barrier
from typing import IO, TypeVar

import httpx2

from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, ROOT

T = TypeVar("T")
HOST = "127.0.0.1"
START_SECONDS, STOP_SECONDS, POLL_SECONDS = 60, 30, 0.05
# A busy test machine must not be taken for an overloaded server: work may wait longer for a thread than by default.
SETTINGS = {
    "ADMIN_EMAIL": ADMIN_EMAIL,
    "ADMIN_PASSWORD": ADMIN_PASSWORD,
    "QUEUE_SECONDS": "10",
    "LOG_LEVEL": "warning",
    "ACCESS_LOG": "false",
}


@dataclass(frozen=True, slots=True)
class Server:
    """One server process."""

    port: int
    process: subprocess.Popen[bytes]
    log: IO[bytes]

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{HOST}:{self.port}"

    def is_ready(self) -> bool:
        """Whether it answers `/ready` with 200."""
        try:
            return httpx2.get(f"{self.url}/ready", timeout=START_SECONDS).status_code == 200
        except httpx2.TransportError:
            return False

    def wait_until_ready(self) -> None:
        """Ask until it is; an AssertionError with its output when it dies or takes too long."""
        deadline = time.monotonic() + START_SECONDS
        while not self.is_ready():
            assert self.process.poll() is None, self.output()
            assert time.monotonic() < deadline, self.output()
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """End it as an operator would; an AssertionError when it does not go."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the server did not end on SIGTERM:\n{self.output()}") from None

    def output(self) -> str:
        """What it has written so far."""
        self.log.seek(0)
        return self.log.read().decode()


@contextmanager
def serve(database_url: str, *, count: int = 1, **settings: str) -> Iterator[list[Server]]:
    """So many server processes on one migrated database, all of them ready; ended with the block."""
    with ExitStack() as stack:
        servers = []
        for _ in range(count):
            log = stack.enter_context(tempfile.TemporaryFile())
            server = _start({**SETTINGS, **settings, "DATABASE_URL": database_url}, log)
            stack.callback(server.stop)
            servers.append(server)
        for server in servers:
            server.wait_until_ready()
        yield servers


def _start(settings: dict[str, str], log: IO[bytes]) -> Server:
    port = _free_port()
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "backend.main:create_app",
        "--factory",
        "--host",
        HOST,
        "--port",
        str(port),
    ]
    environment = {**os.environ, **settings}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
    return Server(port, process, log)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def together(work: Callable[[int], T], count: int) -> list[T]:
    """What `work(0)` to `work(count - 1)` give, done by as many threads that all begin at once."""
    barrier = Barrier(count)

    def begin(number: int) -> T:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begin, range(count)))
