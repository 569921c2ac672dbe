"""Shutdown: `/ready` is 503 while requests are still served; then the server closes within a bounded time."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from rowhouse.app.request_middleware import RequestMiddleware
from rowhouse.core.errors import RowhouseError
from rowhouse.core.problems import problem_response
from rowhouse.core.settings import Settings
from rowhouse.health.drain import Drain
from tests.concurrency.servers import HOST, Server, serve
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, ROOT, shop_database
from tests.databases import Databases

PART_OF_A_BODY = (
    b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    b"Content-Length: 100\r\n\r\nuser"
)
PATIENCE = 20

pytestmark = pytest.mark.usefixtures("_shop_is_the_project")


@pytest.fixture
def url(databases: Databases) -> str:
    """The URL of a migrated database."""
    return shop_database(databases, "sqlite")


@contextmanager
def connected(server_url: str, sent: bytes) -> Iterator[socket.socket]:
    """Open a connection, send bytes and wait."""
    port = httpx2.URL(server_url).port
    with socket.create_connection((HOST, port or 0), timeout=PATIENCE) as client:
        client.sendall(sent)
        yield client


def all_of(client: socket.socket) -> bytes:
    """Return everything that the other side sends until it closes."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := client.recv(65536):
            received += piece
    return received


def status(server: Server, path: str) -> int:
    """Return the status of one request on a new connection."""
    return status_of(server.url, path)


def status_of(server_url: str, path: str) -> int:
    """As `status`, of a server at this address."""
    return httpx2.get(f"{server_url}{path}", timeout=PATIENCE).status_code


def test_a_server_that_drains_serves_on(url: str) -> None:
    """From SIGTERM on it is not ready, and all other requests are handled until the time is over. Then it ends."""
    with serve(url, DRAIN_SECONDS="1.5") as (server,):
        server.signal(signal.SIGTERM)
        started = time.monotonic()
        while status(server, "/ready") != 503:
            assert time.monotonic() - started < 1
        answers = []
        while time.monotonic() - started < 1.2:
            answers.append(status(server, "/api/v1/books"))
        assert (len(answers) > 2, set(answers)) == (True, {200})
        assert server.exit_code() == -signal.SIGTERM
        assert 1.4 < time.monotonic() - started < 8


def test_a_second_signal_does_not_wait(url: str) -> None:
    """The server stops at once."""
    with serve(url, DRAIN_SECONDS="60") as (server,):
        server.signal(signal.SIGTERM)
        while status(server, "/ready") != 503:
            pass
        server.signal(signal.SIGTERM)
        started = time.monotonic()
        assert server.exit_code() == -signal.SIGTERM
        assert time.monotonic() - started < 10


def test_an_idle_client_does_not_delay_a_shutdown(url: str) -> None:
    """It neither sends its body nor reads its file. It gets an error, and the log has it."""
    with serve(url, SHUTDOWN_SECONDS="1", LOG_LEVEL="warning", BODY_SECONDS="60") as (server,):
        _fill(server)
        export = b"GET /api/v1/categories/export HTTP/1.1\r\nHost: x\r\n\r\n"
        with connected(server.url, PART_OF_A_BODY) as slow, connected(server.url, export) as reader:
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            assert reader.recv(100).startswith(b"HTTP/1.1 200")
            server.signal(signal.SIGTERM)
            started = time.monotonic()
            assert server.exit_code() == -signal.SIGTERM
            assert time.monotonic() - started < 8
            answer = all_of(slow)
        assert answer.startswith(b"HTTP/1.1 503"), answer
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "unavailable"
        assert "cut off after SHUTDOWN_SECONDS" in server.output()
        assert "Traceback" not in server.output()


def _fill(server: Server) -> None:
    """Store more than the buffers of a connection hold."""
    login = {"username": ADMIN_EMAIL, "password": ADMIN_PASSWORD}
    token = httpx2.post(f"{server.url}/api/v1/auth/login", data=login, timeout=PATIENCE).json()["access_token"]
    rows = "".join(f'{{"name": "filled {number}", "description": "{"x" * 900}"}}\n' for number in range(9000))
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/x-ndjson"}
    answer = httpx2.post(
        f"{server.url}/api/v1/categories/import", content=rows.encode(), headers=headers, timeout=PATIENCE
    )
    assert answer.status_code == 201, answer.text


