"""Limits of a connection: the size of a request's head, and the time of head and body. Over real sockets."""

import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI

from rowhouse.cli.connection import Connection
from tests.concurrency.servers import HOST
from tests.conftest import shop_database
from tests.core.conftest import build_shop
from tests.databases import Databases

pytestmark = pytest.mark.usefixtures("_shop_is_the_project")

Talk = Callable[..., bytes]
GET = b"GET /health HTTP/1.1\r\nHost: x\r\n"
BODY = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"


@pytest.fixture(scope="module")
def address(make_url: str) -> Iterator[tuple[str, int]]:
    """The address of a server in this process with small limits."""
    app: FastAPI = build_shop(make_url, body_seconds=0.4)
    with pytest.MonkeyPatch.context() as patch, socket.create_server((HOST, 0)) as listener:
        patch.setattr(Connection, "head_seconds", 0.4)
        patch.setattr(Connection, "most_head_bytes", 4096)
        server = uvicorn.Server(uvicorn.Config(app, http=Connection, log_config=None, timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield listener.getsockname()[:2]
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def make_url(databases: Databases) -> str:
    """The URL of a migrated database."""
    return shop_database(databases, "sqlite")


@pytest.fixture
def talk(address: tuple[str, int]) -> Talk:
    """`talk(*pieces, pause=0)` returns the bytes that a server sends until it closes the connection."""

    def exchange(*pieces: bytes, pause: float = 0.0) -> bytes:
        received = b""
        with socket.create_connection(address, timeout=10) as client, contextlib.suppress(ConnectionError):
            for number, piece in enumerate(pieces):
                time.sleep(pause if number else 0)
                client.sendall(piece)
            while piece := client.recv(65536):
                received += piece
        return received

    return exchange


def problem(answer: bytes, status: int) -> dict[str, Any]:
    """Return the problem in a response with this status."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), answer
    assert b"content-type: application/problem+json" in head
    found: dict[str, Any] = json.loads(body)
    assert (found["status"], set(found)) == (status, {"type", "title", "status", "detail", "code"})
    return found


def test_a_connection_that_sends_nothing_is_closed(talk: Talk) -> None:
    """Without a response."""
    started = time.monotonic()
    assert talk() == b""
    assert time.monotonic() - started < 3


@pytest.mark.parametrize("sent", [GET, b"G"])
def test_headers_that_do_not_arrive_are_408(talk: Talk, sent: bytes) -> None:
    """The connection is closed, even if single bytes still arrive."""
    assert problem(talk(sent), 408)["code"] == "request_timeout"
    assert problem(talk(sent, b"", *[b"x" if sent == GET else b"" for _ in range(4)], pause=0.05), 408)


def test_the_second_request_of_a_connection_has_the_same_limits(talk: Talk) -> None:
    """Also if its beginning arrived with the end of the first."""
    answer = talk(GET + b"\r\n" + GET)
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.count(b"HTTP/1.1") in (1, 2)


@pytest.mark.parametrize(
    "pieces",
    [
        (GET + b"X: " + b"x" * 5000,),
        (GET + b"X: ", *[b"x" * 1000] * 6),
        (GET + b"X: " + b"x" * 5000 + b"\r\n\r\n",),
        (b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",),
        (GET + b"".join(b"X-%d: %s\r\n" % (number, b"x" * 90) for number in range(50)) + b"\r\n",),
    ],
)
def test_headers_that_are_too_large_are_431(talk: Talk, pieces: tuple[bytes, ...]) -> None:
    """At once or in pieces, in one header, in many or in the path."""
    assert problem(talk(*pieces, pause=0.02), 431)["code"] == "request_header_fields_too_large"


@pytest.mark.parametrize(
    "sent",
    [
        b"NONSENSE\r\n\r\n",
        b"GET /api/v1/books HTTP/1.1\r\nHost: x\r\nX : a\r\n\r\n",
        b"GET /api/v1/b\xc3\xbc HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /api/v1/books HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
    ],
)
def test_a_request_that_is_not_http_is_400(talk: Talk, sent: bytes) -> None:
    """With the headers of every response."""
    answer = talk(sent)
    assert problem(answer, 400)["code"] == "bad_request"
    head = answer.partition(b"\r\n\r\n")[0]
    assert b"x-content-type-options: nosniff\r\n" in head
    assert len(re.findall(rb"x-request-id: [0-9a-f]{32}\r\n", head)) == 1


def test_a_large_body_does_not_count_as_headers(talk: Talk) -> None:
    """Nor is a request that follows one in the same piece of bytes."""
    body = b"username=" + b"x" * 20_000
    request = BODY + b"Content-Length: %d\r\n\r\n" % len(body) + body
    answer = talk(request + GET + b"Connection: close\r\n\r\n")
    assert answer.count(b"HTTP/1.1 ") == 2
    assert answer.startswith(b"HTTP/1.1 422")


def test_a_body_that_does_not_arrive_is_408(talk: Talk) -> None:
    """With all headers of a response. The connection is closed."""
    answer = talk(BODY + b"Content-Length: 100\r\n\r\nuser")
    assert problem(answer, 408)["detail"].startswith("The body did not arrive in time")
    assert b"x-request-id" in answer
    assert b"connection: close" in answer.lower()


def test_a_body_that_comes_in_time_is_read(talk: Talk) -> None:
    """In pieces."""
    body = b"grant_type=password&username=nobody&password=none"
    head = BODY + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    assert talk(head, body[:20], body[20:], pause=0.1).startswith(b"HTTP/1.1 401")


def test_a_body_that_is_not_read_does_not_keep_a_connection(talk: Talk) -> None:
    """The response was sent long before."""
    started = time.monotonic()
    answer = talk(b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n", *[b"x"] * 4, pause=0.1)
    assert answer.startswith(b"HTTP/1.1 404")
    assert time.monotonic() - started < 4


def test_an_upgrade_to_another_protocol_is_ignored(talk: Talk) -> None:
    """Without websockets it is an ordinary request."""
    headers = b"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n"
    assert talk(GET + headers).startswith(b"HTTP/1.1 ")
