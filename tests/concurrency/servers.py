"""Starts real server processes on free loopback ports, waits until they are ready, and stops them.

For tests that need more than one process: two servers on one database, signals, bursts. Knows no entity.
"""

import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from threading import Barrier
from typing import TypeVar

import httpx2

from tests.concurrency import process
from tests.concurrency.process import SHOP, Application
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD
from tests.fork_server import forks

T = TypeVar("T")
HOST = "127.0.0.1"
START_SECONDS, STOP_SECONDS, POLL_SECONDS = 60, 30, 0.02
# A busy test machine must not be taken for an overloaded server: work may wait longer for a thread than by default.
SETTINGS = {
    "ADMIN_EMAIL": ADMIN_EMAIL,
    "ADMIN_PASSWORD": ADMIN_PASSWORD,
    "QUEUE_SECONDS": "10",
    "SIGN_UPS_PER_ADDRESS": "1000000",
    "LOG_LEVEL": "warning",
    "ACCESS_LOG": "false",
}


@dataclass(frozen=True, slots=True)
class Server:
    """One server process."""

    port: int
    process: ForkServerProcess
    log: Path

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{HOST}:{self.port}"

    def is_ready(self) -> bool:
        """Whether it answers its probe with 200."""
        try:
            return httpx2.get(f"{self.url}/ready", timeout=START_SECONDS).status_code == 200
        except httpx2.TransportError:
            return False

    def wait_until_ready(self) -> None:
        """Ask until it is; an AssertionError with its output when it dies or takes too long."""
        deadline = time.monotonic() + START_SECONDS
        while not self.is_ready():
            assert self.process.is_alive(), self.output()
            assert time.monotonic() < deadline, self.output()
            time.sleep(POLL_SECONDS)

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def exit_code(self) -> int | None:
        """How it ended, once it has; a signal is a negative number. None when it does not end."""
        self.process.join(STOP_SECONDS)
        return self.process.exitcode

    def kill(self) -> None:
        """End it as the power fails."""
        self.process.kill()
        self.process.join()

    def stop(self) -> None:
        """End it as an operator would; an AssertionError when it does not go."""
        self.process.terminate()
        if self.exit_code() is None:
            self.kill()
            raise AssertionError(f"the server did not end on SIGTERM:\n{self.output()}")

    def output(self) -> str:
        """What it has written so far."""
        return self.log.read_text()


@contextmanager
def serve(
    database_url: str, *, count: int = 1, application: Application = SHOP, **settings: str
) -> Iterator[list[Server]]:
    """So many server processes on one migrated database, all of them ready; ended with the block."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = []
        for number in range(count):
            log = directory / str(number)
            server = _start(application, {**SETTINGS, **settings, "DATABASE_URL": database_url}, log)
            stack.callback(server.stop)
            servers.append(server)
        for server in servers:
            server.wait_until_ready()
        yield servers


def _start(application: Application, settings: dict[str, str], log: Path) -> Server:
    log.touch()
    with socket.create_server((HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
        started = forks.Process(target=process.run, args=(application, listener, settings, str(log)), daemon=True)
        started.start()
    return Server(port, started, log)


def together(work: Callable[[int], T], count: int) -> list[T]:
    """What `work(0)` to `work(count - 1)` give, done by as many threads that all begin at once."""
    barrier = Barrier(count)

    def begin(number: int) -> T:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begin, range(count)))