@contextmanager
def started(url: str, *arguments: str, **settings: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start `python -m rowhouse.cli.serve` with these arguments, and return its address."""
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
    environment = {**os.environ, "DATABASE_URL": url, "LOG_LEVEL": "warning", **settings}
    command = [sys.executable, "-m", "rowhouse.cli.serve", "--host", HOST, "--port", str(port), *arguments]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        yield process, f"http://{HOST}:{port}"
    finally:
        # Its workers too, which would hold the pipe open.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_until_ready(process: subprocess.Popen[str], server_url: str) -> None:
    """Poll `/ready` until it is 200."""
    deadline = time.monotonic() + 60
    while True:
        with contextlib.suppress(httpx2.TransportError):
            if httpx2.get(f"{server_url}/ready", timeout=PATIENCE).status_code == 200:
                return
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_several_workers_count_and_drain_together(url: str, tmp_path: Path) -> None:
    """With the documented command. The log of all workers has the reason. No traceback is logged."""
    settings = {"DRAIN_SECONDS": "1", "LOG_LEVEL": "info", "TMPDIR": str(tmp_path)}
    with started(url, "--workers", "2", **settings) as (process, server_url):
        wait_until_ready(process, server_url)
        requests = 0
        # The second worker may come later.
        while "rowhouse_processes 2" not in (text := httpx2.get(f"{server_url}/metrics", timeout=PATIENCE).text):
            assert status_of(server_url, "/api/v1/books") == 200
            requests += 1
        for _ in range(30):
            assert status_of(server_url, "/api/v1/books") == 200
        requests += 30
        for _ in range(4):
            text = httpx2.get(f"{server_url}/metrics", timeout=PATIENCE).text
            assert f'rowhouse_requests_total{{operation="list_books",status="2xx"}} {requests}.0\n' in text
        assert len(list(tmp_path.glob("rowhouse-metrics-*/*"))) == 2
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        while httpx2.get(f"{server_url}/ready", timeout=PATIENCE).status_code == 200:
            assert time.monotonic() - began < 1
        assert httpx2.get(f"{server_url}/api/v1/books", timeout=PATIENCE).status_code == 200
        _, told = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0
        assert "Traceback" not in told, told
        lines = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
        assert sum(line.get("path") == "/api/v1/books" for line in lines) == requests + 1
        assert not list(tmp_path.glob("rowhouse-metrics-*"))


@pytest.fixture
def drain() -> Iterator[Callable[..., Drain]]:
    """`drain(**settings)` returns a `Drain` whose signal handlers are restored afterwards."""
    made: list[Drain] = []

    def make(**settings: Any) -> Drain:
        made.append(Drain(Settings(**settings)))
        return made[-1]

    former = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield make
    for one in made:
        one.remove_handlers()
    for number, handler in former.items():
        signal.signal(number, handler)


def test_the_servers_own_handler_is_called_when_the_time_is_over(drain: Callable[..., Drain]) -> None:
    """A second signal calls it at once. The handlers are restored."""
    calls: list[int] = []
    handler = lambda number, _frame: calls.append(number)  # noqa: E731  one line says it
    signal.signal(signal.SIGTERM, handler)

    async def scenario() -> None:
        waiting = drain(drain_seconds=0.1)
        waiting.install_handlers()
        signal.raise_signal(signal.SIGTERM)
        assert (waiting.has_begun, calls) == (True, [])
        signal.raise_signal(signal.SIGTERM)
        assert calls == [signal.SIGTERM]
        await asyncio.sleep(0.2)
        assert calls == [signal.SIGTERM] * 2
        waiting.remove_handlers()
        assert signal.getsignal(signal.SIGTERM) is handler

    asyncio.run(scenario())


def test_without_a_time_the_server_stops_at_once(drain: Callable[..., Drain]) -> None:
    """As in development, and at Ctrl-C with any setting."""
    calls: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: calls.append(number))

    async def scenario() -> None:
        drain().install_handlers()
        signal.raise_signal(signal.SIGTERM)
        other = drain(drain_seconds=9)
        other.install_handlers()
        signal.raise_signal(signal.SIGINT)
        assert other.has_begun

    asyncio.run(scenario())
    assert calls == [signal.SIGTERM, signal.SIGINT]


def test_signals_without_a_handler_are_left_alone(drain: Callable[..., Drain]) -> None:
    """A process without a server, such as a script, ends as usual."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

    async def scenario() -> None:
        drain().install_handlers()

    asyncio.run(scenario())
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@pytest.mark.parametrize(("given", "waits"), [(None, 3), (7, 7)])
def test_uvicorn_gets_the_waiting_time(drain: Callable[..., Drain], given: int | None, waits: int) -> None:
    """Unless the command line states it."""
    server = uvicorn.Server(uvicorn.Config("none", timeout_graceful_shutdown=given, log_config=None))

    async def scenario() -> None:
        with server.capture_signals():
            one = drain(shutdown_seconds=2.5)
            one.install_handlers()
            one.remove_handlers()

    asyncio.run(scenario())
    assert server.config.timeout_graceful_shutdown == waits


@pytest.mark.parametrize(("drains", "begins", "status"), [(True, False, 503), (True, True, 200), (False, False, None)])
def test_a_request_that_the_server_cancels_gets_an_error(drains: bool, begins: bool, status: int | None) -> None:  # noqa: FBT001  cases
    """Unless a part was sent, or the request was not cut off by a shutdown."""
    sent: list[Any] = []

    async def hang(scope: Scope, receive: Receive, send: Send) -> None:
        if begins:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(PATIENCE)

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def scenario() -> bool:
        ending = Drain(Settings())
        ending.has_begun = drains
        last_resort = problem_response(RowhouseError())
        outermost = RequestMiddleware(hang, access_log=False, last_resort=last_resort, drain=ending)
        scope = {"type": "http", "path": "/", "method": "GET", "headers": []}
        task = asyncio.create_task(outermost(scope, receive, send))
        await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return task.cancelled()

    assert asyncio.run(scenario()) is not drains
    assert [message["status"] for message in sent if "status" in message] == ([] if status is None else [status])


def test_a_thread_that_hangs_does_not_delay_a_shutdown(tmp_path: Path) -> None:
    """The server ends without it, and logs that."""
    script = f"""
import asyncio, threading, time
from fastapi import FastAPI
from rowhouse.app import factory as main
from rowhouse.core.settings import Settings
from rowhouse.registration.registry import Registry

main.CLOSE_SECONDS = 0.2
app = main.create_app(Registry(), settings=Settings(database_url="sqlite:///{tmp_path / "any.db"}", log_json=False))
async def scenario():
    async with app.router.lifespan_context(app):
        begun = threading.Event()
        def hang(unit):
            begun.set()
            time.sleep(60)
        task = asyncio.create_task(app.state.runner.run(hang, write=False))
        await asyncio.to_thread(begun.wait)
        task.cancel()
asyncio.run(scenario())
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=40, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "a thread still waits for the database" in done.stderr
